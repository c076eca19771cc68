"""A session without people and places, for showing it to strangers: names, addresses, hosts and homes are replaced.

The same word is replaced by the same name everywhere, so that what belongs together still does. Words are known
beforehand (members, runners, the project) or known by their looks (addresses, URLs, folders of people). What else is
said, such as the code that a session works on, stays.
"""

import codecs
import ipaddress
import re
from collections.abc import Callable, Iterable

from pydantic import JsonValue

KEPT = frozenset({
    "kind", "transition", "from_status", "to_status", "call_id", "call_ids", "approval_id", "provider_id", "tool",
    "side", "level", "failure_level", "outcome", "ask", "executor_kind", "isolation", "relation", "target", "change",
    "artifact", "status", "role", "about", "door", "model", "flow", "component", "commit", "base_commit",
    "output_sha256", "origin", "privileges", "pre_approved", "always_ask", "agent", "server", "method",
    "component_models", "since", "retry_at", "exported_at", "cost", "branch_commit", "media_type", "tokens",
    "limit", "bound", "of", "why", "source", "trigger", "delivery", "account_id",
})  # fmt: skip
"""The fields by which the parts of a log refer to each other, and those that have one of a few values."""
FREE = frozenset({"args", "inputs", "facts", "outputs", "form", "ref"})
"""Fields with values of any shape; whatever stands in them is taken for text, names too."""
LOCAL = frozenset({"localhost", "127.0.0.1", "0.0.0.0", "::1", "::"})  # noqa: S104 no address to listen at
"""Hosts that are everybody's."""
WORDS = 500
"""So many words are looked for wherever they stand; beyond that only what looks like a name or an address is."""

LINE_CHARACTERS = 1 << 20
"""A longer line of output is left out: a word might lie across any place where it is cut."""

_BARE = "com|org|net|edu|gov|io|dev|internal|corp|lan|intranet"
_PATTERNS = {
    "email": r"[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}",
    "url": r"""[A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s/?#"'`<>\\)\]}]{0,300}\]?""",
    "login": r"[\w.+-]{1,64}@(?:[\w-]{1,63}\.){0,8}[\w-]{1,63}(?=:[\w~/])",
    "home": r"""(?:/home/|/Users/|[A-Za-z]:\\{1,4}Users\\{1,4})[^/\\\s:"'<>|*?]{1,64}""",
    "ipv4": r"(?<![0-9])(?<![0-9]\.)(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9])(?!\.[0-9])",
    "ipv6": r"(?<![\w:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,8}(?:(?:\.[0-9]{1,3}){3})?(?![\w:])",
    "host": rf"(?<![A-Za-z0-9.-])(?:[A-Za-z0-9-]{{1,63}}\.){{1,8}}(?:{_BARE})(?![\w-])(?!\.\w)",
}
_LOOKS = "|".join(f"(?P<{name}>{pattern})" for name, pattern in _PATTERNS.items())
_URL = re.compile(_PATTERNS["url"])
_TELLING_HOST = re.compile(r"(?=.*[.0-9-])[^\W_](?:[\w.-]{0,250}[^\W_])?")
"""A host whose name is no word that means something else elsewhere."""
_OURS = re.compile(r"(?:host|ip)-[0-9]+\.invalid")
_AUTHORITY = re.compile(r"(?P<scheme>[^:]*://)(?:[^@]*@)?(?P<host>\[[^\]]*\]?|[^:]*)(?P<rest>.*)", re.DOTALL)


class Anonymizer:
    """Replaces people by `user-1`, projects by `project-1`, runners by `runner-1`, hosts by `host-1.invalid`."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        """What was replaced, in small letters, and by what."""
        self._counts: dict[str, int] = {}
        self._words: set[str] = set()
        """What is looked for wherever it stands."""
        self._known = self._all = re.compile("(?!)")
        self._compiled = 0

    def person(self, *names: str) -> None:
        """All names of one person: a user name, a display name, an address."""
        self._know("user", names)

    def project(self, *names: str) -> None:
        """A project's path and name."""
        self._know("project", names)

    def runner(self, name: str) -> None:
        """A runner, which is often called like its machine."""
        self._know("runner", (name,))

    def learn(self, value: JsonValue) -> None:
        """Knows the hosts of the URLs within a value wherever they stand alone."""
        match value:
            case str():
                for found in _URL.finditer(value) if "://" in value else ():
                    self._learn_host(_host_of(found[0]))
            case list():
                for item in value:
                    self.learn(item)
            case dict():
                for item in value.values():
                    self.learn(item)
            case _:
                pass

    def text(self, text: str) -> str:
        """The text with other names."""
        if self._compiled != len(self._words) or self._compiled == 0:
            # A letter or a digit beside it makes a word another one; `_` and `-` don't.
            words = "|".join(re.escape(name) for name in sorted(self._words, key=lambda name: (-len(name), name)))
            known = rf"(?P<known>(?<![^\W_])(?:{words or '(?!)'})(?![^\W_]))"
            self._known = re.compile(known, re.IGNORECASE)
            self._all = re.compile(f"{_LOOKS}|{known}", re.IGNORECASE)
            self._compiled = len(self._words)
        return self._all.sub(self._replaced, text)

    def value(self, value: JsonValue) -> JsonValue:
        """The same for all texts within a value, names of fields too."""
        return self._walked(value, free=True)

    def payload(self, payload: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """The payload of an event; what only its model's provider can read is left out."""
        found = {name: "" if name == "opaque" else self._field(name, value) for name, value in payload.items()}
        if payload.get("kind") == "mcp_tools.pinned":  # its tools are called by these names
            found["tools"] = [
                {**tool, "name": old["name"], "remote": old["remote"]}
                for tool, old in zip(_objects(found["tools"]), _objects(payload["tools"]), strict=True)
            ]
        return found

    def _walked(self, value: JsonValue, *, free: bool) -> JsonValue:
        match value:
            case str():
                return self.text(value)
            case list():
                return [self._walked(item, free=free) for item in value]
            case dict() if free:
                return {self.text(name): self._walked(item, free=True) for name, item in value.items()}
            case dict():
                return {name: self._field(name, item) for name, item in value.items()}
            case _:
                return value

    def _field(self, name: str, value: JsonValue) -> JsonValue:
        if name == "pre_approved_patterns" and isinstance(value, dict):
            return {tool: self.value(patterns) for tool, patterns in value.items()}
        return value if name in KEPT else self._walked(value, free=name in FREE)

    def _replaced(self, found: re.Match[str]) -> str:
        replace: dict[str, Callable[[str], str]] = {
            "email": self._address, "login": self._address, "url": self._url, "home": self._home,
            "ipv4": self._ip, "ipv6": self._ip, "host": self._host, "known": self._word,
        }  # fmt: skip
        return replace[str(found.lastgroup)](found[0])

    def _word(self, text: str) -> str:
        return self._names[text.lower()]

    def _words_of(self, text: str) -> str:
        """What looked like something and is not; a known word may stand in it all the same."""
        return self._known.sub(lambda found: self._word(found[0]), text)

    def _address(self, text: str) -> str:
        """`ada@example.com`, and what git and ssh write before a colon."""
        name, _, host = text.rpartition("@")
        if name == "git":
            return f"git@{self._host(host)}"
        if host in ("sha256", "sha512"):  # the digest of an image
            return self._words_of(text)
        known = name if name.lower() in self._names and text.lower() not in self._names else text
        return f"{self._alias('user', known)}@{self._host(host)}"

    def _url(self, text: str) -> str:
        parts = _AUTHORITY.fullmatch(text)
        if parts is None or not parts["host"]:
            return self._words_of(text)
        return f"{self._words_of(parts['scheme'])}{self._host(parts['host'])}{self._words_of(parts['rest'])}"

    def _home(self, text: str) -> str:
        name = re.split(r"[/\\]", text)[-1]
        return text[: len(text) - len(name)] + self._alias("user", name)

    def _ip(self, text: str) -> str:
        bare = text[:-1] if text.endswith(":") and not text.endswith("::") else text
        try:
            address = ipaddress.ip_address(bare)
        except ValueError:
            return self._words_of(text)
        return text if str(address) in LOCAL else self._alias("ip", bare) + text[len(bare) :]

    def _host(self, host: str) -> str:
        bare = host.strip("[]")
        return host if not bare or bare.lower() in LOCAL or _OURS.fullmatch(bare) else self._alias("host", bare)

    def _alias(self, kind: str, name: str) -> str:
        """The name in place of this one, a new one if it wasn't seen before."""
        return self._names.get(name.lower()) or self._new(kind, (name.lower(),))

    def _know(self, kind: str, names: Iterable[str]) -> None:
        wanted = sorted({name.strip().lower() for name in names} - {""})
        for name in wanted[: max(0, WORDS - len(self._words))]:
            self._words.add(name)
        if known := [self._names[name] for name in wanted if name in self._names]:
            self._names |= dict.fromkeys(wanted, known[0])
        elif wanted:
            self._new(kind, wanted)

    def _learn_host(self, host: str) -> None:
        bare = host.strip("[]")
        if _TELLING_HOST.fullmatch(bare) and bare.lower() not in LOCAL and not _OURS.fullmatch(bare):
            self._know("host", (bare,))

    def _new(self, kind: str, names: Iterable[str]) -> str:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        alias = f"{kind}-{self._counts[kind]}" + (".invalid" if kind in ("host", "ip") else "")
        self._names |= dict.fromkeys(names, alias)
        return alias


class Stream:
    """Output or a diff that comes in pieces, line by line."""

    def __init__(self, anonymous: Anonymizer) -> None:
        self._anonymous = anonymous
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._left_out = 0
        """The characters of a line that is too long, so far."""

    def feed(self, data: bytes) -> bytes:
        """Takes a piece and answers the lines that are whole now."""
        text = self._decoder.decode(data)
        told = ""
        if self._left_out:
            rest, feed, text = text.partition("\n")
            self._left_out += len(rest)
            if not feed:
                return b""
            told, self._left_out = f"{self._note()}\n", 0
        whole, feed, self._held = (self._held + text).rpartition("\n")
        if len(self._held) > LINE_CHARACTERS:
            self._left_out, self._held = len(self._held), ""
        return (told + self._anonymous.text(whole + feed)).encode()

    def close(self) -> bytes:
        """The rest."""
        rest = self._held + self._decoder.decode(b"", final=True)
        return (self._note() if self._left_out else self._anonymous.text(rest)).encode()

    def _note(self) -> str:
        return f"[a line of {self._left_out:,} characters is left out]"


def _host_of(url: str) -> str:
    found = _AUTHORITY.fullmatch(url)
    return found["host"] if found else ""


def _objects(value: JsonValue) -> list[dict[str, JsonValue]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
