"""A `.gitlab-ci.yml` as a pipeline: a documented part of GitLab's language, everything else refused by name."""

from collections.abc import Mapping, Sequence

from quarterdeck.app.outside import FoundFile
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.pipeline import CiPipeline
from quarterdeck.flows.yaml_tree import Mapping as Tree
from quarterdeck.flows.yaml_tree import Node, Position
from quarterdeck.forges.local import ci_job
from quarterdeck.forges.local.ci_includes import Includes
from quarterdeck.forges.local.ci_needs import Found, linked, needs
from quarterdeck.forges.local.ci_parallel import Instance, instances
from quarterdeck.forges.local.ci_rules import KEYS, WHETHER, Verdict, verdict
from quarterdeck.forges.local.ci_tree import Entries
from quarterdeck.forges.local.ci_values import FAULTS_SHOWN, Values

JOBS = 500
"""How many jobs one pipeline may have."""
PIPELINE_CHARACTERS = 4 * 1024 * 1024
"""What scripts and variables of all its jobs may come to: a few lines that many jobs share are theirs each."""

FIRST_STAGE, LAST_STAGE = ".pre", ".post"
STAGES = ("build", "test", "deploy")

_TOP = ("stages", "default", "variables", "workflow", "before_script", "after_script")
_TOP_REFUSED = ("image", "services", "cache", "spec", "types")
_TOLD = ("CI_PIPELINE_SOURCE", "CI_COMMIT_BRANCH")
"""What of the predefined variables rules of `workflow` usually ask for."""


class Reading:
    """A pipeline's file as it is read: `take` what is `wanted` until nothing is, then ask for the `pipeline`."""

    def __init__(self, text: str, predefined: Mapping[str, str]) -> None:
        self._values = Values([])
        self._predefined = predefined
        self._includes = Includes(self._values, text, predefined)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Paths and patterns of the files that are included and not read yet."""
        return self._includes.wanted

    def take(self, found: Mapping[str, Sequence[FoundFile]]) -> None:
        """What there is of the wanted files."""
        self._includes.take(found)

    def pipeline(self) -> CiPipeline:
        """The pipeline; it has no jobs when its rules let none in, and says why.

        Raises:
            InvalidInputError: names every unsupported keyword and every other fault, with line and job.
        """
        tree, faults = self._includes.tree(), self._values.faults
        made = CiPipeline(stages=(), jobs=())
        if self._includes.complete:
            made = _Pipeline(self._values, tree, self._predefined).made()
        if faults:
            raise InvalidInputError(_report(faults))
        return made


def _report(faults: list[tuple[Position, str]]) -> str:
    ordered = sorted(faults, key=lambda fault: (fault[0].file, fault[0].line, fault[0].column, fault[1]))
    lines = list(dict.fromkeys(f"{_place(at)}: {what}" for at, what in ordered))
    more = len(lines) - FAULTS_SHOWN
    lines = lines[:FAULTS_SHOWN] + ([f"… and {more} more"] if more > 0 else [])
    return "The file .gitlab-ci.yml can't be used:\n" + "\n".join(lines)


def _place(at: Position) -> str:
    return f"{at.file} line {at.line}" if at.file else f"line {at.line}"


class _Pipeline:
    """The tree of all files, made into a pipeline."""

    def __init__(self, values: Values, root: Tree, predefined: Mapping[str, str]) -> None:
        self._values = values
        self._root = root
        self._predefined = predefined
        names = [name for name in root.entries if name not in _TOP and name not in _TOP_REFUSED]
        self._entries = Entries(values, root, frozenset(names))
        self._visible = [name for name in names if not name.startswith(".")]
        for name in _TOP_REFUSED:
            if name in root.entries:
                hint = ci_job.HINTS.get(name, "")
                values.fault(root.places[name], f"`{name}` is not supported{'; ' + hint if hint else ''}")
        self._stages = self._read_stages()
        given = self._entries.entry("variables")
        self._variables = values.variables(given) if given else {}
        self._defaults = self._read_defaults()
        self._room = PIPELINE_CHARACTERS

    def made(self) -> CiPipeline:
        left_out = self._workflow()
        if not self._visible:
            self._values.fault(Position(), "there is no job in it")
        trees = [(name, tree) for name in self._visible if (tree := self._entries.job(name)) is not None]
        known = {
            name: instances(self._values.at(f"job {name}"), name, tree.entries.get("parallel")) for name, tree in trees
        }
        number = sum(map(len, known.values()))
        if number > JOBS:
            self._values.fault(Position(), f"there are {number} jobs in it; a pipeline may have {JOBS}")
            return CiPipeline(stages=self._stages, jobs=())
        found = [one for name, tree in trees for one in self._jobs(name, tree, known[name])]
        if self._room < 0:
            self._values.fault(
                Position(), f"scripts and variables of its jobs have more than {PIPELINE_CHARACTERS:,} characters"
            )
        jobs = linked(self._values, found, known)
        left_out = left_out or ("" if jobs else "the rules of its jobs let none of them in")
        return CiPipeline(stages=self._stages, jobs=() if left_out else tuple(jobs), left_out=left_out)

    def _read_stages(self) -> tuple[str, ...]:
        node = self._entries.entry("stages")
        named = STAGES if node is None else self._values.texts(node, "stages")
        inner = [stage for stage in dict.fromkeys(named) if stage not in (FIRST_STAGE, LAST_STAGE)]
        return (FIRST_STAGE, *inner, LAST_STAGE)

    def _read_defaults(self) -> dict[str, Node]:
        node = self._entries.entry("default")
        given = self._values.at("default").mapping(node, "it") if node else Tree(Position())
        self._values.keys(given, ci_job.DEFAULTS, "default", ci_job.HINTS)
        outer = {name: found for name in ("before_script", "after_script") if (found := self._entries.entry(name))}
        return {**outer, **{name: value for name, value in given.entries.items() if name in ci_job.DEFAULTS}}

    def _workflow(self) -> str:
        """Why its rules let no pipeline start; empty when they let one."""
        node = self._entries.entry("workflow")
        if node is None:
            return ""
        values = self._values.at("workflow")
        tree = values.mapping(node, "it")
        values.keys(tree, ("rules",), "")
        if "rules" not in tree.entries:
            return ""
        known = {**self._predefined, **self._variables}
        found = verdict(values, tree.entries["rules"], known, whens=WHETHER, keys=KEYS)
        self._variables |= found.variables
        if found.runs:
            return ""
        told = " and ".join(f"{name}={known[name]}" for name in _TOLD if name in known)
        if found.at is None:
            return f"`workflow: rules` ({_place(tree.places['rules'])}) let no pipeline start: none holds for {told}"
        return (
            f"`workflow: rules` let no pipeline start: the rule of {_place(found.at)} holds for {told}, and says never"
        )

    def _jobs(self, name: str, tree: Tree, several: tuple[Instance, ...]) -> list[Found]:
        """What the job comes to, of what its rules let in."""
        values = self._values.at(f"job {name}")
        values.keys(tree, ci_job.KEYS, "", ci_job.HINTS)
        if "script" not in tree.entries:
            values.fault(self._root.places[name], "it has no `script`")
            return []
        entries = {**self._defaults, **tree.entries}
        own = values.variables(entries["variables"]) if "variables" in entries else {}
        stage = values.text(entries["stage"], "stage") if "stage" in entries else "test"
        if stage and stage not in self._stages:
            at = entries["stage"].at if "stage" in entries else self._root.places[name]
            values.fault(at, f"the stage {stage!r} is not among the stages {', '.join(self._stages[1:-1])}")
        wanted, found = needs(values, entries.get("needs")), list[Found]()
        for one in several:
            variables = {**self._variables, **own, **one.variables}
            known = {**self._predefined, "CI_JOB_NAME": one.name, "CI_JOB_STAGE": stage}
            rules = Verdict(runs=True)
            if "rules" in entries:
                rules = verdict(values, entries["rules"], {**known, **variables})
            job = ci_job.job(values, entries, rules, {**variables, **rules.variables}, known)
            if rules.runs and job.when != "never":
                found.append(Found(name, job, wanted))
            self._room -= sum(map(len, (*job.before_script, *job.script, *job.after_script)))
            self._room -= sum(len(key) + len(value) for key, value in job.variables.items())
            if self._room < 0:
                break
        return found
