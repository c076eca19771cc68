"""A pipeline file, written and looked at in the browser without running it."""

import re
from typing import Annotated, Any

from litestar import MediaType, Response, get, post
from litestar.params import FromQuery, QueryParameter

from quarterdeck.app import ci_lint, projects, repositories
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.ci_lint import LintView
from quarterdeck.app.pipeline_starts import CI_FILE
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.limits import REF_CHARACTERS
from quarterdeck.core.text import cut, decode
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web.fields import Form
from quarterdeck.doors.web.project_layout import in_project
from quarterdeck.doors.web.rendering import HEADERS, fragment

TEXT_CHARACTERS = 200_000
"""What is shown again of a text; one that is read is shorter."""
EXAMPLE = """\
stages: [build, test]

compile:
  stage: build
  script:
    - make

unit:
  stage: test
  script:
    - make test
"""
"""What a project begins with that has no pipeline file yet."""
_LINE = re.compile(r"line (\d+): (.*)", re.DOTALL)


@get("/projects/{project_id:int}/pipelines/check")
async def begin(
    app: TheApp,
    actor: Caller,
    project_id: RowId,
    ref: Annotated[FromQuery[str], QueryParameter(max_length=REF_CHARACTERS)] = "",
) -> Response[str]:
    """The file of a branch, without `ref` of the default branch, as it is; an example where there is none."""
    try:
        text = decode(await repositories.file(app, actor, project_id, CI_FILE, ref or None))
    except NotFoundError:
        text = EXAMPLE
    return await _page(app, actor, project_id, text, ref)


@post("/projects/{project_id:int}/pipelines/check", status_code=200)
async def check(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[str]:
    """The same page with what is found in the text. Nothing is stored, and nothing runs."""
    return await _page(app, actor, project_id, form.verbatim("text") or "", form.text("ref")[:REF_CHARACTERS])


@post("/projects/{project_id:int}/pipelines/check/part")
async def part(
    app: TheApp,
    actor: Caller,
    project_id: RowId,
    form: Form,
    ref: Annotated[FromQuery[str], QueryParameter(max_length=REF_CHARACTERS)] = "",
) -> Response[str]:
    """What is found in the text, as a part of the page."""
    lint = _shown(await ci_lint.lint(app, actor, project_id, form.verbatim("text") or "", ref or None))
    html = fragment("parts/lint.html", lint=lint)
    return Response(html, status_code=200, media_type=MediaType.HTML, headers=HEADERS)


async def _page(app: App, actor: Actor, project_id: int, text: str, ref: str) -> Response[Any]:
    lint = _shown(await ci_lint.lint(app, actor, project_id, text, ref or None))
    project = await projects.show(app, actor, project_id)
    branch = ref or project.default_branch
    shown = cut(text, TEXT_CHARACTERS)
    return await in_project(app, actor, project, "lint.html", here="pipelines", text=shown, branch=branch, lint=lint)


def _shown(seen: LintView) -> dict[str, object]:
    """What a template shows of it: faults with their lines (0 in other files), and jobs by stages."""
    faults = [(int(found[1]), found[2]) if (found := _LINE.fullmatch(one)) else (0, one) for one in seen.faults]
    stages: dict[str, list[str]] = {}
    for job in seen.jobs:
        stages.setdefault(job.stage, []).append(job.name)
    return {**dict(seen), "faults": faults, "stages": stages}


ROUTES = (begin, check, part)
