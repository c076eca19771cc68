r"""Regular expressions of `rules: if`, matched in bounded time: no pipeline file can hold the server up.

The language is the part of RE2 that such files use: literals, `.`, classes, `\d \w \s \b` and their opposites,
`^ $`, groups, `|`, and the repeats `* + ? {m,n}`. A match is computed as sets of positions, never by backtracking.
"""

from collections.abc import Callable
from dataclasses import dataclass

REPEATS = 1000
STEPS = 100_000
"""How many positions one match may look at; far above what a ref or a message needs."""


class PatternError(ValueError):
    """The pattern has something that is not supported, or costs too much."""


@dataclass
class _Subject:
    text: str
    steps: int = STEPS

    def spend(self, n: int) -> None:
        self.steps -= n + 1
        if self.steps < 0:
            raise PatternError("the pattern takes too long on this value")


_Ends = Callable[[_Subject, frozenset[int]], frozenset[int]]
"""Where a piece of the pattern can end when it begins at one of the positions."""
_Test = Callable[[str], bool]

_CLASSES: dict[str, _Test] = {
    "d": lambda c: c in "0123456789",
    "w": lambda c: c.isascii() and (c.isalnum() or c == "_"),
    "s": lambda c: c in " \t\n\r\f\v",
}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}


def search(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    """Whether `pattern` matches somewhere in `text`.

    Raises:
        PatternError: says what of the pattern is not supported.
    """
    ends = _Parser(pattern, ignore_case).whole()
    subject = _Subject(text)
    return bool(ends(subject, frozenset(range(len(text) + 1))))


def check(pattern: str) -> None:
    """Raises PatternError when the pattern can't be used."""
    _Parser(pattern, False).whole()


def _character(test: _Test) -> _Ends:
    def ends(subject: _Subject, starts: frozenset[int]) -> frozenset[int]:
        subject.spend(len(starts))
        text = subject.text
        return frozenset(at + 1 for at in starts if at < len(text) and test(text[at]))

    return ends


def _place(test: Callable[[str, int], bool]) -> _Ends:
    def ends(subject: _Subject, starts: frozenset[int]) -> frozenset[int]:
        subject.spend(len(starts))
        return frozenset(at for at in starts if test(subject.text, at))

    return ends


def _sequence(parts: list[_Ends]) -> _Ends:
    def ends(subject: _Subject, starts: frozenset[int]) -> frozenset[int]:
        for part in parts:
            if not starts:
                break
            starts = part(subject, starts)
        return starts

    return ends


def _either(parts: list[_Ends]) -> _Ends:
    def ends(subject: _Subject, starts: frozenset[int]) -> frozenset[int]:
        return frozenset[int]().union(*(part(subject, starts) for part in parts))

    return ends


def _repeat(part: _Ends, least: int, most: int | None) -> _Ends:
    def ends(subject: _Subject, starts: frozenset[int]) -> frozenset[int]:
        for _ in range(least):
            subject.spend(len(starts))
            starts = part(subject, starts)
            if not starts:
                return starts
        found, edge, done = starts, starts, least
        while edge and (most is None or done < most):
            subject.spend(len(edge))
            edge = part(subject, edge) - found
            found |= edge
            done += 1
        return found

    return ends


def _at_edge(text: str, at: int) -> bool:
    word = _CLASSES["w"]
    return (at > 0 and word(text[at - 1])) != (at < len(text) and word(text[at]))


class _Parser:
    def __init__(self, pattern: str, ignore_case: bool) -> None:
        self._pattern, self._at, self._ignore_case, self._depth = pattern, 0, ignore_case, 0

    def whole(self) -> _Ends:
        ends = self._alternatives()
        if self._at < len(self._pattern):
            raise PatternError("a `)` too many")
        return ends

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self) -> str:
        taken = self._peek()
        if not taken:
            raise PatternError("it ends too early")
        self._at += 1
        return taken

    def _alternatives(self) -> _Ends:
        self._depth += 1
        if self._depth > 20:
            raise PatternError("its groups are nested too deeply")
        parts = [self._run()]
        while self._peek() == "|":
            self._take()
            parts.append(self._run())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else _either(parts)

    def _run(self) -> _Ends:
        parts: list[_Ends] = []
        while self._peek() and self._peek() not in "|)":
            parts.append(self._repeated(self._atom()))
        return _sequence(parts)

    def _repeated(self, part: _Ends) -> _Ends:
        least, most = self._counts()
        if (least, most) == (1, 1):
            return part
        if self._peek() == "?":  # lazy or not, whether it matches is the same
            self._take()
        if self._peek() and self._peek() in "*+?":
            raise PatternError("a repeat of a repeat needs a group")
        return _repeat(part, least, most)

    def _counts(self) -> tuple[int, int | None]:
        match self._peek():
            case "*":
                counts = (0, None)
            case "+":
                counts = (1, None)
            case "?":
                counts = (0, 1)
            case "{":
                return self._braces()
            case _:
                return (1, 1)
        self._take()
        return counts

    def _braces(self) -> tuple[int, int | None]:
        inside, closed, _ = self._pattern[self._at + 1 :].partition("}")
        least, comma, most = inside.partition(",")
        if not closed or not least.isdecimal() or (most and not most.isdecimal()):
            raise PatternError("`{` must begin a repeat like {2} or {1,3}; write \\{ for the character")
        self._at += len(inside) + 2
        low, high = int(least), (int(most) if most else None if comma else int(least))
        if max(low, high or 0) > REPEATS or (high is not None and high < low):
            raise PatternError(f"a repeat goes from {{0}} to {{{REPEATS}}}, the smaller number first")
        return low, high

    def _atom(self) -> _Ends:
        match self._take():
            case ".":
                return _character(lambda c: c != "\n")
            case "^":
                return _place(lambda _, at: at == 0)
            case "$":
                return _place(lambda text, at: at == len(text))
            case "(":
                return self._group()
            case "[":
                return _character(self._set())
            case "\\":
                return self._escaped()
            case "*" | "+" | "?" | "{":
                raise PatternError("a repeat with nothing before it")
            case c:
                return _character(self._literal(c))

    def _group(self) -> _Ends:
        if self._peek() == "?":
            if self._pattern[self._at : self._at + 2] != "?:":
                raise PatternError("groups that begin with (? are not supported, (?: alone is")
            self._at += 2
        ends = self._alternatives()
        if self._peek() != ")":
            raise PatternError("a `(` is not closed")
        self._take()
        return ends

    def _escaped(self) -> _Ends:
        match self._take():
            case "b":
                return _place(_at_edge)
            case "B":
                return _place(lambda text, at: not _at_edge(text, at))
            case "A":
                return _place(lambda _, at: at == 0)
            case "z" | "Z":
                return _place(lambda text, at: at == len(text))
            case c:
                return _character(self._class(c))

    def _class(self, c: str) -> _Test:
        if c.lower() in _CLASSES:
            test = _CLASSES[c.lower()]
            return test if c.islower() else lambda other: not test(other)
        if c in _CONTROLS:
            return self._literal(_CONTROLS[c])
        if c.isalnum():
            raise PatternError(f"\\{c} is not supported")
        return self._literal(c)

    def _set(self) -> _Test:
        negative = self._peek() == "^"
        if negative:
            self._take()
        tests: list[_Test] = []
        while self._peek() != "]" or not tests:
            tests.append(self._member())
        self._take()
        return lambda c: any(test(c) for test in tests) != negative

    def _member(self) -> _Test:
        first = self._take()
        if first == "[" and self._peek() == ":":
            raise PatternError("classes like [:alpha:] are not supported")
        if first == "\\":
            return self._class(self._take())
        if self._peek() != "-" or self._pattern[self._at + 1 : self._at + 2] in ("]", ""):
            return self._literal(first)
        self._take()
        last = self._take()
        if last == "\\":
            last = self._take()
        if last < first:
            raise PatternError(f"the range {first}-{last} runs backwards")
        return self._cased(lambda c: first <= c <= last)

    def _literal(self, wanted: str) -> _Test:
        return self._cased(lambda c: c == wanted)

    def _cased(self, test: _Test) -> _Test:
        """Without regard to case if that is wanted; before a set is negated, because [^a] then excludes A too."""
        if not self._ignore_case:
            return test
        return lambda c: test(c) or test(c.lower()) or test(c.upper())
