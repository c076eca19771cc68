"""The README's picture, made anew: `python3 dev.py picture`.

A real server runs the demo, whose scripted session repairs a pipeline that fails, and a browser looks at its page.
"""

import shutil
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.instance import Instance

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "session.png"
WIDTH, HEIGHT = 1240, 820


def main() -> None:
    """Starts a server, lets a session work, and keeps what its page looks like."""
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("The picture needs the program chromium; on Debian it is in the package of that name.")
    instance = Instance()
    try:
        instance.start()
        instance.qd("demo")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(
                base_url=instance.url,
                viewport={"width": WIDTH, "height": HEIGHT},
                color_scheme="light",
                reduced_motion="reduce",
            )
            sign_in(page, instance)
            look(page, instance)
            PICTURE.parent.mkdir(exist_ok=True)
            page.screenshot(path=PICTURE)
            browser.close()
    finally:
        instance.remove()


def sign_in(page: Page, instance: Instance) -> None:
    """As a person does, by a link of the machine's own."""
    page.goto(instance.qd("sign-in-link").stdout.split()[-1])
    page.get_by_role("button", name="Sign in as").click()
    expect(page.get_by_role("heading", name="Needs you")).to_be_visible()


def look(page: Page, instance: Instance) -> None:
    """The newest session's log where it has repaired what was wrong."""
    session = instance.get("/sessions", limit=1)["items"][0]["id"]
    events = instance.events(session)
    change = next(event for event in events if event["payload"]["kind"] == "snapshot.taken")
    page.goto(f"/sessions/{session}?level=concise&at={change['seq']}")
    entry = page.locator(f"#e{change['seq']}")
    entry.evaluate("(entry, top) => scrollBy(0, entry.getBoundingClientRect().top - top)", HEIGHT - 150)
    expect(entry).to_be_in_viewport()


if __name__ == "__main__":
    main()
