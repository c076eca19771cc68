"""`rules` of a pipeline file: the first one that holds says when a job runs, if it does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from quarterdeck.flows.yaml_tree import Mapping as Tree
from quarterdeck.flows.yaml_tree import Node, Position, Scalar, Sequence
from quarterdeck.forges.local.ci_values import Values
from quarterdeck.forges.local.expressions import ExpressionError, holds, parse

When = Literal["on_success", "on_failure", "always", "manual", "never"]
WHENS: tuple[When, ...] = ("on_success", "on_failure", "always", "manual", "never")
WHETHER: tuple[When, ...] = ("always", "never")
"""Of rules that don't say when, but whether at all."""
KEYS = ("if", "when", "variables")


@dataclass(frozen=True)
class Verdict:
    """What the rules say; a None leaves it to the job."""

    runs: bool
    when: When | None = None
    allow_failure: bool | None = None
    variables: dict[str, str] = field(default_factory=dict[str, str])
    at: Position | None = None
    """The rule that decided; None when none holds."""


def verdict(
    values: Values,
    rules: Node,
    variables: Mapping[str, str],
    *,
    whens: tuple[When, ...] = WHENS,
    keys: tuple[str, ...] = (*KEYS, "allow_failure"),
) -> Verdict:
    """The first rule of the list that holds for `variables`; all rules are read, so that all faults are found."""
    found: Verdict | None = None
    for rule in _flat(rules):
        tree = values.mapping(rule, "a rule")
        values.keys(tree, keys, "rules")
        holding = _condition(values, tree, variables)
        read = _rule(values, tree, whens)
        if found is None and holding:
            found = read
    return found or Verdict(runs=False)


def _flat(rules: Node) -> Iterator[Node]:
    if isinstance(rules, Sequence):
        for item in rules.items:
            yield from _flat(item)
    else:
        yield rules


def _condition(values: Values, tree: Tree, variables: Mapping[str, str]) -> bool:
    node = tree.entries.get("if")
    if node is None:
        return True
    if not isinstance(node, Scalar) or node.kind == "null":
        values.fault(node.at, "`if` must be an expression")
        return False
    try:
        return holds(parse(node.text), variables)
    except ExpressionError as error:
        values.fault(node.at, f"`if: {node.text[:200]}`: {error}")
        return False


def _rule(values: Values, tree: Tree, whens: tuple[When, ...]) -> Verdict:
    entries = tree.entries
    when = cast("When", values.word(entries["when"], "when", whens)) if "when" in entries else None
    allowed = values.truth(entries["allow_failure"], "allow_failure") if "allow_failure" in entries else None
    own = values.variables(entries["variables"]) if "variables" in entries else {}
    return Verdict(runs=when != "never", when=when, allow_failure=allowed, variables=own, at=tree.at)
