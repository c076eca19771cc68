"""`parallel`: one job of a file as several of a pipeline, each with its number and variables of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod

from quarterdeck.flows.yaml_tree import Mapping as Tree
from quarterdeck.flows.yaml_tree import Node, Scalar, Sequence
from quarterdeck.forges.local.ci_values import TEXT_CHARACTERS, Values

INSTANCES = 200
"""How many one job may come to; GitLab's number."""


@dataclass(frozen=True)
class Instance:
    """One of what a job comes to; the only one has its name and no variables."""

    name: str
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    chosen: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of the matrix alone."""


def instances(values: Values, name: str, node: Node | None) -> tuple[Instance, ...]:
    """What the job of that name comes to."""
    if node is None:
        return (Instance(name),)
    if isinstance(node, Scalar):
        number = values.number(node, "parallel", 1, INSTANCES)
        return _numbered([f"{name} {index}/{number}" for index in range(1, number + 1)], [{}] * number)
    tree = values.mapping(node, "parallel")
    values.keys(tree, ("matrix",), "parallel")
    if "matrix" not in tree.entries:
        values.fault(tree.at, "parallel must be a number, or a mapping with `matrix`")
        return (Instance(name),)
    rows = combinations(values, tree.entries["matrix"])
    if not rows:
        return (Instance(name),)
    names = [f"{name}: [{', '.join(row.values())}]" for row in rows]
    if any(len(one) > TEXT_CHARACTERS for one in names) or len(set(names)) < len(names):
        names = [f"{name} {index}/{len(rows)}" for index in range(1, len(rows) + 1)]
    return _numbered(names, rows)


def combinations(values: Values, node: Node) -> list[dict[str, str]]:
    """The variables of each job that a matrix describes; none when there is a fault in it."""
    rows: list[dict[str, str]] = []
    for item in node.items if isinstance(node, Sequence) else (node,):
        tree = values.mapping(item, "each of parallel: matrix")
        columns = {name: _column(values, name, value) for name, value in tree.entries.items()}
        number = prod(map(len, columns.values())) if columns else 0
        if number == 0:
            values.fault(item.at, "each of parallel: matrix needs variables with values")
        elif len(rows) + number > INSTANCES:
            values.fault(item.at, f"parallel: matrix comes to more than {INSTANCES} jobs")
            return []
        else:
            rows += [dict(zip(columns, row, strict=True)) for row in product(*columns.values())]
    return rows


def _column(values: Values, name: str, node: Node) -> tuple[str, ...]:
    """A variable's values. They are read as variables are, so that names and values have the same rules."""
    items = node.items if isinstance(node, Sequence) else (node,)
    read = [values.variables(Tree(item.at, {name: item}, {name: item.at})) for item in items]
    return tuple(dict.fromkeys(found[name] for found in read if name in found))


def _numbered(names: list[str], rows: list[dict[str, str]]) -> tuple[Instance, ...]:
    total = str(len(names))
    return tuple(
        Instance(name, {**row, "CI_NODE_INDEX": str(index), "CI_NODE_TOTAL": total}, row)
        for index, (name, row) in enumerate(zip(names, rows, strict=True), 1)
    )
