"""A Quarterdeck without processes for benchmarks of use cases: on an empty database, with the first start's people."""

import random
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.figures import database
from quarterdeck import server
from quarterdeck.app import chats, first_start
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.change import change
from quarterdeck.core import events as e
from quarterdeck.settings import Settings

SCRIPT = "components: {chat: [{say: unused}]}"


@asynccontextmanager
async def assembled() -> AsyncGenerator[tuple[App, Actor]]:
    """The app and its administrator."""
    home = Path(tempfile.mkdtemp(prefix="qd-bench-home-", dir="/tmp"))
    try:
        with database() as url:
            app = server.assemble(Settings.model_validate({"home": home, "port": 7433}), url)
            app.doorbell.start()
            try:
                made = await first_start.ensure(app, administrator="ada", token="qdp_bench", runner_token="qdr_bench")
                yield app, made.administrator
            finally:
                await app.doorbell.stop()
                await app.database.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def chat(app: App, actor: Actor) -> int:
    """A session that nobody works on: no worker is there."""
    wish = chats.StartChat.model_validate({"message": "Hello", "model": "scripted", "script": SCRIPT})
    return (await chats.start(app, actor, wish)).id


def line(chance: random.Random, size: int = 256) -> str:
    """A line as logs have it: half of it repeats, half does not."""
    head = f"2026-01-01T12:{chance.randrange(60):02}:{chance.random() * 60:06.3f}Z INFO worker-{chance.randrange(16)} "
    head += (
        f"GET /api/v1/projects/{chance.randrange(1000)}/jobs/{chance.randrange(10**6)} took {chance.randrange(900)} ms "
    )
    words = (chance.choice(_WORDS) for _ in iter(int, 1))
    while len(head) < size:
        head += next(words) + " "
    return head[:size]


async def append(app: App, session_id: int, texts: list[str]) -> None:
    """One durable change of a session: an event of 256 bytes for each text, redacted."""
    async with change(app, session_id) as it:
        it.append(*(e.CheckRecorded(name=text, passed=True) for text in texts))


_letters = random.Random(1)
_WORDS = ["".join(_letters.choices("etaoinshrdlu", k=_letters.randint(3, 9))) for _ in range(4_000)]
