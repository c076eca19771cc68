"""Settings as people walk them, in a real browser on a real server: members, a project, tokens, runners, the theme."""

import re

from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE_MS, shoot
from tests.instance import Instance


def test_somebody_is_let_in_and_settles(page: Page, browser: Browser, instance: Instance) -> None:
    """An administrator adds Dora and gives her a role and rules; she signs in, makes a token, and chooses the dark."""
    page.goto("/")
    page.get_by_role("link", name="Administration").click()
    expect(page.get_by_role("listitem").filter(has_text="Runners")).to_contain_text("1 of the instance alive")
    shoot(page, "admin")
    page.get_by_role("navigation", name="Administration").get_by_role("link", name="People").click()
    page.get_by_role("textbox", name="Username").fill("root or so")
    page.get_by_role("textbox", name="Name (optional)").fill("Dora Decker")
    page.get_by_role("button", name="Add and make a sign-in link").click()
    username = page.get_by_role("textbox", name="Username")
    expect(username).to_have_accessible_description(re.compile("A username has letters.*It stays", re.DOTALL))
    expect(page.get_by_role("textbox", name="Name (optional)")).to_have_value("Dora Decker")
    username.fill("dora")
    page.get_by_role("button", name="Add and make a sign-in link").click()
    link = page.get_by_role("status").filter(has_text="signs dora in").locator("pre").inner_text()
    shoot(page, "admin-people")

    page.goto("/projects/1")
    page.get_by_role("navigation", name="Project").get_by_role("link", name="Members").click()
    page.get_by_role("textbox", name="Username").fill("dora")
    page.get_by_role("combobox", name="Role", exact=True).select_option("Maintainer")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("combobox", name="Role of dora")).to_have_value("maintainer")
    shoot(page, "members")
    page.get_by_role("navigation", name="Project").get_by_role("link", name="Settings").click()
    asks = page.get_by_role("region", name="Approvals")
    asks.get_by_role("checkbox", name="run commands").check()
    asks.get_by_role("button", name="Save").click()
    expect(asks.get_by_role("status")).to_have_text("✓ Saved.")
    limits = page.get_by_role("region", name="Runners and limits")
    memory = limits.get_by_role("textbox", name="Memory of all its commands together")
    memory.fill("much")
    limits.get_by_role("button", name="Save").click()
    expect(memory).to_have_accessible_description(re.compile("is no number"))
    expect(memory).to_have_value("much")
    shoot(page, "settings")
    assert instance.get("/projects/sample")["always_ask"] == ["run_commands"]

    other = browser.new_context(base_url=instance.url, viewport={"width": 1280, "height": 900})
    dora = other.new_page()
    dora.set_default_timeout(PATIENCE_MS)
    dora.goto(link)
    dora.get_by_role("button", name="Sign in as dora").click()
    expect(dora.get_by_role("heading", name="Needs you")).to_be_visible()
    expect(dora.get_by_role("link", name="Administration")).to_have_count(0)
    dora.goto("/projects/1/settings")
    expect(dora.get_by_role("region", name="General")).to_contain_text(
        "by the role Owner and above; yours is Maintainer"
    )
    expect(dora.get_by_role("region", name="Network").get_by_role("button", name="Save")).to_be_visible()
    dora.get_by_role("navigation", name="Project").get_by_role("link", name="Runners").click()
    dora.get_by_role("textbox", name="Description").fill("under the desk")
    dora.get_by_role("button", name="Make a registration token").click()
    expect(dora.get_by_role("main")).to_contain_text(f"qd runner register --url {instance.url}")
    shoot(dora, "runners")
    dora.get_by_role("link", name="local").click()
    expect(dora.get_by_role("main")).to_contain_text("Administrators manage runners of the whole instance.")
    dora.get_by_role("link", name="Settings").first.click()
    dora.get_by_role("radio", name="Dark").check()
    dora.get_by_role("region", name="Appearance").get_by_role("button", name="Save").click()
    expect(dora.get_by_role("radio", name="Dark")).to_be_checked()
    expect(dora.locator("body")).to_have_css("background-color", "rgb(21, 23, 26)")
    tokens = dora.get_by_role("region", name="Tokens")
    tokens.get_by_role("textbox", name="What it is for").fill("the laptop")
    tokens.get_by_role("button", name="Make a token").click()
    expect(tokens.get_by_role("status").locator("pre")).to_have_text(re.compile("^qdp_"))
    shoot(dora, "personal")
    tokens.get_by_text("Revoke…").click()
    tokens.get_by_role("button", name="Revoke the laptop").click()
    expect(tokens).to_contain_text("You have none.")

    page.goto("/admin/people")
    row = page.get_by_role("listitem").filter(has_text="Dora Decker")
    row.get_by_text("Shut out…").click()
    row.get_by_role("button", name="Shut dora out").click()
    expect(row).to_contain_text("no way in without a link")
    dora.goto("/")
    expect(dora.get_by_role("heading", name="Sign in")).to_be_visible()
    other.close()
