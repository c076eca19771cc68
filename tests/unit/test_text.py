from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from quarterdeck.core.text import clean, clean_value, cut, cut_texts, decode, deeper, line, long_texts


@given(st.text(st.characters(exclude_categories=[])))
def test_cleaned_text_can_be_stored(text: str) -> None:
    cleaned = clean(text)
    assert "\x00" not in cleaned
    assert cleaned.encode().decode() == cleaned == clean(cleaned)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_what_can_be_stored_stays(text: str) -> None:
    assert clean(text) == text == decode(text.encode())


def test_each_character_that_cannot_be_stored_is_marked() -> None:
    assert clean("a\x00b\ud800c\udfff") == "a\ufffdb\ufffdc\ufffd"
    assert clean("\ud83d\ude00") == "\U0001f600"
    assert decode(b"a\xff\x00") == "a\ufffd\ufffd"


def test_all_texts_of_a_value_are_cleaned() -> None:
    value: JsonValue = {"a\x00": ["\ud800", {"b": "c\x00"}, 1, None, True, 0.5]}
    assert clean_value(value) == {"a\ufffd": ["\ufffd", {"b": "c\ufffd"}, 1, None, True, 0.5]}


def test_a_value_is_deeper_than_the_levels_that_it_does_not_have() -> None:
    assert not deeper("a", 0)
    assert [deeper({"a": [1], "b": {}}, levels) for levels in (0, 1, 2)] == [True, True, False]


@given(st.text(), st.integers(0, 50))
def test_a_cut_keeps_head_and_tail_and_says_how_much_is_missing(text: str, limit: int) -> None:
    short = cut(text, limit)
    if len(text) <= limit:
        assert short == text
        return
    head, tail = text[: limit // 3], text[len(text) - (limit - limit // 3) :]
    assert short == f"{head}\n[… {len(text) - limit} characters left out …]\n{tail}"


def test_a_cut_may_name_what_is_missing() -> None:
    assert cut("x" * 2_000, 3, note="bytes of the log") == "x\n[… 1,997 bytes of the log …]\nxx"


def test_the_long_texts_of_a_value_are_cut_and_the_short_ones_stay() -> None:
    value: JsonValue = {"a": ["x" * 3_000, "y" * 1_000, 1, None], "b": {"c": "z" * 1_001}}
    assert long_texts(value) == 2
    assert cut_texts(value, 2_000) == {"a": [cut("x" * 3_000, 2_000), "y" * 1_000, 1, None], "b": {"c": "z" * 1_001}}
    assert cut_texts(value, 10) == {
        "a": [cut("x" * 3_000, 1_000), "y" * 1_000, 1, None],
        "b": {"c": cut("z" * 1_001, 1_000)},
    }


@given(st.text(), st.integers(1, 50))
def test_a_line_is_one_and_short(text: str, limit: int) -> None:
    flat = line(text, limit)
    assert len(flat) <= limit
    assert flat == " ".join(flat.split())
    if len(" ".join(text.split())) <= limit:
        assert flat == " ".join(text.split())
    else:
        assert flat.endswith("…")
