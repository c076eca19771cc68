"""The stylesheet's colours: each text can be read on each ground that it stands on, in both themes (WCAG 2.2, AA)."""

import re
from importlib.resources import files
from itertools import product

import pytest

STYLE = (files("quarterdeck.doors.web") / "static" / "style.css").read_text(encoding="utf-8")
PAIR = re.compile(r"light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)")
TOKENS = {
    name: pair.groups() for name, value in re.findall(r"(--[\w-]+): ([^;]+);", STYLE) if (pair := PAIR.fullmatch(value))
}
GROUNDS = ("--page", "--soft", "--card")
TEXTS = ("--text", "--dim", "--accent", "--good", "--bad", "--warn", "--purple", "--cyan")
ELSEWHERE = (
    ("--on-accent", "--accent"), ("--text", "--needs"), ("--warn", "--needs"), ("--dim", "--needs"),
    ("--accent", "--needs"), ("--good", "--needs"), ("--bad", "--needs"), ("--text", "--found"),
    ("--good", "--plus-bed"), ("--bad", "--minus-bed"),
)  # fmt: skip


def luminance(colour: str) -> float:
    """The relative luminance of WCAG."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_formula_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), [*product(TEXTS, GROUNDS), *ELSEWHERE])
def test_text_can_be_read(text: str, ground: str, theme: int) -> None:
    assert contrast(TOKENS[text][theme], TOKENS[ground][theme]) >= 4.5


def test_what_is_no_text_can_be_seen() -> None:
    """The edges of fields and buttons, which say where they are, and the ring of the focus."""
    edges = [PAIR.fullmatch(value) for value in re.findall(r"border-color: (light-dark\(#.*?\));", STYLE)]
    assert len(edges) >= 2
    for edge, ground, theme in product([*(one.groups() for one in edges if one), TOKENS["--accent"]], GROUNDS, (0, 1)):
        assert contrast(edge[theme], TOKENS[ground][theme]) >= 3


def test_colours_come_from_the_tokens() -> None:
    """So that none escapes the tests above."""
    rules = STYLE[STYLE.index("}") :]
    said = re.findall(r"[\s;{](?:color|background(?:-color)?): ([^;}]+)", rules)
    known = {f"var({name})" for name in TOKENS} | {"none", "transparent", "inherit", "currentcolor"}
    assert {one.strip() for one in said} - known == {"rgb(0 0 0 / .45)"}, "the veil behind a dialog alone"


def test_nothing_moves_for_who_wants_no_motion() -> None:
    (rule,) = re.findall(r"@media \(prefers-reduced-motion: reduce\) \{(.*)\}", STYLE)
    for what in ("animation: none !important", "transition: none !important", "scroll-behavior: auto !important"):
        assert what in rule
    assert rule.strip().startswith("*, ::before, ::after {")
