"""How soon another worker goes on with what a dead one had, by the logs and the times of the blows."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from quarterdeck.core import events as e
from tests.chaos.blows import QUIET_SECONDS, Struck


@dataclass(frozen=True)
class PickUp:
    """One turn that was open when its worker was killed."""

    session: int
    seconds: float
    alone: bool
    """Nothing else had befallen the workers or their database just before, nor did meanwhile."""


def pick_ups(logs: dict[int, list[e.Event]], struck: list[Struck]) -> list[PickUp]:
    """All that the kills of workers brought about."""
    kills = [one for one in struck if one.planned.blow == "kill worker" and one.target]
    found: list[PickUp] = []
    for kill in kills:
        alone = not any(_disturbs(one, kill) for one in struck if one is not kill)
        for number, log in logs.items():
            at = _recovered(log, kill.at)
            if at is not None:
                found.append(PickUp(number, at - kill.at, alone))
    return found


def _recovered(log: list[e.Event], killed_at: float) -> float | None:
    """When the turn that was open at that time was taken up again; None when there was none, or its worker lived."""
    open_turn = False
    for one in log:
        at = one.at.timestamp()
        match one.payload:
            case e.TurnStarted(recovery=True) if at >= killed_at and open_turn:
                return at
            case e.TurnStarted():
                open_turn = True
            case e.TurnEnded():
                open_turn = False
            case e.StatusChanged(to_status=status) if status in ("finished", "failed", "stopped"):
                open_turn = False
            case _:
                pass
        if at >= killed_at and (not open_turn or isinstance(one.payload, e.TurnStarted)):
            return None
    return None


def _disturbs(one: Struck, kill: Struck) -> bool:
    what = one.planned.blow
    if what.endswith(("runner", "web")) or what == "outlive lease":
        return False
    quiet = QUIET_SECONDS - 0.5  # which the plan leaves, but for the moment that a blow takes
    return one.at - quiet < kill.at < one.at + one.planned.seconds + quiet


def told(found: Iterable[PickUp]) -> str:
    """Median and worst, of those that were alone and of those in the thick of it."""
    parts: list[str] = []
    for name, alone in (("nothing else amiss", True), ("among other blows", False)):
        seconds = [one.seconds for one in found if one.alone is alone]
        if seconds:
            parts.append(f"{name}: {len(seconds)}, median {median(seconds):.1f} s, worst {max(seconds):.1f} s")
    return "; ".join(parts) or "no turn was open when a worker was killed"
