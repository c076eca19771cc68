"""The runner's journal as a witness: no call was begun twice."""

import json
from collections import Counter
from dataclasses import dataclass

from tests.instance import Instance


@dataclass(frozen=True)
class Journal:
    """What the runner of an instance has written.

    A runner that starts writes the file anew, each call once: so it is looked at after every kill, when the dead
    runner's lines are still there.
    """

    instance: Instance

    def look(self) -> Counter[str]:
        """How often each call was begun, by the lines that are there now.

        Raises:
            AssertionError: one was begun twice.
        """
        begun: Counter[str] = Counter()
        lines = (self.instance.home / "runner" / "journal.jsonl").read_bytes().splitlines()
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
            except ValueError:
                assert number == len(lines), f"line {number} of the journal is damaged: {line[:200]!r}"
                continue
            if entry["entry"] == "begun":
                begun[entry["offer"]["call_id"]] += 1
        twice = [call_id for call_id, times in begun.items() if times > 1]
        assert not twice, f"the runner began these calls twice: {twice}"
        return begun
