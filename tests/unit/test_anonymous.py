"""Without people and places: what is known or looks like a name or an address is nowhere in what comes out."""

import json
from typing import Any, get_args

from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel

from quarterdeck.core import anonymous, events
from quarterdeck.core.anonymous import Anonymizer, Stream
from quarterdeck.core.events import Event
from tests.archives import corpus
from tests.unit.world import CREATED, event

TEXT = {
    "goal", "title", "initiator", "branch", "text", "by", "reason", "system", "user", "thinking", "error", "question",
    "choices", "executor", "name", "url", "description", "remote", "path", "pattern", "project",
    "pre_approved_patterns", "category", "notes", "host", "allowed", "denied", "within", "named",
    "setup_script", "runner_tags", "folder", "account",
}  # fmt: skip
"""The fields whose texts are looked into. A new field belongs here, to `KEPT` or to `FREE`."""
EMPTIED = {"opaque"}
NESTED = {
    "items",
    "calls",
    "files",
    "tools",
    "usage",
    "budget",
    "attachments",
    "forked_from",
    "agent_config",
    "cache",
    "network",
    "used",
    "triggered",
}


def anonymizer() -> Anonymizer:
    made = Anonymizer()
    made.person("ada", "Ada Lovelace", "ada@lovelace.org")
    made.project("acme/shop", "Shop")
    made.runner("laptop7")
    made.learn([{"seen": "see https://git.acme.zz:8443/x and http://server/ and http://localhost/"}, 1])
    return made


def test_the_same_has_the_same_name_everywhere() -> None:
    told = anonymizer().text
    assert told("Ada Lovelace <ada@lovelace.org> asked ADA.") == "user-1 <user-1@host-2.invalid> asked user-1."
    assert (
        told("git.acme.zz, https://ada:pw@git.acme.zz/acme/shop") == "host-1.invalid, https://host-1.invalid/project-1"
    )
    assert told("git@git.acme.zz:acme/shop.git ada@laptop7:~") == "git@host-1.invalid:project-1.git user-1@runner-1:~"
    assert told("/home/ada/x C:\\Users\\Bob\\y /Users/bob") == "/home/user-1/x C:\\Users\\user-2\\y /Users/user-2"
    assert told("10.0.0.1. [::ffff:10.0.0.1] fe80::1: down") == "ip-1.invalid. [ip-2.invalid] ip-3.invalid: down"
    assert (
        told("at https://10.0.0.1/ and https://[fe80::1]:80/")
        == "at https://ip-1.invalid/ and https://ip-3.invalid:80/"
    )
    assert told("ada_x ada-y adam") == "user-1_x user-1-y adam"
    assert told("www.acme.com grace@navy.mil") == "host-3.invalid user-3@host-4.invalid"
    assert told("bob@sharon.org") == "user-2@host-5.invalid"
    assert told("ada@other.org") == "user-1@host-6.invalid"


def test_what_only_looks_like_something_stays() -> None:
    told = anonymizer().text
    for text in (
        "12:34:56 std::vector 1.2.3 foo.py img@sha256:abc lodash@4.17.21 http://localhost:7433/x 127.0.0.1 ::1",
        "file:///etc/hosts 999.1.1.1 host-1.invalid https://host-9.invalid/",
    ):
        assert told(text) == text
    assert told("ada:10:20 ada://x ada@sha256:a") == "user-1:10:20 user-1://host-2.invalid user-1@sha256:a"
    assert Anonymizer().text("ada and acme/shop") == "ada and acme/shop"


def test_a_second_name_of_one_who_is_known() -> None:
    made = anonymizer()
    made.person("ada", "countess")
    made.person("")
    assert made.text("countess") == "user-1"


def test_what_can_be_known_is_bounded() -> None:
    made = Anonymizer()
    for number in range(anonymous.WORDS + 5):
        made.person(f"person{number}")
    assert made.text("person1 person504") == "user-2 person504"


LETTERS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=3, max_size=10)
PLANTED = st.one_of(
    st.builds("{}@{}.{}".format, LETTERS, LETTERS, LETTERS),
    st.builds("{}.{}.com".format, LETTERS, LETTERS),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
)
AROUND = st.text(" \n\t\"'<>()[]{},;=|", min_size=1, max_size=3)


@given(st.lists(st.tuples(AROUND, PLANTED, AROUND), min_size=1, max_size=6), LETTERS.map("zq{}".format))
def test_planted_words_are_nowhere(planted: list[tuple[str, str, str]], person: str) -> None:
    words = [word for _, word, _ in planted if word not in anonymous.LOCAL]
    assume(not any("zq" in word for word in words))
    made = Anonymizer()
    made.person(person)
    text = "".join(f"{before}{word}{after}{person}{before}/home/{person}/x" for before, word, after in planted)
    payload: dict[str, Any] = {"kind": "message.added", "text": text, "args": {text: [text, 1, None]}}
    for told in (made.text(text), json.dumps(made.payload(payload)), Stream(made).feed(f"{text}\n".encode()).decode()):
        assert [word for word in (*words, person) if word in told] == []


@given(st.lists(st.text(max_size=30), max_size=5).map("\n".join), st.integers(1, 9))
def test_a_stream_comes_to_the_same_however_it_is_cut(text: str, size: int) -> None:
    text = f"{text} ada@lovelace.org 10.0.0.1\nada"
    data = text.encode("utf-8", "replace")
    stream = Stream(anonymizer())
    told = b"".join(stream.feed(data[n : n + size]) for n in range(0, len(data), size)) + stream.close()
    assert told.decode() == anonymizer().text(data.decode())


def test_a_line_without_end_is_left_out() -> None:
    stream = Stream(anonymizer())
    told = stream.feed(b"ada\n" + b"x" * (anonymous.LINE_CHARACTERS + 1)) + stream.feed(b"yy") + stream.feed(b"z\nada")
    assert told + stream.close() == b"user-1\n[a line of 1,048,580 characters is left out]\nuser-1"
    stream = Stream(anonymizer())
    assert stream.feed(b"x" * (anonymous.LINE_CHARACTERS + 1)) == b""
    assert stream.close() == b"[a line of 1,048,577 characters is left out]"


def test_an_event_can_still_be_read() -> None:
    made = anonymizer()
    for one in [*corpus("0.1-fix_pipeline"), *corpus("0.2-subagents")]:
        payload = made.payload(one.payload.model_dump(mode="json"))
        assert Event.model_validate({**one.model_dump(exclude={"payload"}), "payload": payload}).kind == one.kind


def test_what_parts_of_a_log_are_called_stays() -> None:
    made = anonymizer()
    pinned = events.McpToolsPinned(
        server="ada", server_id=1, side="server",
        tools=({"name": "mcp__ada__x", "remote": "ada", "description": "of ada", "form": {"ada": "ada"}},),  # pyright: ignore[reportArgumentType]
    )  # fmt: skip
    told: Any = made.payload(pinned.model_dump(mode="json"))
    assert told["tools"] == [
        {"name": "mcp__ada__x", "remote": "ada", "description": "of user-1", "form": {"user-1": "user-1"},
         "read_only": False}
    ]  # fmt: skip
    created = CREATED.model_copy(update={"pre_approved_patterns": {"ada": ("git ada*",)}, "ref": "ada/fix"})
    told = made.payload(event(1, created).payload.model_dump(mode="json"))
    assert told["pre_approved_patterns"] == {"ada": ["git user-1*"]}
    assert told["ref"] == "user-1/fix"
    answer = events.ModelAnswered(component="ada", text="ada", model="m", opaque="ada")
    told = made.payload(answer.model_dump(mode="json"))
    assert (told["component"], told["text"], told["opaque"]) == ("ada", "user-1", "")


def test_every_field_of_every_kind_is_sorted() -> None:
    sorted_names = anonymous.KEPT | anonymous.FREE | TEXT | EMPTIED | NESTED
    for kind in get_args(get_args(events.AnyPayload)[0]):
        for model in [kind, *_inside(kind)]:
            for name, field in model.model_fields.items():
                plain = field.annotation in (int, bool, float, int | None)
                assert plain or name in sorted_names, (model.__name__, name)


def _inside(kind: type[BaseModel]) -> list[type[BaseModel]]:
    found = [one for field in kind.model_fields.values() for one in (field.annotation, *get_args(field.annotation))]
    return [one for one in found if isinstance(one, type) and issubclass(one, BaseModel)]
