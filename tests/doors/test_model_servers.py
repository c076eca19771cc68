"""`qd doctor` finds servers of models by what they answer on loopback, and asks nobody else."""

import asyncio
import socket
from pathlib import Path

import pytest

from quarterdeck.doors.cli import model_servers
from quarterdeck.doors.cli.model_servers import find
from tests.engine.stubs import Reply, Stub, Wire, serving

LISTED = {"object": "list", "data": [{"id": f"m-{n}", "object": "model", "owned_by": "library"} for n in range(7)]}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine an answer may take its time."""
    monkeypatch.setattr(model_servers, "ASK_SECONDS", 10)
    monkeypatch.setattr(model_servers, "ALL_SECONDS", 60)


def answering(pages: dict[str, object], headers: dict[str, str] | None = None) -> list[Reply]:
    async def reply(wire: Wire) -> None:
        if wire.path in pages:
            await wire.json(200, pages[wire.path], headers)
        else:
            await wire.json(404, {"error": "not found"})

    return [reply] * 99  # whoever else looks on this machine is answered, too


def table(folder: Path, *addresses: str, state: str = "0A") -> Path:
    """A table of the kernel's, in its form."""
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    rest = "00000000:00000000 00:00000000 00000000 0 0 1"
    rows = (f"   {n}: {address} 00000000:0000 {state} {rest}\n" for n, address in enumerate(addresses))
    file = folder / "tcp"
    file.write_text(head + "".join(rows), encoding="ascii")
    return file


def port(stub: Stub) -> int:
    return int(stub.url.rpartition(":")[2])


@pytest.mark.parametrize(
    ("kind", "pages", "headers"),
    [
        ("Ollama", {"/v1/models": LISTED, "/api/tags": {"models": [{"name": "m-0"}]}}, {}),
        ("LM Studio", {"/v1/models": LISTED, "/api/v0/models": {"data": []}}, {}),
        ("llama.cpp", {"/v1/models": {"object": "list", "data": [{"id": "m-0", "owned_by": "llamacpp"}]}}, {}),
        ("vLLM", {"/v1/models": {"object": "list", "data": [{"id": "m-0", "owned_by": "vllm"}]}}, {}),
        ("LiteLLM", {"/v1/models": LISTED}, {"x-litellm-version": "1.80"}),
        ("An OpenAI-compatible server", {"/v1/models": LISTED}, {}),
    ],
)
async def test_each_is_known_by_its_answer(
    kind: str, pages: dict[str, object], headers: dict[str, str], tmp_path: Path
) -> None:
    async with serving(*answering(pages, headers), found=True) as stub:
        [found] = await find([table(tmp_path, f"0100007F:{port(stub):04X}")])
    assert (found.kind, found.url) == (kind, f"{stub.url}/v1")
    assert "m-0" in found.detail
    assert found.remedy.endswith(f"--model {'ollama' if kind == 'Ollama' else 'openai-compatible'}:m-0")
    assert kind in ("llama.cpp", "vLLM") or "and 2 more" in found.detail
    assert {wire.headers.get("authorization") for wire in stub.requests} == {None}


async def test_the_kernels_own_table_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(*answering({"/v1/models": LISTED}), found=True) as stub:
        monkeypatch.setattr(model_servers, "PORTS", 1_000)
        assert f"{stub.url}/v1" in {found.url for found in await find()}


async def test_whatever_else_answers_is_no_server_of_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_servers, "ASK_SECONDS", 1)

    async def mail(wire: Wire) -> None:
        wire.writer.write(b"220 mail.example.org ESMTP\r\n\r\n")
        wire.cut()

    async def silent(wire: Wire) -> None:
        await wire.gone()

    async def endless(wire: Wire) -> None:
        await wire.begin()
        while True:
            await wire.send(b"x" * 65_536)

    async def elsewhere(wire: Wire) -> None:
        await wire.json(307, {}, {"Location": "http://192.0.2.1/v1/models"})

    wrong: list[object] = [
        {"object": "list"}, {"data": [1]}, [], "text", b"[" * 100_000, b"<html>", {"object": "list", "data": 7},
    ]  # fmt: skip
    replies: list[Reply] = [mail, silent, endless, elsewhere]
    several = [[one] * 99 for one in replies] + [answering({"/v1/models": body}) for body in wrong]
    stubs = [serving(*one, found=True) for one in several]
    ports: list[int] = []
    for one in stubs:
        ports.append(port(await one.__aenter__()))
    try:
        async with asyncio.timeout(60):
            assert await find([table(tmp_path, *(f"0100007F:{number:04X}" for number in ports))]) == []
    finally:
        for one in stubs:
            await one.__aexit__(None, None, None)


async def test_only_loopback_and_only_what_listens_is_asked(tmp_path: Path) -> None:
    async with serving(*answering({"/v1/models": LISTED}), found=True) as stub:
        at = f"{port(stub):04X}"
        for address in ("0A00000A", "010000C0"):  # 10.0.0.10 and 192.0.0.1
            assert await find([table(tmp_path, f"{address}:{at}")]) == []
        assert await find([table(tmp_path, f"0100007F:{at}", state="01")]) == []
        for address in ("00000000", "0" * 32, "0000000000000000FFFF00000100007F"):
            [found] = await find([table(tmp_path, f"{address}:{at}")])
            assert found.url == f"{stub.url}/v1"
    assert await find([tmp_path / "none"]) == []


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
async def test_what_listens_on_the_other_loopback_is_asked_there(tmp_path: Path) -> None:
    stub = Stub(answering({"/v1/models": LISTED}), found=True)
    try:
        listening = await asyncio.start_server(stub.serve, "::1", 0)
    except OSError:
        pytest.skip("this machine has no ::1")
    number = listening.sockets[0].getsockname()[1]
    [found] = await find([table(tmp_path, f"00000000000000000000000001000000:{number:04X}")])
    assert found.url == f"http://[::1]:{number}/v1"
    listening.close()
