from collections.abc import Iterator
from typing import get_args

import pytest
from pydantic import ValidationError

from quarterdeck.core import events as e
from tests.unit.world import CREATED, event

RECORDS = {
    "session.renamed", "session.held", "session.released", "workspace.torn_down", "usage.recorded", "check.recorded",
    "link.added", "merge_request.ended", "budget.neared", "retention.changed", "session.imported",
    "network.refused", "teardown.missed", "children.used",
}  # fmt: skip
RESULTS = {
    "session.created", "status.changed", "message.added", "model.answered", "approval.requested", "approval.granted",
    "approval.denied", "snapshot.taken", "artifact.created", "workspace.torn_down", "check.recorded",
    "merge_request.ended", "question.answered", "model.interrupted", "history.copied",
    "budget.changed", "budget.neared", "session.imported", "teardown.missed",
}  # fmt: skip


def kinds() -> Iterator[tuple[str, type[e.Payload]]]:
    for payload in get_args(get_args(e.AnyPayload)[0]):
        yield get_args(payload.model_fields["kind"].annotation)[0], payload


def test_kinds_are_unlike_and_named_noun_past_verb() -> None:
    names = [name for name, _ in kinds()]
    assert len(names) == len(set(names))
    for name, payload in kinds():
        assert payload.model_fields["kind"].default == name
        noun, _, verb = name.partition(".")
        assert noun
        assert verb.split("_")[0].endswith(("ed", "eft", "eld", "orn", "aken"))
        assert payload.__doc__


def test_what_the_end_refuses_and_what_every_view_shows() -> None:
    assert {name for name, p in kinds() if p.event_class is e.EventClass.RECORD} == RECORDS
    assert {name for name, p in kinds() if p.default_level is e.Level.RESULT} == RESULTS


def test_an_event_knows_its_kind_and_class_and_takes_nothing_unknown() -> None:
    first = event(1, CREATED)
    assert (first.kind, first.event_class) == ("session.created", e.EventClass.WORK)
    for more in ({"extra": 1}, {"payload": {**CREATED.model_dump(), "extra": 1}}, {"payload": {"kind": "no.such"}}):
        with pytest.raises(ValidationError):
            e.Event.model_validate({**first.model_dump(), **more})


def test_a_view_shows_what_is_as_dense_or_less() -> None:
    views = list(e.Level)
    assert [[level.within(view) for view in views] for level in views] == [
        [True, True, True],
        [False, True, True],
        [False, False, True],
    ]
