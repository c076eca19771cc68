"""Amazon's side of Converse: the frames of its streams, and the check of a request's signature."""

import hashlib
import hmac
import json
import re
import struct
from urllib.parse import quote
from zlib import crc32

from tests.engine.stubs import Json, Reply, Wire

STREAM = "application/vnd.amazon.eventstream"


def frame(event: str, payload: object, kind: str = "event") -> bytes:
    """One message of an event stream: lengths, their checksum, headers, payload, the checksum of all."""
    named = {f":{'exception' if kind == 'exception' else 'event'}-type": event, ":content-type": "application/json"}
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in {**named, ":message-type": kind}.items()
    )
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    prelude = struct.pack(">II", len(headers) + len(body) + 16, len(headers))
    whole = prelude + struct.pack(">I", crc32(prelude)) + headers + body
    return whole + struct.pack(">I", crc32(whole))


def text(*pieces: str) -> list[Json]:
    """The deltas of a text."""
    return [{"text": piece} for piece in pieces]


def thoughts(signature: str, *pieces: str) -> list[Json]:
    """The deltas of signed thoughts."""
    said: list[Json] = [{"reasoningContent": {"text": piece}} for piece in pieces]
    return [*said, {"reasoningContent": {"signature": signature}}]


def call(call_id: str, name: str, *pieces: str) -> list[Json]:
    """A tool call: what begins it, and the deltas of its arguments."""
    start: Json = {"start": {"toolUse": {"toolUseId": call_id, "name": name}}}
    return [start, *({"toolUse": {"input": piece}} for piece in pieces)]


def answer(*blocks: list[Json], stop: str = "end_turn", usage: Json | None = None) -> list[bytes]:
    """A whole stream of these blocks."""
    frames = [frame("messageStart", {"role": "assistant"})]
    for index, block in enumerate(blocks):
        for piece in block:
            at: Json = {"contentBlockIndex": index}
            begins = "start" in piece
            frames.append(
                frame("contentBlockStart", piece | at) if begins else frame("contentBlockDelta", {"delta": piece} | at)
            )
        frames.append(frame("contentBlockStop", {"contentBlockIndex": index}))
    frames.append(frame("messageStop", {"stopReason": stop}))
    counted = usage or {"inputTokens": 12, "outputTokens": 6, "totalTokens": 18}
    return [*frames, frame("metadata", {"usage": counted, "metrics": {"latencyMs": 5}})]


def stream(*frames: bytes) -> Reply:
    """A reply of these frames."""

    async def reply(wire: Wire) -> None:
        await wire.begin(STREAM)
        await wire.send(*frames)
        await wire.end()

    return reply


def signed_by(wire: Wire, secret: str) -> bool:
    """Whether the request, as it came over the wire, is signed with this secret (Signature Version 4)."""
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=[^/]+/(\d+)/([^/]+)/([^/]+)/aws4_request, SignedHeaders=([^,]+), Signature=(\w+)",
        wire.headers["authorization"],
    )
    assert found
    date, region, service, names, signature = found.groups()
    lines = "".join(f"{name}:{wire.headers[name]}\n" for name in names.split(";"))
    payload = hashlib.sha256(wire.raw).hexdigest()
    request = f"POST\n{quote(wire.path, safe='/~')}\n\n{lines}\n{names}\n{payload}"
    scope = f"{date}/{region}/{service}/aws4_request"
    words = f"AWS4-HMAC-SHA256\n{wire.headers['x-amz-date']}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, words.encode(), "sha256").hex(), signature)
