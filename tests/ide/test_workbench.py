"""The extension in a real VS Code."""

from pathlib import Path

from playwright.sync_api import Page

from tests.ide.conftest import SHOTS, Workbench


def test_opens(workbench: Workbench, editor_page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    workbench.open(editor_page, folder)
    SHOTS.mkdir(parents=True, exist_ok=True)
    editor_page.screenshot(path=SHOTS / "workbench.png")
