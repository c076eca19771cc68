"""A real server, a real browser: one of each for the tests of a module in a test process."""

import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from tests.instance import Instance

SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
"""Looked at by people; git ignores them."""
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    """`quarterdeck serve` as processes, with its sample project."""
    running = Instance()
    try:
        yield running.start()
    finally:
        running.remove()


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """The Chromium of this machine; none is ever downloaded.

    It goes with a module: as long as it is there, its loop runs in the thread of all tests.
    """
    program = shutil.which("chromium")
    assert program, "the browser tests need the program chromium; `python3 dev.py test` says how to install it"
    with sync_playwright() as playwright:
        # As root, and in most containers, Chromium has no sandbox of its own; it sees pages of this server alone.
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def signed_in(instance: Instance, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the cookies of a browser are that followed the sign-in link."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(instance.qd("sign-in-link").stdout.split()[-1])
    page.get_by_role("button", name="Sign in as").click()
    expect(page.get_by_role("heading", name="Needs you")).to_be_visible()
    kept = tmp_path_factory.mktemp("browser") / "cookies.json"
    context.storage_state(path=kept)
    context.close()
    return kept


@pytest.fixture
def context(browser: Browser, instance: Instance, signed_in: Path) -> Generator[BrowserContext]:
    """A signed-in window that fails its test when a page breaks the content policy or a script of ours."""
    opened = browser.new_context(
        base_url=instance.url, storage_state=signed_in, viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
    )
    said: list[str] = []
    opened.on("weberror", lambda error: said.append(str(error.error)))
    opened.on("console", lambda line: said.append(line.text) if "Content Security Policy" in line.text else None)
    yield opened
    opened.close()
    assert not said, said


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A page of that window."""
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    return opened


def follow(what: Locator) -> None:
    """Clicks what leads to another page, and waits until the scripts of that page are there too."""
    with what.page.expect_event("load"):
        what.click()


def enter(page: Page) -> None:
    """The same by the key Enter, in a field of a form."""
    with page.expect_event("load"):
        page.keyboard.press("Enter")


def look_away(page: Page) -> None:
    """As if the page were in a tab that is not looked at."""
    _hidden(page, hidden=True)


def look_again(page: Page) -> None:
    """Looks at the page again, which opens its stream at once."""
    _hidden(page, hidden=False)


def _hidden(page: Page, *, hidden: bool) -> None:
    page.evaluate(
        "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')) }",
        hidden,
    )


def shoot(page: Page, name: str) -> None:
    """Screenshots of a page for people to look at: wide and narrow, light and dark. Nothing may stick out sideways."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    before = page.viewport_size
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} px wide where there are {width}"
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=SHOTS / f"{name}-{width}-{scheme}.png")
    page.emulate_media(color_scheme=None)
    if before:
        page.set_viewport_size(before)
