"""What the commands of one call may reach: the policy, asked by the proxy, and a bounded note of what was refused."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from quarterdeck.core.limits import REFUSALS
from quarterdeck.core.network import NetworkPolicy, normal_host, refusal_of
from quarterdeck.core.protocol import Refusal

PORT = 3128
"""Where a command finds the proxy, on its own loopback."""
RESOLVE_SECONDS = 10
_PROXY = f"http://127.0.0.1:{PORT}"
_LOCAL = "localhost,127.0.0.1,::1"

Resolve = Callable[[str, int], Awaitable[list[str]]]


class RefusedError(Exception):
    """A host that a command may not reach, in words for whoever reads its output."""


class Network:
    """The network of one call; names are resolved here and never in the sandbox."""

    def __init__(self, policy: NetworkPolicy, resolve: Resolve | None = None) -> None:
        self._policy = policy
        self._resolve = resolve or _resolved
        self._refused: dict[tuple[str, int, str], int] = {}
        self._others = 0

    @property
    def environment(self) -> dict[str, str]:
        """How programs are told of the proxy."""
        told = {"HTTP_PROXY": _PROXY, "HTTPS_PROXY": _PROXY, "ALL_PROXY": _PROXY, "NO_PROXY": _LOCAL}
        return told | {name.lower(): value for name, value in told.items()}

    @property
    def refused(self) -> tuple[Refusal, ...]:
        """What was refused until now, the most common of it one by one."""
        known = sorted(self._refused.items(), key=lambda item: -item[1])
        told = [Refusal(host=host, port=port, reason=why, count=count) for (host, port, why), count in known]
        if self._others:
            told.append(Refusal(host="(others)", port=0, reason="not told one by one", count=self._others))
        return tuple(told)

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of the host that may be connected to: these very ones, whatever its name leads to later.

        Raises:
            RefusedError: it may not be reached; that is noted.
            OSError: its name leads nowhere.
        """
        known = normal_host(host)
        if not known or not self._policy.permits(known, port):
            raise self._refusal(host, port, "it isn't in the allowed hosts of this session")
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await self._resolve(known, port)
        named = self._policy.names(known, port)
        faults = {address: refusal_of(address, host=known, named=named) for address in found}
        fit = [address for address, fault in faults.items() if not fault]
        if not fit:
            raise self._refusal(known, port, next(iter(faults.values()), "it has no address"))
        return fit

    def _refusal(self, host: str, port: int, reason: str) -> RefusedError:
        key = (host[:300], port, reason)
        if key in self._refused or len(self._refused) < REFUSALS - 1:
            self._refused[key] = self._refused.get(key, 0) + 1
        else:
            self._others += 1
        return RefusedError(f"{host[:300]}:{port} is refused: {reason}.")


async def _resolved(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
