"""A storm: a mixed load over a whole cluster, blows at moments of chance, and the proof that nothing was lost.

    python -m tests.chaos.storm --minutes 10 --seed 7

The plan of blows and that of the load follow from the seed alone; what they meet is a matter of time.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos import pickup
from tests.chaos.aftermath import Aftermath
from tests.chaos.blows import Striker, plan
from tests.chaos.caller import Caller
from tests.chaos.cluster import Cluster
from tests.chaos.courses import Course
from tests.chaos.load import Load
from tests.chaos.pickup import PickUp
from tests.chaos.witness import Witness

SETTLE_SECONDS = 150.0
"""Within so long after the last blow every session comes to its end."""
READY_SECONDS = 240.0


@dataclass
class Report:
    """What a storm came to."""

    seed: int
    faults: list[str] = field(default_factory=list[str])
    blows: Counter[str] = field(default_factory=Counter[str])
    endings: Counter[str] = field(default_factory=Counter[str])
    pick_ups: list[PickUp] = field(default_factory=list[PickUp])
    events: int = 0
    settled: float = 0.0

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"seed {self.seed}: {sum(self.blows.values())} blows, {self.events:,} events, "
            f"all at rest {self.settled:.0f} s after the last",
            f"blows: {', '.join(f'{name} {count}' for name, count in sorted(self.blows.items()))}",
            f"sessions: {', '.join(f'{name} {count}' for name, count in sorted(self.endings.items()))}",
            f"pick-up after a dead worker: {pickup.told(self.pick_ups)}",
            *(f"FAULT: {fault}" for fault in self.faults),
        ]


def storm(
    seed: int, seconds: float, *, every: float, apart: int = 0, patient: bool = False, say: Callable[[str], None]
) -> Report:
    """One storm of so long, a session more every so many seconds; `patient` ones outlive leases.

    There are so many workers `apart` from those of the two servers.
    """
    report, cluster = Report(seed), Cluster(apart=apart)
    try:
        say(f"seed {seed}, {seconds:.0f} s; home {cluster.home}; its disk is filled by: {cluster.disk.how}")
        _storm(report, cluster.start(), seconds, every, patient, say)
        if report.faults:
            say(cluster.log_ends())
    except BaseException:
        say(f"The storm of seed {seed} ended here.\n{cluster.log_ends()}")
        raise
    finally:
        cluster.remove()
    return report


def _storm(
    report: Report, cluster: Cluster, seconds: float, every: float, patient: bool, say: Callable[[str], None]
) -> None:
    _red_pipeline(cluster)
    caller, witness, striker = Caller(cluster), Witness(cluster.runners), Striker(cluster)
    load = Load(caller, report.seed, seconds, every)
    load.start()
    say("the load begins")
    striker.follow(plan(report.seed, seconds, patient=patient), say)
    report.blows.update(one.planned.blow if one.target else "missed" for one in striker.struck)
    calm = time.monotonic()
    cluster.wait(cluster.complete, READY_SECONDS, "everything is back after the storm")
    stuck = load.join(calm + SETTLE_SECONDS)
    caller.over.set()
    report.settled = time.monotonic() - calm
    report.endings.update(f"{course.kind} {course.ending}" for course in load.courses)
    report.faults += [_stuck(cluster, course) for course in stuck]
    report.faults += [f"{course.kind}: {course.fault}" for course in load.courses if course.fault]
    _cancel_all(cluster, load)
    after = Aftermath(cluster, load, {})
    after.settled()
    after.begun = witness.begun()
    after.read()
    after.compare()
    after.journals()
    after.ended(cluster.stop())
    caller.close()
    report.faults += after.faults
    report.events = sum(map(len, after.logs.values()))
    report.pick_ups = pickup.pick_ups(after.logs, striker.struck)


def _red_pipeline(cluster: Cluster) -> None:
    """What one of the kinds of load repairs."""
    number = cluster.ask("POST", "/projects/sample/pipelines", {"ref": "main"})["id"]
    cluster.wait(
        lambda: cluster.ask("GET", f"/pipelines/{number}")["status"] == "failed", READY_SECONDS, "the pipeline fails"
    )


def _stuck(cluster: Cluster, course: Course) -> str:
    """A course that isn't over, with where its sessions stand."""
    parts = [f"{course.kind} is stuck"]
    for talk in course.talks:
        if talk.id:
            view = cluster.ask("GET", f"/sessions/{talk.id}")
            last = cluster.ask("GET", f"/sessions/{talk.id}/events", order="desc", limit=8)["items"]
            parts.append(f"{talk.name}: {view['status']} {view['waiting_for']} seen {len(talk.seen)} of {view['seq']}")
            parts += [str(event)[:300] for event in reversed(last)]
    return "\n".join(parts)


def _cancel_all(cluster: Cluster, load: Load) -> None:
    """What rests is stopped, so that nothing of it may stay."""
    for talk in (talk for course in load.courses for talk in course.talks if talk.id):
        if cluster.ask("GET", f"/sessions/{talk.id}")["status"] not in ("finished", "failed", "stopped"):
            cluster.ask("POST", f"/sessions/{talk.id}/cancel", {"reason": "The storm is over."})


def main() -> int:
    """The long form, by hand."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.storm", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long blows are dealt")
    parser.add_argument("--seed", type=int, default=None, help="of both plans; by chance if absent, and printed")
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two new pieces of load")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.randrange(1_000_000)
    patient = given.minutes >= 2
    report = storm(seed, given.minutes * 60, every=given.every, apart=2, patient=patient, say=_say)
    for line in report.lines():
        _say(line)
    return 1 if report.faults else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
