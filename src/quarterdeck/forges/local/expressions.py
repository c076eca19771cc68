"""The expressions of `rules: if`: variables, texts, `null`, patterns, `== != =~ !~ && ||` and parentheses."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from quarterdeck.forges.local import patterns

CHARACTERS = 2000


class ExpressionError(ValueError):
    """The expression can't be understood; says where and why."""


@dataclass(frozen=True)
class Variable:
    """`$NAME` or `${NAME}`."""

    name: str


@dataclass(frozen=True)
class Text:
    """A quoted text; None is `null`."""

    value: str | None


@dataclass(frozen=True)
class Pattern:
    """`/…/`, with `i` after it for any case."""

    source: str
    ignore_case: bool


@dataclass(frozen=True)
class Comparison:
    """Two values and what is asked of them."""

    operator: Literal["==", "!=", "=~", "!~"]
    left: "Operand"
    right: "Operand"


@dataclass(frozen=True)
class Combination:
    """Both, or either."""

    operator: Literal["&&", "||"]
    left: "Expression"
    right: "Expression"


Operand = Variable | Text | Pattern
Expression = Operand | Comparison | Combination

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<operator>==|!=|=~|!~|&&|\|\||\(|\))
    | \$(?P<variable>\w+) | \$\{(?P<braced>\w+)\}
    | "(?P<double>[^"]*)" | '(?P<single>[^']*)'
    | (?P<null>null)\b
    | /(?P<pattern>(?:\\.|[^/\\])+)/(?P<flags>[a-zA-Z]*)
    )""",
    re.VERBOSE,
)
_PATTERN_TEXT = re.compile(r"/(?P<source>.+)/(?P<flags>i?)", re.DOTALL)


def parse(text: str) -> Expression:
    """The expression, ready to be asked.

    Raises:
        ExpressionError: it can't be understood.
    """
    if len(text) > CHARACTERS:
        raise ExpressionError(f"an expression may have {CHARACTERS:,} characters")
    reader = _Reader(_tokens(text))
    expression = reader.either()
    if reader.rest:
        raise ExpressionError(f"{_shown(reader.rest[0])} is not expected there")
    return expression


def holds(expression: Expression, variables: Mapping[str, str]) -> bool:
    """Whether it is true; a variable that is not set is `null`, a value alone is true when it is not empty.

    Raises:
        ExpressionError: a variable's text is used as a pattern and is none.
    """
    match expression:
        case Combination(operator="&&"):
            return holds(expression.left, variables) and holds(expression.right, variables)
        case Combination():
            return holds(expression.left, variables) or holds(expression.right, variables)
        case Comparison(operator="==" | "!=" as operator):
            same = _value(expression.left, variables) == _value(expression.right, variables)
            return same == (operator == "==")
        case Comparison():
            return _matches(expression, variables) == (expression.operator == "=~")
        case Variable() | Text() | Pattern():
            return bool(_value(expression, variables))


def _value(operand: Operand, variables: Mapping[str, str]) -> str | None:
    match operand:
        case Variable():
            return variables.get(operand.name)
        case Text():
            return operand.value
        case Pattern():
            return f"/{operand.source}/"


def _matches(comparison: Comparison, variables: Mapping[str, str]) -> bool:
    text = _value(comparison.left, variables)
    pattern = _pattern(comparison.right, variables)
    if text is None or pattern is None:
        return False
    try:
        return patterns.search(pattern.source, text, ignore_case=pattern.ignore_case)
    except patterns.PatternError as error:
        raise ExpressionError(f"the pattern /{pattern.source}/: {error}") from error


def _pattern(operand: Operand, variables: Mapping[str, str]) -> Pattern | None:
    if isinstance(operand, Pattern):
        return operand
    text = _value(operand, variables)
    if text is None:
        return None
    found = _PATTERN_TEXT.fullmatch(text)
    if found is None:
        raise ExpressionError(f"{text!r} is not a pattern; a pattern is written /like this/")
    return Pattern(found["source"], found["flags"] == "i")


_Token = str | Operand


def _shown(token: _Token) -> str:
    match token:
        case str():
            return f"`{token}`"
        case Variable():
            return f"`${token.name}`"
        case Text():
            return "`null`" if token.value is None else f'`"{token.value}"`'
        case Pattern():
            return f"`/{token.source}/`"


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            raise ExpressionError(f"`{text[at:].strip()[:40]}` is not understood")
        tokens.append(_token(found))
        at = found.end()
    return tokens


def _token(found: re.Match[str]) -> _Token:
    match found.lastgroup:
        case "operator":
            return found["operator"]
        case "variable" | "braced":
            return Variable(found[found.lastgroup])
        case "double" | "single":
            return Text(found[found.lastgroup])
        case "null":
            return Text(None)
        case _:
            return _checked(found["pattern"], found["flags"])


def _checked(source: str, flags: str) -> Pattern:
    if flags not in ("", "i"):
        raise ExpressionError(f"the flag {flags!r} of /{source}/ is not supported, `i` alone is")
    source = source.replace("\\/", "/")
    try:
        patterns.check(source)
    except patterns.PatternError as error:
        raise ExpressionError(f"the pattern /{source}/: {error}") from error
    return Pattern(source, flags == "i")


class _Reader:
    def __init__(self, tokens: list[_Token]) -> None:
        self.rest = tokens
        self._depth = 0

    def either(self) -> Expression:
        left = self._both()
        while self._takes("||"):
            left = Combination("||", left, self._both())
        return left

    def _both(self) -> Expression:
        left = self._comparison()
        while self._takes("&&"):
            left = Combination("&&", left, self._comparison())
        return left

    def _comparison(self) -> Expression:
        if self._takes("("):
            self._depth += 1
            if self._depth > 50:
                raise ExpressionError("its parentheses are nested too deeply")
            inside = self.either()
            if not self._takes(")"):
                raise ExpressionError("a `(` is not closed")
            self._depth -= 1
            return inside
        left = self._operand()
        match self.rest[0] if self.rest else None:
            case "==" | "!=" | "=~" | "!~" as operator:
                self.rest.pop(0)
                return Comparison(operator, left, self._operand())
            case _:
                return left

    def _operand(self) -> Operand:
        if not self.rest:
            raise ExpressionError("it ends where a value is expected")
        token = self.rest.pop(0)
        if isinstance(token, str):
            raise ExpressionError(f"{_shown(token)} is there where a value is expected")
        return token

    def _takes(self, operator: str) -> bool:
        if self.rest[:1] == [operator]:
            self.rest.pop(0)
            return True
        return False
