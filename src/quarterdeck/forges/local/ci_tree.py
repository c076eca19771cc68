"""The tree of a pipeline's files: what is laid over what, jobs with what they extend, references followed."""

from collections.abc import Iterator

from quarterdeck.flows.yaml_tree import Mapping as Tree
from quarterdeck.flows.yaml_tree import Node, Reference, Scalar, Sequence
from quarterdeck.forges.local.ci_values import Values

EXTENDS_DEPTH = 10
REFERENCES_DEPTH = 10
REFERENCED_VALUES = 100_000
"""How many values all references of a pipeline may bring, so that no short file comes to a long one."""


def merged(under: Tree, over: Tree) -> Tree:
    """Mappings are merged, everything else is replaced."""
    entries = dict(under.entries)
    for name, value in over.entries.items():
        below = entries.get(name)
        entries[name] = merged(below, value) if isinstance(below, Tree) and isinstance(value, Tree) else value
    return Tree(over.at, entries, {**under.places, **over.places})


class Entries:
    """The keys of the topmost level by name, jobs (hidden ones, too) with all that they extend."""

    def __init__(self, values: Values, root: Tree, jobs: frozenset[str]) -> None:
        self._values = values
        self._root = root
        self._jobs = jobs
        self._extended: dict[str, tuple[Tree | None, int]] = {}
        self._left = REFERENCED_VALUES

    def job(self, name: str) -> Tree | None:
        """What the job comes to; None when it is no mapping. What is null in it is not there."""
        extended, _ = self._with_parents(name, ())
        if extended is None:
            return None
        whole = self._followed(extended, (), name)
        entries = whole.entries if isinstance(whole, Tree) else {}
        kept = {
            key: value for key, value in entries.items() if not (isinstance(value, Scalar) and value.kind == "null")
        }
        return Tree(extended.at, kept, extended.places)

    def entry(self, name: str) -> Node | None:
        """Another key's value with its references followed; None when there is no such key."""
        node = self._root.entries.get(name)
        return None if node is None else self._followed(node, (), "")

    def _with_parents(self, name: str, trail: tuple[str, ...]) -> tuple[Tree | None, int]:
        """The job and over how many levels it extends others; each is made once, however many extend it."""
        if name not in self._extended:
            self._extended[name] = self._made(name, (*trail, name))
        return self._extended[name]

    def _made(self, name: str, trail: tuple[str, ...]) -> tuple[Tree | None, int]:
        values, node = self._values.at(f"job {name}"), self._root.entries[name]
        if not isinstance(node, Tree):
            values.fault(self._root.places[name], f"{name} is not a job: a job is a mapping with a `script`")
            return None, 0
        parents, under, levels = node.entries.get("extends"), Tree(node.at), 0
        for parent in values.texts(parents, "extends") if parents is not None else ():
            at = node.places["extends"]
            if parent in trail:
                values.fault(at, f"`extends: {parent}` goes in a circle: {' → '.join((*trail, parent))}")
            elif len(trail) > EXTENDS_DEPTH:
                values.fault(at, f"`extends: {parent}` goes deeper than {EXTENDS_DEPTH} levels")
            elif parent not in self._jobs:
                values.fault(at, f"`extends: {parent}`: there is no such job")
            else:
                tree, below = self._with_parents(parent, trail)
                under, levels = merged(under, tree) if tree else under, max(levels, below + 1)
        if levels > EXTENDS_DEPTH:
            values.fault(node.places["extends"], f"its `extends` goes deeper than {EXTENDS_DEPTH} levels")
        return merged(under, node), levels

    def _followed(self, node: Node, trail: tuple[tuple[str, ...], ...], job: str) -> Node:
        """The same with the values that its references stand for; what they bring is counted."""
        if trail:
            self._left -= 1
            if self._left < 0:
                return self._refused(node, job, f"all references bring more than {REFERENCED_VALUES:,} values")
        match node:
            case Reference():
                return self._target(node, trail, job)
            case Sequence():
                return Sequence(node.at, tuple(self._items(node, trail, job)))
            case Tree():
                entries = {name: self._followed(value, trail, job) for name, value in node.entries.items()}
                return Tree(node.at, entries, node.places)
            case Scalar():
                return node

    def _items(self, node: Sequence, trail: tuple[tuple[str, ...], ...], job: str) -> Iterator[Node]:
        for item in node.items:
            found = self._followed(item, trail, job)
            if isinstance(item, Reference) and isinstance(found, Sequence):
                yield from found.items  # a list in a list stands for what is in it
            else:
                yield found

    def _target(self, node: Reference, trail: tuple[tuple[str, ...], ...], job: str) -> Node:
        path = tuple(item.text for item in node.items if isinstance(item, Scalar))
        said = f"`!reference [{', '.join(path)}]`"
        if not path or len(path) < len(node.items):
            return self._refused(node, job, "`!reference` needs a list of words: a job, and a keyword of it")
        if path in trail:
            return self._refused(node, job, f"{said} goes in a circle")
        if len(trail) >= REFERENCES_DEPTH:
            return self._refused(node, job, f"{said} goes deeper than {REFERENCES_DEPTH} levels")
        found = self._top(path[0])
        for key in path[1:]:
            found = found.entries.get(key) if isinstance(found, Tree) else None
        if found is None:
            return self._refused(node, job, f"{said}: there is nothing of that name")
        return self._followed(found, (*trail, path), job)

    def _top(self, name: str) -> Node | None:
        if name in self._jobs and isinstance(self._root.entries[name], Tree):
            return self._with_parents(name, ())[0]
        return self._root.entries.get(name)

    def _refused(self, node: Node, job: str, what: str) -> Scalar:
        (self._values.at(f"job {job}") if job else self._values).fault(node.at, what)
        return Scalar(node.at, "?", "?")  # a word, so that its place has no second fault
