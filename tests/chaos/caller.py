"""A client of a cluster in a storm: it asks again until it is answered, and keeps what it was told."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from tests.chaos.cluster import Cluster

ANSWER_SECONDS = 10.0
"""So long is one server waited for."""
SILENT_SECONDS = 20.0
"""A stream without a word for so long is left; its keep-alive comes every 15 s."""
PAUSE_SECONDS = 0.3


class StuckError(AssertionError):
    """A session has not come to where it should, though everything had time to come back."""


class UnexpectedError(AssertionError):
    """A session has come to where it should not."""


class GivenUpError(Exception):
    """The script has given a call up that was interrupted again and again, as scripts do: no fault."""


class Caller:
    """A person's client: one of the servers in turn, the next when it doesn't answer."""

    def __init__(self, cluster: Cluster) -> None:
        headers = {"Authorization": f"Bearer {cluster.token}"}
        self.over = threading.Event()
        """Set when nobody is to wait any longer."""
        self._clients = [
            httpx.Client(
                base_url=f"{url}/api/v1", headers=headers, timeout=ANSWER_SECONDS, trust_env=False,
                limits=httpx.Limits(max_connections=None),
            )
            for url in cluster.urls
        ]  # fmt: skip
        self._turn = 0

    def try_once(self, method: str, path: str, body: Any = None, key: str = "", **params: Any) -> httpx.Response | None:
        """One attempt; None when it is not known what came of it."""
        headers = {"Idempotency-Key": key} if key else {}
        try:
            answer = self._next().request(method, path, json=body, params=params, headers=headers)
        except httpx.HTTPError:
            return None
        return None if answer.status_code >= 500 or answer.status_code == 429 else answer

    def ask(self, method: str, path: str, body: Any = None, key: str = "", **params: Any) -> Any:
        """The answer to what may be asked again and again."""
        while (answer := self.try_once(method, path, body, key, **params)) is None:
            self.pause(f"{method} {path} is answered")
        assert not answer.is_error, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def stream(self, session_id: int, after: int) -> Iterator[Any]:
        """The events of one connection behind `after`, until it ends; nothing when there is none."""
        headers = {"Last-Event-ID": str(after)}
        timeout = httpx.Timeout(ANSWER_SECONDS, read=SILENT_SECONDS)
        try:
            path = f"/sessions/{session_id}/stream"
            with self._next().stream("GET", path, headers=headers, timeout=timeout) as answer:
                if answer.is_success:
                    yield from _events(answer)
                elif answer.status_code < 500:
                    raise UnexpectedError(f"GET {path}: {answer.status_code} {answer.read().decode()}")
        except httpx.HTTPError:
            return

    def pause(self, what: str) -> None:
        """Before another attempt. Raises StuckError when it is too late for one."""
        if self.over.is_set():
            raise StuckError(f"It was waited until {what}.")
        time.sleep(PAUSE_SECONDS)

    def close(self) -> None:
        """Lets go of all connections."""
        for client in self._clients:
            client.close()

    def _next(self) -> httpx.Client:
        self._turn += 1
        return self._clients[self._turn % len(self._clients)]


def _events(answer: httpx.Response) -> Iterator[Any]:
    numbered = False
    for text in answer.iter_lines():
        if text.startswith("id:"):
            numbered = True
        elif text.startswith("data:") and numbered:
            yield json.loads(text.partition(":")[2])
        elif not text:
            numbered = False


class Talk:
    """One session, as the client that began it knows it: what it saw, what it asked for and what it was answered."""

    def __init__(self, caller: Caller, name: str) -> None:
        self.caller, self.name = caller, name
        self.id = 0
        self.seen: list[Any] = []
        self.asked, self.answered = Counter[str](), Counter[str]()
        """By what stands in the log when it was taken."""
        self.status = ""
        self.reason = ""
        self._stream: Iterator[Any] = iter(())

    def begin(self, path: str, body: Any) -> None:
        """The session is there, once, however often that had to be asked for."""
        self.id = int(self.caller.ask("POST", path, body, key=self.name)["id"])

    def until(self, *statuses: str) -> str:
        """Follows the log until the session comes to one of these.

        Raises:
            GivenUpError: its script has given up.
            UnexpectedError: it came to another place where it stays.
        """
        while True:
            payload = self.next()["payload"]
            if payload["kind"] != "status.changed":
                continue
            self.status, self.reason = payload["to_status"], payload["reason"]
            if self.status in statuses:
                return self.status
            if self.status == "paused" and "the script gives them up" in self.reason:
                raise GivenUpError(self.reason)
            if self.status in ("paused", "failed", "stopped", "finished"):
                raise UnexpectedError(f"{self.name}, session {self.id}, is {self.status}: {self.reason}")

    def until_event(self, kind: str) -> Any:
        """Follows the log until there is an event of the kind, and answers what it says."""
        while True:
            payload = self.next()["payload"]
            if payload["kind"] == kind:
                return payload

    def next(self) -> Any:
        """The next event of the log, from whichever connection tells it."""
        while True:
            for event in self._stream:
                assert event["seq"] == len(self.seen) + 1, f"{self.name}: {event['seq']} came after {len(self.seen)}"
                self.seen.append(event)
                return event
            self.caller.pause(f"event {len(self.seen) + 1} of {self.name} (session {self.id}) comes")
            self._stream = self._connected()

    def _connected(self) -> Iterator[Any]:
        for event in self.caller.stream(self.id, len(self.seen)):
            yield event
            if self.caller.over.is_set():
                return

    def say(self, verb: str, body: Any, mark: str, taken: Callable[[], bool]) -> None:
        """Asks for what must not be asked for twice: where the answer is lost, looks first whether it was `taken`."""
        while True:
            self.asked[mark] += 1
            answer = self.caller.try_once("POST", f"/sessions/{self.id}/{verb}", body)
            if answer is not None:
                self.answered[mark] += not answer.is_error
                return
            self.caller.pause(f"{self.name} (session {self.id}) takes {verb}")
            if taken():
                return

    def tell(self, text: str) -> None:
        """A message, which no other has the words of."""

        def taken() -> bool:
            path = f"/sessions/{self.id}/events"
            items = self.caller.ask("GET", path, kind="message.added", order="desc", limit=20)["items"]
            return any(one["payload"]["text"] == text for one in items)

        self.say("messages", {"text": text}, f"message {text}", taken)

    def decide(self, approval_id: str, *, deny: str = "") -> None:
        """A yes to an approval, or a no with a reason."""

        def taken() -> bool:
            return approval_id not in [one["id"] for one in self.view()["approvals"]]

        body = {"approval_id": approval_id} | ({"reason": deny} if deny else {})
        self.say("deny" if deny else "approve", body, f"approval {approval_id}", taken)

    def cancel(self, reason: str) -> None:
        """Stops it for good."""
        self.caller.ask("POST", f"/sessions/{self.id}/cancel", {"reason": reason})

    def view(self) -> Any:
        """The session's row."""
        return self.caller.ask("GET", f"/sessions/{self.id}")
