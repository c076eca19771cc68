"""The kinds of load: what one client does with one session or a few, and where they have to come to."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.caller import Caller, GivenUpError, Talk, UnexpectedError
from tests.scenarios.work import call, flow, script

HIDDEN = "trap '' TERM; setsid sh -c \"trap '' TERM; sleep 3141.7\" & echo begun; sleep 3141.8"
"""A command that leaves something behind, unless all below it is killed."""


@dataclass
class Course:
    """How one piece of the load went."""

    kind: str
    talks: list[Talk] = field(default_factory=list[Talk])
    ending: str = "under way"
    fault: str = ""


class Run:
    """What a kind of load is given: its chance, and the talks that it begins."""

    def __init__(self, caller: Caller, course: Course, chance: random.Random, number: int) -> None:
        self.caller, self.course, self.chance, self.number = caller, course, chance, number

    def talk(self, suffix: str = "") -> Talk:
        """One session more."""
        made = Talk(self.caller, f"{self.course.kind} {self.number}{suffix}")
        self.course.talks.append(made)
        return made

    def pause(self, least: float, most: float) -> float:
        """Seconds by chance."""
        return round(self.chance.uniform(least, most), 2)

    def step(self, words: str, *calls: Any) -> dict[str, Any]:
        """An answer that streams for a moment."""
        return {"say": words, "delay": self.pause(0.3, 2.5), **({"call": list(calls)} if calls else {})}

    def command(self, text: str) -> Any:
        """A command that takes a moment and leaves something in the workspace."""
        return call("run_command", command=f"echo {text} >> done.txt; sleep {self.pause(0.0, 1.5)}; wc -l done.txt")

    def work(self, *steps: Any, asks: bool = False, suffix: str = "") -> Talk:
        """A session of the flow `work` with these answers."""
        talk = self.talk(suffix)
        body = {"project": "sample", "flow_yaml": flow(asks=asks), "goal": talk.name, "model": "scripted"}
        talk.begin("/sessions", {**body, "script": script(*steps)})
        return talk

    def chat(self, *steps: Any, **more: Any) -> Talk:
        """A chat with these answers."""
        talk = self.talk()
        answers = script(*steps).replace('"work"', '"chat"', 1)
        body = {"message": talk.name, "project": "sample", "model": "scripted", "script": answers}
        talk.begin("/chats", {**body, **more})
        return talk


def working(run: Run) -> None:
    """Commands one after another, and some reading side by side."""
    reading = call("list_dir"), call("grep", pattern="def "), call("find_files", name_pattern="*.py")
    steps = [run.step(f"Step {number}.", run.command(f"step {number}")) for number in range(1, 4)]
    run.work(*steps, run.step("I look.", *reading), run.step("Done.")).until("finished")


def committing(run: Run) -> None:
    """Work that is pushed, and the pipeline behind that."""
    push = call("create_commit", message=f"Work of {run.number}")
    run.work(run.step("Work.", run.command("work")), run.step("Push.", push), run.step("Done.")).until("finished")


def asking(run: Run) -> None:
    """A person says yes and no, as often as is asked."""
    talk = run.work(
        run.step("First.", run.command("first")), run.step("Second.", run.command("second")), run.step("Done."),
        asks=True,
    )  # fmt: skip
    number = 0
    while (pending := _asked(talk)) is not None:
        number += 1
        talk.decide(pending, deny="not now" if number == 2 else "")


def _asked(talk: Talk) -> str | None:
    """The next approval; None when the session has finished."""
    while True:
        payload = talk.next()["payload"]
        if payload["kind"] == "approval.requested":
            return payload["approval_id"]
        if payload["kind"] == "status.changed":
            if payload["to_status"] == "finished":
                return None
            if payload["to_status"] in ("paused", "failed", "stopped"):
                if "the script gives them up" in payload["reason"]:
                    raise GivenUpError(payload["reason"])
                raise UnexpectedError(f"{talk.name}, session {talk.id}: {payload}")


def chatting(run: Run) -> None:
    """Three messages, with a command for one of them; it stays idle."""
    talk = run.chat(
        run.step("Hello."), run.step("I run it.", run.command("as asked")), run.step("It ran."), run.step("Bye."),
        pre_approved=["run_commands"],
    )  # fmt: skip
    talk.until("idle")
    for words in ("run it", "goodbye"):
        time.sleep(run.pause(0.0, 2.0))
        talk.tell(f"{talk.name}: {words}")
        talk.until("idle")


def forking(run: Run) -> None:
    """A session goes on from an earlier step of another."""
    source = run.work(
        run.step("One.", run.command("one")), run.step("Two.", run.command("two")), run.step("Done."), suffix=" source"
    )
    source.until("finished")
    taken = [event["seq"] for event in source.seen if event["payload"]["kind"] == "snapshot.taken"]
    fork = run.talk(" fork")
    fork.begin(f"/sessions/{source.id}/fork", {"seq": run.chance.choice(taken), "title": fork.name})
    fork.until("finished")


def delegating(run: Run) -> None:
    """A chat that starts a flow as a session of its own, and is woken by its end."""
    before = run.caller.ask("GET", "/projects/sample/pipelines")
    red = next((one["id"] for one in before if one["ref"] == "main" and one["status"] == "failed"), None)
    assert red is not None, before
    start = call("start_flow", flow="fix_pipeline/v1", goal=f"Repair {run.number}", pipeline_id=red)
    talk = run.chat(
        {"say": "I start it.", "call": start},
        {
            "capture": {"child": "Session #(\\d+) has begun"},
            "say": "It is #{child}.",
            "call": call("notify_me_when", session="{child}", note="tell"),
        },
        {"say": "I wait."},
        {"say": "It has ended."},
        pre_approved=["start_flows"],
    )
    talk.until("idle")
    link = next(event["payload"] for event in talk.seen if event["payload"]["kind"] == "link.added")
    child = run.talk(" child")
    child.id = int(link["name"].removeprefix("#"))
    child.until("idle")
    talk.until("idle")


def cancelling(run: Run) -> None:
    """Stopped while a command runs that hides what it starts."""
    talk = run.work(run.step("Stuck.", call("run_command", command=HIDDEN)), run.step("Never."))
    talk.until_event("tool_call.started")
    time.sleep(run.pause(0.0, 1.0))
    talk.cancel("enough")
    talk.until("stopped")


def pausing(run: Run) -> None:
    """Paused after its first answer, and resumed."""
    talk = run.work(*(run.step(f"{one}.", run.command(one)) for one in ("a", "b")), run.step("Done."))
    talk.until_event("model.answered")
    talk.say("pause", {}, "pause", lambda: talk.view()["status"] == "paused")
    if talk.until("paused", "finished") == "paused":
        time.sleep(run.pause(0.0, 1.0))
        talk.say("resume", {}, "resume", lambda: talk.view()["status"] != "paused")
        talk.until("finished")


def recording(run: Run) -> None:
    """Work from elsewhere, told of in batches that overlap."""
    talk = run.talk()
    talk.begin("/sessions/external", {"title": talk.name, "goal": talk.name, "agent": "storm", "project": "sample"})
    events: list[dict[str, Any]] = [{"kind": "status.changed", "transition": "start"}]
    events += [{"kind": "message.added", "text": f"{talk.name}: word {number}", "by": "ada"} for number in range(1, 30)]
    events += [{"kind": "status.changed", "transition": "finish"}]
    numbered = [{"seq": number, **event} for number, event in enumerate(events, 1)]
    sent = 0
    while sent < len(numbered):
        upto = sent + run.chance.randint(1, 6)
        batch = numbered[max(0, sent - 1) : upto]
        told = run.caller.ask("POST", f"/sessions/{talk.id}/events", {"events": batch})
        for one in batch[-told["taken"] :] if told["taken"] else ():
            talk.answered[f"message {one.get('text', '')}"] += "text" in one
        sent = min(upto, len(numbered))
        time.sleep(run.pause(0.0, 0.5))
    talk.asked.update({f"message {one['text']}": 1 for one in events if "text" in one})
    talk.until("finished")


KINDS: tuple[Callable[[Run], None], ...] = (
    working, asking, chatting, cancelling, recording, forking, pausing, committing, delegating,
)  # fmt: skip
LONG = (delegating, forking, committing)
"""The kinds that take longest."""
