"""Pages in a real browser: how soon something is painted, a long log opened, a deep link reached, and how it appends.

A whole `quarterdeck serve` and the system's Chromium without a display or a GPU, both on this machine. First paint is
the browser's own first-contentful-paint, from the click to the pixels; opening and reaching are from the navigation to
the frame in which the entry stands in the window. Frames are those of the page while it follows a log that grows.
"""

import argparse
import itertools
import shutil
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

from bench.figures import Figure, run, server, spread
from tests.instance import Instance

BATCH = 100
STEP = 4
"""Events of one step: an answer, its call, what came of it, and a check."""
SECONDS = 10.0
"""How long the appending log is watched."""
PAUSE = 0.05
"""Between two appends: twenty a second, more than a model and its tools write."""

SEEN = """entry => new Promise(done => {
  const look = () => {
    const place = document.getElementById(entry)?.getBoundingClientRect();
    if (place && place.top < innerHeight && place.bottom > 0) requestAnimationFrame(() => done(performance.now()));
    else requestAnimationFrame(look);
  };
  look();
})"""
"""Milliseconds since the navigation began, when the entry is in the window and painted."""
PAINTED = """() => new Promise(done => {
  const told = entries => entries.getEntries().forEach(one => {
    if (one.name === "first-contentful-paint") done(one.startTime);
  });
  new PerformanceObserver(told).observe({type: "paint", buffered: true});
})"""
FRAMES = """seconds => new Promise(done => {
  const taken = [];
  const began = performance.now();
  let last = began;
  const frame = now => {
    taken.push(now - last);
    last = now;
    if (now - began > seconds * 1000) done(taken.slice(1));
    else requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})"""


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """The pages of a short and of a long session, then the long one while it grows."""
    events, times = (2_000, 3) if options.small else (options.events, options.times)
    with server() as instance, _signed_in(instance) as page:
        short, long = Writer(instance, "Short"), Writer(instance, "Long")
        short.write(100)
        for _ in range(events // BATCH):
            long.write(BATCH)
        for name, writer in (("100 events", short), (f"{events:,} events", long)):
            yield from _opened(page, writer, name, times)
        yield from _reached(page, long, events, times)
        yield from _grown(page, long, 1.0 if options.small else SECONDS)
        for path in ("/", "/projects/1/sessions"):
            yield from spread(f"first paint of {path}", [_paint(page, path) for _ in range(times)], "ms", "p50 <= 200")


class Writer:
    """Writes a log as a source from outside does."""

    def __init__(self, instance: Instance, title: str) -> None:
        self._instance = instance
        self.id = int(
            instance.post("/sessions/external", {"title": title, "agent": "bench", "project": "sample"})["id"]
        )
        self._numbers, self._before = itertools.count(1), int(instance.session(self.id)["seq"])

    def write(self, count: int) -> None:
        """So many more events."""
        events = [_event(next(self._numbers)) for _ in range(count)]
        self._instance.post(f"/sessions/{self.id}/events", {"events": events})

    def entry(self, number: int) -> str:
        """The entry of an event, by the source's own number."""
        return f"e{self._before + number}"

    @property
    def last(self) -> str:
        """The entry at the log's end."""
        return f"e{self._instance.session(self.id)['seq']}"


def _event(number: int) -> dict[str, object]:
    said, call = f"What was found in step {number}: **three** places, see `src/main.py`.", f"c{number // STEP}"
    kinds: tuple[dict[str, object], ...] = (
        {"kind": "check.recorded", "name": f"check {number}", "passed": number % 3 > 0},
        {"kind": "model.answered", "text": said, "model": "bench"},
        {
            "kind": "tool_call.requested",
            "call_id": call,
            "tool": "run_command",
            "args": {"command": f"pytest {number}"},
        },
        {"kind": "tool_call.finished", "call_id": call, "text": "one line\n" * 20, "exit_code": 0},
    )
    return {"seq": number, **kinds[number % STEP]}


@contextmanager
def _signed_in(instance: Instance) -> Generator[Page]:
    program = shutil.which("chromium")
    assert program, "this needs the program chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = opened.new_page(base_url=instance.url, viewport={"width": 1280, "height": 900})
        page.goto(instance.qd("sign-in-link").stdout.split()[-1])
        page.get_by_role("button", name="Sign in as").click()
        page.wait_for_url("**/")
        yield page
        opened.close()


def _paint(page: Page, path: str) -> float:
    page.goto(path)
    return float(page.evaluate(PAINTED))


def _opened(page: Page, writer: Writer, name: str, times: int) -> Iterator[Figure]:
    last, paints, opened, sizes = writer.last, list[float](), list[float](), list[float]()
    for _ in range(times):
        paints.append(_paint(page, f"/sessions/{writer.id}?level=full"))
        opened.append(float(page.evaluate(SEEN, last)))
        sizes.append(float(page.evaluate("performance.getEntriesByType('navigation')[0].decodedBodySize")))
    yield from spread(f"first paint of a session of {name}", paints, "ms", "p50 <= 200")
    yield from spread(f"a session of {name} open at its end", opened, "ms", "p50 <= 500")
    yield Figure(f"its page, of {name}", max(sizes) / 1000, "KB")


def _reached(page: Page, writer: Writer, events: int, times: int) -> Iterator[Figure]:
    for name, start in (("another page", "/"), ("an empty window", "about:blank")):
        taken = list[float]()
        for n in range(times):
            entry = writer.entry(events * (n + 1) // (times + 2) // STEP * STEP)
            page.goto(start)
            page.goto(f"/sessions/{writer.id}?at={entry[1:]}#{entry}", wait_until="commit")
            taken.append(float(page.evaluate(SEEN, entry)))
        yield from spread(f"a deep link reached from {name}", taken, "ms", "p50 <= 300")


def _grown(page: Page, writer: Writer, seconds: float) -> Iterator[Figure]:
    page.goto(f"/sessions/{writer.id}?level=full")
    stop = threading.Event()

    def append() -> None:
        while not stop.is_set():
            writer.write(1)
            time.sleep(PAUSE)

    thread = threading.Thread(target=append)
    thread.start()
    try:
        frames = [float(one) for one in page.evaluate(FRAMES, seconds)]
    finally:
        stop.set()
        thread.join()
    last = writer.last
    page.wait_for_selector(f"#{last}", state="attached")
    yield from spread("a frame while the log grows", frames, "ms", "p95 <= 33", "twenty events a second, at its end")


def options(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("--events", type=int, default=100_000, help="events of the long session (%(default)s)")
    parser.add_argument("--times", type=int, default=20, help="how often each page is opened (%(default)s)")


if __name__ == "__main__":
    run(str(__doc__), measure, options)
