"""Keys that people enter: tried, stored so that nobody reads them, used at once by all processes."""

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import structlog
from psycopg import sql
from structlog.testing import capture_logs

from quarterdeck import server
from quarterdeck.app import model_keys
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.model_keys import SetKey
from quarterdeck.core.errors import ForbiddenError, InvalidInputError, NotFoundError, UnavailableError
from quarterdeck.core.history import Said
from quarterdeck.doors.http import application
from quarterdeck.engine.models import access
from quarterdeck.engine.models.keyring import CurrentKeys, Keyring
from quarterdeck.engine.models.model import ModelRejectedError, Request
from quarterdeck.settings import Settings
from quarterdeck.store.vault import KEY_FILE, Vault, VaultError
from tests.conftest import Start
from tests.engine import stubs
from tests.engine.stubs import serving

KEY = "gsk-entered-by-a-person-0123456789"
HI = stubs.stream(*stubs.openai(stubs.delta(content="yes")))
NOBODY = Actor(2, "bo", "Bo", "", admin=False)


def wish(url: str, **more: Any) -> SetKey:
    return SetKey.model_validate({"key": KEY, "base_url": f"{url}/v1", **more})


async def answer(app: App, name: str = "groq:m-1") -> str:
    keys = CurrentKeys(app, Keyring(access.ModelKeys(), None))

    async def quiet(_: str) -> None: ...

    try:
        return (await access.model(name, None, keys).answer(Request("c", "", (Said("Go."),), (), 1), quiet)).text
    finally:
        await access.close()


async def test_a_key_is_tried_then_stored_and_found_nowhere(
    app: App, start: Start, home: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    structlog.reset_defaults()
    said: list[str] = []
    inside = httpx.ASGITransport(application(app))  # pyright: ignore[reportArgumentType]  # Litestar's own types of ASGI
    async with serving(HI, HI) as stub, httpx.AsyncClient(transport=inside, base_url="http://test") as client:
        headers = {"Authorization": f"Bearer {start.token}"}
        body = {"key": KEY, "base_url": f"{stub.url}/v1"}
        with capture_logs() as logs:
            stored = await client.put("/api/v1/models/keys/groq", json=body, headers=headers)
            assert stored.status_code == 200, stored.text
            assert stored.json()["tested_with"] == "groq:openai/gpt-oss-20b"
            assert await answer(app) == "yes"
            for path in ("/models/keys", "/models", "/health", "/openapi.json"):
                said.append((await client.get(f"/api/v1{path}", headers=headers)).text)
            for wrong in ({**body, "key": KEY + "x" * 5_000}, {**body, "more": 1}, {**body, "key": [KEY]}):
                refused = await client.put("/api/v1/models/keys/groq", json=wrong, headers=headers)
                assert refused.status_code == 400
                said.append(refused.text)
            said.append(stored.text)
    assert [wire.headers["authorization"] for wire in stub.requests] == [f"Bearer {KEY}"] * 2
    assert '"groq"' in said[0]
    printed = capsys.readouterr()
    everything = [*said, json.dumps(logs, default=str), printed.out, printed.err, app.redactor.text(f"x {KEY} y")]
    with psycopg.connect(database_url) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
        for (name,) in tables:
            query = sql.SQL("select row_to_json(t)::text from {} t").format(sql.Identifier(name))
            everything += [row[0] for row in connection.execute(query).fetchall()]
        [secret] = connection.execute("select secret from model_keys").fetchone() or [b""]
    assert KEY.encode().hex() not in "".join(everything)
    assert KEY not in "".join(everything)
    assert KEY.encode() not in secret
    file = home / KEY_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in home.iterdir() if one.name.startswith(".")] == []


async def test_a_key_that_is_refused_is_not_stored(app: App, owner: Actor) -> None:
    no = stubs.refusal(401, stubs.openai_error(f"Not with {KEY}."))
    async with serving(no, stubs.refusal(500, {}), HI) as stub:
        with pytest.raises(ModelRejectedError, match=r"Not with \[key\]"):
            await model_keys.set_key(app, owner, "groq", wish(stub.url))
        with pytest.raises(UnavailableError, match="groq:openai/gpt-oss-20b can't answer now"):
            await model_keys.set_key(app, owner, "groq", wish(stub.url))
        assert await model_keys.list_keys(app, owner) == []
        stored = await model_keys.set_key(app, owner, "groq", wish(stub.url, model="llama-9"))
        assert stored.tested_with == "groq:llama-9"
        assert stub.requests[-1].body["model"] == "llama-9"
        untried = await model_keys.set_key(app, owner, "groq", wish(stub.url, test=False))
        assert untried.tested_with == ""
        assert len(stub.requests) == 3
    await access.close()


async def test_what_can_not_be_a_key_is_said_before_anything_is_asked(app: App, owner: Actor) -> None:
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("mystery", {"key": KEY}, "takes no key. There are: anthropic"),
        ("groq", {"key": ""}, "needs a key"),
        ("groq", {"key": "two words"}, "no spaces"),
        ("groq", {"key": KEY, "base_url": "localhost"}, "no http or https URL"),
        ("openai-compatible", {"key": KEY}, "needs a base URL"),
        ("openai-compatible", {"base_url": "http://127.0.0.1:9/v1"}, "Say which model"),
        ("ollama", {"key": KEY, "base_url": "http://127.0.0.1:9/v1"}, "takes no key"),
        ("groq", {"key": KEY, "model": "mistral:x"}, "not reached with a key of groq"),
    ]
    for provider, given, told in cases:
        with pytest.raises(InvalidInputError, match=told):
            await model_keys.set_key(app, owner, provider, SetKey.model_validate(given))
    assert await model_keys.list_keys(app, owner) == []


async def test_only_administrators_may(app: App) -> None:
    for use in (
        model_keys.list_keys(app, NOBODY),
        model_keys.set_key(app, NOBODY, "groq", SetKey.model_validate({"key": KEY})),
        model_keys.delete_key(app, NOBODY, "groq"),
    ):
        with pytest.raises(ForbiddenError, match="Only administrators"):
            await use


async def test_another_process_uses_and_redacts_a_new_key_without_a_restart(
    app: App, owner: Actor, home: Path, database_url: str
) -> None:
    settings = Settings.model_validate({"home": home})
    other = server.assemble(settings, database_url)
    other.doorbell.start()
    following = asyncio.create_task(model_keys.follow(other))
    try:
        with pytest.raises(ModelRejectedError, match=r"GROQ_API_KEY is not set.*qd model key set groq"):
            await answer(other)
        async with serving(HI) as stub:
            await model_keys.set_key(app, owner, "groq", wish(stub.url, test=False))
            async with asyncio.timeout(60):
                while KEY in other.redactor.text(KEY):
                    await asyncio.sleep(0.02)
            assert await answer(other) == "yes"
        await model_keys.delete_key(app, owner, "groq")
        with pytest.raises(ModelRejectedError):
            await answer(other)
        with pytest.raises(NotFoundError):
            await model_keys.delete_key(app, owner, "groq")
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        await other.doorbell.stop()
        await other.database.close()


async def test_a_lost_key_file_is_said_and_leaves_the_rest_working(app: App, owner: Actor, home: Path) -> None:
    async with serving() as stub:
        await model_keys.set_key(app, owner, "groq", wish(stub.url, test=False))
        (home / KEY_FILE).unlink()
        await model_keys.set_key(app, owner, "mistral", wish(stub.url, test=False))
    found = {one.provider: one.problem for one in await model_keys.list_keys(app, owner)}
    assert "secrets.key" in found["groq"]
    assert found["mistral"] == ""
    assert [one.provider for one in await model_keys.stored_keys(app)] == ["mistral"]


async def test_the_environments_key_comes_first(app: App, owner: Actor, home: Path, database_url: str) -> None:
    other = server.assemble(
        Settings.model_validate({"home": home, "GROQ_API_KEY": "from-the-environment"}), database_url
    )
    await model_keys.set_key(app, owner, "groq", SetKey.model_validate({"key": KEY, "test": False}))
    found = [(one.source, bool(one.problem)) for one in await model_keys.list_keys(other, owner)]
    assert found == [("environment", False), ("stored", True)]
    await other.database.close()


def test_a_vault_is_made_whole_and_once(home: Path) -> None:
    one, two = Vault(home), Vault(home)
    stored = one.encrypt("geheim")
    assert two.decrypt(stored) == "geheim"
    assert b"geheim" not in stored
    (home / KEY_FILE).write_bytes(b"no key\n")
    with pytest.raises(VaultError):
        one.decrypt(stored)
    os.unlink(home / KEY_FILE)
    with pytest.raises(VaultError):
        one.decrypt(stored)
