"""A mixed load: sessions of many kinds, each driven by a client of its own in a thread of its own."""

import random
import threading
import time
import traceback
from collections.abc import Callable

from tests.chaos.caller import Caller, GivenUpError
from tests.chaos.courses import KINDS, LONG, Course, Run

FIRST = 4
"""So many begin at once."""
LONG_SECONDS = 20.0
"""No long kind is begun in the last seconds, for it would be waited for when all else is over."""


class Load:
    """All courses; the plan of them follows from the seed alone."""

    def __init__(self, caller: Caller, seed: int, seconds: float, every: float) -> None:
        self.courses: list[Course] = []
        self._caller, self._seed = caller, seed
        self._threads: list[threading.Thread] = []
        chance = random.Random(f"load {seed}")
        self._plan: list[tuple[float, Callable[[Run], None]]] = []
        at = -FIRST * every  # so many at once, and then one after the other
        while at < seconds:
            for kind in chance.sample(KINDS, len(KINDS)):
                if at < seconds - LONG_SECONDS or kind not in LONG:
                    self._plan.append((at, kind))
                    at += chance.uniform(0.5, 1.5) * every
        self._stop = threading.Event()
        self._starter = threading.Thread(target=self._start, name="load", daemon=True)

    def start(self) -> None:
        """Begins to begin sessions."""
        self._starter.start()

    def join(self, end: float) -> list[Course]:
        """Begins no more, and waits for those under way; what is not over by `end` (monotonic) is answered."""
        self._stop.set()
        self._starter.join()
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return [course for course in self.courses if course.ending == "under way"]

    def _start(self) -> None:
        began = time.monotonic()
        for number, (at, kind) in enumerate(self._plan, 1):
            if self._stop.wait(max(0.0, began + at - time.monotonic())):
                return
            course = Course(kind.__name__)
            run = Run(self._caller, course, random.Random(f"{self._seed} {number}"), number)
            self.courses.append(course)
            thread = threading.Thread(target=_follow, args=(kind, run), name=f"{course.kind} {number}", daemon=True)
            self._threads.append(thread)
            thread.start()


def _follow(kind: Callable[[Run], None], run: Run) -> None:
    course = run.course
    try:
        kind(run)
        course.ending = "as expected"
    except GivenUpError:
        course.ending = "given up by its script"
    except Exception as error:
        course.fault = "".join(traceback.format_exception(error)[-3:])
        course.ending = "fault"
