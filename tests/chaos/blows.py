"""Blows: what is done to a cluster, in which order and when; the plan of them follows from its seed alone."""

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, get_args

import psycopg

from tests.chaos.cluster import RUNNERS, SERVES, Cluster
from tests.instance import processes_below

Blow = Literal[
    "kill worker", "kill web", "kill serve", "kill runner", "kill backend", "kill postmaster",
    "term worker", "term web", "term serve", "term runner", "term backend",
    "freeze worker", "freeze web", "freeze runner", "freeze backend",
    "cut runner", "cut database", "mute runner", "mute database",
    "restart fast", "restart immediate", "fill disk", "move clock", "outlive lease",
]  # fmt: skip
BLOWS: tuple[Blow, ...] = get_args(Blow)
LEASE_SECONDS = 55.0
"""A runner that stood still for so long finds its leases ended, as if its clock had jumped."""
CLOCK_SECONDS = 60
"""So far the database's clock moves on, as seen by all that wrote down a time."""
FIRST_SECONDS = 6.0
"""By then there is something to be hit."""
QUIET_SECONDS = 5.0
"""Before and behind the death of a worker, so that its pick-up is the work of nothing else."""
_SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "freeze": signal.SIGSTOP}
_WEB, _WORKER = "-m quarterdeck.server web ", "-m quarterdeck.server worker "


@dataclass(frozen=True)
class Planned:
    """One blow: when, on which of those that there are, and how long until it is taken back."""

    at: float
    blow: Blow
    which: int
    seconds: float = 0.0


def plan(seed: int, seconds: float, *, patient: bool) -> list[Planned]:
    """Blows for so long: all kinds in an order of chance, again and again. `patient` storms outlive leases, too."""
    chance, longer = random.Random(seed), 3 if patient else 1
    planned = [Planned(FIRST_SECONDS, "kill worker", chance.randrange(12))]  # when all is well
    at = FIRST_SECONDS + QUIET_SECONDS
    while True:
        for blow in chance.sample(BLOWS, len(BLOWS)):
            if not patient and blow in ("outlive lease", "kill worker"):
                continue
            at += QUIET_SECONDS if blow == "kill worker" else 0
            if at > seconds:
                return planned
            planned.append(Planned(round(at, 2), blow, chance.randrange(12), _duration(chance, blow, longer)))
            at += QUIET_SECONDS if blow == "kill worker" else chance.uniform(0.5, 1.7) * longer


def _duration(chance: random.Random, blow: Blow, longer: int) -> float:
    match blow:
        case "outlive lease":
            return LEASE_SECONDS
        case "fill disk":
            return round(chance.uniform(1.5, 3.0) * longer, 2)
        case "freeze backend" | "cut database" | "mute database":
            return round(chance.uniform(0.5, 2.5) * longer, 2)
        case _ if blow.startswith(("freeze", "cut", "mute")):
            return round(chance.uniform(0.5, 5.0) * longer, 2)
        case _:
            return 0.0


@dataclass
class Struck:
    """A blow that was dealt."""

    planned: Planned
    at: float
    """In seconds since the epoch, as events are."""
    target: str
    back: Callable[[], None] | None = None
    """Takes it back; None when nothing is to be."""
    until: float = 0.0


@dataclass
class Striker:
    """Deals the blows of a plan, and takes them back in time."""

    cluster: Cluster
    struck: list[Struck] = field(default_factory=list[Struck])

    def follow(self, planned: list[Planned], say: Callable[[str], None]) -> None:
        """All of them, then takes back what is still to be."""
        began = time.monotonic()
        for one in planned:
            self._until(began + one.at)
            done = self._strike(one)
            self.struck.append(done)
            length = f" for {one.seconds} s" if one.seconds else ""
            say(f"{time.monotonic() - began:6.1f} s  {one.blow}: {done.target or 'not there now'}{length}")
        self._until(None)

    def _until(self, moment: float | None) -> None:
        """Waits, and takes back meanwhile what is due; without a moment until all is taken back."""
        while True:
            now = time.monotonic()
            self._take_back(due=now)
            due = [one.until for one in self.struck if one.back is not None]
            due += [moment] if moment is not None else []
            if not due or (moment is not None and now >= moment):
                return
            time.sleep(max(0.0, min(due) - now))

    def _take_back(self, blow: str = "", *, due: float = 0.0) -> None:
        """All of that kind, or all whose time has come."""
        for one in self.struck:
            if one.back is not None and (one.planned.blow == blow or due >= one.until):
                one.back()
                one.back = None

    def _strike(self, one: Planned) -> Struck:
        done = Struck(one, time.time(), "", until=time.monotonic() + one.seconds)
        how, _, what = one.blow.partition(" ")
        match how:
            case "kill" | "term" | "freeze":
                self._signal(done, what, _SIGNALS[how])
            case "outlive":
                self._signal(done, "runner", signal.SIGSTOP)
            case "cut" | "mute":
                self._cut(done, how, what)
            case "restart":
                self._take_back("freeze backend")  # it would wait for that one, and we with it
                self.cluster.restart_postgres(immediate=what == "immediate")
                done.target = "PostgreSQL"
            case "fill":
                self._fill(done)
            case _:
                self._move_clock(done)
        return done

    def _signal(self, done: Struck, what: str, number: signal.Signals) -> None:
        found = self._victims(what)
        if not found:
            return
        done.target, pid = found[done.planned.which % len(found)]
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            done.target = ""
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)
        if number != signal.SIGSTOP:
            os.close(descriptor)
            return

        def goes_on() -> None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGCONT)
            os.close(descriptor)

        done.back = goes_on

    def _victims(self, what: str) -> list[tuple[str, int]]:
        services = self.cluster.services
        serves = [services[f"serve-{number}"] for number in range(1, SERVES + 1)]
        match what:
            case "web":
                found = [(f"web of {one.name}", one.child(_WEB)) for one in serves]
            case "worker":
                found = [(f"worker of {one.name}", one.child(_WORKER)) for one in serves]
                apart = [services[f"worker-{number}"] for number in range(1, self.cluster.apart + 1)]
                found += [(one.name, one.pid) for one in apart]
            case "serve":
                found = [(one.name, one.pid) for one in serves]
            case "runner":
                runners = [services[f"runner-{number}"] for number in range(1, RUNNERS + 1)]
                found = [(one.name, one.pid) for one in runners]
            case "postmaster":
                found = [("postmaster", self.cluster.postgres.pid)]
            case _:
                below = processes_below(self.cluster.postgres.pid or -1).items()
                found = [(line, pid) for pid, line in below if "quarterdeck" in line.partition("postgres: ")[2]]
        return [(name, pid) for name, pid in found if pid is not None]

    def _cut(self, done: Struck, how: str, what: str) -> None:
        names = sorted(name for name in self.cluster.wires if name.startswith("runner") == (what == "runner"))
        done.target = names[done.planned.which % len(names)]
        wire = self.cluster.wires[done.target]
        (wire.cut if how == "cut" else wire.mute)()
        done.back = wire.mend

    def _fill(self, done: Struck) -> None:
        postmaster = self.cluster.postgres.pid
        if postmaster is None:
            return
        done.target = self.cluster.disk.how
        self.cluster.disk.fill(postmaster)
        done.back = lambda: self.cluster.disk.clear(self.cluster.postgres.pid or postmaster)

    def _move_clock(self, done: Struck) -> None:
        """All that was written down with a time by which others judge is a minute older."""
        older = f"- interval '{CLOCK_SECONDS} s'"
        try:
            with psycopg.connect(self.cluster.url) as connection:
                connection.execute(f"update leases set expires_at = expires_at {older}")  # pyright: ignore[reportArgumentType, reportCallIssue]
                connection.execute(f"update runners set last_contact = last_contact {older}")  # pyright: ignore[reportArgumentType, reportCallIssue]
                connection.execute(f"update procrastinate_workers set last_heartbeat = last_heartbeat {older}")  # pyright: ignore[reportArgumentType, reportCallIssue]
            done.target = "PostgreSQL's, by a minute"
        except psycopg.Error:
            done.target = ""
