"""The boundary of text: what may be stored, and how long text is cut."""

import math

from pydantic import JsonValue


def clean(text: str) -> str:
    """`text` without NUL and lone surrogates (each becomes U+FFFD), so that PostgreSQL and UTF-8 take it."""
    return text.replace("\x00", "\ufffd").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def clean_value(value: JsonValue) -> JsonValue:
    """A JSON value with all its texts clean, names too."""
    match value:
        case str():
            return clean(value)
        case list():
            return [clean_value(item) for item in value]
        case dict():
            return {clean(name): clean_value(item) for name, item in value.items()}
        case _:
            return value


def deeper(value: JsonValue, levels: int) -> bool:
    """Whether a JSON value nests deeper than so many levels of lists and mappings."""
    match value:
        case dict():
            inside = list(value.values())
        case list():
            inside = value
        case _:
            return False
    return levels == 0 or any(deeper(one, levels - 1) for one in inside)


def finite(number: str) -> float:
    """A number of JSON that PostgreSQL's JSON has, too. Raises ValueError for NaN and for what is beyond a float."""
    if math.isfinite(value := float(number)):
        return value
    raise ValueError(number)


def decode(data: bytes) -> str:
    """Bytes of an untrusted source as storable text."""
    return clean(data.decode("utf-8", "replace"))


def cut(text: str, limit: int, *, note: str = "characters left out") -> str:
    """`text` of at most about `limit` characters: its head and its tail, with a note of how much is missing between."""
    if len(text) <= limit:
        return text
    head = limit // 3
    tail = limit - head
    return f"{text[:head]}\n[… {len(text) - limit:,} {note} …]\n{text[len(text) - tail :]}"


LONG = 1_000
"""A shorter text in a JSON value is not cut."""


def long_texts(value: JsonValue) -> int:
    """How many texts of a JSON value are long."""
    match value:
        case str():
            return len(value) > LONG
        case list():
            return sum(map(long_texts, value))
        case dict():
            return sum(map(long_texts, value.values()))
        case _:
            return 0


def cut_texts(value: JsonValue, limit: int) -> JsonValue:
    """A JSON value with each of its texts cut to `limit`, or to what is short."""
    match value:
        case str():
            return cut(value, max(limit, LONG))
        case list():
            return [cut_texts(item, limit) for item in value]
        case dict():
            return {name: cut_texts(item, limit) for name, item in value.items()}
        case _:
            return value


def line(text: str, limit: int) -> str:
    """`text` as one line of at most `limit` characters, for titles and lists."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…"
