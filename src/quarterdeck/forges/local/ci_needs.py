"""`needs` of a pipeline file: which jobs one waits for, and whose artifacts it gets."""

from collections.abc import Mapping
from dataclasses import dataclass

from quarterdeck.core.pipeline import CiJob
from quarterdeck.flows.yaml_tree import Mapping as Tree
from quarterdeck.flows.yaml_tree import Node, Position, Sequence
from quarterdeck.forges.local.ci_parallel import Instance, combinations
from quarterdeck.forges.local.ci_values import Values

NEEDS = 50
"""How many entries one job may have; GitLab's number."""


@dataclass(frozen=True)
class Need:
    """One entry: a job by its name in the file, and of what it comes to only these combinations."""

    job: str
    at: Position
    artifacts: bool = True
    optional: bool = False
    matrix: tuple[Mapping[str, str], ...] | None = None


@dataclass(frozen=True)
class Found:
    """A job of a pipeline, and its needs as the file names them; None when the stages say what it waits for."""

    name: str
    """In the file; what one job there comes to has names of its own."""
    job: CiJob
    needs: tuple[Need, ...] | None


def needs(values: Values, node: Node | None) -> tuple[Need, ...] | None:
    """What the value of `needs` says."""
    if node is None:
        return None
    items = node.items if isinstance(node, Sequence) else (node,)
    if len(items) > NEEDS:
        values.fault(node.at, f"it needs {len(items)} jobs; a job may need {NEEDS}")
        return ()
    found = [_need(values, item) for item in items]
    return tuple(need for need in found if need.job)


def _need(values: Values, item: Node) -> Need:
    if not isinstance(item, Tree):
        return Need(values.text(item, "each of needs"), item.at)
    entries = item.entries
    values.keys(item, ("job", "artifacts", "optional", "parallel"), "needs")
    if "job" not in entries:
        values.fault(item.at, "needs: an entry has no `job`")
        return Need("", item.at)
    matrix = None
    if "parallel" in entries:
        tree = values.mapping(entries["parallel"], "needs: parallel")
        values.keys(tree, ("matrix",), "needs: parallel")
        matrix = tuple(combinations(values, tree.entries["matrix"])) if "matrix" in tree.entries else None
    return Need(
        job=values.text(entries["job"], "needs: job"),
        at=item.at,
        artifacts=values.truth(entries["artifacts"], "needs: artifacts") if "artifacts" in entries else True,
        optional=values.truth(entries["optional"], "needs: optional") if "optional" in entries else False,
        matrix=matrix,
    )


def linked(values: Values, found: list[Found], known: Mapping[str, tuple[Instance, ...]]) -> list[CiJob]:
    """The jobs with the names of those that they wait for: all there, no circle; `known` has what each comes to.

    Optional ones that are not there are left out; of a job that comes to several, all are waited for.
    """
    names = _Names(known, {one.name for several in known.values() for one in several}, {one.job.name for one in found})
    jobs = [_linked(values.at(f"job {one.name}"), one, names) for one in found]
    left = {job.name: set(job.needs or ()) for job in jobs}
    while free := [name for name, before in left.items() if not before & left.keys()]:
        for name in free:
            del left[name]
    if left:
        values.fault(Position(), f"the `needs` of {', '.join(left)} go in a circle")
    return jobs


@dataclass(frozen=True)
class _Names:
    known: Mapping[str, tuple[Instance, ...]]
    every: set[str]
    present: set[str]

    def wanted(self, need: Need) -> list[str]:
        if need.job not in self.known:  # it may be the name of one of several: `test 1/3`
            return [need.job] if need.job in self.every else []
        several = self.known[need.job]
        return [one.name for one in several if need.matrix is None or one.chosen in need.matrix]


def _linked(values: Values, one: Found, known: _Names) -> CiJob:
    if one.needs is None:
        return one.job
    names: dict[str, None] = {}
    files: dict[str, None] = {}
    for need in one.needs:
        wanted = known.wanted(need)
        there = [name for name in wanted if name in known.present]
        if not there and not need.optional:
            why = "its rules keep it out of this pipeline" if wanted else "there is no such job"
            values.fault(need.at, f"it needs {need.job}, but {why}")
        names |= dict.fromkeys(there)
        files |= dict.fromkeys(there) if need.artifacts else {}
    return one.job.model_copy(update={"needs": tuple(names), "artifacts_from": tuple(files)})
