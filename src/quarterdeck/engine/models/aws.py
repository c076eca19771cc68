"""Who asks Amazon Bedrock, in which region, and at which of its two addresses."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from quarterdeck.core.errors import InvalidInputError

_REGION = re.compile(r"[a-z0-9-]{1,32}")
_HOST = re.compile(r"(?:^|\.)bedrock-(?:mantle|runtime)(?:-fips)?\.([a-z0-9-]+)\.")


@dataclass(frozen=True)
class Identity:
    """AWS credentials, or where they are to be looked for: the keys come first, then the profile, then the role."""

    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    profile: str | None = None
    """One of the shared files `~/.aws/config` and `~/.aws/credentials`."""
    machine_role: bool = False
    """Ask the machine, container or pod for them; nothing else makes anybody ask its metadata service."""

    @property
    def missing(self) -> str:
        """The variable without which these are none; empty when they are whole."""
        if self.access_key_id or self.secret_access_key:
            key = "" if self.access_key_id else "AWS_ACCESS_KEY_ID"
            return key if self.secret_access_key else "AWS_SECRET_ACCESS_KEY"
        return "" if self.profile or self.machine_role else "AWS_BEARER_TOKEN_BEDROCK, AWS_ACCESS_KEY_ID or AWS_PROFILE"

    @property
    def words(self) -> str:
        """How a sentence calls them."""
        if self.access_key_id:
            return "the keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        return f"the AWS profile {self.profile}" if self.profile else "this machine's AWS role"

    def secrets(self) -> list[str]:
        """What nobody may read, by value."""
        return [one.get_secret_value() for one in (self.secret_access_key, self.session_token) if one]


def checked_region(region: str) -> str:
    """The region, which becomes a part of an address. Raises InvalidInputError."""
    if not _REGION.fullmatch(region):
        raise InvalidInputError("AWS_REGION is no name of a region, like us-east-1.")
    return region


def region_of(url: str) -> str | None:
    """The region that one of Amazon's addresses names."""
    try:
        found = _HOST.search(urlsplit(url).hostname or "")
    except ValueError:  # no address at all; who asks there is told
        return None
    return found[1] if found else None


def makers_address(region: str) -> str:
    """Where Anthropic's and OpenAI's models are asked in their makers' own protocols."""
    return f"https://bedrock-mantle.{region}.api.aws"


def converse_address(region: str) -> str:
    """Where all models are asked in Bedrock's own protocol."""
    return f"https://bedrock-runtime.{region}.amazonaws.com"


def address(url: str, *, converse: bool) -> str:
    """`url`, unless it is the one of Amazon's two addresses that speaks the other protocol.

    An address of somebody's own is taken to have both.
    """
    region = region_of(url)
    if region is None or url not in (makers_address(region), converse_address(region)):
        return url
    return converse_address(region) if converse else makers_address(region)
