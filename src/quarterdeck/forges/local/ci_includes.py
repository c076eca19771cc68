"""`include`: the files that a pipeline is made of, read one level after the other and laid over each other."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from quarterdeck.app.outside import FoundFile
from quarterdeck.core.text import decode
from quarterdeck.flows.yaml_tree import VALUES, Node, Position, Scalar, read
from quarterdeck.flows.yaml_tree import Mapping as Tree
from quarterdeck.flows.yaml_tree import Sequence as Items
from quarterdeck.forges.local.ci_rules import WHETHER, verdict
from quarterdeck.forges.local.ci_tree import merged
from quarterdeck.forges.local.ci_values import Values

ROOT = ".gitlab-ci.yml"
FILE_BYTES = 128 * 1024
ALL_BYTES = 512 * 1024
INCLUDES = 100
"""How many files a pipeline may include."""
DEPTH = 10
LISTED = 10_000
"""How much may lie below a folder in which files are looked for by a pattern."""

_ELSEWHERE = "only `include: local` is: files of this repository, at the pipeline's commit"


@dataclass
class _File:
    """One file, and what it includes, in order; a pattern (`*`) stands for what fits it."""

    tree: Tree
    trail: tuple[str, ...]
    """By which files it was come to first, itself at the end."""
    includes: list[tuple[Position, str]] = field(default_factory=list[tuple[Position, str]])


class Includes:
    """All files of a pipeline: ask what is `wanted` and `take` it, until nothing is; then they are one `tree`."""

    complete: bool
    """Whether there is each file, and can be read; what is missed in the others says nothing otherwise."""

    def __init__(self, values: Values, text: str, predefined: Mapping[str, str]) -> None:
        self.complete = True
        self._values = values
        self._predefined = predefined
        self._files: dict[str, _File] = {}
        self._found: dict[str, tuple[str, ...]] = {}
        self._bytes = self._used = self._count = 0
        self._wanted: dict[str, list[tuple[Position, tuple[str, ...]]]] = {}
        self._whole: dict[str, Tree] = {}
        self._read("", text, (ROOT,))

    @property
    def wanted(self) -> tuple[str, ...]:
        """Paths and patterns of files that are to be read next."""
        return tuple(self._wanted)

    def take(self, found: Mapping[str, Sequence[FoundFile]]) -> None:
        """What is there of the wanted, by what was wanted."""
        wanted, self._wanted = self._wanted, {}
        for name, askers in wanted.items():
            files = found.get(name, ())
            self._found[name] = tuple(one.path for one in files)
            if not files:
                what = "no file fits it at this commit" if "*" in name else "there is no such file at this commit"
                for at, _ in askers:
                    self._missing(at, f"`include: {name}`: {what}")
            at, trail = askers[0]
            for one in files:
                self._take(at, one, trail)

    def tree(self) -> Tree:
        """All files as one: what a file says goes over what it includes, and later ones go over earlier ones."""
        return self._merged("", (ROOT,))

    def _take(self, at: Position, one: FoundFile, trail: tuple[str, ...]) -> None:
        if one.path in self._files:
            return
        self._count += 1
        self._bytes += one.size
        if self._count > INCLUDES:
            self._missing(at, f"`include: {one.path}`: a pipeline may include {INCLUDES} files")
        elif one.data is None:
            self._missing(at, f"`include: {one.path}`: it has {one.size:,} bytes; at most {FILE_BYTES:,} are read")
        elif self._bytes > ALL_BYTES:
            self._missing(at, f"`include: {one.path}`: all files together have more than {ALL_BYTES:,} bytes")
        else:
            self._read(one.path, decode(one.data), (*trail, one.path))

    def _read(self, path: str, text: str, trail: tuple[str, ...]) -> None:
        root, wrong = read(text, FILE_BYTES, aliases=True, file=path, values=max(VALUES - self._used, 1))
        for fault in wrong:
            self._missing(fault.at or Position(file=path), fault.what)
        if root is None or wrong:
            if not wrong:
                self._missing(Position(file=path), "the file is empty")
            self._files[path] = _File(Tree(Position(file=path)), trail)
            return
        self._used += _size(root)
        tree = self._values.mapping(root, "the file")
        file = self._files[path] = _File(tree, trail)
        if "include" in tree.entries:
            file.includes = list(self._included(tree.entries["include"]))
        for at, name in file.includes:
            if len(trail) > DEPTH:
                self._values.fault(at, f"`include: {name}` goes deeper than {DEPTH} levels: {' → '.join(trail)}")
            elif name not in self._found:
                self._wanted.setdefault(name, []).append((at, trail))

    def _missing(self, at: Position, what: str) -> None:
        self.complete = False
        self._values.fault(at, what)

    def _included(self, node: Node) -> Iterator[tuple[Position, str]]:
        for item in node.items if isinstance(node, Items) else (node,):
            if isinstance(item, Tree):
                place = item.places.get("local", item.at)
                inner, runs = item.entries.get("local"), self._lets_in(item)
            else:
                place, inner, runs = item.at, item, True
            if inner is None:
                continue  # the keys that it has instead are refused by name
            path = self._path(inner)
            if path and runs:
                yield place, path

    def _lets_in(self, item: Tree) -> bool:
        values = self._values.at("include")
        for name in ("remote", "template", "project", "component", "file", "ref", "inputs"):
            if name in item.entries:
                values.fault(item.places[name], f"`{name}` is not supported; {_ELSEWHERE}")
                return False
        values.keys(item, ("local", "rules"), "")
        if "local" not in item.entries:
            values.fault(item.at, "an entry has no `local`")
        rules = item.entries.get("rules")
        return rules is None or verdict(values, rules, self._predefined, whens=WHETHER, keys=("if", "when")).runs

    def _path(self, node: Node) -> str:
        values = self._values.at("include")
        path = values.text(node, "`local`").removeprefix("/")
        if not path:
            return ""
        if "://" in path:
            values.fault(node.at, f"`{path[:200]}`: files of elsewhere are not supported; {_ELSEWHERE}")
        elif "$" in path:
            values.fault(node.at, f"{path!r}: variables in paths are not supported; `include: rules` chooses by them")
        elif not path.endswith((".yml", ".yaml")):
            values.fault(node.at, f"{path!r} must end with .yml or .yaml")
        elif re.search(r"[^/]\*\*|\*{3}", path):
            values.fault(node.at, f"{path!r}: `**` stands at the beginning of a name")
        elif any(part in ("", ".", "..") for part in path.split("/")) or "\n" in path:
            values.fault(node.at, f"{path!r} must be a path from the top of the repository")
        else:
            return path
        return ""

    def _merged(self, path: str, trail: tuple[str, ...]) -> Tree:
        """Each file's once; a circle is a fault, and named by the way round."""
        if path in self._whole:
            return self._whole[path]
        file, whole = self._files[path], Tree(Position(file=path))
        for at, name in file.includes:
            for one in self._found.get(name, ()):
                if one in trail or one == ROOT:
                    self._values.fault(at, f"`include: {name}` goes in a circle: {' → '.join((*trail, one))}")
                elif one in self._files:
                    whole = merged(whole, self._merged(one, (*trail, one)))
        entries = {name: node for name, node in file.tree.entries.items() if name != "include"}
        self._whole[path] = merged(whole, Tree(file.tree.at, entries, file.tree.places))
        return self._whole[path]


def fitting(pattern: str, paths: Sequence[str]) -> list[str]:
    """The paths that fit a pattern, sorted: `*` is anything in one name, and `**` any folders, or none."""
    names = re.sub(r"\*\*(?!/)", "**/*", pattern).split("/")
    ways = [None if name == "**" else _name(name) for name in names]
    return sorted(path for path in paths if path != ROOT and _fits(ways, path.split("/")))


def folder(pattern: str) -> str:
    """The folder below which everything lies that fits a pattern; empty for the topmost."""
    return pattern.partition("*")[0].rpartition("/")[0]


def too_many(folder: str) -> str:
    """What is said of a folder that has more below it than is looked through."""
    where = f"the folder {folder[:200]}" if folder else "the repository"
    return f"The file {ROOT} can't be used:\n`include`: {where} has too many files to look for some by `*`; name them"


def _name(pattern: str) -> re.Pattern[str]:
    """For one name. What stands behind a star is found once and never looked for again: no pattern takes long."""
    first, *others = pattern.split("*")
    *inner, last = others or [""]
    between = "".join(f"(?>.*?{re.escape(part)})" for part in inner)
    return re.compile(f"{re.escape(first)}{between}{'.*' if others else ''}{re.escape(last)}", re.DOTALL)


def _fits(ways: list[re.Pattern[str] | None], names: list[str]) -> bool:
    """Set by set, never back: `reached` has how many of the names the ways so far can have taken."""
    reached = {0}
    for way in ways:
        if way is None:
            reached = set(range(min(reached), len(names)))
        else:
            reached = {at + 1 for at in reached if at < len(names) and way.fullmatch(names[at])}
        if not reached:
            return False
    return len(names) in reached


def _size(node: Node) -> int:
    match node:
        case Scalar():
            return 1
        case Items():
            return 1 + sum(map(_size, node.items))
        case Tree():
            return 1 + sum(map(_size, node.entries.values()))
