import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core import events as e
from quarterdeck.core.attachment import Attachment, fenced, media_type
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.fold import apply, begin
from quarterdeck.core.history import Said, conversation, size, transcript
from tests.unit.world import CREATED, event

NOTES = Attachment(id=7, name="a `b`\n.txt", media_type="text/plain", size=5, characters=5)
PICTURE = Attachment(id=8, name="p.png", media_type="image/png", size=5, characters=6_000)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a..", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        ("\ufeffGrüße".encode(), "text/plain"),
        (b"<svg/>", "text/plain"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"a\0b", None),
        (b"\xff\xfe", None),
    ],
)
def test_a_file_is_what_its_bytes_say(data: bytes, kind: str | None) -> None:
    if kind is not None:
        assert media_type(data) == kind
        return
    with pytest.raises(InvalidInputError, match="neither text"):
        media_type(data)


@given(st.text(alphabet="`~a\n ", max_size=60), st.sampled_from(["", "snippet"]))
def test_no_text_gets_out_of_its_fence(text: str, category: str) -> None:
    shown = fenced(NOTES.model_copy(update={"category": category}), text, most=1_000)
    head, fence, *inside, last = shown.split("\n")
    assert head == f"Attached {category or 'file'}: `a 'b' .txt`"
    assert (last, "\n".join(inside)) == (fence, text)
    assert fence not in text
    assert re.fullmatch("`{3,}", fence)


def test_a_long_text_is_cut_in_the_middle_and_an_image_is_only_named() -> None:
    assert "800 characters left out" in fenced(NOTES, "x" * 900, most=100)
    assert fenced(PICTURE, "", most=100) == "Attached image: `p.png`"


def test_files_stand_behind_the_words_they_came_with_and_count_in_the_conversation() -> None:
    events = [
        event(1, CREATED),
        event(2, e.ComponentEntered(component="a", system="s", user="do", attachments=(NOTES,))),
        event(3, e.ModelAnswered(component="a", text="done", model="m")),
        event(4, e.MessageAdded(text="look", by="ada", component="a", attachments=(PICTURE,))),
    ]
    state = begin(events[0])
    for one in events[1:]:
        apply(state, one)
    talk = conversation("a", events)
    assert [one for one in talk.messages if isinstance(one, Said)] == [Said("do", (NOTES,)), Said("look", (PICTURE,))]
    assert state.sizes["a"] == sum(map(size, talk.messages)) == len("dodonelook") + 6_005
    assert "attached: p.png" in transcript(talk)
