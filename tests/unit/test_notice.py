"""Notices: which statuses are told, to whom by rules, and what is said where nothing in a title may do anything."""

import json

import pytest

from quarterdeck.core.budget import Budget, is_spent
from quarterdeck.core.notice import OF_SESSIONS, Notice, NoticeKind, Rules, kind_of
from quarterdeck.core.status import AWAITING, Status
from quarterdeck.core.usage import Usage

URL = "https://deck.example/sessions/12#e34"


def test_every_status_is_told_as_what_it_is_or_not_at_all() -> None:
    told = {status: kind_of(status) for status in Status}
    assert {status for status, kind in told.items() if kind is NoticeKind.NEEDS_INPUT} == AWAITING
    assert {status for status, kind in told.items() if kind is None} == {
        Status.CREATED, Status.RUNNING, Status.STOPPED
    }  # fmt: skip
    assert told[Status.FAILED] is NoticeKind.FAILED
    assert told[Status.PAUSED] is NoticeKind.PAUSED
    assert told[Status.IDLE] is told[Status.FINISHED] is NoticeKind.FINISHED


def test_chats_are_quiet_and_children_say_what_a_person_has_to_do() -> None:
    every = Rules(flows=OF_SESSIONS, chats=())
    assert all(every.want(kind, private=False, child=False) for kind in OF_SESSIONS)
    assert not any(Rules().want(kind, private=True, child=False) for kind in OF_SESSIONS)
    children = {kind for kind in OF_SESSIONS if every.want(kind, private=False, child=True)}
    assert children == {NoticeKind.NEEDS_INPUT, NoticeKind.PAUSED, NoticeKind.OVER_BUDGET}
    assert not Rules().want(NoticeKind.FINISHED, private=False, child=False)


def test_a_spent_budget_is_known_by_its_reason() -> None:
    spent = Budget(tokens=1).spent(Usage(input_tokens=2))
    unknown = Budget.model_validate({"cost": "1"}).spent(Usage(cost=None))
    assert all(map(is_spent, (spent, unknown, f"Of session #1, for which it works: {spent}")))
    assert not is_spent("The model did not answer for 20 minutes.")


@pytest.mark.parametrize("kind", NoticeKind)
def test_a_message_says_what_why_and_where(kind: NoticeKind) -> None:
    notice = Notice(kind, "Repair\nit", "team/app", "  the model\nis gone ", URL, 12)
    assert notice.subject.endswith(": #12 Repair it")
    assert notice.text == f"{notice.subject}\nthe model is gone\nProject team/app\n{URL}\n"
    said = json.dumps(notice.slack)
    assert f"<{URL}|#12 Repair it>" in said
    assert "team/app" in said


def test_what_is_asked_is_said_in_place_of_a_reason() -> None:
    notice = Notice(NoticeKind.NEEDS_INPUT, "t", "", "", URL, 12, Status.TOOL_CALL_APPROVAL_REQUIRED)
    assert notice.text == f"Needs you: #12 t\nTool call approval required.\n{URL}\n"
    assert len(json.loads(json.dumps(notice.slack))["blocks"]) == 1
    bare = Notice(NoticeKind.FINISHED, "t", "", "", URL, status=Status.FINISHED)
    assert (bare.subject, bare.text) == ("Done: t", f"Done: t\n{URL}\n")


def test_a_title_mentions_nobody_and_hides_no_link() -> None:
    nasty = "<!channel> <https://evil.example|ok> @here [ok](https://evil.example) a & b"
    notice = Notice(NoticeKind.FAILED, nasty, nasty, nasty, URL, 12)
    said = json.dumps(notice.slack, ensure_ascii=False)
    assert said.count("<") == said.count(">") == 1, "the link of the session alone"
    assert said.count("|") == 1
    assert "@here" not in said
    assert "](" not in said
    assert "a &amp; b" in said
