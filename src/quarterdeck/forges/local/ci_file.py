"""A `.gitlab-ci.yml` as a pipeline: a documented part of GitLab's language, everything else refused by name."""

from collections.abc import Mapping
from typing import Literal, cast

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.pipeline import CiJob, CiPipeline
from quarterdeck.flows.yaml_tree import Mapping as Tree
from quarterdeck.flows.yaml_tree import Node, Position, Scalar, Sequence, read
from quarterdeck.forges.local.ci_rules import WHENS, Verdict, When, verdict
from quarterdeck.forges.local.ci_values import FAULTS_SHOWN, Values

FILE_BYTES = 128 * 1024
JOBS = 500
"""How many jobs one pipeline may have."""
EXTENDS_DEPTH = 10

FIRST_STAGE, LAST_STAGE = ".pre", ".post"
STAGES = ("build", "test", "deploy")

_TOP = ("stages", "default", "variables", "workflow", "before_script", "after_script")
_TOP_REFUSED = ("include", "image", "services", "cache", "spec", "types")
_DEFAULT = ("before_script", "after_script", "timeout", "tags", "artifacts")
_JOB = (
    *("stage", "script", "before_script", "after_script", "variables", "needs", "rules", "allow_failure"),
    *("artifacts", "timeout", "tags", "when", "extends"),
)
_RULES_HINT = "write `rules: - if:` instead"
_HINTS = {
    "only": _RULES_HINT,
    "except": _RULES_HINT,
    "image": "jobs run in the runner's sandbox, with the tools of its machine",
    "services": "jobs run in the runner's sandbox, without containers",
    "cache": "every job starts from the commit and its artifacts",
    "include": "put the jobs into this file",
    "parallel": "write the jobs one by one, with `extends` for what they share",
    "dependencies": "name the jobs in `needs`; `artifacts: false` there leaves their files out",
    "types": "write `stages`",
    "type": "write `stage`",
}


def pipeline(text: str, predefined: Mapping[str, str]) -> CiPipeline:
    """The pipeline of a commit whose predefined variables are given; it has no jobs when its rules let none in.

    Raises:
        InvalidInputError: names every unsupported keyword and every other fault, with line and job.
    """
    root, wrong = read(text, FILE_BYTES, aliases=True)
    faults = [(one.at or Position(), one.what) for one in wrong]
    made = CiPipeline(stages=(), jobs=())
    if not faults and root is None:
        faults = [(Position(), "the file is empty")]
    elif not faults and root is not None:
        made = _File(Values(faults), root, predefined).pipeline()
    if faults:
        raise InvalidInputError(_report(faults))
    return made


def _report(faults: list[tuple[Position, str]]) -> str:
    lines = list(dict.fromkeys(f"line {at.line}: {what}" for at, what in sorted(faults)))
    more = len(lines) - FAULTS_SHOWN
    lines = lines[:FAULTS_SHOWN] + ([f"… and {more} more"] if more > 0 else [])
    return "The file .gitlab-ci.yml can't be used:\n" + "\n".join(lines)


class _File:
    """One reading of a file."""

    def __init__(self, values: Values, root: Node, predefined: Mapping[str, str]) -> None:
        self._values = values
        self._root = values.mapping(root, "the file")
        self._predefined = predefined
        top = self._root.entries
        self._jobs = {name: node for name, node in top.items() if name not in _TOP and name not in _TOP_REFUSED}
        for name in _TOP_REFUSED:
            if name in top:
                hint = _HINTS.get(name, "")
                values.fault(self._root.places[name], f"`{name}` is not supported{'; ' + hint if hint else ''}")
        self._stages = self._read_stages()
        self._variables = values.variables(top["variables"]) if "variables" in top else {}
        self._defaults = self._read_defaults()

    def pipeline(self) -> CiPipeline:
        runs = self._workflow()
        visible = [name for name in self._jobs if not name.startswith(".")]
        if not visible:
            self._values.fault(Position(), "there is no job in it")
        if len(visible) > JOBS:
            self._values.fault(Position(), f"there are {len(visible)} jobs in it; a pipeline may have {JOBS}")
            return CiPipeline(stages=self._stages, jobs=())
        found = [job for name in visible if (job := self._job(name)) is not None]
        jobs = self._linked(found)
        return CiPipeline(stages=self._stages, jobs=tuple(jobs) if runs else ())

    def _read_stages(self) -> tuple[str, ...]:
        node = self._root.entries.get("stages")
        named = STAGES if node is None else self._values.texts(node, "stages")
        inner = [stage for stage in dict.fromkeys(named) if stage not in (FIRST_STAGE, LAST_STAGE)]
        return (FIRST_STAGE, *inner, LAST_STAGE)

    def _read_defaults(self) -> dict[str, Node]:
        top = self._root.entries
        node = top.get("default")
        given = self._values.at("default").mapping(node, "it") if node else Tree(Position())
        self._values.keys(given, _DEFAULT, "default", _HINTS)
        outer = {name: top[name] for name in ("before_script", "after_script") if name in top}
        return {**outer, **{name: value for name, value in given.entries.items() if name in _DEFAULT}}

    def _workflow(self) -> bool:
        node = self._root.entries.get("workflow")
        if node is None:
            return True
        values = self._values.at("workflow")
        tree = values.mapping(node, "it")
        values.keys(tree, ("rules",), "")
        if "rules" not in tree.entries:
            return True
        whens: tuple[When, ...] = ("always", "never")
        found = verdict(values, tree.entries["rules"], {**self._predefined, **self._variables}, whens=whens)
        self._variables |= found.variables
        return found.runs

    def _job(self, name: str) -> tuple[CiJob, Tree] | None:
        """The job and its tree; None when its rules keep it out, or when it is no job at all."""
        values = self._values.at(f"job {name}")
        tree = self._extended(values, name, ())
        if tree is None:
            return None
        values.keys(tree, _JOB, "", _HINTS)
        if "script" not in tree.entries:
            values.fault(self._root.places[name], "it has no `script`")
            return None
        entries = {**self._defaults, **tree.entries}
        own = values.variables(entries["variables"]) if "variables" in entries else {}
        stage = values.text(entries["stage"], "stage") if "stage" in entries else "test"
        if stage and stage not in self._stages:
            at = entries["stage"].at if "stage" in entries else self._root.places[name]
            values.fault(at, f"the stage {stage!r} is not among the stages {', '.join(self._stages[1:-1])}")
        variables = {**self._variables, **own}
        known = {**self._predefined, "CI_JOB_NAME": name, "CI_JOB_STAGE": stage, **variables}
        rules = verdict(values, entries["rules"], known) if "rules" in entries else Verdict(runs=True)
        job = self._made(values, name, stage, entries, rules, {**variables, **rules.variables})
        return (job, tree) if rules.runs and job.when != "never" else None

    def _made(
        self,
        values: Values,
        name: str,
        stage: str,
        entries: Mapping[str, Node],
        rules: Verdict,
        variables: dict[str, str],
    ) -> CiJob:
        when = cast("When", values.word(entries["when"], "when", WHENS)) if "when" in entries else "on_success"
        when = rules.when or when
        allowed = _allow_failure(values, entries, when)
        paths, artifacts_when = _artifacts(values, entries.get("artifacts"))
        needs, artifacts_from = _needs(values, entries.get("needs"))
        script = values.commands(entries["script"], "script")
        if not script:
            values.fault(entries["script"].at, "its `script` is empty")
        return CiJob(
            name=name,
            stage=stage,
            before_script=values.commands(entries["before_script"], "before_script")
            if "before_script" in entries
            else (),
            script=script,
            after_script=values.commands(entries["after_script"], "after_script") if "after_script" in entries else (),
            variables=variables,
            needs=needs,
            artifacts_from=artifacts_from,
            when=when,
            allow_failure=allowed if rules.allow_failure is None else rules.allow_failure,
            artifact_paths=paths,
            artifacts_when=artifacts_when,
            timeout_seconds=values.seconds(entries["timeout"], "timeout") if "timeout" in entries else 3600,
            tags=values.texts(entries["tags"], "tags") if "tags" in entries else (),
        )

    def _extended(self, values: Values, name: str, trail: tuple[str, ...]) -> Tree | None:
        node = self._jobs[name]
        if not isinstance(node, Tree):
            values.fault(self._root.places[name], f"{name} is not a job: a job is a mapping with a `script`")
            return None
        parents = node.entries.get("extends")
        merged = Tree(node.at)
        for parent in values.texts(parents, "extends") if parents is not None else ():
            if parent in (*trail, name) or len(trail) >= EXTENDS_DEPTH:
                values.fault(node.places["extends"], f"`extends: {parent}` goes in a circle or too deep")
            elif parent not in self._jobs:
                values.fault(node.places["extends"], f"`extends: {parent}`: there is no such job")
            elif (tree := self._extended(values, parent, (*trail, name))) is not None:
                merged = _merged(merged, tree)
        return _merged(merged, node)

    def _linked(self, found: list[tuple[CiJob, Tree]]) -> list[CiJob]:
        """The jobs with their needs checked: all there, no circle; optional ones that are not there are left out."""
        present = {job.name for job, _ in found}
        jobs = [self._with_needs(job, tree, present) for job, tree in found]
        left = {job.name: set(job.needs or ()) for job in jobs}
        while free := [name for name, needs in left.items() if not needs & left.keys()]:
            for name in free:
                del left[name]
        if left:
            self._values.fault(Position(), f"the `needs` of {', '.join(left)} go in a circle")
        return jobs

    def _with_needs(self, job: CiJob, tree: Tree, present: set[str]) -> CiJob:
        if job.needs is None:
            return job
        node = tree.entries["needs"]
        optional = _optional(node)
        for name in job.needs:
            if name not in present and name not in optional:
                why = "its rules keep it out of this pipeline" if name in self._jobs else "there is no such job"
                self._values.at(f"job {job.name}").fault(node.at, f"it needs {name}, but {why}")
        needs = tuple(name for name in job.needs if name in present)
        files = tuple(name for name in job.artifacts_from or () if name in present)
        return job.model_copy(update={"needs": needs, "artifacts_from": files})


def _merged(under: Tree, over: Tree) -> Tree:
    """Mappings are merged, everything else is replaced."""
    entries = dict(under.entries)
    for name, value in over.entries.items():
        below = entries.get(name)
        entries[name] = _merged(below, value) if isinstance(below, Tree) and isinstance(value, Tree) else value
    return Tree(over.at, entries, {**under.places, **over.places})


def _allow_failure(values: Values, entries: Mapping[str, Node], when: When) -> bool:
    node = entries.get("allow_failure")
    if node is None:
        return when == "manual" and "rules" not in entries
    if isinstance(node, Tree):
        values.fault(node.at, "`allow_failure: exit_codes` is not supported; true or false is")
        return False
    return values.truth(node, "allow_failure")


def _artifacts(
    values: Values, node: Node | None
) -> tuple[tuple[str, ...], Literal["on_success", "on_failure", "always"]]:
    if node is None:
        return (), "on_success"
    tree = values.mapping(node, "artifacts")
    values.keys(tree, ("paths", "when", "expire_in"), "artifacts")
    paths = values.texts(tree.entries["paths"], "artifacts: paths") if "paths" in tree.entries else ()
    for path in paths:
        if path.startswith("/") or ".." in path.split("/") or "$" in path:
            values.fault(tree.at, f"artifacts: {path!r} must lie in the project, and may have no variable")
    if "when" not in tree.entries:
        return paths, "on_success"
    whens = ("on_success", "on_failure", "always")
    when = values.word(tree.entries["when"], "artifacts: when", whens)
    return paths, cast("Literal['on_success', 'on_failure', 'always']", when)


def _needs(values: Values, node: Node | None) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """The names of the jobs that are needed, and of those whose artifacts come along."""
    if node is None:
        return None, None
    names: list[str] = []
    files: list[str] = []
    for item in node.items if isinstance(node, Sequence) else (node,):
        name, wanted = _need(values, item)
        names += [name]
        files += [name] if wanted else []
    return tuple(filter(None, names)), tuple(filter(None, files))


def _need(values: Values, item: Node) -> tuple[str, bool]:
    if not isinstance(item, Tree):
        return values.text(item, "each of needs"), True
    values.keys(item, ("job", "artifacts", "optional"), "needs")
    if "optional" in item.entries:
        values.truth(item.entries["optional"], "needs: optional")
    wanted = values.truth(item.entries["artifacts"], "needs: artifacts") if "artifacts" in item.entries else True
    if "job" not in item.entries:
        values.fault(item.at, "needs: an entry has no `job`")
        return "", wanted
    return values.text(item.entries["job"], "needs: job"), wanted


def _optional(node: Node) -> set[str]:
    """Names of the jobs that may be missing."""
    items = node.items if isinstance(node, Sequence) else (node,)
    found: set[str] = set()
    for item in items:
        if isinstance(item, Tree):
            job, optional = item.entries.get("job"), item.entries.get("optional")
            if isinstance(job, Scalar) and isinstance(optional, Scalar) and optional.text == "true":
                found.add(job.text)
    return found
