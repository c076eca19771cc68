import json
import re
import string
from base64 import b64encode, urlsafe_b64encode
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import JsonValue

from quarterdeck.core.redaction import OPENING_BYTES, REDACTED, Redactor

LETTERS = string.ascii_letters + string.digits
KEY = (
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123\n\n"
    + f"{'MIIEpAIBAAKCAQEA' * 4}\n" * 20
    + "x9Q=\n-----END RSA PRIVATE KEY-----"
)
PLANTED = {
    "github": "ghp_" + LETTERS[:36],
    "github fine": "github_pat_11ABCDEFG0_" + LETTERS,
    "gitlab": "glpat-" + "x_Y-" * 5,
    "gitlab routable": "glpat-" + "aB3_" * 7 + ".01.0w1abcdefg",
    "openai": "sk-proj-" + "aB3_-" * 20,
    "anthropic": "sk-ant-api03-" + "aB3_-" * 20,
    "aws id": "AKIAIOSFODNN7EXAMPLE",
    "slack": "xoxb-1234567890-abcdefghij",
    "google": "AIza" + LETTERS[:35],
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "npm": "npm_" + LETTERS[:36],
    **{f"ours {kind}": f"qd{kind}_" + "aB3_-xY0" * 5 + "abc" for kind in "pwrsb"},
    "private key": KEY,
    "private key in JSON": json.dumps(KEY)[1:-1],
}
SURROUNDED = {
    "Authorization: Bearer {}": "abc.def~1+/=-",
    '"authorization": "Basic {}"': "dXNlcjpwYXNzd29yZA==",
    "curl -H 'PRIVATE-TOKEN: {}' https://example.org": "abcdefgh12",
    'export AWS_SECRET_ACCESS_KEY="{}"': "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "said bearer {} there": "0123456789abcdef0123",
    "Bearer {}!": "0123456789abcdef0123",
    "X-Api-Key={}": "0123456789",
    "clone https://oauth2:{}@example.org/a.git": "s3cr3t!",
    "postgres://qd:{}@127.0.0.1:5432/qd": "p:w%40",
}
HARMLESS = (
    "a risk-assessment-of-the-whole-project and task-force-one-and-only\n",
    "bearer authentication is http://127.0.0.1:8080/x?a@b, https://oauth2:${TOKEN}@host, https://u:$PW@host",
    "-----BEGIN CERTIFICATE-----\nMIIEpAIBAAKCAQEAMIIEpAIB\n-----END CERTIFICATE-----\n",
    "Authorization: $HEADER\nsk-short ghp_short AKIA qdp_x ünïcödé 😀\r\n\x00\x1b[31mred\x1b[0m",
)
secrets = st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=40).filter(
    lambda s: len(s.strip()) >= 6 and s.strip() not in REDACTED and not set(s) & set("[]")
)
pieces = st.sampled_from([*PLANTED.values(), *HARMLESS, "\n", " ", "-----BEGIN PRIVATE KEY-----", "gh", "p_", "://u:"])


def redacted(redactor: Redactor, whole: bytes, cuts: list[int]) -> tuple[bytes, int]:
    """What comes out of a stream that is fed `whole` in pieces, and the most that was held back."""
    stream = redactor.stream()
    places = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
    out, most = b"", 0
    for start, end in pairwise(places):
        out += stream.feed(whole[start:end])
        most = max(most, end - len(out))
    return out + stream.close(), most


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("frame", ["{}", "token={}", "a log line: '{}' and more\n", '{{"token": "{}"}}', "x\n{}\ny\n"])
def test_what_looks_like_a_secret_is_taken_out(kind: str, frame: str) -> None:
    assert Redactor().text(frame.format(PLANTED[kind])).rstrip() == frame.format(REDACTED).rstrip()


@pytest.mark.parametrize("frame", SURROUNDED)
def test_what_stands_where_a_secret_stands_is_taken_out(frame: str) -> None:
    for written in (frame, frame.lower(), frame.upper()):
        assert Redactor().text(written.format(SURROUNDED[frame])) == written.format(REDACTED)


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_stays(text: str) -> None:
    assert Redactor(["hunter2", "short"]).text(text) == text


def test_what_follows_a_key_is_not_lost() -> None:
    assert Redactor().text(f"a\n{KEY}\nb\n") == f"a\n{REDACTED}\nb\n"
    assert Redactor().text(f"{KEY[:-60]}\nfound (1)\n") == f"{REDACTED}\nfound (1)\n"
    assert Redactor().text(KEY[:-60]) == REDACTED
    assert Redactor().text("id_rsa:-----BEGIN PRIVATE KEY-----\nto be (continued)\n") == (
        f"id_rsa:{REDACTED}\nto be (continued)\n"
    )


@given(secret=secrets, before=st.text(max_size=5), after=st.text(max_size=5))
def test_known_values_are_found_however_they_are_encoded(secret: str, before: str, after: str) -> None:
    value = secret.strip()
    raw = value.encode()
    forms = {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        re.sub("%..", lambda found: found[0].lower(), quote(value, safe="")),
        b64encode(raw).decode(),
        urlsafe_b64encode(raw).decode().rstrip("="),
    }
    redactor = Redactor([secret])
    for form in forms:
        assert redactor.text(f"({form})") == f"({REDACTED})"
    for lead in ("", "u", "us", "user:"):
        cut = -(-len(lead) * 8 // 6)
        inside = b64encode(lead.encode() + raw + b"!!").decode()[cut : (len(lead) + len(raw)) * 8 // 6]
        assert inside not in redactor.text(b64encode(lead.encode() + raw + b"!!").decode())
    text = f"{before}{secret}{after}"
    assume(value not in text.replace(value, REDACTED))
    assert value not in redactor.text(text)


def test_each_long_line_of_a_known_value_is_a_secret_and_short_values_are_not() -> None:
    redactor = Redactor(["first line of it\nab\nsecond line of it\n", "abc", " \n"])
    assert (
        redactor.text("1 first line of it\n2 ab\n3 second line of it\nabc") == f"1 {REDACTED}\n2 ab\n3 {REDACTED}\nabc"
    )


def test_the_longest_known_value_wins_and_the_mark_survives() -> None:
    redactor = Redactor(["secret", "secret-and-more", "redacted"])
    assert redactor.text("secret-and-more secret") == f"{REDACTED} {REDACTED}"


@given(st.lists(secrets, max_size=4), st.data())
def test_any_cutting_gives_the_same(known: list[str], data: st.DataObject) -> None:
    redactor = Redactor(known)
    parts = data.draw(st.lists(st.one_of(pieces, st.text(max_size=20), st.sampled_from(known or [""])), max_size=8))
    whole = "".join(parts).encode("utf-8", "surrogatepass")
    expected, _ = redacted(redactor, whole, [])
    cuts = data.draw(st.lists(st.integers(0, 5_000), max_size=30))
    assert redacted(redactor, whole, cuts)[0] == expected
    assert redacted(redactor, whole, list(range(len(whole))))[0] == expected
    assert redactor.text("".join(parts)) == expected.decode("utf-8", "replace")


@given(st.lists(secrets, max_size=3), st.data())
def test_texts_that_raise_no_suspicion_stay_as_they_are(known: list[str], data: st.DataObject) -> None:
    redactor = Redactor(known)
    words = st.lists(st.one_of(pieces, st.text(max_size=20), st.sampled_from(known or [""])), max_size=4).map("".join)
    texts = data.draw(st.lists(words, max_size=4))
    assert redactor.suspects(texts) or [redactor.text(one) for one in texts] == texts


def test_suspicion_is_for_what_may_change() -> None:
    redactor = Redactor(["hunter2 hunter2"])
    for secret in (*PLANTED.values(), "hunter2 hunter2", "\ud800"):
        assert redactor.suspects(["before", f"x {secret} x", "behind"])
    assert not redactor.suspects(["a plain line", HARMLESS[0], "ünïcödé", ""])
    assert not Redactor().suspects(["hunter2 hunter2"])


@given(st.lists(st.one_of(pieces.filter(lambda piece: piece not in PLANTED.values()), st.text(max_size=9)), max_size=9))
def test_no_planted_secret_survives(around: list[str]) -> None:
    redactor = Redactor(["hunter2 hunter2"])
    for secret in (PLANTED["github"], PLANTED["ours p"], PLANTED["aws id"], "hunter2 hunter2"):
        assert secret not in redactor.text(f"{' '.join(around)} {secret} {' '.join(around)}")


@given(st.text("abh_ :/=-\n", max_size=3_000), st.lists(st.integers(0, 3_000), max_size=9))
def test_little_is_held_back(noise: str, cuts: list[int]) -> None:
    out, most = redacted(Redactor(["ab" * 20 + "c"]), noise.encode(), cuts)
    assert out.decode() == noise
    assert most <= OPENING_BYTES + 40
    assert Redactor().stream().feed(b"a whole line\n") == b"a whole line\n"


def test_a_long_line_in_small_pieces_is_read_like_the_whole() -> None:
    redactor = Redactor()
    for whole, expected in (
        ("x" * 600 + "sk-" + "a" * 600, "x" * 600 + "sk-" + "a" * 600),
        ("ghp_" + "A" * 2_000 + "! ", REDACTED + "! "),
    ):
        assert redacted(redactor, whole.encode(), list(range(len(whole))))[0].decode() == expected


def test_no_shape_takes_half_of_a_known_value() -> None:
    text = Redactor(["abcdefghijklmnop!and-more"]).text("Bearer abcdefghijklmnop!and-more said")
    assert text == f"Bearer {REDACTED} said"


def test_values_and_names_are_taken_out_at_any_depth_and_none_is_lost() -> None:
    value: JsonValue = {
        "hunter2": ["hunter2", {f"k {PLANTED['github']}": f"x {PLANTED['github']}"}],
        "hunter2hunter2": 2,
        "[redacted]": 3,
        "hunter2 ": 4,
        "n": 1,
        "b": True,
        "none": None,
        "f": 0.5,
    }
    assert Redactor(["hunter2"]).value(value) == {
        f"{REDACTED} 2": [REDACTED, {f"k {REDACTED}": f"x {REDACTED}"}],
        f"{REDACTED}{REDACTED}": 2,
        REDACTED: 3,
        f"{REDACTED} ": 4,
        "n": 1,
        "b": True,
        "none": None,
        "f": 0.5,
    }


@pytest.mark.parametrize(
    "unit",
    [
        "a", "-", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n=", "://", "://" + "a" * 125, "://a:b",
        "://a:" + "b" * 255, "sk-", "authorization:        ", "aws_secret_key", "bearer\t", "hunter2hunter",
        "eyJhbGciOi",
    ],
)  # fmt: skip
def test_no_text_is_slow(unit: str) -> None:
    size = 5_000_000 if unit.startswith(("a", "-")) else 1_000_000
    whole = (unit * (size // len(unit))).encode()
    stream = Redactor(["hunter2hunter3", "a" * 60 + "b"]).stream()
    fed = b"".join(stream.feed(whole[at : at + 65_536]) for at in range(0, len(whole), 65_536)) + stream.close()
    assert len(fed) <= 3 * len(whole)


def test_what_is_learnt_later_is_known_from_then_on() -> None:
    redactor = Redactor(["first-secret"])
    assert redactor.text("first-secret second-secret") == "[redacted] second-secret"
    redactor.learn(["second-secret"])
    redactor.learn(["second-secret", "first-secret"])
    redactor.learn([])
    assert redactor.text("first-secret second-secret") == "[redacted] [redacted]"


@pytest.mark.parametrize("planted", [*PLANTED.values(), *(around.format(of) for around, of in SURROUNDED.items())])
@pytest.mark.parametrize("around", ["{}", "{} and more", "a line\n{}\n", "({})", "said: {}!"])
def test_a_look_at_many_texts_finds_whatever_one_of_them_would_be_changed_for(planted: str, around: str) -> None:
    text = around.format(planted)
    redactor = Redactor()
    assert redactor.text(text) == text or redactor.suspects(["harmless", text, "harmless"])


@given(st.lists(pieces, max_size=6).map("".join), st.booleans())
def test_what_is_not_suspected_would_stay_as_it_is(text: str, upper: bool) -> None:
    redactor = Redactor(["a-secret-of-the-server"])
    text = text.upper() if upper else text
    assert redactor.suspects([text]) or redactor.text(text) == text
