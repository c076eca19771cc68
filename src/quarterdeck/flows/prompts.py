"""Prompts are Jinja texts with values, conditions and a few filters: nothing in them loops, calls, or looks inside."""

import json
from collections.abc import Iterator, Mapping

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.exceptions import TemplateError
from jinja2.sandbox import SandboxedEnvironment

from quarterdeck.core.errors import InvalidInputError

PROMPT_CHARACTERS = 256 * 1024
"""What a rendered prompt may have; longer ones are refused rather than cut, because a cut one says something else."""

FILTERS = ("default", "d", "int", "length", "lower", "trim", "upper")
"""None of them makes a text much longer than it was."""

_ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.If,
    nodes.CondExpr,
    nodes.Filter,
    nodes.Test,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
)
_TESTS = ("defined", "undefined", "none")


def _shown(value: object) -> object:
    return "" if value is None else value


def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in FILTERS}
    environment.tests = {name: environment.tests[name] for name in environment.tests if name in _TESTS}
    return environment


_ENVIRONMENT = _environment()


def faults(template: str, variables: frozenset[str]) -> list[str]:
    """What is wrong with `template` if `variables` are the values that it gets; empty when nothing is."""
    try:
        tree = _ENVIRONMENT.parse(template)
        walked = list(_walk(tree))
    except TemplateSyntaxError as error:
        return [f"the template doesn't parse: {error.message} (its line {error.lineno})"]
    except RecursionError:
        return ["the template is nested too deeply"]
    refused = [_refusal(node) for node in walked if not isinstance(node, _ALLOWED)]
    known = ", ".join(sorted(variables)) or "none"
    unknown = {node.name for node in walked if isinstance(node, nodes.Name)} - variables
    return [
        *refused,
        *_unknown_words(walked),
        *(
            f"the template uses {name!r}, which is no input of the component (inputs: {known})"
            for name in sorted(unknown)
        ),
    ]


def render(template: str, values: Mapping[str, object]) -> str:
    """`template` with `values`; what is no text goes in as JSON, and null is no text, which `{% if %}` can ask.

    Raises:
        InvalidInputError: the template is wrong, uses a value that isn't there, or comes to too much text.
    """
    wrong = faults(template, frozenset(values))
    if wrong:
        raise InvalidInputError(f"The prompt can't be written: {'; '.join(wrong)}.")
    texts = {name: value if value is None or isinstance(value, str) else _json(value) for name, value in values.items()}
    pieces: list[str] = []
    size = 0
    try:
        for piece in _ENVIRONMENT.from_string(template).generate(texts):
            size += len(piece)
            if size > PROMPT_CHARACTERS:
                raise InvalidInputError(f"The prompt comes to more than {PROMPT_CHARACTERS:,} characters.")
            pieces.append(piece)
    except (TemplateError, TypeError, ValueError) as error:
        raise InvalidInputError(f"The prompt can't be written: {error}.") from error
    return "".join(pieces).strip()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _walk(tree: nodes.Node) -> Iterator[nodes.Node]:
    yield tree
    for child in tree.iter_child_nodes():
        yield from _walk(child)


def _refusal(node: nodes.Node) -> str:
    match node:
        case nodes.Getattr(attr=name):
            return (
                f"the template reads .{name} of a value, but values are texts: take it as an input of its own "
                f"(line {node.lineno} of the template)"
            )
        case _:
            word = type(node).__name__.lower()
            return f"the template has a {word!r}, which prompts can't use (line {node.lineno} of the template)"


def _unknown_words(walked: list[nodes.Node]) -> list[str]:
    filters = {node.name for node in walked if isinstance(node, nodes.Filter)} - {*FILTERS}
    tests = {node.name for node in walked if isinstance(node, nodes.Test)} - {*_TESTS}
    return [
        *(f"the filter {name!r} is not known (there are {', '.join(FILTERS)})" for name in sorted(filters)),
        *(f"the test {name!r} is not known (there are {', '.join(_TESTS)})" for name in sorted(tests)),
    ]
