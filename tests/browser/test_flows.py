"""Flows in a browser: found, looked at, written with findings beside the lines, stored, started, deleted."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import follow, shoot
from tests.instance import Instance


def test_a_flow_is_written_and_started(page: Page, instance: Instance) -> None:
    """From the catalogue to a copy with a fault, to its versions, its graph, and a session of it."""
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("fix_pipe")
    page.keyboard.press("Enter")
    page.get_by_role("main").get_by_role("link", name="sample fix_pipeline").click()
    expect(page.get_by_role("img", name="Flow of 5 components")).to_be_visible()
    page.get_by_role("navigation", name="Project").get_by_role("link", name="Flows").click()
    shoot(page, "flows")
    follow(page.get_by_role("link", name="New flow").first)
    text = page.get_by_role("textbox", name="YAML")
    found = page.get_by_role("region", name="What is found in it")
    expect(found).to_contain_text("No faults")
    text.evaluate("area => area.setSelectionRange(area.value.indexOf('grep') + 4, area.value.indexOf('grep') + 4)")
    text.press_sequentially("p")
    expect(found).to_contain_text("there is no tool 'grepp'")
    line = text.input_value().split("\n").index("      - grepp") + 1
    expect(page.locator(".gutter .fault")).to_have_text(str(line))
    shoot(page, "flow-editor")
    found.get_by_role("link", name=f"Line {line}").click()
    expect(text).to_be_focused()
    page.keyboard.type("grep")  # the finding's place was chosen with the focus
    expect(found).to_contain_text("No faults")
    page.get_by_role("button", name="Store flow").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("my_flow 1.0.0")
    follow(page.get_by_role("link", name="Edit", exact=True))
    text.fill(text.input_value().replace("a question", "any question"))
    page.get_by_role("button", name="Store a new version").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What my_flow 2.0.0 changed")
    expect(page.locator(".diff .plus").first).to_contain_text("any question")
    page.get_by_role("link", name="To version 2.0.0").click()
    shoot(page, "flow")
    page.get_by_role("link", name="Run", exact=True).click()
    page.get_by_role("textbox", name="Goal").fill("Where is the shelf?")
    page.get_by_role("combobox", name="Model").fill("scripted")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("ships no script")
    expect(page.get_by_role("textbox", name="Goal")).to_have_value("Where is the shelf?")
    shoot(page, "flow-run")
    follow(page.get_by_role("link", name="What it does"))
    page.get_by_role("button", name="Delete flow").click()
    dialog = page.get_by_role("dialog", name="Delete the flow my_flow?")
    expect(dialog).to_contain_text("All its 2 versions go.")
    dialog.get_by_role("button", name="Delete flow").click()
    expect(page.get_by_role("heading", name="Stored in this project")).to_be_visible()

    page.get_by_role("link", name="Run fix_pipeline").click()
    choice = page.get_by_role("combobox", name="Pipeline")
    choice.select_option(index=1)
    page.get_by_role("combobox", name="Model").fill("scripted")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("#session-header")).to_contain_text("Repair pipeline #1")
    page.get_by_role("navigation", name="Project").get_by_role("link", name="Flows").click()
    page.get_by_role("link", name="fix_pipeline", exact=True).click()
    expect(page.get_by_role("region", name="Newest sessions")).to_contain_text("Repair pipeline #1")
