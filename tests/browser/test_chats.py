"""Chats in a browser: beside any page, about what is on it, and found again."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import follow, shoot
from tests.instance import Instance

COUNTING = """
components:
  chat:
    - {say: One two three four five six seven eight nine ten, delay: 60}
    - {say: As you **like**.}
"""


def test_a_chat_beside_any_page(page: Page, instance: Instance) -> None:
    """Begun by keys and about the page, answered, approved, carried along, interrupted, found again and deleted."""
    instance.post("/projects/sample/issues", {"title": "The pump is slow"})
    page.goto("/projects/1/issues/1")
    rail = page.get_by_role("complementary", name="Your sessions and chats")
    page.keyboard.press("g")
    page.keyboard.press("c")
    message = rail.get_by_role("textbox", name="New chat about sample")
    expect(message).to_be_focused()
    expect(rail.get_by_role("checkbox", name="About: issue #1")).to_be_checked()
    rail.get_by_text("Agent, project, model").click()
    rail.get_by_role("textbox", name="Another model").fill("scripted")
    message.fill("What is in the repository?")
    message.press("Enter")
    asked = rail.get_by_text("What should I write into NOTES.md?").first
    expect(asked).to_be_visible()
    expect(rail.locator(".bubble.mine")).to_contain_text("About: issue #1")
    answer = rail.get_by_role("textbox", name="Your answer")
    answer.press("Escape")
    expect(answer).not_to_be_focused()
    answer.fill("That **we** met.")
    answer.press("Enter")
    approval = rail.get_by_role("region", name="It needs you")
    for what in ("contents: That **we** met.", "$ git status"):
        expect(approval).to_contain_text(what)
        approval.get_by_role("button", name="Approve", exact=True).press("Enter")
    expect(rail.get_by_text("Done. Ask me for more").first).to_be_visible()
    expect(rail.get_by_role("textbox", name="Your message")).to_be_focused()  # where the keyboard goes on
    step = rail.locator(".step").filter(has_text="git status")
    step.locator("summary").click()
    expect(step.locator("[data-result] pre")).to_contain_text("NOTES.md")
    shoot(page, "chat")

    follow(page.get_by_role("link", name="Pipelines"))  # it goes along, and so does its place
    expect(page.get_by_role("heading", name="Pipelines")).to_be_visible()
    expect(rail.get_by_text("Done. Ask me for more").first).to_be_visible()
    chat = (rail.locator("chat-talk").get_attribute("session") or "").strip()
    more = rail.get_by_role("textbox", name="Your message")
    more.fill("Thank\nyou")
    rail.get_by_role("button", name="Send").click()
    expect(rail.get_by_text("I have read your follow-up.").first).to_be_visible()
    expect(more).to_be_empty()

    old = instance.post("/chats", {"message": "Count <b>to</b> ten", "model": "scripted", "script": COUNTING})["id"]
    rail.get_by_text("Chat history").click()
    rail.get_by_role("link", name=f"#{old}").click()
    expect(rail.locator(".bubble.mine")).to_have_text(re.compile("Count <b>to</b> ten"))
    expect(rail.locator(".partial-answer")).to_contain_text("One two")  # as it is written
    rail.get_by_role("button", name="Interrupt").click()
    expect(rail.get_by_text("interrupted by")).to_be_visible()
    more.fill("Letters instead")
    more.press("Enter")
    expect(rail.locator(".bubble strong")).to_have_text("like")

    page.goto("/projects/1/sessions")
    expect(page.locator("main").get_by_text("What is in the repository?")).to_have_count(0)
    rail.get_by_role("button", name="New chat").click()
    expect(message).to_be_focused()
    rail.get_by_text("Chat history").click()
    rail.get_by_role("link", name="All chats").click()
    page.get_by_role("searchbox", name="Words of a title").fill("letters")
    page.keyboard.press("Enter")
    main = page.get_by_role("main")
    expect(main.get_by_role("link", name=f"#{old}")).to_be_visible()
    expect(main.get_by_role("link", name=f"#{chat}")).to_have_count(0)
    shoot(page, "chats")
    follow(page.get_by_role("link", name="Show all"))
    main.get_by_role("link", name=f"Delete… #{old}").click()
    main.get_by_role("button", name="Delete chat").click()
    expect(page).to_have_url(f"{instance.url}/chats")
    expect(main.get_by_role("link", name=f"#{old}")).to_have_count(0)
    main.get_by_role("link", name="What is in the repository?").click()
    expect(page.get_by_role("link", name="Conversation")).to_have_attribute("aria-current", "page")
    expect(main.get_by_text("I have read your follow-up.")).to_be_in_viewport()
