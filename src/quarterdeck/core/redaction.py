"""Secrets are taken out before anything is stored: those that are known by their value, and what looks like one."""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from json import dumps
from typing import NamedTuple, Protocol

from pydantic import JsonValue

REDACTED = "[redacted]"
SECRET_CHARACTERS = 6
"""A known value that is shorter would take too much harmless text with it."""
LINE_CHARACTERS = 16
"""The lines of a known value of several lines are secrets of their own from this length on."""
OPENING_BYTES = 512
"""No shape needs to see more than this, all in one line, to know that a secret begins or a private key goes on."""

_MARK = REDACTED.encode()
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class _Shape(NamedTuple):
    """A kind of secret: what stands before it and is kept, how it begins, and with which bytes it goes on.

    Wherever one is, one of its `signs` is, once all letters are small: to look for these is twenty times as fast.
    """

    keep: bytes
    opening: bytes
    more: bytes
    signs: tuple[bytes, ...]


_HEADER = rb"(?i:(?:proxy-)?authorization|(?:private|job|deploy)-token|x-api-key|x-gitlab-token)"
_AWS_SECRET = rb"(?i:aws_?secret_?(?:access_?)?key|secretaccesskey)"
_ASSIGNED = rb"""\\?["']?[ \t]{0,8}[:=][ \t]{0,8}\\?["']?"""
_WORD_START = rb"(?<![\w-])"
_SHAPES = (
    _Shape(b"", rb"gh[pousr]_[A-Za-z0-9]{20}", rb"\w*", (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_")),
    _Shape(b"", rb"github_pat_\w{20}", rb"\w*", (b"github_pat_",)),
    _Shape(
        b"",
        rb"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas|imt|ffct)-[\w-]{16}",
        rb"[\w.-]*",
        (
            b"glpat-",
            b"gldt-",
            b"glrt-",
            b"glcbt-",
            b"glptt-",
            b"glft-",
            b"glsoat-",
            b"glagent-",
            b"gloas-",
            b"glimt-",
            b"glffct-",
        ),
    ),
    _Shape(_WORD_START, rb"sk-[\w-]{20}", rb"[\w-]*", (b"sk-",)),
    _Shape(_WORD_START, rb"qd[a-z]_[\w-]{20}", rb"[\w-]*", (b"qd",)),
    _Shape(rb"(?<![A-Za-z0-9])", rb"A(?:KIA|SIA)[A-Z0-9]{16}", rb"[A-Z0-9]*", (b"akia", b"asia")),
    _Shape(
        _AWS_SECRET + _ASSIGNED,
        rb"[A-Za-z0-9/+=]{16}",
        rb"[A-Za-z0-9/+=]*",
        (b"secretkey", b"secret_key", b"secretaccess", b"secret_access"),
    ),
    _Shape(b"", rb"xox[abeoprs]-[\w-]{10}", rb"[\w-]*", (b"xox",)),
    _Shape(b"", rb"AIza[\w-]{30}", rb"[\w-]*", (b"aiza",)),
    _Shape(_WORD_START, rb"(?:npm|hf)_[A-Za-z0-9]{20}", rb"[A-Za-z0-9]*", (b"npm_", b"hf_")),
    # A JSON web token.
    _Shape(b"", rb"eyJ(?:hbGciOi|0eXAiOi|raWQiOi)[\w-]{10}", rb"[\w.-]*", (b"eyj",)),
    _Shape(
        _HEADER + _ASSIGNED + rb"(?i:(?:bearer|basic|token)[ \t]{1,8})?",
        rb"[\w.~+/=-]{6}",
        rb"[\w.~+/=-]*",
        (b"authorization", b"-token", b"x-api-key"),
    ),
    _Shape(rb"\b(?i:bearer)[ \t]{1,8}", rb"[\w.~+/=-]{16}", rb"[\w.~+/=-]*", (b"bearer",)),
    # The password in a URL, unless it is the name of a variable.
    _Shape(rb"""://[^\s/?#@:"'<>]{0,128}:(?!\$\{?\w{1,64}\}?@)""", rb"""[^\s/?#"'<>]{1,256}(?=@)""", b"", (b"://",)),
)
_KEY = rb"(?P<key>-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)"
_OPENING = re.compile(
    rb"(?i:(?=[-:abdeghjnpqsx]))(?:"  # with what any of them begins: twice as fast in logs
    + b"|".join(b"(?P<s%d>(?P<k%d>%b)%b)" % (n, n, shape.keep, shape.opening) for n, shape in enumerate(_SHAPES))
    + b"|%b)" % _KEY
)
_SIGNED = (
    *((sign, re.compile(shape.keep + shape.opening)) for shape in _SHAPES for sign in shape.signs),
    (b"private key", re.compile(_KEY)),
)
_MORE = tuple(re.compile(shape.more) for shape in _SHAPES)
_KEY_END = re.compile(rb"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_RUN = re.compile(rb"[A-Za-z0-9+/=]{16}")
_KEY_LINE = re.compile(
    rb"""(?:\s|\\[nrt])*+(?:(?:Proc-Type|DEK-Info|Version|Comment):[^\n]*+\n?|[A-Za-z0-9+/=]*+[\s\\"',]*+)\Z"""
)


class Redactor:
    """Knows the secrets of a session or a job: their values, however they are encoded, and what secrets look like.

    Values shorter than 6 characters are not looked for.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._forms: tuple[bytes, ...] = ()
        self._any: re.Pattern[bytes] | None = None
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Knows these values too from now on; none is ever forgotten."""
        known = self._secrets | set(secrets)
        if known == self._secrets:
            return
        self._secrets = known
        forms = {form for secret in known for form in _forms(secret)}
        self._forms = tuple(sorted((form for form in forms if form not in _MARK), key=lambda form: (-len(form), form)))
        self._any = re.compile(b"|".join(map(re.escape, self._forms))) if self._forms else None

    def suspects(self, texts: Iterable[str]) -> bool:
        """Whether any of these may have to change: one quick look at all, which errs on the side of yes."""
        try:
            joined = "\n".join(texts).encode()
        except UnicodeEncodeError:  # a lone surrogate
            return True
        return (self._any is not None and self._any.search(joined) is not None) or _shaped(joined)

    def text(self, text: str) -> str:
        """`text` with `[redacted]` in the place of secrets; a lone surrogate becomes U+FFFD."""
        stream = self.stream()
        redacted = stream.feed(text.encode("utf-8", "surrogatepass")) + stream.close()
        return redacted.decode("utf-8", "replace")

    def value(self, value: JsonValue) -> JsonValue:
        """The same for every text within `value`, also where it is the name of a field."""
        match value:
            case str():
                return self.text(value)
            case list():
                return [self.value(item) for item in value]
            case dict():
                return self._fields(value)
            case _:
                return value

    def _fields(self, fields: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """None is lost: of names that come to the same, the later ones are numbered."""
        found: dict[str, JsonValue] = {}
        for key, item in fields.items():
            name = plain = self.text(key)
            number = 1
            while name in found or (name != key and name in fields):
                number += 1
                name = f"{plain} {number}"
            found[name] = self.value(item)
        return found

    def stream(self) -> "Stream":
        """For output that comes in pieces."""
        return Stream(self._forms)


class Stream:
    """Redacts a stream of bytes; however it is cut into pieces, the whole comes out the same.

    The end of what was fed is held back while a secret may have begun in it: at most the longest known value, and
    `OPENING_BYTES` of an unfinished line.
    """

    def __init__(self, forms: tuple[bytes, ...]) -> None:
        # The known ones first, so that no shape takes half of one and leaves the rest.
        self._stages: tuple[_Stage, ...] = (*((_Known(forms),) if forms else ()), _Shaped())

    def feed(self, data: bytes) -> bytes:
        """Takes a piece and answers what is safe now."""
        for stage in self._stages:
            data = stage.feed(data)
        return data

    def close(self) -> bytes:
        """The rest."""
        data = b""
        for stage in self._stages:
            data = stage.feed(data) + stage.close()
        return data


class _Stage(Protocol):
    def feed(self, data: bytes) -> bytes: ...

    def close(self) -> bytes: ...


class _Known:
    """Takes out known values."""

    def __init__(self, forms: tuple[bytes, ...]) -> None:
        self._forms = forms
        self._any = re.compile(b"|".join(re.escape(form) for form in forms))
        self._firsts = frozenset(form[0] for form in forms)
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        self._held += data
        return self._take(self._settled())

    def close(self) -> bytes:
        return self._take(len(self._held))

    def _settled(self) -> int:
        """Up to where no value can begin that ends in what is not here yet."""
        held = self._held
        for start in range(max(0, len(held) - len(self._forms[0]) + 1), len(held)):
            if held[start] in self._firsts:
                tail = held[start:]
                if any(form.startswith(tail) and len(form) > len(tail) for form in self._forms):
                    return start
        return len(held)

    def _take(self, settled: int) -> bytes:
        safe: list[bytes] = []
        place = 0
        while (found := self._any.search(self._held, place)) is not None and found.start() < settled:
            safe += (self._held[place : found.start()], _MARK)
            place = found.end()
        safe.append(self._held[place:settled])
        self._held = self._held[max(place, settled) :]
        return b"".join(safe)


class _Shaped:
    """Takes out what looks like a secret."""

    def __init__(self) -> None:
        self._held = b""
        self._place = 0
        """Where in `_held` the new begins; one byte before it is kept, for the shapes to look back at."""
        self._more: re.Pattern[bytes] | None = None
        self._in_key = False

    def feed(self, data: bytes) -> bytes:
        return self._take(data, closing=False)

    def close(self) -> bytes:
        return self._take(b"", closing=True)

    def _take(self, data: bytes, *, closing: bool) -> bytes:
        self._held += data
        newline = self._held.rfind(b"\n") + 1
        settled = len(self._held) if closing else max(newline, len(self._held) - OPENING_BYTES)
        safe: list[bytes] = []
        while (self._in_key and self._pass_key(safe, closing=closing)) or self._pass_text(safe, settled):
            pass
        kept = max(0, self._place - 1)
        self._held, self._place = self._held[kept:], self._place - kept
        return b"".join(safe)

    def _pass_text(self, safe: list[bytes], settled: int) -> bool:
        """Goes on to the next secret, whose mark is the last of `safe` then; whether there was one."""
        if self._in_key:
            return False
        if self._more is not None:
            rest = self._more.match(self._held, self._place)
            self._place = rest.end() if rest else self._place
            if self._place == len(self._held):
                return False
            self._more = None
        found = _OPENING.search(self._held, self._place)
        if found is None or found.start() >= settled:
            safe.append(self._held[self._place : settled])
            self._place = max(self._place, settled)
            return False
        safe += (self._held[self._place : found.start()], *self._open(found))
        self._place = found.end()
        return True

    def _open(self, found: re.Match[bytes]) -> tuple[bytes, ...]:
        if found["key"] is not None:
            self._in_key = True
            return (_MARK,)
        n = next(n for n in range(len(_SHAPES)) if found[f"s{n}"] is not None)
        self._more = _MORE[n]
        return (found[f"k{n}"], _MARK)

    def _pass_key(self, safe: list[bytes], *, closing: bool) -> bool:
        """Drops a private key line by line, to its end or to a line that can't be of a key; whether that was here."""
        while self._place < len(self._held):
            most = self._place + OPENING_BYTES
            end = self._held.find(b"\n", self._place, most) + 1 or most
            if end > len(self._held) and not closing:
                return False
            last = _KEY_END.search(self._held, self._place, end)
            if last is not None or not self._of_key(end):
                if last is None and self._held[self._place - 1 : self._place] == b"\n":
                    safe.append(b"\n")
                self._place = last.end() if last is not None else self._place
                self._in_key = False
                return True
            self._place = min(end, len(self._held))
        return False

    def _of_key(self, end: int) -> bool:
        return (
            _KEY_RUN.search(self._held, self._place, end) is not None
            or _KEY_LINE.match(self._held, self._place, end) is not None
        )


def _shaped(data: bytes) -> bool:
    """Whether something in it looks like a secret; a shape is looked for where there is a sign of it."""
    small = data.lower()
    return any(sign in small and pattern.search(data) is not None for sign, pattern in _SIGNED)


def _forms(secret: str) -> Iterator[bytes]:
    """The value as it may stand in output, its lines too if it has several; nothing when it is too short."""
    whole = secret.strip()
    lines = (line.strip() for line in whole.splitlines()[1:] and whole.splitlines())
    for value in (whole, *(line for line in lines if len(line) >= LINE_CHARACTERS)):
        if len(value) >= SECRET_CHARACTERS:
            raw = value.encode("utf-8", "surrogatepass")
            yield raw
            yield from (
                dumps(value, ensure_ascii=ascii)[1:-1].encode("utf-8", "surrogatepass") for ascii in (True, False)
            )
            yield from _percent_encoded(raw)
            yield from _base64(raw)


def _percent_encoded(raw: bytes) -> Iterator[bytes]:
    for kept in (_UNRESERVED, _UNRESERVED | {ord("/")}):
        for space in (b"%20", b"+"):
            encoded = [bytes([byte]) if byte in kept else b"%%%02X" % byte for byte in raw]
            upper = b"".join(space if piece == b"%20" else piece for piece in encoded)
            yield upper
            yield re.sub(rb"%[0-9A-F]{2}", lambda found: found[0].lower(), upper)


def _base64(raw: bytes) -> Iterator[bytes]:
    """Encoded by itself, and as it looks behind 0, 1 or 2 other bytes, without the characters that it shares."""
    whole = b64encode(raw)
    shared = (b64encode(bytes(n) + raw)[(8 * n + 5) // 6 : 8 * (n + len(raw)) // 6] for n in range(3))
    for encoded in (whole, whole.rstrip(b"="), *shared):
        yield encoded
        yield encoded.translate(bytes.maketrans(b"+/", b"-_"))
