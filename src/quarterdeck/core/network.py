"""Which hosts a session's commands may reach: rules, groups of package registries, and the addresses behind a name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from pydantic import BaseModel, ConfigDict

from quarterdeck.core.errors import InvalidInputError

GROUPS: dict[str, tuple[str, ...]] = {
    "crates": ("crates.io", "index.crates.io", "static.crates.io"),
    "go": ("proxy.golang.org", "sum.golang.org"),
    "rubygems": ("rubygems.org", "index.rubygems.org"),
    "maven": ("repo.maven.apache.org", "repo1.maven.org", "plugins.gradle.org", "plugins-artifacts.gradle.org"),
    "nuget": ("api.nuget.org", "www.nuget.org"),
    "packagist": ("packagist.org", "repo.packagist.org"),
    "hex": ("hex.pm", "repo.hex.pm"),
    "alpine": ("dl-cdn.alpinelinux.org",),
    "pypi": (),
    "npm": (),
    "apt": (),
}
"""The package registries of a language or a system, by the one word that allows them."""
TOLD = frozenset({"pypi", "npm", "apt"})
"""Whose hosts are whatever pip, npm and apt of the server's machine say that they use."""
REGISTRIES = "registries"
"""The word for all groups; what `include_recommended_allowed` asks for."""
SERVER = "server"
"""In a project's setting: whatever the server allows."""
NONE = "none"
"""In settings and on the command line: nothing."""
WEB_PORTS = (80, 443)
"""What a rule without a port allows."""
HOST_CHARACTERS = 253
GROUPS_DEFINED = 50

Groups = Mapping[str, tuple[str, ...]]
"""Hosts by the words that stand for them."""

_WORD = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)")
_RULE = re.compile(r"(\*|(?:\*\.)?[^*:\[\]]+|\[[^\[\]]+\])(?::([0-9]{1,5}))?")
_NAT64 = IPv6Network("64:ff9b::/96")
_UNICAST = IPv6Network("2000::/3")
_TUNNELS = (IPv6Network("2001::/32"), IPv6Network("2002::/16"))
"""Teredo and 6to4 have an IPv4 address within, which nobody can look through."""
_METADATA = frozenset(map(ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16")))
"""Where clouds keep a machine's own credentials."""
_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))


@dataclass(frozen=True)
class Rule:
    """A host, `*.domain` for all below a domain, or `*`; and a port, else those of the web."""

    host: str
    port: int | None = None

    @property
    def literal(self) -> bool:
        """Whether it names one host."""
        return not self.host.startswith("*")

    def covers_host(self, host: str) -> bool:
        """Whether it speaks of the host, on whatever port."""
        return self.host in ("*", host) or (not self.literal and host.endswith(self.host[1:]))

    def covers(self, host: str, port: int) -> bool:
        """Whether it speaks of the host on that port."""
        return self.covers_host(host) and (port in WEB_PORTS if self.port is None else port == self.port)


@lru_cache(1_024)
def rules(text: str) -> tuple[Rule, ...]:
    """The rule that a text is, or those of the group that it names.

    Raises:
        InvalidInputError: it is neither.
    """
    text = text.strip().lower()
    if text == REGISTRIES:
        return tuple(rule for group in GROUPS for rule in rules(group))
    if text in GROUPS:
        return tuple(Rule(host) for host in GROUPS[text])
    found = _RULE.fullmatch(text)
    host = found[1] if found else ""
    base = host.removeprefix("*.")
    known = "*" if host == "*" else normal_host(base)
    port = int(found[2]) if found and found[2] else None
    if not known or (port is not None and not 0 < port < 65_536) or (host != base and _is_address(known)):
        raise InvalidInputError(
            f"{text[:100]!r} is no host, `*.domain`, `host:port` or group ({', '.join((REGISTRIES, *GROUPS))})."
        )
    return (Rule(f"*.{known}" if host != base else known, port),)


def normal_host(text: str) -> str:
    """A host as it is compared: small letters, no dot at its end, addresses in their one form; empty when it is none.

    What only some programs take for an address (`2130706433`, `0x7f.1`, `127.1`) is none.
    """
    bare = text.strip("[]") if text.startswith("[") and text.endswith("]") else text
    try:
        return ip_address(bare).compressed if "%" not in bare else ""
    except ValueError:
        name = bare.lower().removesuffix(".")
    if len(name) > HOST_CHARACTERS or not _NAME.fullmatch(name) or _NUMBER.fullmatch(name.rpartition(".")[2]):
        return ""
    return name


class NetworkPolicy(BaseModel):
    """What a repository asks for, and what it may ask for; nothing is reached that doesn't stand in all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    """Comes before all that is allowed, and on every port."""
    within: tuple[tuple[str, ...], ...] = ()
    """What the server, and then the project, lets be asked for."""
    named: tuple[str, ...] = ()
    """What the server's administrator wrote out: only such a host may have a private address."""

    def permits(self, host: str, port: int) -> bool:
        """Whether the host, as `normal_host` says it, may be asked on that port."""
        lists = (self.allowed, *self.within)
        return all(_covered(texts, host, port) for texts in lists) and not any(
            rule.covers_host(host) for text in self.denied for rule in rules(text)
        )

    def names(self, host: str, port: int) -> bool:
        """Whether it is a host that the administrator wrote out."""
        return _covered(self.named, host, port)


def defined(text: str) -> dict[str, tuple[str, ...]]:
    """Groups as an administrator writes them: `pypi=a.example,b.example; internal=*.c.example:8443`.

    Raises:
        InvalidInputError: it can't be read, or has no group there; says which part.
    """
    groups: dict[str, tuple[str, ...]] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        word, equals, hosts = part.partition("=")
        word = word.strip().lower()
        if not equals or not _WORD.fullmatch(word) or word in (REGISTRIES, SERVER, NONE):
            raise InvalidInputError(
                f"{part[:100]!r} is no group; write WORD=HOST,HOST with a semicolon between groups."
            )
        groups[word] = tuple(host.strip().lower() for host in hosts.split(",") if host.strip() not in ("", NONE))
        for host in groups[word]:
            rules(host)
    for word, hosts in groups.items():
        if within := [host for host in hosts if _group(host) or host in groups]:
            raise InvalidInputError(f"The group {word} has {within[0]!r} in it, which is a group itself.")
    if len(groups) > GROUPS_DEFINED:
        raise InvalidInputError(f"At most {GROUPS_DEFINED} groups can be defined; these are {len(groups)}.")
    return groups


def expanded(texts: tuple[str, ...], groups: Groups) -> tuple[str, ...]:
    """The same with hosts in place of the words of groups, each once: what a runner reads, which knows no groups."""
    found: dict[str, None] = {}
    for text in texts:
        word = text.strip().lower()
        words = groups if word == REGISTRIES else (word,)
        for one in words:
            found |= dict.fromkeys(groups.get(one, (text,)))
    return tuple(found)


def beyond(asked: tuple[str, ...], allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Those of which no part, or only a part, is within what is allowed."""
    return tuple(text for text in asked if not _within(text, allowed))


def written_out(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Those that are one host each, no group and no pattern."""
    return tuple(text for text in texts if len(found := rules(text)) == 1 and found[0].literal and not _group(text))


def refusal_of(address: str, *, host: str, named: bool) -> str:
    """Why an address that a host has isn't connected to; empty when it may be.

    A host that the administrator named may be in a private network. What belongs to one machine, such as its loopback
    and its cloud's metadata, must be named as the address that it is.
    """
    ip = _inner(ip_address(address.partition("%")[0]))
    if named and normal_host(host) == ip.compressed:
        return ""
    if ip in _METADATA:
        return "its address is a cloud's metadata service"
    if ip.is_loopback or ip.is_unspecified:
        return "its address is the machine itself"
    if ip.is_link_local:
        return "its address is link-local"
    if any(ip.version == net.version and ip in net for net in _PRIVATE):
        return "" if named else "its address is a private one"
    public = ip.is_global and not ip.is_multicast and not ip.is_reserved
    if isinstance(ip, IPv6Address):
        public = public and ip in _UNICAST and not any(ip in tunnel for tunnel in _TUNNELS)
    return "" if public else "its address is none of the internet"


def _inner(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, where a gateway would take it for that."""
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped:
            return ip.ipv4_mapped
        if ip in _NAT64:
            return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip


def _covered(texts: tuple[str, ...], host: str, port: int) -> bool:
    return any(rule.covers(host, port) for text in texts for rule in rules(text))


def _within(text: str, texts: tuple[str, ...]) -> bool:
    return all(_rule_within(rule, texts) for rule in rules(text))


def _rule_within(asked: Rule, texts: tuple[str, ...]) -> bool:
    ports = WEB_PORTS if asked.port is None else (asked.port,)
    # A pattern is within a pattern that covers any name below it.
    host = asked.host if asked.literal else f"x{asked.host[1:]}"
    found = [rule for text in texts for rule in rules(text) if asked.literal or not rule.literal]
    if asked.host == "*":
        found = [rule for rule in found if rule.host == "*"]
    return all(any(rule.covers(host, port) for rule in found) for port in ports)


def _group(text: str) -> bool:
    return text.strip().lower() in (REGISTRIES, *GROUPS)


def _is_address(host: str) -> bool:
    return ":" in host or _NUMBER.fullmatch(host.rpartition(".")[2]) is not None
