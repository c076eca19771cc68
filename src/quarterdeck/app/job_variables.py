"""The variables of a pipeline job: what GitLab predefines, and the file's own with others in them put in."""

import re
from collections.abc import Mapping

VALUE_CHARACTERS = 65_536
DEPTH = 10
_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))")


def predefined(
    *,
    sha: str,
    ref: str,
    default_branch: str,
    source: str,
    pipeline_id: int,
    project_id: int,
    project_path: str,
    job_id: int,
    name: str,
    stage: str,
) -> dict[str, str]:
    """The variables that every job has, by GitLab's names."""
    return {
        "CI": "true",
        "CI_COMMIT_SHA": sha,
        "CI_COMMIT_SHORT_SHA": sha[:8],
        "CI_COMMIT_REF_NAME": ref,
        "CI_COMMIT_BRANCH": ref,
        "CI_DEFAULT_BRANCH": default_branch,
        "CI_PIPELINE_ID": str(pipeline_id),
        "CI_PIPELINE_SOURCE": source_name(source),
        "CI_PROJECT_ID": str(project_id),
        "CI_PROJECT_PATH": project_path,
        "CI_PROJECT_DIR": "/workspace",
        "CI_JOB_ID": str(job_id),
        "CI_JOB_NAME": name,
        "CI_JOB_STAGE": stage,
    }


def source_name(source: str) -> str:
    """What GitLab calls it: a session's commits come as pushes do."""
    return "push" if source == "session" else source


def expanded(variables: Mapping[str, str]) -> dict[str, str]:
    """All values with `$NAME` and `${NAME}` of other variables put in, and `$$` as `$`.

    Names that are not among them are left for the shell, as is a variable that would contain itself, and a value that
    would grow beyond `VALUE_CHARACTERS`.
    """
    done: dict[str, str] = {}
    for name in variables:
        _expand(name, variables, done, ())
    return done


def _expand(name: str, variables: Mapping[str, str], done: dict[str, str], trail: tuple[str, ...]) -> str:
    if name in done:
        return done[name]
    room = VALUE_CHARACTERS

    def put(found: re.Match[str]) -> str:
        nonlocal room
        other = found[1] or found[2]
        if other is None:
            return "$"
        if other not in variables or other in (*trail, name) or len(trail) > DEPTH or room < 0:
            return found[0]
        text = _expand(other, variables, done, (*trail, name))
        room -= len(text)
        return text

    text = _REFERENCE.sub(put, variables[name])
    done[name] = text if room >= 0 else variables[name]
    return done[name]
