"""Prompts are Jinja texts: values, conditions, loops and filters, all bounded. They call nothing."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, nodes
from jinja2.exceptions import TemplateError
from jinja2.runtime import LoopContext
from jinja2.sandbox import SandboxedEnvironment

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.flows import template_grammar as grammar
from quarterdeck.flows.template_filters import FILTERS as BODIES
from quarterdeck.flows.template_filters import ROUNDS, TEXT_CHARACTERS, as_text, begin, gone_through, weighed

PROMPT_CHARACTERS = TEXT_CHARACTERS
"""What a rendered prompt may have; longer ones are refused rather than cut, because a cut one says something else."""

FILTERS = tuple(sorted(BODIES))
TESTS = grammar.TESTS
LOOP_ITEMS = ROUNDS


class _Environment(SandboxedEnvironment):
    """Reads keys of mappings and places of lists and texts, never an attribute of a Python object."""

    def getitem(self, obj: object, argument: object) -> object:
        if isinstance(obj, Undefined):
            return obj
        if isinstance(obj, LoopContext) and argument in grammar.LOOP:
            return cast("object", getattr(obj, str(argument)))
        if isinstance(obj, dict) and argument in obj:
            return cast("dict[object, object]", obj)[argument]
        if isinstance(obj, list | tuple | str):
            plain = cast("list[object]", obj)
            if isinstance(argument, slice):
                return plain[argument]
            if isinstance(argument, int) and -len(plain) <= argument < len(plain):
                return plain[argument]
        return self.undefined(f"there is no {argument!r} in it")

    def getattr(self, obj: object, attribute: str) -> object:
        return self.getitem(obj, attribute)


def _environment() -> _Environment:
    environment = _Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown, cache_size=0, optimized=False
    )
    environment.globals.clear()
    filters: dict[str, Callable[..., object]] = {**BODIES, grammar.GONE_THROUGH: gone_through, grammar.WEIGHED: weighed}
    environment.filters = cast("Any", filters)
    environment.tests = {name: environment.tests[name] for name in TESTS}
    return environment


def _shown(value: object) -> object:
    """A value as it is printed whole: null is nothing, what is no text is JSON."""
    return value if isinstance(value, Undefined) else "" if value is None else as_text(value)


_ENVIRONMENT = _environment()


def faults(template: str, variables: frozenset[str]) -> list[str]:
    """What is wrong with `template` if `variables` are the values that it gets; empty when nothing is."""
    tree, wrong = _parsed(template)
    if tree is None:
        return [wrong]
    known = ", ".join(sorted(variables)) or "none"
    return [
        *grammar.refusals(tree, FILTERS),
        *(
            f"the template uses {name!r}, which is no input of the component (inputs: {known})"
            for name in sorted(grammar.names(tree) - variables)
        ),
    ]


def names(template: str) -> set[str]:
    """The values that `template` uses; none of one that doesn't parse."""
    tree, _ = _parsed(template)
    return set() if tree is None else grammar.names(tree)


def render(template: str, values: Mapping[str, object]) -> str:
    """`template` with `values`, which are plain JSON.

    Raises:
        InvalidInputError: the template is wrong, uses a value that isn't there, or comes to too much text or work.
    """
    wrong = faults(template, frozenset(values))
    if wrong:
        raise InvalidInputError(f"The prompt can't be written: {'; '.join(wrong)}.")
    pieces: list[str] = []
    size = 0
    with begin():
        try:
            tree = grammar.bounded(_ENVIRONMENT.parse(template))
            code = _ENVIRONMENT.compile(tree)
            whole = _ENVIRONMENT.template_class.from_code(_ENVIRONMENT, code, {})
            for piece in whole.generate(dict(values)):
                size += len(piece)
                if size > PROMPT_CHARACTERS:
                    raise InvalidInputError(f"The prompt comes to more than {PROMPT_CHARACTERS:,} characters.")
                pieces.append(piece)
        except (TemplateError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
            raise InvalidInputError(f"The prompt can't be written: {error}.") from error
    return "".join(pieces).strip()


def _parsed(template: str) -> tuple[nodes.Template | None, str]:
    try:
        tree = _ENVIRONMENT.parse(template)
    except TemplateSyntaxError as error:
        return None, f"the template doesn't parse: {error.message} (its line {error.lineno})"
    except RecursionError:
        return None, "the template is nested too deeply"
    except ValueError:
        return None, "the template has a number that is too long"
    return (tree, "") if grammar.depth_fits(tree) else (None, "the template is nested too deeply")
