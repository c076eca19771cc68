"""Flows in the browser: the catalogue, a flow's page, the editor, and the form that starts a session."""

import re
from itertools import pairwise
from typing import Any

import httpx
import pytest

from quarterdeck.app.application import App
from quarterdeck.core.access import Role
from quarterdeck.doors.web.flow_editor import EXAMPLE
from tests.app.test_forks import person
from tests.app.test_merge_requests import commit
from tests.app.test_project_flows import BROKEN, flow
from tests.conftest import Start
from tests.doors.conftest import Api
from tests.doors.test_sessions import begin
from tests.doors.test_web import OURS, harmless
from tests.doors.test_web_pages import browser

HOSTILE = """version: v1
environment: ambient
name: hostile
description: "</title><script>alert(1)</script>\\u202e"
components:
  - {name: '<b>"&a', type: AgentComponent, prompt_id: p, toolset: [read_file], description: "<i>x</i>"}
routers:
  - from: '<b>"&a'
    condition:
      input: context:goal
      routes: {"</text><script>": end, default_route: '<b>"&a'}
flow:
  entry_point: '<b>"&a'
  inputs:
    - category: '<svg onload=x>'
      input_schema: {'"><script>': {type: string, description: "<img src=x>", optional: true}}
prompts: [{prompt_id: p, prompt_template: {system: "</pre><script>", user: "{{ goal }}\\u202e"}}]
"""


class Browser:
    """Somebody's browser, on the pages of the sample project."""

    def __init__(self, api: Api, headers: dict[str, str], project: int) -> None:
        self._api = api
        self.headers = {**headers, **OURS}
        self.root = f"/projects/{project}"

    async def get(self, path: str, status: int = 200) -> str:
        return self._seen(await self._api.client.get(f"{self.root}{path}", headers=self.headers), status)

    async def post(self, path: str, status: int = 200, **form: str) -> str:
        """What came, or where it leads to."""
        url = f"{self.root}{path}"
        answer = await self._api.client.post(url, data=form, headers=self.headers, follow_redirects=False)
        return str(answer.headers["location"]) if status == 303 else self._seen(answer, status)

    @staticmethod
    def _seen(answer: httpx.Response, status: int) -> str:
        assert answer.status_code == status, answer.text
        assert len(answer.content) < 100_000
        assert "<script>" not in answer.text
        assert "\u202e" not in answer.text
        assert answer.text.startswith("<div") or harmless(answer)
        return answer.text


@pytest.fixture
async def ada(api: Api, app: App, start: Start) -> Browser:
    project: Any = (await api.get("/projects/sample")).json()
    return Browser(api, await browser(app, start.owner), project["id"])


async def test_a_catalogue_and_a_page_for_each_flow(api: Api, app: App, ada: Browser) -> None:
    project: Any = (await api.get("/projects/sample")).json()
    files = {".gitlab/duo/flows/broken.yml": BROKEN, ".quarterdeck/flows/evil.yml": HOSTILE}
    empty = await ada.get("/flows")
    assert "None yet." in empty
    assert ".quarterdeck/flows/*.yml" in empty
    await commit(app, project["id"], "main", "main^0", **files)
    for says in ("one", "two"):
        await api.post("/projects/sample/flows", {"text": flow("lookout", says)})
    listed = await ada.get("/flows")
    for there in ('/flows/lookout"', '/flows/hostile"', '/flows/fix_pipeline"', "stored by ada on", "read_fiel"):
        assert there in listed
    assert "run?flow=broken" not in listed
    session = await begin(api)

    page = await ada.get("/flows/fix_pipeline")
    assert f'<a class="title" href="/sessions/{session["id"]}">' in page
    assert "The pipeline that fails." in page
    assert "verify.execution_result is success → </td>" not in page
    assert re.search(r"verify\.execution_result is success → <code>open</code>", page)
    assert page.count('class="box') == 8
    assert 'class="way back"' in page
    assert "You repair a failing pipeline" in page or "pipeline" in page

    page = await ada.get("/flows/hostile")
    assert "&lt;b&gt;&#34;&amp;a" in page
    assert "⟨U+202E⟩" in page

    page = await ada.get("/flows/broken")
    assert "It can&#39;t be started" in page or "It can't be started" in page
    assert "read_fiel" in page
    assert 'class="box agent"' in page, "what can be read of it is drawn"
    assert "/run?" not in page

    page = await ada.get("/flows/lookout?version=1.0.0")
    assert "run?flow=lookout/1.0.0" in page
    assert "stored by ada" in page
    assert "Sessions that name no version take 2.0.0." in page
    assert "/flows/lookout/edit?version=1.0.0" in page
    earlier = await ada.get("/flows/lookout/edit?version=1.0.0")
    assert "description: one" in earlier
    assert "This is the text of version 1.0.0" in earlier
    assert 'name="base" value="2.0.0"' in earlier
    changed = await ada.get("/flows/lookout/changes?version=2.0.0&base=0.0.0")
    assert '<span class="minus">-description: one' in changed
    assert "You began with 0.0.0" in changed
    assert "before 1.0.0" in await ada.get("/flows/lookout/changes?version=1.0.0", 404)
    await ada.get("/flows/nothing", 404)
    raw = await api.client.get(f"{ada.root}/flows/hostile/yaml", headers=ada.headers)
    assert (raw.text, raw.headers["content-type"]) == (HOSTILE, "text/plain; charset=utf-8")


async def test_a_flow_is_written_checked_and_stored(api: Api, ada: Browser) -> None:
    new = await ada.get("/new-flow")
    assert "No faults" in new
    assert "name: my_flow" in new
    assert "name: fix_pipeline_copy" in await ada.get("/new-flow?from=fix_pipeline/v1")
    wrong = EXAMPLE.replace("- grep", "- grpe")
    fragment = await ada.post("/flows/check", text=wrong)
    assert fragment.startswith('<div class="check" data-said="1 fault">')
    assert f'data-line="{wrong.splitlines().index("      - grpe") + 1}"' in fragment
    assert 'class="box agent"' in fragment
    for action, status in (("check", 200), ("store", 400)):
        page = await ada.post("/flows", status, text="  " + wrong, action=action)
        assert "\n  version:" in page, "what was typed stays as it was"
        assert "grpe" in page
    assert (await api.get("/projects/sample/flows/my_flow")).status_code == 404
    assert "ships with Quarterdeck" in await ada.post(
        "/flows", 409, text=EXAMPLE.replace("my_flow", "developer"), action="store"
    )
    assert await ada.post("/flows", 303, text=EXAMPLE.replace("\n", "\r\n"), action="store") == (
        f"{ada.root}/flows/my_flow"
    )
    assert (await api.get("/projects/sample/flows/my_flow")).json()["text"] == EXAMPLE
    assert 'name="of" value="my_flow"' in await ada.get("/flows/my_flow/edit")
    longer = EXAMPLE.replace("a question", "any question")
    form = {"text": longer, "of": "my_flow", "base": "1.0.0", "action": "store"}
    changed = f"{ada.root}/flows/my_flow/changes?version=2.0.0&base=1.0.0"
    assert await ada.post("/flows", 303, **form) == changed
    assert await ada.post("/flows", 303, **{**form, "base": "2.0.0"}) == f"{ada.root}/flows/my_flow", "nothing changed"
    assert "You began with" not in await ada.get("/flows/my_flow/changes?version=2.0.0&base=1.0.0")
    assert "All its 2 versions go." in await ada.get("/flows/my_flow/delete")
    assert await ada.post("/flows/my_flow/delete", 303) == f"{ada.root}/flows"
    await ada.get("/flows/my_flow", 404)
    assert "40,960" in await ada.post("/flows", 400, text="x" * 50_000, action="store")


async def test_a_huge_flow_has_a_small_page(ada: Browser) -> None:
    names = [f"n{place}" for place in range(120)]
    components = "".join(
        f"  - {{name: {name}, type: AgentComponent, prompt_id: p, toolset: [grep]}}\n" for name in names
    )
    routers = "".join(f"  - {{from: {one}, to: {other}}}\n" for one, other in pairwise([*names, "end"]))
    prompts = 'prompts: [{prompt_id: p, prompt_template: {user: "{{ goal }}"}}]'
    head = f"version: v1\nenvironment: ambient\nname: huge\n{prompts}\n"
    text = f"{head}components:\n{components}routers:\n{routers}flow: {{entry_point: n0}}\n"
    assert await ada.post("/flows", 303, text=text, action="store") == f"{ada.root}/flows/huge"
    page = await ada.get("/flows/huge")
    assert "more components and ways than a picture can show" in page
    assert "60 more components" in page


async def test_what_is_not_yours_to_change_is_not_offered(api: Api, app: App, ada: Browser) -> None:
    await api.post("/projects/sample/flows", {"text": flow("lookout", "one")})
    developer = await browser(app, await person(app, "dora", Role.DEVELOPER))
    dora = Browser(api, developer, int(ada.root.rpartition("/")[2]))
    listed, page = await dora.get("/flows"), await dora.get("/flows/lookout")
    assert "/new-flow" not in listed + page
    assert "/edit" not in page
    assert "/delete" not in page
    assert "Maintainers and Owners; you may copy its YAML" in page
    assert "run?flow=lookout" in page
    for path in ("/new-flow", "/flows/lookout/edit"):
        assert "you need the role Maintainer" in await dora.get(path, 403)
    for path in ("/flows", "/flows/check", "/flows/lookout/delete"):
        await dora.post(path, 403, text=EXAMPLE)
    assert "Only flows that the project stores" in await dora.get("/flows/lookout/delete")
    reporter = Browser(api, await browser(app, await person(app, "rex", Role.REPORTER)), int(ada.root[10:]))
    assert "you need the role Developer" in await reporter.get("/flows/lookout", 403)


async def test_a_form_keeps_what_was_typed_and_says_what_is_wrong_beside_it(api: Api, ada: Browser) -> None:
    await api.post("/projects/sample/issues", {"title": "<b>Broken</b> shelf"})
    asked = await ada.get("/run?flow=developer/v1&issue_iid=77")
    assert '<option value="1">#1 &lt;b&gt;Broken&lt;/b&gt; shelf</option>' in asked
    assert '<option value="77" selected>' in asked
    assert "No model is configured" in asked
    assert '<option value="scripted">' in asked
    typed = {"goal": "Mend <it>", "title": "Mine", "model": "scripted", "ref": "main", "key": "k"}
    refused = await ada.post("/run", 400, flow="developer/v1", **typed)
    for kept in ("Mend &lt;it&gt;</textarea>", 'value="Mine"', 'value="scripted"', 'value="main"'):
        assert kept in refused
    assert 'id="run-issue_iid-fault" role="alert">The flow needs this' in refused
    refused = await ada.post("/run", 404, flow="developer/v1", issue_iid="77", **typed)
    assert "It was not started." in refused
    refused = await ada.post("/run", 400, flow="developer/v1", issue_iid="1", **{**typed, "title": "x" * 41})
    assert 'id="run-title-fault"' in refused
    text = EXAMPLE.replace(
        "  entry_point: look\n",
        "  entry_point: look\n  inputs:\n    - category: shape\n      input_schema:\n"
        "        size: {type: integer, description: In pages.}\n        tags: {type: array, optional: true}\n"
        "        on: {type: string, format: date}\n",
    )
    await api.post("/projects/sample/flows", {"text": text})
    asked = await ada.get("/run?flow=my_flow&shape.size=3")
    assert re.search(r"<legend>Shape</legend>\s*<label for=\"run-shape.size\">Size</label>", asked)
    assert re.search(
        r'name="shape.size" value="3" type="number" required aria-describedby="run-shape.size-hint"', asked
    )
    filled = {"shape.size": "x", "shape.tags": "[", "shape.on": "soon"}
    refused = await ada.post("/run", 400, flow="my_flow", **typed, **filled)
    for told in ("type integer: write it as JSON", "type array: write it as JSON", "It should be a date."):
        assert told in refused
    filled = {"shape.size": "3", "shape.tags": '["a"]', "shape.on": "2026-01-31"}
    refused = await ada.post("/run", 400, flow="my_flow", **typed, **filled)
    assert "ships no script" in refused
    script = 'components: {look: [{say: "<b>Here</b>."}]}'
    refused = await ada.post("/run", 400, flow="my_flow", **{**typed, "model": "x:y"}, **filled, script=script)
    assert 'id="run-script-fault" role="alert">A script answers in place of a language model' in refused
    assert "&lt;b&gt;Here&lt;/b&gt;" in refused
    went = await ada.post("/run", 303, flow="my_flow", **{**typed, "key": "other"}, **filled, script=script)
    assert (await api.get(went)).json()["model"] == "scripted:script"
    went = await ada.post(
        "/run", 303, flow="my_flow", **{**typed, "key": "third"}, **filled, issue_iid="x", script=script
    )
    await ada.post("/run", 400, flow="my_flow", **typed, **{**filled, "shape.size": "NaN"})
    went = await ada.post("/run", 303, flow="developer/v1", issue_iid="1", **typed)
    session: Any = (await api.get(went)).json()
    assert (session["title"], session["goal"], session["ref"]) == ("Mine", "Mend <it>", "main")


async def test_go_to_leads_to_flows(api: Api, app: App, ada: Browser) -> None:
    await api.post("/projects/sample/flows", {"text": flow("lookout", "one")})
    headers = ada.headers
    found = await api.client.get("/go?q=lookou", headers=headers)
    assert f'href="{ada.root}/flows/lookout"' in found.text
    led = await api.client.get("/go?q=fix_pipeline", headers=headers, follow_redirects=False)
    assert led.headers["location"] == "/projects/1/flows/fix_pipeline"
    found = await api.client.get("/go?q=fix_pipe", headers=headers)
    assert f'href="{ada.root}/flows/fix_pipeline"' in found.text
    stranger = await browser(app, await person(app, "eve", None))
    assert "lookout" not in (await api.client.get("/go?q=ookout", headers=stranger)).text.replace("ookout”", "")
