"""What a push asks for, read from the first lines of git's request; and the answer when it may not."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from quarterdeck.app.outside import RefUpdate
from quarterdeck.core.errors import InvalidInputError

COMMANDS = 1000
"""How many refs one push may update."""
COMMAND_BYTES = 1024 * 1024
"""How much may come before the pack: what is asked for, and the edge of a shallow clone."""

_FLUSH = b"0000"


def line(data: bytes) -> bytes:
    """A line of git's protocol: its length in four hexadecimal digits before it."""
    return f"{len(data) + 4:04x}".encode() + data


@dataclass
class Push:
    """The updates that a push asks for, and everything that was read for that, to be passed on."""

    updates: tuple[RefUpdate, ...] = ()
    capabilities: frozenset[str] = frozenset()
    seen: bytearray = field(default_factory=bytearray)


async def read(body: AsyncIterator[bytes]) -> Push:
    """Reads the commands at the beginning of a push, and no more than the piece they end in.

    Raises:
        InvalidInputError: it is no push, or one of too many refs.
    """
    push, updates, at = Push(), list[RefUpdate](), 0
    while (found := await _line(push.seen, at, body)) is not None:
        at += 4 + len(found)
        if at > COMMAND_BYTES:
            raise InvalidInputError(f"This push asks for more than {COMMAND_BYTES:,} bytes can say.")
        command, _, capabilities = found.partition(b"\0")
        if capabilities:
            push.capabilities = frozenset(capabilities.decode("utf-8", "replace").split())
        words = command.decode("utf-8", "replace").rstrip("\n").split(" ", 2)
        if words[0] == "shallow":
            continue
        if len(words) != 3 or len(updates) >= COMMANDS:
            raise InvalidInputError("This is not a push that can be read, or one of too many refs.")
        updates.append(RefUpdate(ref=words[2], old=words[0], new=words[1]))
    push.updates = tuple(updates)
    return push


async def _line(seen: bytearray, at: int, body: AsyncIterator[bytes]) -> bytes | None:
    """The line at a place, None for the flush that ends the commands, or when there is nothing at all."""
    await _fill(seen, at + 4, body)
    head = bytes(seen[at : at + 4])
    if not head or head == _FLUSH:
        return None
    try:
        size = int(head, 16)
    except ValueError:
        size = 0
    await _fill(seen, at + size, body)
    if size < 5 or len(seen) < at + size:
        raise InvalidInputError("This is not a push that can be read.")
    return bytes(seen[at + 4 : at + size])


async def _fill(seen: bytearray, size: int, body: AsyncIterator[bytes]) -> None:
    while len(seen) < size and (piece := await anext(body, None)) is not None:
        seen += piece


def refusal(push: Push, reasons: dict[str, str]) -> bytes:
    """Git's answer to a push of which nothing is done: a reason for each ref."""
    lines: list[bytes] = [b"unpack ok\n"]
    for update in push.updates:
        reason = reasons.get(update.ref, "another ref of this push was refused")
        lines.append(f"ng {update.ref} {reason}\n".encode())
    report = b"".join(map(line, lines)) + _FLUSH
    if not push.capabilities & {"report-status", "report-status-v2"}:
        return _FLUSH
    if "side-band-64k" in push.capabilities:
        return b"".join(line(b"\1" + piece) for piece in _pieces(report)) + _FLUSH
    return report


def _pieces(data: bytes, size: int = 60_000) -> Iterable[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))
