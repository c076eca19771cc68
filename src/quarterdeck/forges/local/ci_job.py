"""A job of a pipeline file: what of it is run, where, and when."""

from collections.abc import Mapping
from typing import Literal, cast

from quarterdeck.app.job_variables import expanded
from quarterdeck.core.pipeline import CiJob, CiRetry
from quarterdeck.flows.yaml_tree import Mapping as Tree
from quarterdeck.flows.yaml_tree import Node, Sequence
from quarterdeck.forges.local.ci_rules import WHENS, Verdict, When
from quarterdeck.forges.local.ci_values import Values

DEFAULTS = ("before_script", "after_script", "timeout", "tags", "artifacts", "retry")
KEYS = (
    *("stage", "script", "before_script", "after_script", "variables", "needs", "rules", "allow_failure"),
    *("artifacts", "timeout", "tags", "when", "extends", "parallel", "retry"),
)
RETRIES = 2
"""How often a job is tried again by itself at most; GitLab's number."""
RETRY_WHENS = (
    *(
        "always",
        "unknown_failure",
        "script_failure",
        "api_failure",
        "stuck_or_timeout_failure",
        "job_execution_timeout",
    ),
    *("runner_system_failure", "runner_unsupported", "stale_schedule", "archived_failure", "unmet_prerequisites"),
    *("scheduler_failure", "data_integrity_failure"),
)
_RULES_HINT = "write `rules: - if:` instead"
HINTS = {
    "only": _RULES_HINT,
    "except": _RULES_HINT,
    "image": "jobs run in the runner's sandbox, with the tools of its machine",
    "services": "jobs run in the runner's sandbox, without containers",
    "cache": "every job starts from the commit and its artifacts",
    "dependencies": "name the jobs in `needs`; `artifacts: false` there leaves their files out",
    "types": "write `stages`",
    "type": "write `stage`",
}


def job(
    values: Values, entries: Mapping[str, Node], rules: Verdict, variables: dict[str, str], known: Mapping[str, str]
) -> CiJob:
    """The job, without what it needs; `entries` have the defaults, `known` is predefined, name and stage, too."""
    when = cast("When", values.word(entries["when"], "when", WHENS)) if "when" in entries else "on_success"
    when = rules.when or when
    allowed = _allow_failure(values, entries, when)
    paths, artifacts_when = _artifacts(values, entries.get("artifacts"))
    script = values.commands(entries["script"], "script")
    if not script:
        values.fault(entries["script"].at, "its `script` is empty")
    return CiJob(
        name=known["CI_JOB_NAME"],
        stage=known["CI_JOB_STAGE"],
        before_script=_commands(values, entries, "before_script"),
        script=script,
        after_script=_commands(values, entries, "after_script"),
        variables=variables,
        when=when,
        allow_failure=allowed if rules.allow_failure is None else rules.allow_failure,
        artifact_paths=paths,
        artifacts_when=artifacts_when,
        timeout_seconds=values.seconds(entries["timeout"], "timeout") if "timeout" in entries else 3600,
        tags=_tags(values, entries.get("tags"), {**known, **variables}),
        retry=_retry(values, entries.get("retry")),
    )


def _commands(values: Values, entries: Mapping[str, Node], name: str) -> tuple[str, ...]:
    return values.commands(entries[name], name) if name in entries else ()


def _tags(values: Values, node: Node | None, known: dict[str, str]) -> tuple[str, ...]:
    """Variables are put in, so that each job of a matrix may ask for another runner."""
    tags = values.texts(node, "tags") if node is not None else ()
    if not any("$" in tag for tag in tags):
        return tags
    told = expanded({**known, **{f"tag {index}": tag for index, tag in enumerate(tags)}})
    return tuple(told[f"tag {index}"] for index in range(len(tags)))


def _retry(values: Values, node: Node | None) -> CiRetry | None:
    if node is None:
        return None
    if not isinstance(node, Tree):
        return CiRetry(most=values.number(node, "retry", 0, RETRIES))
    entries = node.entries
    values.keys(node, ("max", "when", "exit_codes"), "retry")
    if "max" not in entries:
        values.fault(node.at, f"retry: it has no `max`; from 0 to {RETRIES}")
        return None
    codes = entries.get("exit_codes")
    listed = codes.items if isinstance(codes, Sequence) else (codes,) if codes is not None else ()
    given = entries.get("when")
    items = given.items if isinstance(given, Sequence) else (given,) if given is not None else ()
    whens = tuple(values.word(item, "each of retry: when", RETRY_WHENS) for item in items)
    return CiRetry(
        most=values.number(entries["max"], "retry: max", 0, RETRIES),
        when=whens or (() if listed else ("always",)),
        exit_codes=tuple(values.number(item, "each of retry: exit_codes", 0, 255) for item in listed),
    )


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
