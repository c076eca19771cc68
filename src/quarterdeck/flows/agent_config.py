"""Reads a project's `agent-config.yml`: strict in what it knows, and with a note on all that has no effect."""

import json
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from quarterdeck.core.agent_config import FILE_BYTES, CacheConfig
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.limits import CACHE_PATHS
from quarterdeck.core.network import REGISTRIES, rules
from quarterdeck.flows.document import Document, Path, read

DOMAINS = 1_000
IMAGE_CHARACTERS = 512
TEXT_CHARACTERS = 255
KEY_FILES = 2
_IDLE = {
    "image": "there is no executor with containers here, so commands run with the programs of the runner's machine",
    "id_tokens": "no such tokens are made here",
}


@dataclass(frozen=True)
class Asked:
    """What the file asks for."""

    setup_script: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    cache: CacheConfig | None = None
    faults: tuple[str, ...] = ()
    """What makes it unusable, as `line:column path: what`; then it asks for nothing."""
    notes: tuple[str, ...] = ()


_Short = Annotated[str, Field(min_length=1, max_length=TEXT_CHARACTERS)]
_Domains = Annotated[tuple[str, ...], Field(max_length=DOMAINS)]


class _Network(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    allowed_domains: _Domains = ()
    denied_domains: _Domains = ()
    include_recommended_allowed: bool = False
    allow_all_unix_sockets: bool = False


class _Key(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    files: Annotated[tuple[_Short, ...], Field(min_length=1, max_length=KEY_FILES)]
    prefix: _Short = "default"


class _Cache(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    paths: Annotated[tuple[_Short, ...], Field(min_length=1, max_length=CACHE_PATHS)]
    key: _Short | _Key = "default"

    def config(self) -> CacheConfig:
        """The same in one form."""
        if isinstance(self.key, str):
            return CacheConfig(key=self.key, paths=self.paths)
        return CacheConfig(key=self.key.prefix, files=self.key.files, paths=self.paths)


class _Top(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    setup_script: tuple[str, ...] = ()
    network_policy: _Network = _Network()
    image: Annotated[str, Field(max_length=IMAGE_CHARACTERS)] = ""
    cache: _Cache | None = None
    id_tokens: JsonValue = None


def read_config(text: str) -> Asked:
    """What is in the file, with everything that is wrong with it at once."""
    document = read(text, FILE_BYTES)
    top = document.value
    if document.faults or top is None:
        return _findings(document)
    if not isinstance(top, dict):
        document.fault((), "it is a mapping with setup_script, network_policy and the like")
        return _findings(document)
    known = _without_unknown(document, top)
    try:
        asked = _Top.model_validate_json(json.dumps(known), strict=True)
    except ValidationError as error:
        document.fitting_faults((), error.errors(include_url=False))
        return _findings(document)
    policy = asked.network_policy
    for name in ("allowed_domains", "denied_domains"):
        _check(document, name, getattr(policy, name))
    for name, why in _IDLE.items():
        if known.get(name) is not None:
            document.note((name,), f"it has no effect: {why}")
    if policy.allow_all_unix_sockets:
        document.note(("network_policy", "allow_all_unix_sockets"), "it has no effect: a sandbox has its own sockets")
    if asked.cache and not asked.setup_script:
        document.note(("cache",), "it has no effect: what the setup script makes is kept, and there is none")
    if document.faults:
        return _findings(document)
    recommended = (REGISTRIES,) if policy.include_recommended_allowed else ()
    cache = asked.cache.config() if asked.cache and asked.setup_script else None
    allowed = (*policy.allowed_domains, *recommended)
    return replace(
        _findings(document),
        setup_script=asked.setup_script,
        allowed=allowed,
        denied=policy.denied_domains,
        cache=cache,
    )


def _without_unknown(document: Document, top: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The keys that are known; the others may be of a later version, or mistyped, and are noted."""
    known = _known(document, (), top, _Top)
    policy = known.get("network_policy")
    if isinstance(policy, dict):
        known["network_policy"] = _known(document, ("network_policy",), policy, _Network)
    if isinstance(cache := known.get("cache"), dict):
        known["cache"] = _known(document, ("cache",), cache, _Cache)
    if isinstance(script := known.get("setup_script"), str):
        known["setup_script"] = [script]
    return {name: value for name, value in known.items() if value is not None}


def _known(document: Document, at: Path, values: dict[str, JsonValue], model: type[BaseModel]) -> dict[str, JsonValue]:
    for name in values:
        if name not in model.model_fields:
            document.note((*at, name), "unknown key, it has no effect", document.closest(name, model.model_fields))
    return {name: value for name, value in values.items() if name in model.model_fields}


def _check(document: Document, name: str, domains: tuple[str, ...]) -> None:
    for number, domain in enumerate(domains):
        try:
            rules(domain)
        except InvalidInputError as error:
            document.fault(("network_policy", name, number), error.message)


def _findings(document: Document) -> Asked:
    """What is to be said of the file, and nothing else yet."""
    found = document.findings()
    faults, notes = (tuple(str(one) for one in found if one.severity == kind) for kind in ("fault", "note"))
    return Asked(faults=faults, notes=notes)
