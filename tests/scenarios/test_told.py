"""What a session comes to reaches a receiver, Slack and the to-do list of a real server, and nobody has to look."""

import asyncio
import json

import pytest
from standardwebhooks import Webhook

from tests.instance import Instance
from tests.receiver import Receiver, receiving
from tests.scenarios.work import call, start


@pytest.mark.timeout(400)
async def test_what_a_session_comes_to_is_told_by_the_worker() -> None:
    async with receiving() as receiver, receiving() as slack:
        instance = Instance(settings={"QUARTERDECK_WEBHOOK_PRIVATE_ADDRESSES": "true"})
        try:
            await asyncio.to_thread(_told, instance, receiver, slack)
        finally:
            await asyncio.to_thread(instance.remove)


def _told(instance: Instance, receiver: Receiver, slack: Receiver) -> None:
    instance.start()
    made = instance.post("/projects/sample/webhooks", {"url": receiver.url})
    rules = {"flows": ["needs_input", "failed", "finished"], "chats": []}
    instance.ask("PATCH", "/me/notifications", json={"rules": rules, "slack_url": slack.url}).raise_for_status()
    asked = call("run_command", command="echo asked")
    number = start(instance, {"call": asked}, {"say": "Thanks."}, pre_approved=[])

    def types() -> list[str]:
        return [json.loads(one.body)["type"] for one in receiver.came]

    instance.wait(lambda: "session.awaiting_input" in types(), 120, "the receiver hears of the question")
    instance.wait(lambda: instance.get("/to_dos")["open"] == 1, 120, "it is to do")
    instance.qd("session", "approve", str(number))
    instance.wait(lambda: "session.completed" in types(), 120, "the receiver hears of the end")
    instance.wait(lambda: "Done" in "".join(one.body for one in slack.came), 120, "Slack hears of the end")
    for one in receiver.came:
        Webhook(made["secret"]).verify(one.body, one.headers)
    assert f"#{number}" in json.loads(slack.came[-1].body)["text"]
    assert [one["kind"] for one in instance.get("/to_dos")["items"]] == ["finished"]
