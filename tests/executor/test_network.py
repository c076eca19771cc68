"""The one way out of a sandbox, and all that must not get through it; as root and as a normal user."""

import asyncio
import gc
import os
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from quarterdeck.core.errors import SessionEndedError
from quarterdeck.core.network import NetworkPolicy, written_out
from quarterdeck.executor import proxy
from quarterdeck.executor.network import Network
from quarterdeck.executor.probe import probe
from quarterdeck.executor.processes import Ended, Processes
from quarterdeck.executor.proxy import CONNECTIONS, HEAD_BYTES, Proxy
from tests.engine.stubs import LOOKS
from tests.executor.people import as_normal_user

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ASK = """
import os, socket, sys
def ask(text, more=b""):
    with socket.create_connection(("127.0.0.1", 3128), 10) as line:
        line.sendall(text.encode("latin-1") + more)
        line.settimeout(10)
        said = b""
        while part := line.recv(65536):
            said += part
    return said.decode("latin-1")
def connect(place, more=b""):
    return ask(f"CONNECT {place} HTTP/1.1\\r\\nHost: {place}\\r\\n\\r\\n", more)
"""


def network(*hosts: str, names: dict[str, list[str]] | None = None, within: tuple[str, ...] = ()) -> Network:
    """A network with these hosts, and names that lead where the test says."""

    async def resolve(host: str, port: int) -> list[str]:
        return (names or {})[host].copy() if names and host in names else [host]

    within = within or hosts
    return Network(NetworkPolicy(allowed=hosts, within=(within,), named=written_out(within)), resolve)


async def ran(root: Path, script: str, way: Network | None) -> Ended:
    """A Python program in the sandbox, with that network."""
    (root / "ask.py").write_text(ASK + script, encoding="utf-8")
    return await Processes(await probe()).run("session:1", ["python3", "ask.py"], root=root, timeout=60, network=way)


@asynccontextmanager
async def outside(answer: Answer | None = None) -> AsyncGenerator[tuple[int, list[bytes]]]:
    """A server on this machine that notes what it is asked, and says `outside`."""
    heard: list[bytes] = []

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer:
            await answer(reader, writer)
        else:
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(LOOKS.encode()):
                heard.append(head)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\noutside")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(client, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


@pytest.fixture
def root(tmp_path: Path) -> Path:
    workspace = tmp_path / "files"
    workspace.mkdir()
    return workspace


async def test_what_is_allowed_is_reached_by_both_ways_and_by_common_programs(root: Path) -> None:
    async with outside() as (port, heard):
        place = f"127.0.0.1:{port}"
        way = network(place)
        script = (
            f"print(connect('{place}', b'GET /a HTTP/1.1\\r\\n\\r\\n'))\n"
            f"print(ask('GET http://{place}/b?c=d HTTP/1.1\\r\\nHost: evil.test\\r\\nX-Kept: 1\\r\\n"
            "Proxy-Authorization: x\\r\\nConnection: keep-alive\\r\\n\\r\\n'))\n"
            "import urllib.request\n"
            "os.environ['NO_PROXY'] = os.environ['no_proxy'] = ''\n"
            f"print(urllib.request.urlopen('http://{place}/c').read().decode())\n"
        )
        ended = await ran(root, script, way)

        assert ended.text.count("outside") == 3, ended.text
        assert [request.split(b"\r\n")[0] for request in heard] == [
            b"GET /a HTTP/1.1",
            b"GET /b?c=d HTTP/1.1",
            b"GET /c HTTP/1.1",
        ]
        told = heard[1].lower()
        assert b"x-kept: 1" in told
        assert f"host: {place}".encode() in told
        assert b"connection: close" in told
        assert not any(word in told for word in (b"evil", b"proxy-", b"keep-alive"))
        assert way.refused == ()


async def test_without_a_policy_nothing_listens_and_nothing_is_set(root: Path) -> None:
    script = (
        "print([name for name in os.environ if 'proxy' in name.lower()])\n"
        "try: connect('a.test:80'); print('reached')\n"
        "except OSError as fault: print(type(fault).__name__)\n"
    )
    assert (await ran(root, script, None)).text == "[]\nConnectionRefusedError\n"


async def test_what_is_not_allowed_is_refused_and_noted_however_it_is_written(root: Path) -> None:
    async with outside() as (port, heard):
        ways = [
            f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", f"[::ffff:127.0.0.1]:{port}",
            f"2130706433:{port}", f"0x7f000001:{port}", f"0x7f.1:{port}", f"127.1:{port}", f"0177.0.0.1:{port}",
            f"0:{port}", f"127.0.0.1.:{port}", f"evil.test:{port}", f"fine.test.evil.test:{port}", "fine.test:22",
        ]  # fmt: skip
        way = network("fine.test", f"fine.test:{port}", names={"fine.test": ["127.0.0.1"]})
        script = (
            f"for place in {ways}: print(connect(place).split('\\r\\n')[0])\n"
            f"print(ask('GET http://127.0.0.1:{port}/ HTTP/1.1\\r\\n\\r\\n').split('\\r\\n')[0])\n"
            f"print(ask('GET http://fine.test@127.0.0.1:{port}/ HTTP/1.1\\r\\n\\r\\n').split('\\r\\n')[0])\n"
            f"for _ in range(3): print(connect('fine.test:{port}'))\n"
            "for target in (('127.0.0.1', %d), ('192.0.2.1', 80), ('169.254.169.254', 80)):\n"
            "    try: socket.create_connection(target, 2); print('reached')\n"
            "    except OSError: print('no way')\n" % port
        )
        ended = await ran(root, script, way)

        lines = ended.text.split("\n")
        assert set(lines[: len(ways) + 2]) == {"HTTP/1.1 403 Forbidden"}, ended.text
        assert ended.text.count("its address is the machine itself") == 3
        assert ended.text.endswith("no way\nno way\nno way\n")
        assert heard == []
        assert [one.count for one in way.refused if (one.host, one.port) == ("fine.test", port)] == [3]
        assert {one.host for one in way.refused} >= {"evil.test", "2130706433", "127.1"}


async def test_a_name_that_leads_elsewhere_later_is_not_followed(root: Path) -> None:
    """The address that was looked at is the one that is connected to: the name is not asked for again."""
    asked: list[str] = []
    async with outside() as (port, heard):

        async def rebinding(host: str, port: int) -> list[str]:
            asked.append(host)
            return ["192.0.2.1", "10.0.0.1"] if len(asked) % 2 else ["127.0.0.1"]

        policy = NetworkPolicy(allowed=(f"re.test:{port}",), within=(("*", f"*:{port}"),))
        way = Network(policy, rebinding)
        ended = await ran(root, f"for _ in range(4): print(connect('re.test:{port}'))\n", way)

        assert ended.text.count("403 Forbidden") == 4
        assert heard == []
        assert asked == ["re.test"] * 4


async def test_private_addresses_only_by_name(root: Path) -> None:
    names = {"a.test": ["10.1.2.3"], "b.test": ["10.1.2.3"], "c.test": ["169.254.169.254"], "d.test": ["127.0.0.1"]}
    way = network("a.test", "b.test", "c.test", "d.test", names=names, within=("*", "a.test", "c.test", "d.test"))

    assert await way.addresses("a.test", 443) == ["10.1.2.3"]
    for host in ("b.test", "c.test", "d.test"):
        with pytest.raises(Exception, match="its address is"):
            await way.addresses(host, 443)
    mixed = network("m.test", names={"m.test": ["127.0.0.1", "1.1.1.1", "10.0.0.1"]}, within=("*",))
    assert await mixed.addresses("m.test", 443) == ["1.1.1.1"]


async def test_other_protocols_and_unreadable_requests_are_sent_away(root: Path) -> None:
    way = network("a.test")
    script = (
        "print(ask('SSH-2.0-OpenSSH_9.2\\r\\n\\r\\n').split('\\r\\n')[0])\n"
        "print(ask('\\x05\\x01\\x00\\r\\n\\r\\n').split('\\r\\n')[0])\n"
        "print(ask('\\x16\\x03\\x01\\x02\\x00\\r\\n\\r\\n').split('\\r\\n')[0])\n"
        "print(ask('GET / HTTP/1.1\\r\\nHost: a.test\\r\\n\\r\\n').split('\\r\\n')[0])\n"
        "print(ask('GET https://a.test/ HTTP/1.1\\r\\n\\r\\n').split('\\r\\n')[0])\n"
        "print(ask('GET file:///etc/passwd HTTP/1.1\\r\\n\\r\\n').split('\\r\\n')[0])\n"
        "print(ask('CONNECT a.test HTTP/1.1\\r\\n\\r\\n').split('\\r\\n')[0])\n"
        "print(ask('CONNECT a.test:99999 HTTP/1.1\\r\\n\\r\\n').split('\\r\\n')[0])\n"
        "print(ask('CONNECT x@a.test:443 HTTP/1.1\\r\\n\\r\\n').split('\\r\\n')[0])\n"
        "print(ask('CONNECT a.test:443/x HTTP/1.1\\r\\n\\r\\n').split('\\r\\n')[0])\n"
        "print(ask('CONNECT [::1:443 HTTP/1.1\\r\\n\\r\\n').split('\\r\\n')[0])\n"
        "print(ask('GET http://a.test/ HTTP/1.1\\r\\nbad header: x\\r\\n\\r\\n').split('\\r\\n')[0])\n"
        "print(ask('GET http://a.test/ HTTP/1.1\\r\\nX: y\\nHost: z\\r\\n\\r\\n').split('\\r\\n')[0])\n"
        "print(ask('GET http://a.test/ HTTP/1.1\\r\\n folded\\r\\n\\r\\n').split('\\r\\n')[0])\n"
    )
    ended = await ran(root, script, way)

    assert ended.text == "HTTP/1.1 400 Bad Request\n" * 14
    assert way.refused == ()


async def test_a_huge_head_and_a_slow_one_are_ended(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "HEAD_SECONDS", 0.5)
    script = (
        f"print(ask('GET http://a.test/ HTTP/1.1\\r\\nX: ' + 'x' * {2 * HEAD_BYTES}).split('\\r\\n')[0])\n"
        "print(ask('GET http://a.test/ HT').split('\\r\\n')[0])\n"
    )
    ended = await ran(root, script, network("a.test"))

    assert ended.text == "HTTP/1.1 431 Request Header Fields Too Large\nHTTP/1.1 408 Request Timeout\n"


async def test_connections_are_bounded_and_end_with_the_command(root: Path) -> None:
    open_now = 0

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        open_now += 1
        writer.write(b"held")
        await reader.read()
        open_now -= 1

    async with outside(hold) as (port, _):
        script = (
            f"place = '127.0.0.1:{port}'\nlines = []\n"
            f"for _ in range({CONNECTIONS}):\n"
            "    line = socket.create_connection(('127.0.0.1', 3128), 10)\n"
            "    line.sendall(f'CONNECT {place} HTTP/1.1\\r\\n\\r\\n'.encode())\n"
            "    said = b''\n"
            "    while not said.endswith(b'held'): said += line.recv(100)\n"
            "    lines.append(line)\n"
            "print(ask('x').split('\\r\\n')[0], flush=True)\n"
            "os._exit(0)\n"
        )
        ended = await ran(root, script, network(f"127.0.0.1:{port}"))
        assert ended.text == "HTTP/1.1 503 Service Unavailable\n"
        async with asyncio.timeout(60):
            while open_now:
                await asyncio.sleep(0.01)


async def test_what_is_refused_is_told_within_bounds() -> None:
    way = network("a.test")
    for number in range(100):
        with pytest.raises(Exception, match="refused"):
            await way.addresses(f"x{number}.test", 443)
    with pytest.raises(Exception, match="refused"):
        await way.addresses("y" * 9_000, 443)

    assert len(way.refused) == 20
    assert sum(one.count for one in way.refused) == 101
    assert max(len(one.host) for one in way.refused) <= 300


async def test_a_host_that_is_not_there_is_no_refusal(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    async def nowhere(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "not known")

    way = Network(NetworkPolicy(allowed=("a.test",), within=(("*",),)), nowhere)
    assert "502 Bad Gateway" in (await ran(root, "print(connect('a.test:443'))\n", way)).text
    assert way.refused == ()
    way = network(f"127.0.0.1:{port}")
    assert "doesn't answer" in (await ran(root, f"print(connect('127.0.0.1:{port}'))\n", way)).text


async def test_a_kill_ends_the_command_with_its_network(root: Path) -> None:
    async with outside() as (port, _):
        processes = Processes(await probe())
        (root / "ask.py").write_text(f"{ASK}connect('127.0.0.1:{port}')\n", encoding="utf-8")
        way = network(f"127.0.0.1:{port}")
        running = asyncio.create_task(
            processes.run("session:1", ["python3", "ask.py"], root=root, timeout=60, network=way)
        )
        await asyncio.sleep(0)
        proof = await processes.kill_tree("session:1")
        ended = (await asyncio.gather(running, return_exceptions=True))[0]
        assert proof.left == 0
        assert isinstance(ended, Ended | SessionEndedError)


async def test_many_commands_leave_no_descriptor_behind(root: Path) -> None:
    await ran(root, "connect('b.test:443')\n", network("a.test"))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await ran(root, "connect('b.test:443')\n", network("a.test"))
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_large_answers_and_half_closed_lines_come_through() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        await writer.drain()

    async with outside(echo) as (port, _):
        served = Proxy(network(f"127.0.0.1:{port}"))
        listening = socket.create_server(("127.0.0.1", 0))
        await served.listen(listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
        assert b"200" in await reader.readuntil(b"\r\n\r\n")
        data = os.urandom(3_000_000)
        writer.write(data)
        writer.write_eof()
        assert await reader.read() == data
        writer.close()
        await served.close()


async def test_a_line_that_breaks_is_the_end_of_both_ways_and_no_fault() -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    ended = asyncio.Event()

    async def until_it_ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x")
        await reader.read()
        ended.set()

    async with outside(until_it_ends) as (port, _):
        served = Proxy(network(f"127.0.0.1:{port}"))
        listening = socket.create_server(("127.0.0.1", 0))
        await served.listen(listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
        await reader.readuntil(b"x")
        # Without time for a goodbye, so that the proxy reads a reset and no end.
        line: socket.socket = writer.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await asyncio.wait_for(ended.wait(), 60)
        await served.close()
    gc.collect()
    assert faults == []


def test_all_of_this_as_a_normal_user() -> None:
    as_normal_user(__file__)
