"""All settings: one typed object, read once from the environment; no other module looks there."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from quarterdeck.core import limits
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.network import NONE, REGISTRIES, defined, rules
from quarterdeck.core.prices import PriceList
from quarterdeck.core.session_limits import Limits


def _default_home() -> Path:
    """Root's state lies under /var/lib, everybody else's in their data folder."""
    if os.geteuid() == 0:
        return Path("/var/lib/quarterdeck")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "quarterdeck"


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip() not in ("", NONE))


def _price_list(file: Path | None) -> PriceList:
    """Raises ValueError, with the place of the first fault."""
    if file is None:
        return PriceList(models={})
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        value: object = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))  # pyright: ignore[reportUnknownMemberType]
        return PriceList.model_validate(value)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise ValueError(f"{file}: {'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}") from None
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise ValueError(f"{file} can't be read: {error}") from None


class Settings(BaseSettings):
    """What an administrator may set; each field's description is its documentation."""

    model_config = SettingsConfigDict(env_prefix="QUARTERDECK_", env_ignore_empty=True, frozen=True, extra="ignore")

    home: Path = Field(
        default_factory=_default_home, description="The folder of all state that is not in the database."
    )
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias="DATABASE_URL",
        description="A PostgreSQL of your own (16 or newer); without it the embedded one is used.",
    )
    host: str = Field(default="127.0.0.1", description="The address the server listens on.")
    port: int = Field(default=7433, ge=0, le=65535, description="The port the server listens on; 0 takes a free one.")
    public_url: str = Field(default="", description="The URL that links begin with; by default made of host and port.")
    trusted_proxies: str = Field(
        default="",
        description="Addresses or networks of reverse proxies, with commas between; "
        "what they say of the client's address and of https is believed.",
    )
    allow_plain_http: bool = Field(
        default=False, description="Let `qd` send your token over plain HTTP to another machine."
    )
    model: str | None = Field(default=None, description="The model a session uses that names none: `provider:model`.")
    concurrency: int = Field(default=16, ge=1, le=1000, description="How many turns one worker goes on with at a time.")
    runner_capacity: int = Field(default=4, ge=1, le=100, description="How many subjects the local runner works on.")
    allow_reduced_isolation: bool = Field(
        default=False, description="Run commands with Landlock alone where bubblewrap is refused."
    )
    allow_unsandboxed: bool = Field(default=False, description="Run commands with no sandbox at all.")

    session_limits: str = Field(
        default="",
        description="What one session may use of the local runner, such as `memory=4G, workspace=10G`; "
        "[all of them](../how-to/limit-sessions.md).",
    )

    mcp_private_addresses: bool = Field(
        default=False, description="Let MCP servers be on this machine and in its private network."
    )
    webhook_private_addresses: bool = Field(
        default=False,
        description="Let webhooks and Slack addresses be on this machine and in its private network, "
        "and be plain `http://`.",
    )
    smtp_host: str = Field(default="", description="The mail server for notifications; without it none are mailed.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="The port of the mail server.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the connection to the mail server is encrypted: `starttls`, `tls`, `none`."
    )
    smtp_username: str = Field(default="", description="Who the server is to the mail server, if it has to say that.")
    smtp_password: SecretStr | None = Field(default=None, description="The password for `QUARTERDECK_SMTP_USERNAME`.")
    mail_from: str = Field(
        default="", description="The address that e-mail comes from; by default `quarterdeck@` the server's host."
    )
    network_hosts: str = Field(
        default=REGISTRIES,
        description="What a repository's `agent-config.yml` may allow its sessions to reach: hosts, `*.domain`, "
        "`host:port`, groups like `crates`, by commas; `registries` are all groups, `none` is nothing.",
    )
    network_groups: str = Field(
        default="",
        description="Groups of your own, or other hosts for those there are: `pypi=mirror.example.org; "
        "internal=git.example.org:8443,*.example.net`; [what they are for](../how-to/agent-config.md).",
    )

    openai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias="OPENAI_API_KEY",
        description="The key for `openai:` models; `openai-compatible:` ones get it too.",
    )
    openai_base_url: str | None = Field(
        default=None,
        validation_alias="OPENAI_BASE_URL",
        description="The address of `openai-compatible:` models, with `/v1`; it redirects `openai:` too.",
    )
    ollama_base_url: str | None = Field(
        default=None,
        validation_alias="OLLAMA_BASE_URL",
        description="Where Ollama is, with `/v1`; by default port 11434 of this machine.",
    )
    anthropic_api_key: SecretStr | None = Field(
        default=None, validation_alias="ANTHROPIC_API_KEY", description="The key for `anthropic:` models."
    )
    anthropic_base_url: str | None = Field(
        default=None,
        validation_alias="ANTHROPIC_BASE_URL",
        description="Another address for `anthropic:` models, without `/v1`.",
    )

    google_api_key: SecretStr | None = Field(
        default=None, validation_alias="GOOGLE_API_KEY", description="The key for `google:` models (Gemini API)."
    )
    gemini_api_key: SecretStr | None = Field(
        default=None, validation_alias="GEMINI_API_KEY", description="The same; `GOOGLE_API_KEY` comes first."
    )
    google_base_url: str | None = Field(
        default=None,
        validation_alias="GOOGLE_GEMINI_BASE_URL",
        description="Another address for `google:` models, without `/v1beta`.",
    )
    mistral_api_key: SecretStr | None = Field(
        default=None, validation_alias="MISTRAL_API_KEY", description="The key for `mistral:` models."
    )
    mistral_base_url: str | None = Field(
        default=None,
        validation_alias="MISTRAL_BASE_URL",
        description="Another address for `mistral:` models, with `/v1`.",
    )
    groq_api_key: SecretStr | None = Field(
        default=None, validation_alias="GROQ_API_KEY", description="The key for `groq:` models."
    )
    groq_base_url: str | None = Field(
        default=None,
        validation_alias="GROQ_BASE_URL",
        description="Another address for `groq:` models, with `/openai/v1`.",
    )
    openrouter_api_key: SecretStr | None = Field(
        default=None, validation_alias="OPENROUTER_API_KEY", description="The key for `openrouter:` models."
    )
    openrouter_base_url: str | None = Field(
        default=None,
        validation_alias="OPENROUTER_BASE_URL",
        description="Another address for `openrouter:` models, with `/api/v1`.",
    )
    bedrock_api_key: SecretStr | None = Field(
        default=None,
        validation_alias="AWS_BEARER_TOKEN_BEDROCK",
        description="The Bedrock API key for `bedrock:` models.",
    )
    aws_region: str | None = Field(
        default=None,
        validation_alias="AWS_REGION",
        description="The region that `bedrock:` models are asked in, like `us-east-1`.",
    )
    aws_access_key_id: SecretStr | None = Field(
        default=None,
        validation_alias="AWS_ACCESS_KEY_ID",
        description="The AWS key for `bedrock:` models where no Bedrock API key is set.",
    )
    aws_secret_access_key: SecretStr | None = Field(
        default=None, validation_alias="AWS_SECRET_ACCESS_KEY", description="The secret of `AWS_ACCESS_KEY_ID`."
    )
    aws_session_token: SecretStr | None = Field(
        default=None,
        validation_alias="AWS_SESSION_TOKEN",
        description="The session token of `AWS_ACCESS_KEY_ID`, if it is a temporary one.",
    )
    aws_profile: str | None = Field(
        default=None,
        validation_alias="AWS_PROFILE",
        description="The profile of `~/.aws` whose credentials `bedrock:` models are asked with "
        "where neither of the keys is set.",
    )
    bedrock_machine_role: bool = Field(
        default=False,
        description="Ask `bedrock:` models with the AWS role of this machine, container or pod "
        "where no key and no profile is set.",
    )
    bedrock_base_url: str | None = Field(
        default=None,
        validation_alias="BEDROCK_BASE_URL",
        description="Another address for `bedrock:` models, without a path; it comes before `AWS_REGION`.",
    )
    context_tokens: int = Field(
        default=limits.CONTEXT_TOKENS,
        ge=1_000,
        description="How many tokens a model reads at once of which the price list doesn't say it; "
        "longer conversations are compacted.",
    )
    prices: Path | None = Field(
        default=None, description="A YAML or JSON file with prices of models; they come before the list that ships."
    )

    @field_validator("prices")
    @classmethod
    def _readable(cls, file: Path | None) -> Path | None:
        _price_list(file)
        return file

    @field_validator("network_hosts")
    @classmethod
    def _hosts(cls, text: str) -> str:
        try:
            for rule in _listed(text):
                rules(rule)
        except InvalidInputError as error:
            raise ValueError(error.message) from None
        return text

    @field_validator("network_groups")
    @classmethod
    def _groups(cls, text: str) -> str:
        try:
            defined(text)
        except InvalidInputError as error:
            raise ValueError(error.message) from None
        return text

    def network_rules(self) -> tuple[str, ...]:
        """What `network_hosts` lists."""
        return _listed(self.network_hosts)

    @field_validator("session_limits")
    @classmethod
    def _limits(cls, text: str) -> str:
        Limits.parse(text)
        return text

    def price_list(self) -> PriceList:
        """What is in the file of `prices`; empty without one."""
        return _price_list(self.prices)

    @property
    def url(self) -> str:
        """What clients and links use."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"


def load(**overrides: object) -> Settings:
    """The settings of this process, with what the command line sets over them."""
    return Settings.model_validate({}) if not overrides else Settings(**overrides)  # pyright: ignore[reportArgumentType]


def child_environment(settings: Settings, database_url: str | None) -> dict[str, str]:
    """The environment of a process that `serve` starts: this one's, with what was decided here.

    Without `database_url` the process is told it on its standard input.
    """
    return {
        **os.environ,
        "QUARTERDECK_HOME": str(settings.home),
        "QUARTERDECK_HOST": settings.host,
        "QUARTERDECK_PORT": str(settings.port),
        "QUARTERDECK_PUBLIC_URL": settings.public_url,
        "DATABASE_URL": database_url or "",
    }


_RUNNER_NEEDS = ("PATH", "HOME", "LANG", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONDONTWRITEBYTECODE")


def runner_environment() -> dict[str, str]:
    """The environment of a runner: nothing of the server's keys, settings or database (promise 8)."""
    return {name: value for name, value in os.environ.items() if name in _RUNNER_NEEDS or name.startswith("LC_")}


_INSTALLERS = ("pip_", "npm_config_", "xdg_config_")


def git_environment(settings: dict[str, str]) -> dict[str, str]:
    """The environment of a git that a person's command runs for them: theirs, and what only that git is to know."""
    return {**os.environ, **settings}


def installer_environment() -> dict[str, str]:
    """The environment in which pip, npm and apt are asked what they are configured with; no key of the server's."""
    own = {name: value for name, value in os.environ.items() if name.lower().startswith(_INSTALLERS)}
    return runner_environment() | own
