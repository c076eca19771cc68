"""The words of pages: every member of what the code names has one, and an extractor of texts finds it."""

import ast
import re
from collections.abc import Collection
from inspect import getsource
from pathlib import Path
from typing import Any, get_args

import pytest

from quarterdeck.app.deliveries import DeliveryStatus
from quarterdeck.app.session_records import DecisionView
from quarterdeck.app.webhook_deliveries import WebhookDeliveryStatus
from quarterdeck.core.access import Ability, Role
from quarterdeck.core.diff import FileChange
from quarterdeck.core.events import ArtifactCreated, Outcome, PlanItem
from quarterdeck.core.notice import NoticeKind
from quarterdeck.core.protocol import Isolation
from quarterdeck.core.record_events import LinkAdded
from quarterdeck.core.search_texts import Part
from quarterdeck.core.state import Waiting
from quarterdeck.core.status import Status, StatusGroup
from quarterdeck.core.trigger import ACTIONS, EventType
from quarterdeck.core.webhook import WebhookEvent
from quarterdeck.doors.export.entries import FOLDED
from quarterdeck.doors.web import words
from quarterdeck.tools.tool import Privilege


def members(model: Any, field: str) -> set[str]:
    """The values that a field of a model may have."""
    return {one for kind in (model.model_fields[field].annotation,) for one in _literals(kind)}


def _literals(kind: Any) -> list[str]:
    return [text for one in get_args(kind) for text in ([one] if isinstance(one, str) else _literals(one))]


@pytest.mark.parametrize(
    ("kind", "there"),
    [
        ("status", Status),
        ("group", StatusGroup),
        ("role", {role.name.lower() for role in Role}),
        ("ability", Ability),
        ("outcome", Outcome),
        ("privilege", Privilege),
        ("isolation", get_args(Isolation)),
        ("wait", members(Waiting, "on")),
        ("artifact", members(ArtifactCreated, "artifact")),
        ("relation", members(LinkAdded, "relation")),
        ("target", members(LinkAdded, "target")),
        ("decision", members(DecisionView, "decision") | {"open"}),
        ("change", members(FileChange, "change")),
        ("step", members(PlanItem, "status")),
        ("part", get_args(Part)),
        ("fold", set(FOLDED.values())),
        ("notice", NoticeKind),
        ("webhook_event", WebhookEvent),
        ("webhook_delivery", get_args(WebhookDeliveryStatus)),
        ("event", EventType),
        ("action", {one for actions in ACTIONS.values() for one in actions}),
        ("delivery", get_args(DeliveryStatus)),
    ],
)
def test_every_member_has_its_word(kind: str, there: Collection[str]) -> None:
    assert set(words.KINDS[kind]) == set(there) != set()


def test_every_word_is_marked_where_it_stands() -> None:
    calls = [one for one in ast.walk(ast.parse(getsource(words))) if isinstance(one, ast.Call)]
    marked = {
        one.args[0].value
        for one in calls
        if isinstance(one.func, ast.Name) and one.func.id == "_" and isinstance(one.args[0], ast.Constant)
    }
    assert marked == {text for kind in (*words.KINDS.values(), words.AGES) for text in kind.values()}


def test_templates_mark_no_text_that_comes_by_a_variable() -> None:
    folder = Path(words.__file__).parent / "templates"
    unmarked = {
        f"{file.relative_to(folder)}: {found[0]}"
        for file in folder.rglob("*.html")
        for found in re.finditer(r"\b_\((?![\"']).{0,40}", file.read_text(encoding="utf-8"))
    }
    assert unmarked == set()


def test_ages_and_what_nobody_knows_any_more() -> None:
    assert [words.age(seconds) for seconds in (-1, 0, 59, 60, 3_599, 3_600, 86_400 * 3)] == [
        "0 s", "0 s", "59 s", "1 min", "59 min", "1 h", "3 d",
    ]  # fmt: skip
    assert words.word("of_old", "outcome") == "of old"
