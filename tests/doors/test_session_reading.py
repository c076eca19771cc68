"""What the API tells of a session: events, output by range, changes, usage, artifacts, decisions, children."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert

from quarterdeck.app.application import App
from quarterdeck.app.change import change
from quarterdeck.core import events as e
from quarterdeck.core.usage import Usage
from quarterdeck.store import blobs
from quarterdeck.store import output as outputs
from quarterdeck.store.tables import offers
from tests.doors.conftest import Api
from tests.doors.test_problem import problem
from tests.doors.test_sessions import begin

STEPS = (
    "diff --git a/a b/a\nnew file mode 100644\n--- /dev/null\n+++ b/a\n@@ -0,0 +1,2 @@\n+1\n+2\n",
    "diff --git a/b b/b\n--- a/b\n+++ b/b\n@@ -1 +1 @@\n-old \udcff\n+new\n",
)


async def _bytes(text: str) -> AsyncIterator[bytes]:
    yield text.encode("utf-8", "surrogateescape")


@pytest.fixture
async def session(app: App, api: Api) -> str:
    """The path of a session that has done a lot."""
    number = (await begin(api))["id"]
    subject = f"session:{number}"
    async with change(app, number) as it:
        for step, text in enumerate(STEPS, 1):
            blob = await blobs.write(it.connection, subject, _bytes(text))
            whole = await blobs.write(it.connection, subject, _bytes("".join(STEPS[:step])))
            files = (e.FileChange(path="ab"[step - 1], change="added", added=step),)
            it.append(
                e.SnapshotTaken(
                    call_id=f"c_{step}", step=step, commit="f" * 40, files=files,
                    bundle_blob=blob, step_diff_blob=blob, whole_diff_blob=whole,
                ),
                e.ArtifactCreated(artifact="commit", name=f"{step}" * 40),
            )  # fmt: skip
        for model, cost in (("p:a", Decimal("0.5")), ("p:a", Decimal("0.25")), ("p:b", None)):
            used = Usage(requests=1, input_tokens=10, output_tokens=2, cache_read_tokens=5, cost=cost)
            it.append(e.UsageRecorded(component="work", model=model, usage=used))
        it.append(e.ApprovalRequested(approval_id="a_1", ask="input", question="Which?"))
        it.append(e.QuestionAnswered(approval_id="a_1", text="this", by="ada", door="api"))
        await it.connection.execute(
            insert(offers).values(
                call_id="c_out",
                subject=subject,
                session_id=number,
                side="executor",
                tool="t",
                args={},
                status="running",
            )
        )
    async with app.database.transaction() as connection:
        for offset, data in ((0, b"0123456789"), (10, b"abcdef")):
            await outputs.write(connection, subject, "c_out", offset, data)
    return f"/sessions/{number}"


async def test_events_by_level_kind_words_and_number(api: Api, session: str) -> None:
    whole: list[Any] = (await api.get(f"{session}/events")).json()["items"]
    assert [one["seq"] for one in whole] == list(range(1, len(whole) + 1))
    last = (await api.get(f"{session}/events", order="desc", limit=2)).json()
    assert [one["seq"] for one in last["items"]] == [len(whole), len(whole) - 1]
    before = (await api.get(f"{session}/events", order="desc", limit=2, before=last["next"])).json()
    assert before["items"][0]["seq"] == len(whole) - 2
    some = (await api.get(f"{session}/events", kind=["usage.recorded", "artifact.created"], level="result")).json()
    assert [one["payload"]["name"][0] for one in some["items"]] == ["1", "2"]
    assert some["next"] is None
    worded = (await api.get(f"{session}/events", text="WHICH")).json()["items"]
    assert [one["payload"]["kind"] for one in worded] == ["approval.requested"]
    one = whole[3]
    assert (await api.get(f"{session}/events/{one['seq']}")).json() == one
    assert "no event 999" in problem(await api.get(f"{session}/events/999"))["detail"]


@pytest.mark.parametrize(
    ("header", "status", "data", "told"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/16"),
        ("bytes=8-", 206, b"89abcdef", "bytes 8-15/16"),
        ("bytes=-3", 206, b"def", "bytes 13-15/16"),
        ("bytes=-99", 206, b"0123456789abcdef", "bytes 0-15/16"),
        ("bytes=15-99", 206, b"f", "bytes 15-15/16"),
        ("bytes=16-", 416, None, "bytes */16"),
        ("bytes=-0", 416, None, "bytes */16"),
        ("bytes=4-2", 200, b"0123456789abcdef", None),
        ("bytes=1-2,4-5", 200, b"0123456789abcdef", None),
        ("lines=1-2", 200, b"0123456789abcdef", None),
    ],
)
async def test_output_by_range(
    api: Api, session: str, header: str, status: int, data: bytes | None, told: str | None
) -> None:
    path = f"/api/v1{session}/calls/c_out/output"
    answer = await api.client.get(path, headers={**api.headers, "Range": header})
    assert answer.status_code == status
    assert answer.headers.get("Content-Range") == told
    if data is None:
        assert "16 bytes" in problem(answer)["detail"]
    else:
        assert (answer.content, answer.headers["Accept-Ranges"]) == (data, "bytes")
    assert problem(await api.get(f"{session}/calls/c_other/output"))["status"] == 404


async def test_changes_in_all_and_diffs_by_step_and_file(api: Api, session: str) -> None:
    first, second = (text.encode("utf-8", "surrogateescape") for text in STEPS)
    assert (await api.get(f"{session}/diff")).content == first + second
    assert (await api.get(f"{session}/diff", step=2)).content == second
    assert (await api.get(f"{session}/diff", file="a")).content == first
    assert (await api.get(f"{session}/diff", step=2, file="b")).content == second
    for params, words in (({"step": 3}, "no step 3; its last up to there is 2"), ({"step": 2, "file": "a"}, "Step 2")):
        assert words in problem(await api.get(f"{session}/diff", **params))["detail"]
    changed: dict[str, Any] = {}
    for _ in range(2):  # read, then remembered
        changed = (await api.get(f"{session}/changes")).json()
        assert [(one["path"], one["change"]) for one in changed["files"]] == [("a", "added"), ("b", "modified")]
        assert (changed["added"], changed["removed"], changed["next"]) == (3, 1, None)
    assert [(one["step"], one["call_id"], one["files"][0]["path"]) for one in changed["steps"]] == [
        (1, "c_1", "a"), (2, "c_2", "b"),
    ]  # fmt: skip
    assert [one["step"] for one in (await api.get(f"{session}/changes", after=1)).json()["steps"]] == [2]
    other = f"/sessions/{(await begin(api))['id']}"
    assert (await api.get(f"{other}/changes")).json()["files"] == []
    assert "none up to there" in problem(await api.get(f"{other}/diff", step=1))["detail"]


async def test_usage_artifacts_decisions_and_children(api: Api, session: str) -> None:
    used = (await api.get(f"{session}/usage", limit=2)).json()
    assert (used["total"]["cost"], used["total"]["requests"], used["total"]["input_tokens"]) == (None, 3, 30)
    assert {name: Decimal(one["cost"]) if one["cost"] else None for name, one in used["models"].items()} == {
        "p:a": Decimal("0.75"), "p:b": None,
    }  # fmt: skip
    assert [Decimal(one["cost"]) for one in used["calls"]] == [Decimal("0.5"), Decimal("0.25")]
    rest = (await api.get(f"{session}/usage", after=used["next"])).json()
    assert [(one["model"], one["cache_read_tokens"], one["component"]) for one in rest["calls"]] == [("p:b", 5, "work")]
    assert rest["next"] is None
    made = (await api.get(f"{session}/artifacts", limit=1)).json()
    assert (made["items"][0]["artifact"], made["items"][0]["name"][0]) == ("commit", "1")
    assert len((await api.get(f"{session}/artifacts", after=made["next"])).json()["items"]) == 1
    (decided,) = (await api.get(f"{session}/decisions")).json()
    assert (decided["id"], decided["decision"], decided["decided_by"]) == ("a_1", "answered", "ada")
    assert (await api.get(f"{session}/children")).json() == []
    for part in ("usage", "artifacts", "decisions", "children", "changes", "events/1"):
        assert problem(await api.get(f"/sessions/999/{part}"))["status"] == 404


async def test_all_goes_with_the_session(app: App, api: Api, session: str) -> None:
    assert (await api.client.delete(f"/api/v1{session}", headers=api.headers)).status_code == 204
    async with app.database.transaction() as connection:
        for table in ("session_steps", "usage", "artifacts", "approvals", "blobs"):
            assert (await connection.exec_driver_sql(f"select count(*) from {table}")).scalar_one() == 0, table
