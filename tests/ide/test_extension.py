"""The extension in a real VS Code, as a person uses it, on a real server."""

from pathlib import Path

from playwright.sync_api import FrameLocator, Page, expect

from tests.ide.conftest import SHOTS, Workbench
from tests.instance import Instance

SCRIPT = """
components:
  chat:
    - say: I make a file.
      call: {tool: create_file_with_contents, args: {file_path: made.txt, contents: made}}
    - say: It is made.
    - say: Heard.
"""


def command(page: Page, words: str) -> None:
    """Runs a command by its palette."""
    page.keyboard.press("F1")
    box = page.locator(".quick-input-box input")
    box.fill(f">{words}")
    page.locator(".quick-input-list .monaco-list-row", has_text=words).first.click()


def view(page: Page) -> FrameLocator:
    """The extension's own page within the workbench."""
    return page.frame_locator("iframe.webview.ready").frame_locator("iframe#active-frame")


def confirm(page: Page, words: str) -> None:
    """Presses a button of the dialog that stands before all else."""
    page.locator(".monaco-dialog-box .monaco-button", has_text=words).click()


def test_sessions_in_the_editor(workbench: Workbench, editor_page: Page, instance: Instance, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    page = editor_page
    workbench.set("quarterdeck.serverUrl", instance.url)
    workbench.open(page, folder)
    page.locator('.activitybar a[aria-label="Quarterdeck"]').click()
    mine = view(page)
    expect(mine.get_by_role("heading", name="Your sessions, where you write code")).to_be_visible()
    mine.get_by_role("button", name="Use a token").click()
    page.locator(".quick-input-box input").fill(instance.token)
    page.keyboard.press("Enter")
    expect(mine.get_by_role("tab", name="Flows")).to_be_visible()
    expect(mine.get_by_text("No session yet")).to_be_visible()

    chat = instance.post(
        "/chats", {"message": "Make a file", "project": "sample", "model": "scripted", "script": SCRIPT}
    )
    mine.get_by_role("tab", name="Chat").click()
    expect(mine.get_by_role("tab", name="Chat (1)")).to_be_visible()
    expect(page.locator(".statusbar", has_text="1 session needs you")).to_be_visible()
    shot(page, "list")
    mine.get_by_role("button", name="Make a file").click()
    expect(mine.get_by_text("May it use create_file_with_contents?")).to_be_visible()
    shot(page, "approval")
    mine.get_by_role("button", name="Allow once").click()
    expect(mine.get_by_text("It is made.")).to_be_visible()

    # The window is loaded anew, and shows the same session.
    page.reload()
    mine = view(page)
    expect(mine.get_by_text("It is made.")).to_be_visible()
    mine.get_by_label("Message").fill("More?")
    mine.get_by_label("Message").press("Enter")
    expect(mine.get_by_text("Heard.")).to_be_visible()

    mine.get_by_role("button", name="Cancel session").click()
    confirm(page, "Cancel session")
    expect(mine.locator("#status")).to_have_text("Stopped")
    assert instance.get(f"/sessions/{chat['id']}")["status"] == "stopped"
    mine.get_by_role("button", name="Delete session").click()
    confirm(page, "Delete session")
    expect(mine.get_by_text("No chat yet")).to_be_visible()
    assert instance.ask("GET", f"/sessions/{chat['id']}").status_code == 404


def shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"vscode-{name}.png")
