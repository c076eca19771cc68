"""Amazon's SDK, kept from the environment: it shapes, signs and reads; what it would send goes over our connections.

So no proxy, address, header, retry or credential that nobody named has a say.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, partial
from threading import Lock
from typing import Any, cast

import httpx2
from botocore import UNSIGNED, configprovider
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import HTTPClientError, ReadTimeoutError
from botocore.session import Session
from pydantic import SecretStr

from quarterdeck.engine.models.aws import Identity
from quarterdeck.engine.models.wire import Wire

_SENT = frozenset({
    "accept", "amz-sdk-invocation-id", "amz-sdk-request", "authorization", "content-type", "x-amz-content-sha256",
    "x-amz-date", "x-amz-security-token",
})  # fmt: skip
"""Headers of the SDK that are sent: those that it signs; others describe this machine."""
_OF_PROFILES = frozenset({
    "assume-role", "assume-role-with-web-identity", "config-file", "custom-process", "login", "shared-credentials-file",
    "sso",
})  # fmt: skip
"""The SDK's ways to the credentials of a profile; its others would ask the machine for want of any."""
_OF_MACHINES = frozenset({"assume-role-with-web-identity", "container-role", "iam-role"})
"""Its ways to the role of a pod, a container, a machine."""
_FILES = ("config_file", "credentials_file")
_Variables = dict[str, tuple[object, object, object, object]]

carrier: ContextVar[Wire] = ContextVar("carrier")
"""What carries the request that is made in this context; there is no other way out."""
_building = Lock()


def client(url: str, region: str, key: SecretStr | None, identity: Identity | None) -> Any:
    """The SDK's client for Bedrock, kept because it takes a while to make and renews credentials that expire.

    It reads files and may ask for credentials, so this is not for a loop. Raises the SDK's own errors.
    """
    with _building:
        return _client(url, region, key, identity)


def forget() -> None:
    """Make clients anew, from the files as they are by then."""
    _client.cache_clear()


@lru_cache(maxsize=16)
def _client(url: str, region: str, key: SecretStr | None, identity: Identity | None) -> Any:
    config = Config(
        signature_version=UNSIGNED if key else "v4",
        retries={"total_max_attempts": 1, "mode": "standard"},
        proxies={},
        ignore_configured_endpoint_urls=True,
        use_fips_endpoint=False,
        use_dualstack_endpoint=False,
    )
    theirs = cast("_Variables", configprovider.BOTOCORE_DEFAUT_SESSION_VARIABLES)
    unread = {
        name: (None, None, os.devnull if name in _FILES else default, convert)
        for name, (_, _, default, convert) in theirs.items()
    }
    session: Any = Session(unread)
    session.register_component("credential_provider", _Given(_credentials(identity) if identity else None))
    session.register_component("token_provider", _Given(None))
    made = session.create_client("bedrock-runtime", region, endpoint_url=url, config=config, verify=True)
    bearer = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    made.meta.events.register("before-send.bedrock-runtime", partial(_carried, bearer))
    return made


class _Given:
    """What the SDK asks for credentials, and for a key."""

    def __init__(self, given: object) -> None:
        self._given = given

    def load_credentials(self) -> object:
        return self._given

    def load_token(self, **_: object) -> object:
        return self._given


def _credentials(identity: Identity) -> object:
    if identity.access_key_id and identity.secret_access_key:
        token = identity.session_token.get_secret_value() if identity.session_token else None
        return Credentials(
            identity.access_key_id.get_secret_value(), identity.secret_access_key.get_secret_value(), token
        )
    session: Any = Session(profile=identity.profile)
    chain = session.get_component("credential_provider")
    ways = _OF_PROFILES if identity.profile else _OF_MACHINES
    chain.providers = [one for one in chain.providers if one.METHOD in ways]
    return session.get_credentials()


def _carried(bearer: dict[str, str], request: Any, **_: object) -> AWSResponse:
    """What the SDK would send is sent here in its place, in the thread that it was called in."""
    wire = carrier.get()
    sent = {
        str(name): value.decode("latin-1") if isinstance(value, bytes) else str(value)
        for name, value in request.headers.items()
        if name.lower() in _SENT
    }
    sent |= {**bearer, "Accept-Encoding": "identity", "User-Agent": "quarterdeck"}
    with _their_errors():
        answer = wire.send(request.method, request.url, sent, request.body or b"")
    return AWSResponse(request.url, answer.status_code, dict(answer.headers), _Body(wire))


class _Body:
    """An answer's body, as the SDK takes it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def stream(self) -> Iterator[bytes]:
        with _their_errors():
            yield from self._wire.stream()

    def close(self) -> None:
        self._wire.close()


@contextmanager
def _their_errors() -> Generator[None]:
    """Our connections' errors as the SDK's own, which the library knows."""
    try:
        yield
    except httpx2.TimeoutException as error:
        raise ReadTimeoutError(endpoint_url="Bedrock", error=error) from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise HTTPClientError(error=error) from error
