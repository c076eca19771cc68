"""Kills: which processes can be victims, how each is found and ended, and when it is done along a session."""

import os
import signal
import time
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal, get_args

from tests.chaos.journal import Journal
from tests.instance import Instance, processes_below

Victim = Literal["worker", "web", "runner", "postgres", "serve"]
VICTIMS: tuple[Victim, ...] = get_args(Victim)
_COMMANDS = {
    "worker": "-m quarterdeck.server worker ",
    "web": "-m quarterdeck.server web ",
    "runner": "-m quarterdeck.executor --url ",
    "postgres": "/bin/postgres -D ",
}
QUIET_EVENTS = 6
"""So many events come between two kills: long enough for the victim to be at work again."""
KILLS_PER_SESSION = 3
"""More could interrupt one step more often than the scripted model repeats it, and the session would pause."""
_WITHIN = frozenset({
    "link.added", "component.entered", "component.left", "tool_call.requested", "usage.recorded", "plan.changed",
    "snapshot.taken",
})  # fmt: skip
"""Stored and sent together with what comes behind them, so that a kill here is one there."""


def pid_of(instance: Instance, victim: Victim) -> int | None:
    """The victim's process, or None while it isn't there."""
    assert instance.process is not None
    if victim == "serve":
        return instance.process.pid
    found = processes_below(instance.process.pid).items()
    matching = [pid for pid, line in found if _COMMANDS[victim] in line and "watcher.py" not in line]
    return min(matching, default=None)  # a child that it has just forked looks the same


def kill(instance: Instance, victim: Victim) -> float:
    """`kill -9` of the victim, once it is there, and when that was; `serve` is started again as a person would."""
    assert instance.process is not None

    def killed() -> bool:
        pid = pid_of(instance, victim)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return pid is not None

    instance.wait(killed, 60, f"the {victim} is there to be killed")
    at = time.time()
    if victim == "serve":
        instance.process.wait(10)
        instance.start()
    return at


@dataclass
class Plan:
    """Kills one victim once at each boundary, over as many sessions as that takes."""

    instance: Instance
    victim: Victim
    journal: Journal
    fine: bool
    """Every single event is a boundary of its own, not only every kind."""
    counted: set[str] = field(default_factory=set[str])
    """The boundaries of a run without kills: of single events only these count, for kills bring more."""
    done: list[str] = field(default_factory=list[str])
    recoveries: list[float] = field(default_factory=list[float])
    """Seconds from each kill to the next new event that a watcher saw."""
    _since: int = 0
    _kills: int = 0
    _counted: dict[str, int] = field(default_factory=dict[str, int])
    _killed_at: float = 0.0
    _waits_since: float | None = None

    def begin(self) -> None:
        """A new session."""
        self._since = QUIET_EVENTS
        self._kills = 0
        self._counted.clear()
        self._waits_since = None

    def boundary(self, payload: Any) -> str:
        """The name of the boundary behind an event; empty when it is none."""
        name = payload["kind"]
        if self.fine:
            self._counted[name] = self._counted.get(name, 0) + 1
            numbered = f"{name} #{self._counted[name]}"
            return numbered if not self.counted or numbered in self.counted else ""
        match name:
            case _ if name in _WITHIN:
                return ""
            case "tool_call.started":
                return f"{name} {'here' if payload['executor'] == 'server' else 'on the runner'}"
            case "tool_call.finished" if payload["tool"] in ("run_pipeline", "create_commit"):
                return f"{name} {payload['tool']}"
            case "status.changed":
                return f"{name} {payload['to_status']}" if payload["to_status"] != "running" else ""
            case _:
                return name

    def saw(self, event: Any, at: float) -> None:
        """An event came; `at` is when it was made, in seconds since the epoch."""
        name = self.boundary(event["payload"])
        if at <= self._killed_at:
            return  # it was on its way already
        if self._waits_since is not None:
            self.recoveries.append(time.monotonic() - self._waits_since)
            self._waits_since = None
        self._since += 1
        if not name or name in self.done or self._since < QUIET_EVENTS or self._kills == KILLS_PER_SESSION:
            return
        self.done.append(name)
        self._kills += 1
        self._since = 0
        self._waits_since = time.monotonic()
        self._killed_at = kill(self.instance, self.victim)
        self.journal.look()

    def figures(self) -> str:
        """What is told at the end."""
        shown = (
            f"median {median(self.recoveries):.1f} s, worst {max(self.recoveries):.1f} s" if self.recoveries else "-"
        )
        return f"{self.victim}: {len(self.done)} kills, the next event after {shown}"
