"""Sessions in a browser: the paths that people walk, on a real server with the scripted model."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from quarterdeck.doors import web
from tests.browser.conftest import follow, look_again, look_away, shoot
from tests.instance import Instance, processes_below
from tests.scenarios.work import call, payloads, start

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script> \u202edlrow\u202c ![x](http://evil.example/i.png)"


def test_the_paths_of_the_documentation(page: Page, instance: Instance) -> None:
    """Search or go to, Automate > Sessions, a session, its log as it grows, Details, Cancel session, Stopped."""
    steps = (
        {
            "say": "I look around.",
            "call": call("run_command", command="for n in 1 2 3; do echo line $n; sleep 1; done"),
        },
        {"say": "**Now** I wait.", "delay": 1, "call": call("run_command", command="echo waiting; sleep 600")},
    )
    session = start(instance, *steps, title="The long one")
    page.goto("/")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search or go to")).to_be_focused()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Shortcuts").click()
    lever = page.get_by_role("switch", name="These keys do something")
    lever.uncheck()
    page.get_by_role("button", name="Close").click()
    page.reload()
    page.keyboard.press("?")
    expect(lever).to_be_hidden()  # single keys are off, and stay so
    page.get_by_role("button", name="Shortcuts").click()
    lever.check()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("/")
    page.keyboard.type("sample")
    page.keyboard.press("Enter")
    project = page.get_by_role("navigation", name="Project")
    page.set_viewport_size({"width": 360, "height": 900})
    expect(project.get_by_text("Automate")).to_be_hidden()
    project.get_by_text("Menu", exact=True).click()
    expect(project.get_by_text("Automate")).to_be_visible()
    page.set_viewport_size({"width": 1280, "height": 900})
    expect(project.get_by_text("Automate")).to_be_visible()
    project.get_by_role("link", name="Sessions").click()
    expect(page.get_by_role("heading", name="Sessions", exact=True, level=1)).to_be_visible()
    page.get_by_role("link", name="The long one").first.click()

    log = page.get_by_role("list", name="Log")
    header = page.locator("#session-header")
    expect(header.locator(".state")).to_contain_text("Running")
    expect(log).to_contain_text("I look around.")
    expect(log.locator("strong", has_text="Now")).to_be_visible()  # it came by the stream, and is Markdown
    page.get_by_role("navigation", name="Level of detail").get_by_role("link", name="Full").click()
    expect(log).to_contain_text("line 3")
    expect(log.locator("[data-output]")).to_contain_text("waiting")  # of a call that runs
    expect(log.locator("p.running elapsed-time")).to_be_visible()
    shoot(page, "session-running")
    entry = log.locator(".entry", has_text="line 3").first
    entry.locator(".at").click()
    expect(page).to_have_url(
        f"{instance.url}/sessions/{session}?at={entry.get_attribute('data-seq')}#{entry.get_attribute('id')}"
    )

    rail = page.get_by_role("complementary", name="Your sessions and chats")
    expect(rail.get_by_role("link", name="The long one")).to_be_visible()
    follow(page.get_by_role("navigation", name="Session", exact=True).get_by_role("link", name="Details"))
    page.get_by_role("link", name="Message", exact=True).click()
    expect(page.get_by_role("textbox", name="Message to the session")).to_be_focused()
    follow(page.get_by_role("navigation", name="Session", exact=True).get_by_role("link", name="Details"))
    shoot(page, "session-details")
    page.get_by_role("button", name="Cancel session").click()
    dialog = page.get_by_role("dialog", name="Cancel this session?")
    expect(dialog).to_contain_text("It can't be resumed or restarted.")
    shoot(page, "session-cancel")
    dialog.get_by_role("button", name="Cancel session").click()
    expect(header.locator(".state")).to_contain_text("Stopped")
    expect(log).to_contain_text("0 left")  # the proof comes by the stream
    expect(page).to_have_title(f"■ #{session} The long one · Quarterdeck")
    assert instance.session(session)["status"] == "stopped"


def test_an_approval_where_it_happens(page: Page, context: BrowserContext, instance: Instance) -> None:
    """Denied with a reason, approved for the session, answered; a second window sees the same."""
    session = start(
        instance,
        {"say": "May I?", "call": call("run_command", command="rm -rf shelf")},
        {"expect": "not that folder", "say": "Then this.", "call": call("run_command", command="echo made > made.txt")},
        {"expect": "Exit code 0", "say": "Again.", "call": call("run_command", command="echo made > made.txt")},
        {"expect": "Exit code 0", "say": "All done."},
        asks=True,
    )
    instance.wait_for(session, "tool_call_approval_required")
    other = context.new_page()
    for window in (page, other):
        window.goto(f"/sessions/{session}?level=concise")
    asked = page.get_by_role("region", name="It needs you")
    expect(asked).to_contain_text("$ rm -rf shelf")
    expect(page.locator("p.running")).to_have_count(0)  # it waits, and doesn't run
    expect(page).to_have_title(f"? #{session} Do what the script says. · Quarterdeck")
    expect(page.get_by_role("complementary").get_by_title("need you")).to_be_visible()
    page.locator("#to-cancel").focus()
    page.evaluate("window.card = document.querySelector('#session-waiting section')")
    instance.qd("session", "rename", str(session), "Named anew")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Named anew")
    expect(page.locator("#to-cancel")).to_be_focused()
    assert page.evaluate("window.card.isConnected"), "what had not changed was replaced"
    shoot(page, "session-approval")
    asked.get_by_role("textbox", name="Reason").fill("not that folder")
    asked.get_by_role("button", name="Deny").click()
    expect(asked).to_contain_text("echo made")
    asked.get_by_role("button", name="Approve for this session").click()
    for window in (page, other):
        log = window.get_by_role("list", name="Log")
        expect(log).to_contain_text("not that folder")
        expect(log).to_contain_text("approved it for this session")
        expect(log).to_contain_text("$ rm -rf shelf")  # what was asked for stays beside the answer
        expect(log).to_contain_text("All done.")
        expect(window.locator("#session-header .state")).to_contain_text("Finished")
        expect(window.get_by_role("region", name="It needs you")).to_have_count(0)
    assert payloads(instance.events(session), "approval.denied")[0]["reason"] == "not that folder"
    expect(page.locator(".log-tools")).to_match_aria_snapshot("""
      - navigation "Level of detail":
        - link "Result"
        - link "Concise"
        - link "Full"
      - search:
        - searchbox "Search in the log"
    """)
    page.get_by_role("navigation", name="Session", exact=True).get_by_role("link", name="Changes").click()
    expect(page.get_by_role("main")).to_contain_text("+made")
    shoot(page, "session-changes")


def test_a_list_changes_in_place_and_many_are_cancelled(page: Page, instance: Instance) -> None:
    steps = ({"say": "First.", "call": call("run_command", command="echo one")}, {"say": "Done."})
    ids = [start(instance, *steps, asks=True, title=f"Of the list {n}") for n in (1, 2)]
    for one in ids:
        instance.wait_for(one, "tool_call_approval_required")
    page.goto(f"/projects/{instance.session(ids[0])['project_id']}/sessions?text=list&status_group=")
    assert "status_group" not in page.url, "what a form left empty is no filter"
    rows = page.locator("live-list .row")
    expect(rows).to_have_count(2)
    page.locator(f"#s{ids[0]} .pick").click()
    page.evaluate("window.stays = true")
    instance.qd("session", "rename", str(ids[0]), "Of the list, renamed")
    expect(page.locator(f"#s{ids[0]}")).to_contain_text("renamed")
    expect(page.locator(f"#s{ids[0]} input")).to_be_checked()
    ids.append(start(instance, *steps, asks=True, title="Of the list 3"))
    expect(page.get_by_role("link", name="1 new session")).to_be_visible()
    expect(rows).to_have_count(2)
    assert page.evaluate("window.stays"), "the page was loaded again"
    shoot(page, "sessions")
    look_away(page)
    instance.qd("session", "rename", str(ids[0]), "Elsewhere")
    look_again(page)
    expect(page.locator(f"#s{ids[0]}.gone")).to_be_visible()
    instance.qd("session", "rename", str(ids[0]), "Of the list again")
    expect(page.locator(f"#s{ids[0]}:not(.gone)")).to_be_visible()
    follow(page.get_by_role("link", name="1 new session"))
    expect(rows).to_have_count(3)
    for row in rows.all():
        row.get_by_role("checkbox").check()
    page.locator(".bar").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Cancel 3 sessions?")).to_be_visible()
    page.get_by_role("button", name="Cancel sessions").click()
    expect(page.get_by_role("heading", name="What came of it")).to_be_visible()
    assert [instance.session(one)["status"] for one in ids] == ["stopped"] * 3
    page.goto("/sessions?needs_me=true&text=nothing-has-this")
    expect(page.get_by_text("No session fits these filters.")).to_be_visible()
    with page.expect_response(lambda answer: "/sessions/stream" in answer.url and "text=" not in answer.url):
        page.goto("/sessions")  # its stream is open: what is asked for next comes without a cookie
    page.context.clear_cookies()
    look_away(page)
    look_again(page)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()  # the stream doesn't ask for ever


def test_what_is_hostile_does_nothing(page: Page, instance: Instance) -> None:
    """Script, images, escape sequences, marks that turn text, a line of a megabyte, broken UTF-8: in every place."""
    nasty = (
        "printf '\\033[31mred\\033[0m \\033]0;title\\007 \\377\\376 <script>alert(3)</script>\\n'; "
        "head -c 1000000 /dev/zero | tr '\\0' x"
    )
    session = start(
        instance,
        {"say": HOSTILE, "call": call("run_command", command=nasty)},
        {"expect": "Exit code 0", "say": f"[x](javascript:alert(4)) {HOSTILE}"},
        title="<b>bold</b>",
        goal=HOSTILE,
    )
    instance.wait_for(session, "finished")
    dialogs: list[str] = []
    asked: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss())[0])
    page.on("request", lambda request: asked.append(request.url))
    log = page.get_by_role("list", name="Log")
    for path in ("?level=full", "/details", "/changes", "?q=alert", "/entries/1", ""):
        page.goto(f"/sessions/{session}{path}")
        expect(page.get_by_role("heading", level=1)).to_contain_text("<b>bold</b>")
        assert page.locator("main img, main script").count() == 0
    shoot(page, "session-hostile")
    expect(log).to_contain_text("<script>alert(2)</script>")
    assert page.locator("a[href^='javascript']").count() == 0
    expect(log.locator(".c1", has_text="red")).to_have_count(1)
    text = log.inner_text()
    assert not set(text) & set("\x1b\x07\u202e"), "what is not seen or turns the text"
    assert len(page.content()) < 200_000, "a megabyte of one line is not on the page"
    raw = page.request.get(f"/sessions/{session}/calls/{_call(instance, session)}/output")
    assert raw.headers["content-type"].startswith("text/plain")
    assert raw.headers["x-content-type-options"] == "nosniff"
    assert len(raw.body()) > 1_000_000, "all of it"
    assert not dialogs
    assert all(url.startswith(instance.url) for url in asked), "something was loaded from elsewhere"


def _call(instance: Instance, session: int) -> str:
    return payloads(instance.events(session), "tool_call.requested")[0]["call_id"]


def _told(instance: Instance, notes: int) -> tuple[int, Callable[..., None]]:
    """A session from elsewhere whose event N is `note N`, and what tells it more."""
    about = {"title": "A long one", "agent": "bot", "project": "sample", "goal": "Much"}
    session = instance.post("/sessions/external", about)["id"]
    told = 0

    def tell(*texts: str, level: str = "result") -> None:
        nonlocal told
        kinds = [{"kind": "message.added", "text": text, "by": "grace", "level": level} for text in texts]
        events = [{"kind": "status.changed", "transition": "start"}, *kinds] if not told else kinds
        instance.post(
            f"/sessions/{session}/events", {"events": [{"seq": told + n, **e} for n, e in enumerate(events, 1)]}
        )
        told += len(events)

    tell(*(f"note {n}" for n in range(4, notes + 1)))
    return session, tell


def test_a_long_log_opens_by_the_page(page: Page, instance: Instance) -> None:
    """Its end first, earlier ones when asked for, any entry by its link; what is new is counted while one reads.

    The server's web process is killed on the way: nothing is lost and nothing comes twice.
    """
    session, tell = _told(instance, 900)
    page.goto(f"/sessions/{session}?level=full")
    other = page.context.new_page()
    other.goto(f"/sessions/{session}?level=result")
    entries = page.locator(".timeline .entry")
    expect(entries).to_have_count(200)
    expect(page.get_by_text("note 900", exact=True)).to_be_in_viewport()
    page.locator(".earlier").scroll_into_view_if_needed()
    page.evaluate("for (const _ of [1, 2]) document.querySelector('.earlier').click()")
    expect(entries).to_have_count(400)
    expect(page.get_by_text("note 900", exact=True)).not_to_be_in_viewport()
    tell("note 901", level="full")  # this page shows it, whatever level another one chose last
    tell("note 902")
    expect(page.get_by_role("button", name="2 new")).to_be_visible()
    page.keyboard.press("f")
    expect(page.get_by_text("note 902", exact=True)).to_be_in_viewport()
    expect(page.get_by_role("button", name="2 new")).to_be_hidden()
    expect(other.get_by_text("note 902", exact=True)).to_be_in_viewport()
    expect(other.get_by_text("note 901", exact=True)).to_have_count(0)
    other.close()

    assert instance.process
    (pid,) = [pid for pid, line in processes_below(instance.process.pid).items() if "quarterdeck.server web" in line]
    look_again(page)  # whatever the browser thinks of its windows
    page.route("**/stream*", lambda route: route.abort())  # until it has been seen that it is away
    os.kill(pid, signal.SIGKILL)
    expect(page.get_by_text("Reconnecting…")).to_be_visible()
    page.unroute("**/stream*")
    tell("note 903")
    expect(page.get_by_text("note 903", exact=True)).to_be_in_viewport()
    expect(page.get_by_text("Reconnecting…")).to_be_hidden()
    expect(entries).to_have_count(403)

    page.goto(f"/sessions/{session}#e300")  # of an entry that is not on the page
    expect(page).to_have_url(f"{instance.url}/sessions/{session}?at=300#e300")
    expect(page.get_by_text("note 300", exact=True)).to_be_in_viewport()
    page.keyboard.press("j")
    page.get_by_role("link", name="The end").click()
    expect(page.get_by_text("note 903", exact=True)).to_be_in_viewport()
    page.get_by_role("searchbox", name="Search in the log").fill('"note 450"')
    page.keyboard.press("Enter")
    page.get_by_role("region", name="Found").get_by_role("link").click()
    expect(page.locator("#e450")).to_be_in_viewport()


def test_a_page_holds_so_much_of_a_log(page: Page, instance: Instance) -> None:
    """What nobody looks at goes, what is read stays; a page that is full leads on. With a sixth of the real bound."""
    script = (Path(web.__file__).parent / "static" / "session-log.js").read_text(encoding="utf-8")
    smaller = script.replace("12 * CHUNK", "2 * CHUNK")
    assert smaller != script
    page.route("**/session-log.js", lambda route: route.fulfill(body=smaller, content_type="text/javascript"))
    session, tell = _told(instance, 950)
    page.goto(f"/sessions/{session}?level=concise")
    entries, earlier = page.locator(".timeline .entry"), page.locator(".earlier")

    def read_back(*counts: int) -> None:
        for count in counts:
            earlier.click()
            expect(entries).to_have_count(count)

    read_back(400, 600)
    tell("note 951")
    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    expect(entries).to_have_count(601)  # it is being read
    page.keyboard.press("f")
    tell("note 952")
    expect(entries).to_have_count(201)
    expect(page.get_by_text("note 952", exact=True)).to_be_in_viewport()
    read_back(401, 601, 801)
    tell("note 953")
    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    expect(entries).to_have_count(801)  # no more, also for who reads
    page.get_by_role("button", name="1 new").click()
    expect(page.get_by_text("note 953", exact=True)).to_be_in_viewport()
    read_back(400, 600, 800)
    earlier.click()
    expect(page).to_have_url(f"{instance.url}/sessions/{session}?level=concise&before=154")
    expect(page.locator("#e1")).to_have_count(1)
    expect(earlier).to_be_hidden()


@pytest.fixture
def plain(browser: Browser, instance: Instance, signed_in: Any) -> Any:
    """A page of a browser without script."""
    context = browser.new_context(base_url=instance.url, storage_state=signed_in, java_script_enabled=False)
    yield context.new_page()
    context.close()


def test_all_of_it_without_script(plain: Page, instance: Instance) -> None:
    session = start(
        instance,
        {"say": "May I?", "call": call("run_command", command="echo one")},
        {"expect": "Exit code 0", "say": "What next?", "call": call("run_command", command="echo two")},
        asks=True,
        title="Without script",
    )
    instance.wait_for(session, "tool_call_approval_required")
    plain.goto("/go?q=%23" + str(session))
    plain.get_by_role("button", name="Approve", exact=True).click()
    instance.wait(lambda: "two" in json.dumps(instance.session(session)["approvals"]), 60, "the second call asks")
    plain.get_by_role("link", name="Activity").click()
    plain.get_by_role("textbox", name="A message instead").fill("Not that one.")
    plain.get_by_role("button", name="Send").click()
    plain.get_by_role("link", name="Details").click()
    plain.get_by_role("button", name="Cancel session").click()
    plain.get_by_role("textbox", name="Reason").fill("enough")
    plain.get_by_role("button", name="Cancel session").click()
    expect(plain.locator("#session-header")).to_contain_text("enough")
    assert instance.session(session)["status"] == "stopped"
    assert payloads(instance.events(session), "approval.denied")
