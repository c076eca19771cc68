"""No page leads nowhere, and none speaks of one machine."""

import re
from pathlib import Path

from tests.docs.conftest import ROOT

_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(r"`((?:src|tests|docs)/[^`\s*<]+)`")
_MACHINE = re.compile(r"(?:/home/|/Users/|/root\b|/work/|/tmp/|file:///)\S*|\blocalhost:\d+")
"""Folders that exist on somebody's machine only."""


def test_every_relative_link_resolves(page: Path) -> None:
    for target in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        assert found.is_relative_to(ROOT), target
        assert found.exists(), target
        if anchor:
            assert anchor in _anchors(found), target


def _anchors(page: Path) -> set[str]:
    headings = _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_file_that_is_named_is_there(page: Path) -> None:
    for name in _PLACE.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name


def test_no_page_names_a_machine_path(page: Path) -> None:
    assert not _MACHINE.findall(page.read_text(encoding="utf-8"))


def test_every_page_is_reached_from_the_readme() -> None:
    seen, wave = set[Path](), {ROOT / "README.md"}
    while wave:
        seen |= wave
        targets = [(page, name) for page in wave for name in _LINK.findall(page.read_text(encoding="utf-8"))]
        found = {(page.parent / name.partition("#")[0]).resolve() for page, name in targets if "://" not in name}
        wave = {page for page in found if page.suffix == ".md" and page.exists()} - seen
    pages = {page for page in (ROOT / "docs").rglob("*.md") if page.parent.name != "decisions"}
    assert not pages - seen
