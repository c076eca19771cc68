"""A session's page in a browser: decisions by keyboard, lines, a session within the log, search, a screen reader."""

import re

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import enter, shoot
from tests.instance import Instance
from tests.scenarios.work import call, flow, script

FREE = {"pre_approved": ["start_flows", "read_write_files"]}


def test_a_log_is_steered_read_and_searched(page: Page, context: BrowserContext, instance: Instance) -> None:
    two = [
        call("run_command", command="seq 1 300 | sed 's/^/row /'"),
        call("run_command", command="echo $HOME; exit 3"),
    ]
    steps = (
        {"say": "Both?", "call": two},
        {"say": "I start one.", "call": call("start_flow", flow="fix_pipeline/v1", goal="Repair it", pipeline_id=1)},
        {"say": "Here is the **needle**."},
    )
    tools = flow().replace("create_commit", "create_commit, start_flow")
    body = {"project": "sample", "goal": "Look at the rows.", "model": "scripted", "title": "Rows", **FREE}
    session = instance.post("/sessions", {**body, "flow_yaml": tools, "script": script(*steps)})["id"]
    instance.wait_for(session, "tool_call_approval_required")
    page.goto(f"/sessions/{session}?level=concise")
    first = page.get_by_role("region", name="It needs you, 1 of 2")
    second = page.get_by_role("region", name="It needs you, 2 of 2")
    expect(second).to_contain_text("No pattern can allow it")
    first.get_by_text("Change it before it runs").click()
    first.get_by_role("textbox", name="command").fill("seq 1 290 | sed 's/^/row /'")
    shoot(page, "session-decisions")
    first.get_by_role("button", name="Approve as changed").press("Enter")
    expect(second).to_have_count(0)
    asked = page.get_by_role("region", name="It needs you")
    expect(asked).to_be_focused()  # and no button that would decide the other one
    asked.get_by_role("textbox", name="Reason").fill("no homes")
    asked.get_by_role("button", name="Deny").press("Enter")
    log = page.get_by_role("list", name="Log", exact=True)
    state = page.locator("#session-header .state")
    expect(state).to_contain_text("Finished")
    expect(log).to_contain_text("It runs with other arguments:")
    expect(
        page.locator("[aria-live], [role='status'], [role='log']").and_(page.locator("main *:visible"))
    ).to_have_count(1)

    # Any line: one that stands on the page, and one that does not.
    card = log.locator(".entry", has_text="row 290").first
    line = card.locator(".l", has_text=re.compile(r"^row 285\n$"))
    line.click(position={"x": 4, "y": 8})
    end = card.locator(".end").get_attribute("id")
    expect(page).to_have_url(re.compile(rf"#{end}\.L285$"))
    page.goto(f"/sessions/{session}?level=result#{card.get_attribute('id')}.L287")
    expect(page).to_have_url(re.compile(rf"\?at=\d+#{end}\.L287$"))
    marked = page.locator(".l:target")
    expect(marked).to_have_text("row 287\n")
    expect(marked).to_be_in_viewport()
    page.goto(f"/sessions/{session}#{end}.L7")
    expect(page).to_have_url(re.compile(rf"/entries/\d+\?line=7#{end}\.L7$"))
    expect(marked).to_have_text("row 7\n")
    expect(marked).to_be_in_viewport()
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("pre.printed").hover()
    page.get_by_role("button", name="Copy").click()
    copied = "navigator.clipboard.readText()"
    instance.wait(lambda: page.evaluate(copied).startswith("row 1\nrow 2\n"), 30, "it is copied, without the numbers")
    shoot(page, "session-entry")

    # A session within it, and how it is shown.
    page.goto(f"/sessions/{session}?level=concise")
    expect(log.get_by_text("Here is the needle.")).to_be_in_viewport()  # it opens at its end, over as it is
    child = log.locator("child-session")
    child.locator("summary").first.click()
    expect(child.get_by_role("list", name=f"Log of session #{session + 1}")).to_contain_text("Repair it")
    page.locator(".log-tools").get_by_text("View").click()
    with page.expect_response("**/look"):
        page.get_by_role("radio", name="by the clock, UTC").check()
    page.reload()
    expect(log.locator(".utc").first).to_be_visible()

    # Search, from place to place.
    page.get_by_role("searchbox", name="Search in the log").fill("needle")
    enter(page)
    expect(log.locator("mark")).to_have_text("needle")
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("n")
    places = page.get_by_role("navigation", name="Places found")
    expect(places).to_contain_text("1 of 1")
    expect(log.locator(".entry:target mark")).to_be_in_viewport()
    shoot(page, "session-search")
    places.get_by_role("link", name="End the search").click()
    expect(places).to_have_count(0)

    expect(page.locator("main")).to_match_aria_snapshot(f"""
      - text: /Finished .* · \\$0\\.0000/
      - 'heading "Rows #{session}" [level=1]'
      - navigation "Session":
        - link "Activity"
        - link "Details"
        - link "Changes"
      - navigation "Level of detail":
        - link "Result"
        - link "Concise"
        - link "Full"
      - search:
        - searchbox "Search in the log"
      - list "Log":
        - listitem:
          - link:
            - time
          - paragraph: Look at the rows.
    """)
    page.goto("/")
    expect(page.locator("main")).to_match_aria_snapshot("""
      - heading "Home" [level=1]
      - region "Needs you":
        - heading "Needs you" [level=2]
      - region "Running or paused":
        - heading "Running or paused" [level=2]
      - region "Ended since you last looked":
        - heading "Ended since you last looked" [level=2]
        - list:
          - listitem:
            - link /Rows/
      - region "Projects":
        - heading "Projects" [level=2]
    """)
    page.goto(f"/projects/{instance.session(session)['project_id']}/sessions")
    expect(page.locator("main")).to_match_aria_snapshot(f"""
      - heading "Sessions" [level=1]
      - navigation "By state":
        - link "All"
        - link /Needs you/
      - searchbox "Words or number"
      - button "Filter"
      - list:
        - listitem:
          - 'checkbox "Choose session #{session}"'
          - 'link "Rows #{session}"'
    """)
