"""Writing a flow in the browser: with the linter's findings beside its lines, and stored as a new version."""

import re
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import MediaType, Response, get, post
from litestar.params import QueryParameter
from litestar.response import Redirect

from quarterdeck.app import flow_versions, project_flows, projects
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.project_flows import StoreFlow
from quarterdeck.core.errors import ConflictError, InvalidInputError
from quarterdeck.core.text import cut
from quarterdeck.doors.api.parameters import Caller, RowId, TheApp
from quarterdeck.doors.web import flow_drawing
from quarterdeck.doors.web.fields import Form
from quarterdeck.doors.web.flow_drawing import Plan
from quarterdeck.doors.web.flow_pages import Name, Version, link, parts_of
from quarterdeck.doors.web.layout import framed
from quarterdeck.doors.web.rendering import HEADERS, fragment
from quarterdeck.flows.document import REPORTED_FAULTS
from quarterdeck.flows.reader import Reading

EXCERPT_CHARACTERS = 120
"""Of a line that something is found in."""
TEXT_CHARACTERS = 200_000
"""What is shown again of a text; one that may be stored is far shorter."""
EXAMPLE = """\
version: "v1"
environment: ambient
name: my_flow
description: Answers a question about the repository.

components:
  - name: look
    type: AgentComponent
    prompt_id: look
    inputs:
      - context:goal
    toolset:
      - list_dir
      - find_files
      - grep
      - read_file

routers:
  - from: look
    to: end

flow:
  entry_point: look

prompts:
  - prompt_id: look
    prompt_template:
      system: |
        You answer a question about a repository. Read before you answer, and name files and lines.
      user: |
        {{ goal }}
"""
"""What a new flow begins with: a whole one, that can be started as it is."""
_NAME_LINE = re.compile(r"^name:.*$", re.MULTILINE)


def found(reading: Reading, text: str) -> dict[str, object]:
    """What a template shows of a text: its findings, each with its line, and its graph as far as it can be read."""
    lines = text.split("\n")
    findings = reading.document.findings()
    plan = Plan.of(reading.flow) if reading.flow else Plan.draft(reading.draft)
    return {
        "findings": [(one, _line(lines, one.line)) for one in findings[:REPORTED_FAULTS]],
        "faults": sum(one.severity == "fault" for one in findings),
        "notes": sum(one.severity == "note" for one in findings),
        "drawing": flow_drawing.draw(plan),
        "plan": plan,
        "parts": parts_of(plan),
    }


def _line(lines: list[str], number: int) -> str:
    return lines[number - 1].strip()[:EXCERPT_CHARACTERS] if 0 < number <= len(lines) else ""


@get("/projects/{project_id:int}/new-flow")
async def begin(
    app: TheApp,
    actor: Caller,
    project_id: RowId,
    from_: Annotated[str, QueryParameter(name="from", max_length=255)] = "",
) -> Response[str]:
    """A new flow: from an example, or a copy of another under another name."""
    text = EXAMPLE
    if from_:
        source = await flow_versions.show(app, actor, project_id, from_)
        text = copied(source.text, source.name)
    return await _editor(app, actor, project_id, text, begun=from_)


def copied(text: str, name: str) -> str:
    r"""A flow's text under another name.

    >>> copied("version: v1\nname: lookout # 1\n", "lookout")
    'version: v1\nname: lookout_copy\n'
    """
    named = f"name: {name[:95]}_copy"
    return _NAME_LINE.sub(lambda _: named, text, count=1) if _NAME_LINE.search(text) else f"{named}\n{text}"


@get("/projects/{project_id:int}/flows/{name:str}/edit")
async def edit(app: TheApp, actor: Caller, project_id: RowId, name: Name, version: Version = "") -> Response[Any]:
    """A flow that the project stores, in its newest version or an earlier one; of another flow a copy is begun."""
    source = await flow_versions.show(app, actor, project_id, f"{name}/{version}" if version else name)
    if source.origin != "project":
        query = urlencode({"from": source.start_as})
        return Redirect(f"/projects/{project_id}/new-flow?{query}", status_code=303)
    earlier = source.version if source.version != source.usual else ""
    return await _editor(app, actor, project_id, source.text, of=source.start_as, base=source.usual, earlier=earlier)


@post("/projects/{project_id:int}/flows/check")
async def check(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[str]:
    """What is found in a text, as a part of the editor's page. Nothing is stored."""
    text = form.verbatim("text") or ""
    reading = await flow_versions.look_at(app, actor, project_id, text)
    html = fragment("parts/flow_check.html", **found(reading, text))
    return Response(html, status_code=200, media_type=MediaType.HTML, headers=HEADERS)


@post("/projects/{project_id:int}/flows")
async def store(app: TheApp, actor: Caller, project_id: RowId, form: Form) -> Response[Any]:
    """Checks the text, or stores it as a new version; what can't be stored stays in the editor."""
    text, of, base = form.verbatim("text") or "", form.text("of"), form.text("base")
    reading = await flow_versions.look_at(app, actor, project_id, text)
    if form.text("action") == "check" or reading.flow is None:
        status = 200 if form.text("action") == "check" else 400
        return await _editor(app, actor, project_id, text, reading=reading, of=of, base=base, status=status)
    try:
        wish = StoreFlow(text=text, name=of.partition(":")[2] or of or None)
        made = await project_flows.store(app, actor, project_id, wish)
    except (InvalidInputError, ConflictError) as error:
        status = 409 if isinstance(error, ConflictError) else 400
        return await _editor(
            app, actor, project_id, text, reading=reading, of=of, base=base, problem=error.message, status=status
        )
    source = await flow_versions.show(app, actor, project_id, made.start_as)
    if not source.before or source.version == base:
        return form.go(link(project_id, source.start_as))
    query = urlencode({"version": source.version, "base": base})
    return form.go(f"{link(project_id, source.start_as, page='/changes')}?{query}")


async def _editor(
    app: App,
    actor: Actor,
    project_id: int,
    text: str,
    *,
    reading: Reading | None = None,
    of: str = "",
    base: str = "",
    earlier: str = "",
    begun: str = "",
    problem: str = "",
    status: int = 200,
) -> Response[str]:
    project = await projects.show(app, actor, project_id)
    if reading is None:
        reading = await flow_versions.look_at(app, actor, project_id, text)
    response = await framed(
        app,
        actor,
        "flow_editor.html",
        project_id=project.id,
        project_path=project.path,
        here="flows",
        text=cut(text, TEXT_CHARACTERS),
        of=of,
        base=base,
        earlier=earlier,
        begun=begun,
        problem=problem,
        others=[] if of else [one.start_as for one in (await project_flows.find(app, actor, project_id)).flows],
        link=link,
        **found(reading, text),
    )
    response.status_code = status
    return response


ROUTES = (begin, edit, check, store)
