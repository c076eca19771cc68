"""What stands around a page stays true: home and the person's own sessions, by the page's one stream."""

import os
import signal

from playwright.sync_api import Page, expect

from tests.browser.conftest import look_again, look_away, shoot
from tests.instance import Instance, processes_below


class Elsewhere:
    """A session whose work is done outside, which says how it goes on."""

    def __init__(self, instance: Instance, title: str) -> None:
        self._instance, self._told = instance, 0
        about = {"title": title, "agent": "bot", "project": "sample", "goal": "Much"}
        self.id = instance.post("/sessions/external", about)["id"]

    def moves(self, *transitions: str) -> None:
        events = [
            {"seq": self._told + n, "kind": "status.changed", "transition": one} for n, one in enumerate(transitions, 1)
        ]
        self._instance.post(f"/sessions/{self.id}/events", {"events": events})
        self._told += len(events)

    def is_called(self, title: str) -> None:
        self._instance.ask("PATCH", f"/sessions/{self.id}", json={"title": title})


def test_home_and_rail_stay_true(page: Page, instance: Instance) -> None:
    """Through what needs an answer, what is pointed at, and a server that goes away and comes back."""
    first = Elsewhere(instance, "The first")
    first.moves("start")
    opened: list[str] = []
    page.on("request", lambda request: opened.append(request.url) if "stream" in request.url else None)
    page.goto("/")
    needs, runs = page.get_by_role("region", name="Needs you"), page.get_by_role("region", name="Running")
    rail = page.get_by_role("complementary", name="Your sessions and chats")
    expect(runs.get_by_role("link", name="The first")).to_be_visible()
    expect(needs).to_contain_text("Nothing waits for you.")

    first.moves("require_input")
    expect(needs.get_by_role("link", name="The first")).to_be_visible()
    expect(runs).to_contain_text("Nothing runs now.")
    expect(rail.locator("summary", has_text="Sessions")).to_contain_text("1")
    expect(rail.get_by_role("listitem").filter(has_text="The first")).to_contain_text("Input required")
    shoot(page, "home-live")

    rail.get_by_role("link", name="The first").hover()
    second = Elsewhere(instance, "The second")
    first.is_called("Renamed")  # behind it: what is told of this was told of the second too
    expect(rail.get_by_role("link", name="Renamed")).to_be_visible()
    expect(rail.get_by_role("link", name="The second")).to_have_count(0)  # it would move what is pointed at
    page.mouse.move(0, 0)
    expect(rail.get_by_role("link", name="The second")).to_be_visible()
    assert [one.partition("?")[0] for one in opened] == [f"{instance.url}/home/stream"]

    details = page.context.new_page()
    details.goto(f"/sessions/{first.id}/details")
    assert instance.process
    (web,) = [pid for pid, line in processes_below(instance.process.pid).items() if "quarterdeck.server web" in line]
    for one in (page, details):  # whatever the browser thinks of its windows
        look_again(one)
    page.context.route("**/stream*", lambda route: route.abort())  # until both pages have been looked at
    os.kill(web, signal.SIGKILL)
    for one in (page, details):
        expect(one.get_by_role("status")).to_have_text("Reconnecting…")
    shoot(details, "reconnecting")
    page.context.unroute("**/stream*")
    for one in (page, details):  # else a page that waited long waits longer still
        look_away(one)
        look_again(one)
    first.moves("resume", "finish")
    second.moves("start", "require_input")
    for one in (page, details):
        theirs = one.get_by_role("complementary", name="Your sessions and chats")
        expect(theirs.get_by_role("listitem").filter(has_text="The second")).to_contain_text("Input required")
        expect(theirs.get_by_role("listitem").filter(has_text="Renamed")).to_contain_text("Finished")
        expect(one.get_by_role("status")).to_be_empty()
    expect(details.locator("#session-header")).to_contain_text("Finished")
    expect(needs.get_by_role("link", name="The second")).to_be_visible()
    expect(
        page.get_by_role("region", name="Ended since you last looked").get_by_role("link", name="Renamed")
    ).to_be_visible()

    details.close()
    page.goto("/sessions?mine=true")
    row, behind = page.locator(f"#s{first.id}"), page.locator(f"#s{second.id}")
    row.get_by_role("link").hover()
    page.mouse.down()
    first.is_called("Clicked")
    second.is_called("Behind it")
    expect(behind).to_contain_text("Behind it")
    expect(row).to_contain_text("Renamed")  # a click on it is under way
    page.mouse.up()
    expect(page).to_have_url(f"{instance.url}/sessions/{first.id}")
