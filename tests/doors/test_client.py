"""The client library against a real server, with asyncio and without."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from quarterdeck.client import AsyncClient, Client, RefusedError, UnreachableError, models
from tests.conftest import PERSON
from tests.doors.conftest import Running

FLOW = """
version: v1
environment: ambient
name: one
components: [{name: friend, type: AgentComponent, prompt_id: p, toolset: [todo_write]}]
routers: [{from: friend, to: end}]
flow: {entry_point: friend}
prompts: [{prompt_id: p, prompt_template: {system: s, user: "{{ goal }}"}}]
"""


def begin(quarterdeck: Client) -> models.SessionView:
    script = "components: {friend: [{say: unused}]}"
    return quarterdeck.sessions.start(
        project="sample", flow_yaml=FLOW, model="scripted", script=script, goal="Look.", may_ask=False
    )


def test_a_session_from_its_start_to_its_end(running: Running) -> None:
    with Client(running.url, PERSON) as quarterdeck:
        session = begin(quarterdeck)
        assert (session.status, session.goal, session.project_path) == ("created", "Look.", "sample")
        assert [one.id for one in quarterdeck.session_lists.find(project="sample", kind="flow").items] == [session.id]
        renamed = quarterdeck.sessions.rename(session.id, title="Another")
        assert renamed.title == "Another"
        assert quarterdeck.sessions.cancel(session.id, reason="enough").status == "stopped"
        kinds = [signal.payload.kind for signal in quarterdeck.watch(session.id) if isinstance(signal, models.Event)]
        assert kinds[0] == "session.created"
        assert {"session.renamed", "status.changed"} <= set(kinds)
        assert quarterdeck.log.diff(session.id) == b""
        quarterdeck.sessions.remove(session.id)


def test_what_is_refused_says_why_and_has_a_code(running: Running) -> None:
    with Client(running.url, PERSON) as quarterdeck:
        with pytest.raises(RefusedError, match="no session #77") as refused:
            quarterdeck.sessions.show(77)
        assert (refused.value.status, refused.value.code, refused.value.passes) == (404, "not_found", False)
        with pytest.raises(RefusedError) as bad:
            quarterdeck.sessions.start(project="sample", title="long " * 20)
        assert bad.value.status == 400
    with Client(running.url, "qdp_wrong") as stranger, pytest.raises(RefusedError) as unknown:
        stranger.people.whoami()
    assert unknown.value.status == 401
    with Client("http://127.0.0.1:9") as nobody, pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9"):
        nobody.health.show()


async def test_watching_goes_on_through_a_restart_and_tells_each_event_once(running: Running) -> None:
    with Client(running.url, PERSON) as quarterdeck:
        session = begin(quarterdeck)
    async with AsyncClient(running.url, PERSON) as quarterdeck:
        signals = aiter(quarterdeck.watch(session.id))
        seqs = [await next_seq(signals)]
        restarting = threading.Thread(target=lambda: (running.stop(), running.start()))
        restarting.start()
        await asyncio.to_thread(restarting.join)
        await quarterdeck.sessions.hold(session.id, reason="to see it")
        await quarterdeck.sessions.cancel(session.id)
        seqs += [signal.seq async for signal in signals if isinstance(signal, models.Event)]
        assert seqs == list(range(1, seqs[-1] + 1))
        assert (await quarterdeck.sessions.show(session.id)).seq == seqs[-1]


async def next_seq(signals: AsyncIterator[object]) -> int:
    event = await anext(signals)
    assert isinstance(event, models.Event)
    return event.seq
