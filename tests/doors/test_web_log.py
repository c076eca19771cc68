"""A session's log on its page: lines that can be linked to, sessions within it, search with marks, how it is shown."""

import re

import pytest
from sqlalchemy import insert

from quarterdeck.app import server_calls, session_search
from quarterdeck.app.application import App
from quarterdeck.app.change import change
from quarterdeck.core import events as e
from quarterdeck.core import search
from quarterdeck.core.answer import RequestedCall
from quarterdeck.core.events import Event, Level
from quarterdeck.core.usage import Usage
from quarterdeck.doors.export.entries import entry
from quarterdeck.doors.web import languages
from quarterdeck.doors.web.entry_pages import INSIDE, LINES
from quarterdeck.doors.web.texts import changes, markdown, marked, numbered, terminal
from quarterdeck.doors.web.timeline import Lens, alone, timeline
from quarterdeck.engine.desk import Desk
from quarterdeck.store import output as outputs
from quarterdeck.store.tables import offers
from tests.app.chats import begin, events, say, stored
from tests.conftest import Start
from tests.doors import test_session_reading as reading
from tests.doors.conftest import Api
from tests.doors.test_sessions import begin as begin_flow
from tests.doors.test_web_approvals import Pages
from tests.doors.test_web_pages import browser
from tests.queries import counted
from tests.unit.world import NOON, event

session = reading.session
"""The fixture: a session that has changed files."""
LENS = Lens(1, NOON, Level.FULL, "en")


def _named(html: str) -> list[str]:
    return re.findall(r'id="([^"]*\.[LO]\d+)"', html)


def _end(text: str, **more: object) -> Event:
    made = {"call_id": "c", "tool": "run_command", "outcome": e.Outcome.OK, "text": text, "exit_code": 0, **more}
    return event(7, e.ToolCallFinished.model_validate(made))


def test_the_lines_of_a_card_are_those_of_the_output() -> None:
    """However many are shown; where that can't be known, none has a number."""
    said = "Exit code 0.\n" + "\n".join(f"line {n}" for n in range(1, 51))
    html = timeline([_end(said, output_bytes=400)], LENS)
    assert _named(html) == [f"e7.L{n}" for n in range(31, 51)]
    assert 'id="e7.L31" data-n="31">line 31\n</span>' in html
    assert "all 50 lines" in html
    assert "Exit code" not in html, "the outcome says it"
    assert not _named(timeline([_end("Exit code 0.\nx", output_bytes=2)], LENS)), "the only line needs no number"
    assert not _named(timeline([_end(said, output_bytes=9_999, truncated=True)], LENS))
    killed = timeline([_end("Killed after 3 seconds.\nx", output_bytes=2, exit_code=None)], LENS)
    assert "Killed after 3 seconds." in killed
    assert not _named(killed)
    assert _named(timeline([_end("a\nb")], LENS)) == ["e7.L1", "e7.L2"]
    assert not _named(alone(_end(said, output_bytes=400), LENS)), "below it stand those of all that it printed"
    coloured = numbered("\x1b[31ma\nb\x1b[0m\nc", 5, "e1")
    assert re.findall(r'data-n="(\d)">(.*?\n)', coloured) == [
        ("5", '<span class="c1">a\n'), ("6", '<span class="c1">b</span>\n'), ("7", "c\n"),
    ]  # fmt: skip


def test_the_lines_of_a_diff_have_their_numbers_on_both_sides() -> None:
    diff = (
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -3,4 +3,4 @@ def f\n same\n-gone\n--- not a file\n+new\n same\n"
        "\\ No newline at end of file\n@@ -90 +90 @@\n+last\n[… 9 characters left out …]\n+nowhere\n"
    )
    html = changes(diff, "f9")
    assert _named(html) == ["f9.L3", "f9.O4", "f9.O5", "f9.L4", "f9.L5", "f9.L90"]
    assert '<span class="minus">--- not a file\n' in html


def test_what_is_looked_for_is_marked_in_texts_alone() -> None:
    html = markdown("**span** & a span, Span [span](https://span.example/)") + terminal("\x1b[31mspan<i>\x1b[0m")
    found = marked(html, search.query("span"))
    assert found.count("<mark>") == 5
    assert 'class="c1"' in found
    assert 'href="https://span.example/"' in found
    assert "<strong><mark>span</mark></strong> &amp; a <mark>span</mark>, <mark>Span</mark>" in found
    assert "<mark>span</mark>&lt;i&gt;" in found
    assert marked(found, search.query("amp")) == found, "what stands for a sign is no word"


async def test_any_line_of_an_output_has_a_page(api: Api, app: App, start: Start) -> None:
    number = int((await begin_flow(api))["id"])
    asked = e.ToolCallRequested(
        call_id="c_out", component="a", tool="run_command", args={"command": "x"}, side="executor", asks=False
    )
    async with change(app, number) as it:
        it.append(asked)
        row = {"call_id": "c_out", "subject": f"session:{number}", "session_id": number, "side": "executor"}
        await it.connection.execute(insert(offers).values(**row, tool="t", args={}, status="running"))
    seq = (await events(app, number))[-1].seq
    pages = Pages(api, number, await browser(app, start.owner))
    assert "What it printed" not in await pages.shown(f"/entries/{seq}"), "nothing yet"
    written = 0
    async with app.database.transaction() as connection:
        for part in ("".join(f"row {n}\n" for n in range(1, 100_001)), "x" * 3_000_000, "\nlast <b>"):
            await outputs.write(connection, f"session:{number}", "c_out", written, part.encode())
            written += len(part)
    for line, first, last in (
        (None, 1, LINES),
        (1, 1, LINES),
        (50_000, 50_000 - LINES // 2, 50_000 + LINES // 2 - 1),
        (100_001, 100_002 - LINES + 1, 100_002),
        (2**31 - 1, 100_002 - LINES + 1, 100_002),
    ):
        html = await pages.shown(f"/entries/{seq}" + (f"?line={line}" if line else ""))
        named = _named(html)
        assert (named[0], named[-1], len(named)) == (f"e{seq}.L{first}", f"e{seq}.L{last}", LINES), line
        assert f"lines {first:,} to {last:,}" in html
        assert ("Later lines" in html) is (last < 100_002)
        assert ("Earlier lines" in html) is (first > 1)
    assert "last &lt;b&gt;" in html
    assert len(html) < 100_000, "a line of megabytes is not on it"


async def test_a_child_session_stands_in_its_parents_log(api: Api, app: App, start: Start) -> None:
    parent = await begin(app, start.owner, project="sample", pre_approved=["start_flows"])
    call = RequestedCall("p1", "start_flow", {"flow": "fix_pipeline/v1", "goal": "Repair it", "pipeline_id": 1})
    await say(app, parent, "I start it.", call)
    call_id = next(iter((await stored(app, parent)).calls))
    await server_calls.begin(app, parent, call_id)
    await Desk(app).carry_out(parent, call_id)
    child = parent + 1
    cookie = await browser(app, start.owner)
    pages = Pages(api, parent, cookie)
    html = await pages.shown("?level=concise")
    assert f'<child-session session="{child}" depth="1" level="concise" known>' in html
    assert f'<a href="/sessions/{child}">Open session #{child}</a>' in html
    title = (await stored(app, child)).title
    assert f"<b>{title}</b>" in html, "it says how that session stands, also without script"

    told = (await api.client.get(f"/sessions/{child}/inside?depth=1", headers=cookie)).json()
    assert title in told["summary"]
    assert f'id="s{child}-e1" class="inside ' in told["entries"]
    assert "Repair it" in told["entries"]
    assert 'class="entry' not in told["entries"], "they are no entries of the page's own log"
    assert "data-seq" not in told["entries"]
    for depth in (0, 4):
        assert (await api.client.get(f"/sessions/{child}/inside?depth={depth}", headers=cookie)).status_code == 400
    async with change(app, child) as it:
        it.append(*(e.MessageAdded(text=f"note {n}", by="ada") for n in range(INSIDE + 5)))
        it.append(e.LinkAdded(relation="child", target="session", name="#77", url=""))
    told = (await api.client.get(f"/sessions/{child}/inside?depth=3", headers=cookie)).json()
    assert told["entries"].count('class="inside ') == INSIDE
    assert "Its last entries" in told["entries"]
    assert "<child-session" not in told["entries"], "so deep there is a link alone"
    assert 'href="/sessions/77"' in told["entries"]


def test_agents_of_agents_stand_further_in() -> None:
    said = [
        e.ModelAnswered(component=name, model="m", text="x", calls=())
        for name in ("lead", "lead:help:1", "lead:help:1:more:2", "a:b:1:b:1:b:1:b:1")
    ]
    html = timeline([event(n, one) for n, one in enumerate(said, 1)], LENS)
    assert re.findall(r"below(\d)", html) == ["1", "2", "3"]


async def test_search_leads_from_one_place_to_the_next(
    api: Api, app: App, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await begin(app, start.owner, "Where is the needle?")
    async with change(app, session_id) as it:
        it.append(*(e.MessageAdded(text=text, by="ada") for text in ("hay", "a needle <b>", "hay", "needle again")))
    places = [one.seq for one in await events(app, session_id) if "needle" in str(one.payload)]
    pages = Pages(api, session_id, await browser(app, start.owner))
    html = await pages.shown("?q=needle")
    assert re.findall(rf'<li><a href="/sessions/{session_id}\?q=needle&amp;at=(\d+)#e\1"', html) == [
        str(place) for place in places
    ]
    assert "a <mark>needle</mark> &lt;b&gt;" in html
    assert "Places found" not in html
    html = await pages.shown(f"?q=needle&at={places[1]}")
    assert f"2 of {len(places)}" in html
    for rel, place in (("prev", places[0]), ("next", places[2])):
        assert f'rel="{rel}" href="/sessions/{session_id}?q=needle&amp;at={place}#e{place}"' in html
    assert 'rel="next"' not in (await pages.shown(f"?q=needle&at={places[-1]}")).split("hit-nav")[1]
    assert "Nothing in this log" in await pages.shown("?q=absent")
    assert "is not closed" in await pages.shown("?q=%22")
    monkeypatch.setattr(session_search, "BATCH", 1)
    monkeypatch.setattr(session_search, "PIECES", 1)
    apart = await pages.shown("?q=hay+absent")
    assert "Nothing in this log" in apart
    html = await pages.shown("?q=needle+hay")
    assert "None so far" in html
    on = re.search(rf'<a href="/sessions/{session_id}(\?q=needle\+hay&amp;hits=[^"]+)">More', html)
    assert on, "there may be more where it stopped"
    assert "Nothing more in this log" in await pages.shown(on[1].replace("&amp;", "&"))


async def test_how_a_log_is_shown_is_remembered(api: Api, app: App, start: Start) -> None:
    session_id = await begin(app, start.owner)
    cookie = await browser(app, start.owner)
    headers = {**cookie, "Sec-Fetch-Site": "same-origin"}
    for form, classes, back in (
        ({"times": "utc", "back": f"/sessions/{session_id}?level=full"}, "times-utc nowrap", None),
        ({"times": "none", "wrap": "yes", "back": f"/sessions/{session_id}/entries/1"}, "times-none", None),
        ({"times": "odd", "wrap": "yes", "back": "//evil.example/sessions/1"}, "times-since", "/"),
    ):
        went = await api.client.post("/look", data=form, headers=headers, follow_redirects=False)
        assert (went.status_code, went.headers["location"]) == (303, back or form["back"])
        kept = went.headers["set-cookie"].partition(";")[0]
        api.client.cookies.clear()
        page = await api.client.get(f"/sessions/{session_id}", headers={"Cookie": f"{cookie['Cookie']}; {kept}"})
        assert f'<div id="tab" class="{classes}"' in page.text


async def test_details_have_every_field(api: Api, app: App, start: Start) -> None:
    """Also what a page shows only of some sessions; links lead within the server, or say that they don't."""
    session_id = int(
        (await begin_flow(api, pre_approved=["run_commands"], runner_tags=[], privileges=["run_commands"]))["id"]
    )
    async with change(app, session_id) as it:
        used = Usage(requests=1, input_tokens=1_234, output_tokens=5, cache_read_tokens=777)
        it.append(*(e.UsageRecorded(component="work", model="p:a", usage=used) for _ in range(101)))
        it.append(
            e.ArtifactCreated(artifact="commit", name="c1", url=f"{app.public_url}/projects/1"),
            e.ArtifactCreated(artifact="file", name="evil", url="javascript:alert(1)"),
            e.ArtifactCreated(artifact="file", name="far", url="https://far.example/x"),
            e.ArtifactCreated(artifact="file", name="odd", url=f"{app.public_url}//evil.example"),
            e.CheckRecorded(name="lint", passed=True),
            e.LinkAdded(relation="source", target="issue", name="#4", url=f"{app.public_url}/projects/1/issues/4"),
        )
    pages = Pages(api, session_id, await browser(app, start.owner))
    html = await pages.shown("/details")
    for name in (
        "Goal", "Status", "Waits for", "Flow", "Model", "Project", "Branch", "Triggered by", "Created", "Last activity",
        "Deleted on", "Runner", "Without asking", "At most", "Usage", "Commands", "Checks", "Log",
    ):  # fmt: skip
        assert f"<dt>{name}</dt>" in html, name
    for told in (
        '<a href="/projects/1">c1</a>', "file evil</li>", '<a href="/projects/1/issues/4">#4</a>',
        '<a href="https://far.example/x" rel="nofollow noopener noreferrer">far</a>',
        "<td>101</td><td>124,634</td><td>78,477</td><td>505</td>", "<b>pipeline:</b>", "Cancel it first",
    ):  # fmt: skip
        assert told in html, told
    assert 'href="//evil' not in html
    (more,) = re.findall(r'href="/sessions/\d+(/details\?calls=\d+)#usage"', html)
    assert (await pages.shown(more)).count("<td>p:a</td>") == 1
    assert (await pages.send("hold", held="yes", reason="evidence")).status_code == 303
    assert "evidence" in str((await events(app, session_id))[-1].payload)
    await pages.send("cancel")
    assert "It is held: release it first" in await pages.shown("/details")
    await pages.send("hold", held="no")
    html = await pages.shown("/details")
    assert "<dt>Proof of its end</dt><dd>not yet</dd>" in html
    assert f'action="/sessions/{session_id}/delete"' in html
    for act, field, typed in (("rename", "title", ""), ("delete", "number", "seven")):
        wrong = await pages.send(act, **{field: typed})
        assert wrong.status_code == 400
        assert f'id="{act}-{field}-fault"' in wrong.text
        assert f'name="{field}" value="{typed}"' in wrong.text
    redacted = await pages.shown("/export?format=markdown&redacted=true&level=full")
    assert "initiator | ada" not in redacted
    assert "initiator | ada" in await pages.shown("/export?format=markdown")


async def test_a_fork_is_asked_for_from_an_entry(api: Api, app: App, start: Start) -> None:
    session_id = await begin(app, start.owner)
    pages = Pages(api, session_id, await browser(app, start.owner))
    entry = await pages.shown("/entries/1")
    assert f'href="/sessions/{session_id}/fork?seq=1"' in entry
    assert 'name="seq" value="1" type="number" min="1" max="1">' in await pages.shown("/fork?seq=7")
    wrong = await pages.send("fork", seq="1", title="x" * 60, message="All of it")
    assert (wrong.status_code, 'id="fork-title-fault"' in wrong.text, "All of it</textarea>" in wrong.text) == (
        400,
        True,
        True,
    )
    seq = str((await events(app, session_id))[-1].seq)
    made = await pages.send("fork", seq=seq, message="Another way", title="Again", model="scripted")
    assert made.status_code == 303
    state = await stored(app, int(made.headers["location"].rpartition("/")[2]))
    assert (state.title, state.created.forked_from is not None) == ("Again", True)


async def test_changes_by_file_and_by_step(api: Api, session: str, app: App, start: Start) -> None:
    pages = Pages(api, int(session.rpartition("/")[2]), await browser(app, start.owner))
    html = await pages.shown("/changes")
    named = re.findall(r'<details class="diff" id="(f[0-9a-f]+)" open>', html)
    assert len(named) == 2
    assert all(f'<a href="#{name}">' in html for name in named), "a list of the files leads to each"
    assert '<span class="plus">+2</span> <span class="minus">\u22120</span></summary>' in html
    assert f'id="{named[1]}.O1"' in html
    assert re.findall(r'class="diff" id="\w+"(.)', await pages.shown("/changes?unfold=none")) == [">", ">"]
    steps = await pages.shown("/changes?by=step")
    for step in (1, 2):
        assert f"/changes?step={step}#{named[step - 1]}" in steps
    assert 'class="diff"' not in steps
    log = await pages.shown("?level=result")
    for step in (1, 2):
        assert f'<a href="/sessions/1/changes?step={step}#{named[step - 1]}"><code>' in log
    one = await pages.shown("/changes?step=1")
    assert '<a href="/sessions/1/changes?step=2">2 \u203a</a>' in one
    assert f'id="{named[0]}"' in one
    assert f'id="{named[1]}"' not in one


def test_what_entries_say_is_translated_on_pages_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Welsh(languages.catalogues.NullTranslations):
        def gettext(self, message: str) -> str:
            return {"turn {n} begins": "tro {n} yn dechrau", "timed out": "wedi dod i ben"}.get(message, message)

    def catalogue(_: str) -> Welsh:
        return Welsh()

    monkeypatch.setattr(languages, "_catalogue", catalogue)
    begun = event(3, e.TurnStarted(turn_no=12, job=1))
    assert "tro 12 yn dechrau" in timeline([begun], LENS)
    assert entry(begun, NOON).head == "turn 12 begins"
    late = _end("x", outcome=e.Outcome.TIMED_OUT, exit_code=None)
    assert "wedi dod i ben" in timeline([late], LENS)
    assert entry(late, NOON).head == "run_command: timed out, 0 ms"


async def test_pages_of_a_session_take_few_queries(api: Api, session: str, app: App, start: Start) -> None:
    """However many entries, steps and decisions it has."""
    pages = Pages(api, int(session.rpartition("/")[2]), await browser(app, start.owner))
    await pages.shown()
    found: dict[str, int] = {}
    for path in ("", "?at=2", "?q=which", "/details", "/changes", "/changes?by=step", "/entries/2", "/fork"):
        with counted(app) as statements:
            await pages.shown(path)
        found[path] = len(statements)
    assert found[""] <= 10, "what is read most"
    assert max(found.values()) <= 17, found
