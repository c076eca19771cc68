import os
import resource
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.core.events import Outcome
from quarterdeck.core.protocol import Offer, Result, WorkspaceSpec
from quarterdeck.executor.journal import Journal, JournalError

SPEC = WorkspaceSpec(
    clone_path="/repo.git", token="secret-token", ref="main", commit="0" * 40, branch="b", author="A",
    author_email="a@example.org", committer="C", committer_email="c@example.org",
)  # fmt: skip


def offer(number: int, subject: str = "session:1", epoch: int = 1) -> Offer:
    return Offer(
        call_id=f"c_{number}", subject=subject, lease_epoch=epoch, tool="run_command",
        args={"command": "echo secret-argument"}, workspace=SPEC,
    )  # fmt: skip


def result(text: str = "done") -> Result:
    return Result(turn_no=1, lease_epoch=1, outcome=Outcome.OK, text=text)


async def test_it_says_after_a_restart_what_it_was_told(tmp_path: Path) -> None:
    path = tmp_path / "home" / "journal.jsonl"
    journal = Journal(path)
    assert journal.record("c_1") is None
    for number in (1, 2, 3):
        await journal.begin(offer(number))
    await journal.begin(offer(4, "session:2", epoch=7))
    await journal.end("c_1", result("line\u2028one\r\ntwo"))
    await journal.tell("c_1")
    await journal.end("c_2", result())
    await journal.wipe("session:2")
    journal.close()
    assert b"secret" not in path.read_bytes()

    for _ in range(2):  # the second time from the file that was rewritten
        journal = Journal(path)
        first, second, third = (journal.record(f"c_{number}") for number in (1, 2, 3))
        assert first
        assert first.result == result("line\u2028one\r\ntwo")
        assert second
        assert second.result == result()
        assert third
        assert third.result is None
        assert journal.record("c_4") is None
        assert [record.offer.call_id for record in journal.untold()] == ["c_2", "c_3"]
        assert journal.subjects() == {"session:1": 1}
        journal.close()


async def test_nothing_of_wiped_subjects_stays_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    await journal.begin(offer(0))
    for number in range(1, 33):
        await journal.begin(offer(number, f"session:{number + 1}"))
        await journal.wipe(f"session:{number + 1}")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            await journal.forget()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    await journal.begin(offer(99, "session:99"))
    assert b"session:20" in path.read_bytes(), "as it was, and it can be written"
    await journal.wipe("session:99")
    await journal.forget()
    assert len(path.read_bytes().splitlines()) == 1
    size = path.stat().st_mtime_ns
    await journal.forget()
    assert path.stat().st_mtime_ns == size, "there is nothing to forget"
    await journal.end("c_0", result())
    journal.close()
    journal = Journal(path)
    record = journal.record("c_0")
    assert record
    assert record.result == result()
    journal.close()


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(min_value=0, max_value=2_000))
async def test_a_crash_at_any_byte_loses_at_most_the_line_that_was_being_written(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    journal = Journal(path)
    ends: list[int] = []
    for number in (1, 2):
        await journal.begin(offer(number))
        ends.append(path.stat().st_size)
        await journal.end(f"c_{number}", result())
        ends.append(path.stat().st_size)
    journal.close()
    os.truncate(path, min(cut, ends[-1]))

    journal = Journal(path)
    whole = sum(end <= cut for end in ends)
    # A line without its newline is whole as JSON, and true: what it tells of was synced or never acted on.
    whole = max(whole, sum(end - 1 <= cut for end in ends))
    begun = [journal.record(f"c_{number}") for number in (1, 2)]
    assert [record is not None for record in begun] == [whole >= 1, whole >= 3]
    assert [bool(record and record.result) for record in begun] == [whole >= 2, whole >= 4]
    await journal.begin(offer(9))
    journal.close()
    journal = Journal(path)
    assert journal.record("c_9")
    journal.close()


async def test_a_full_disk_is_an_error_and_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    await journal.begin(offer(1))
    size = path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, limits[1]))
    try:
        with pytest.raises(JournalError, match="can't write its journal"):
            await journal.begin(offer(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.stat().st_size == size
    assert journal.record("c_2") is None
    await journal.begin(offer(3))
    journal.close()
    journal = Journal(path)
    assert [record.offer.call_id for record in journal.untold()] == ["c_1", "c_3"]
    journal.close()
