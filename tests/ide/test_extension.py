"""The extension in a real VS Code, as a person uses it, on a real server."""

import subprocess
from pathlib import Path
from typing import Any

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


GOAL = "Add an option `--since 1900` to the shelf: only books of that year or later."


def signed_in(workbench: Workbench, page: Page, instance: Instance, folder: Path) -> FrameLocator:
    """The view, once its person has signed in by a token."""
    workbench.set("quarterdeck.serverUrl", instance.url)
    workbench.open(page, folder)
    page.locator('.activitybar a[aria-label="Quarterdeck"]').click()
    mine = view(page)
    mine.get_by_role("button", name="Use a token").click()
    page.locator(".quick-input-box input").fill(instance.token)
    page.keyboard.press("Enter")
    expect(mine.get_by_role("tab", name="Flows")).to_be_visible()
    return mine


def test_a_flow_works_in_the_open_folder(
    workbench: Workbench, editor_page: Page, instance: Instance, tmp_path: Path
) -> None:
    folder, page = tmp_path / "work", editor_page
    url = instance.url.replace("http://", f"http://git:{instance.token}@")
    subprocess.run(["git", "clone", "-q", f"{url}/git/sample.git", folder], check=True, timeout=60)
    (folder / "README.md").write_text("# Mine, not committed\n" + (folder / "README.md").read_text("utf-8"), "utf-8")
    mine = signed_in(workbench, page, instance, folder)
    expect(mine.get_by_text("It works in this folder")).to_be_visible()
    expect(mine.locator("#flow-select")).to_have_value("software_development/v1")
    mine.locator("#start-flows").fill(GOAL)
    mine.get_by_role("button", name="Start", exact=True).click()
    expect(mine.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    shot(page, "plan")
    mine.get_by_role("button", name="Approve", exact=True).click()
    asks = mine.get_by_role("button", name="Allow once")
    ended = mine.locator("#status", has_text="Idle")
    for _ in range(20):
        expect(asks.or_(ended).first).to_be_visible()
        if ended.is_visible():
            break
        shot(page, "call")
        before = mine.locator(".ask pre").first.inner_text()
        asks.first.click()
        expect(mine.locator(".ask pre", has_text=before)).to_have_count(0)
    expect(ended).to_be_visible()
    shot(page, "changes")
    (row,) = instance.get("/sessions", kind="flow", mine=True)["items"]
    session = instance.get(f"/sessions/{row['id']}")
    assert session["origin"] == "ide"
    assert session["editor"]["folder"] == str(folder)
    assert session["merge_request"]
    changed = {file["path"] for file in instance.get(f"/sessions/{row['id']}/changes")["files"]}
    assert "README.md" not in changed
    assert "since" in (folder / "shelf" / "__main__.py").read_text("utf-8")
    assert subprocess.run(["git", "diff", "--cached", "--quiet"], cwd=folder, check=False).returncode == 0

    # Each file is looked at beside what it was, and kept or undone.
    path = "shelf/__main__.py"
    mine.get_by_role("button", name=path, exact=True).click()
    expect(page.locator(".monaco-diff-editor")).to_be_visible()
    shot(page, "diff")
    edited = (folder / "shelf" / "books.py").read_text("utf-8")
    mine.get_by_role("button", name="Keep shelf/books.py").click()
    expect(mine.get_by_role("button", name="Keep shelf/books.py")).to_have_count(0)
    mine.get_by_role("button", name="Undo all").click()
    expect(mine.get_by_role("button", name="Undo all")).to_have_count(0)
    assert "since" not in (folder / path).read_text("utf-8")
    assert (folder / "shelf" / "books.py").read_text("utf-8") == edited


HANDS = """
components:
  chat:
    - call: {tool: read_file, args: {file_path: app.txt}}
    - call: {tool: edit_file, args: {file_path: app.txt, old_str: unsaved, new_str: edited}}
    - say: It is changed.
    - call: {tool: read_file, args: {file_path: app.txt}}
    - call: {tool: create_file_with_contents, args: {file_path: made.txt, contents: made}}
    - say: I have read it where I am now.
"""


def test_the_model_reads_what_stands_in_the_editor_and_a_runner_goes_on_from_there(
    workbench: Workbench, editor_page: Page, instance: Instance, tmp_path: Path
) -> None:
    folder, page = tmp_path / "work", editor_page
    folder.mkdir()
    (folder / "app.txt").write_text("saved\n", "utf-8")  # and nothing of the project's own repository
    mine = signed_in(workbench, page, instance, folder)
    page.keyboard.press("Control+p")
    page.locator(".quick-input-box input").fill("app.txt")
    page.locator(".quick-input-list .monaco-list-row", has_text="app.txt").first.click()
    page.locator(".monaco-editor .view-lines", has_text="saved").click()
    page.keyboard.press("Control+Home")
    page.keyboard.type("unsaved and ")
    instance.wait(lambda: any(one["alive"] for one in instance.get("/executors")), 60, "the window is attached")
    here = instance.get("/executors")[0]["id"]
    chat = instance.post(
        "/chats", {"message": "Go on", "project": "sample", "model": "scripted", "script": HANDS, "executor": here}
    )
    mine.get_by_role("tab", name="Chat").click()
    mine.get_by_role("button", name="Go on").click()
    mine.get_by_role("button", name="Allow once").click()
    expect(mine.get_by_text("It is changed.")).to_be_visible()
    (read,) = [one for one in results(instance, chat["id"]) if one["tool"] == "read_file"]
    assert read["text"] == "unsaved and saved\n"
    assert (folder / "app.txt").read_text("utf-8") == "edited and saved\n"
    lines = page.locator(".monaco-editor .view-lines", has_text="edited")
    lines.click()
    page.keyboard.press("Control+z")
    expect(page.locator(".monaco-editor .view-lines", has_text="unsaved")).to_be_visible()

    mine.get_by_role("button", name="Hand over to a runner").click()
    expect(mine.get_by_text("on a runner", exact=False).first).to_be_visible()
    mine.get_by_label("Message").fill("And there?")
    mine.get_by_label("Message").press("Enter")
    mine.get_by_role("button", name="Allow once").click()
    expect(mine.get_by_text("I have read it where I am now.")).to_be_visible()
    assert results(instance, chat["id"])[-2]["text"] == "edited and saved\n"
    # On the runner, too, what the folder held before is no change of the session's.
    diff = instance.ask("GET", f"/sessions/{chat['id']}/diff").text
    assert "+made" in diff
    assert "+edited and saved" in diff
    assert "README.md" not in diff


def results(instance: Instance, session_id: int) -> list[dict[str, Any]]:
    """The ends of a session's calls."""
    return [one["payload"] for one in instance.events(session_id) if one["payload"]["kind"] == "tool_call.finished"]


def shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"vscode-{name}.png")


ANSWER = "components: {chat: [{say: Heard.}]}"
TWO = """
components:
  chat:
    - call:
        - {tool: create_file_with_contents, args: {file_path: one.txt, contents: first}}
        - {tool: run_command, args: {command: echo second}}
    - say: Both are done.
"""


def test_older_sessions_are_found_and_all_calls_that_are_asked_for_are_shown(
    workbench: Workbench, editor_page: Page, instance: Instance, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    for number in range(101):
        instance.post("/chats", {"message": f"Question {number:03}", "model": "scripted", "script": ANSWER})
    mine = signed_in(workbench, editor_page, instance, folder)
    mine.get_by_role("tab", name="Chat").click()
    first = mine.get_by_role("button", name="Question 000")
    expect(mine.get_by_role("button", name="Question 100")).to_be_visible()
    expect(first).to_have_count(0)
    mine.get_by_role("button", name="Show older").click()
    expect(first).to_have_count(1)
    expect(mine.get_by_role("button", name="Show older")).to_have_count(0)
    mine.get_by_label("Search").fill("question 07")
    expect(mine.locator(".row")).to_have_count(11)

    mine.get_by_label("Search").fill("")
    asked = {"message": "Two at once", "project": "sample", "model": "scripted", "script": TWO}

    def here() -> list[int]:
        return [one["id"] for one in instance.get("/executors") if one["alive"] and one["folder"] == str(folder)]

    instance.wait(lambda: bool(here()), 60, "the window is attached")
    instance.post("/chats", {**asked, "executor": here()[0]})
    mine.get_by_label("Which sessions").select_option("In this folder")
    expect(mine.locator(".row")).to_have_count(1)
    mine.get_by_role("button", name="Two at once").click()
    expect(mine.locator(".ask pre", has_text="first")).to_be_visible()
    expect(mine.locator(".ask pre", has_text="second")).to_be_visible()
    shot(editor_page, "calls")
    mine.locator(".ask", has_text="second").get_by_role("button", name="Allow once").click()
    expect(mine.locator(".ask pre")).to_have_count(1)
    mine.get_by_role("button", name="Allow once").click()
    expect(mine.get_by_text("Both are done.")).to_be_visible()
    assert (folder / "one.txt").read_text("utf-8") == "first"
