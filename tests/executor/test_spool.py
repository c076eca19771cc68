"""Output on its way to the server, on a disk that is full or loses some of it."""

import hashlib
import os
import resource
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from quarterdeck.core.redaction import Redactor
from quarterdeck.executor.client import Client
from quarterdeck.executor.spool import Spool
from tests.executor.protocol_server import TOKEN, ProtocolServer, served

CALL = "c_1"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[ProtocolServer]:
    async with served(tmp_path / "server", {"a.txt": "a"}) as server:
        yield server


@pytest.fixture
async def client(server: ProtocolServer) -> AsyncGenerator[Client]:
    client = Client(server.url, TOKEN)
    yield client
    await client.close()


async def test_what_the_disk_does_not_take_is_left_out_and_said(
    server: ProtocolServer, client: Client, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "outputs" / CALL, client, CALL, 1, Redactor(()))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        await spool.write(b"line\n" * 15_000)
        await spool.write(b"more\n")
        spool.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    await spool.send()
    kept = bytes(server.outputs[CALL])
    assert kept == (b"line\n" * 15_000)[:50_000]
    assert (spool.size, spool.sha256) == (len(kept), hashlib.sha256(kept).hexdigest())
    assert spool.truncated


async def test_what_the_disk_lost_is_not_waited_for(server: ProtocolServer, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "outputs" / CALL
    spool = Spool(path, client, CALL, 1, Redactor(()))
    await spool.write(b"line\n" * 1_000)
    spool.close()
    os.truncate(path, 1_000)
    await spool.send()
    assert len(server.outputs[CALL]) == spool.size == 1_000
    assert spool.truncated


async def test_a_folder_that_can_not_be_made_costs_the_output_and_nothing_else(client: Client, tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("in the way")
    spool = Spool(tmp_path / "outputs" / CALL, client, CALL, 1, Redactor(()))
    await spool.write(b"line\n")
    spool.close()
    await spool.send()
    spool.discard()
    assert (spool.size, spool.truncated) == (0, True)
