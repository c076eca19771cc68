"""Sessions as files, by the API and by `qd`: what comes out can be read by people and browsers, and does nothing."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from markdown_it import MarkdownIt

from quarterdeck.doors.export import page
from quarterdeck.doors.export.markdown import escaped, fence, quoted
from quarterdeck.doors.export.terminal import coloured, diff, plain, visible
from tests.archives import DIFF, corpus, file_of, lines, rewritten
from tests.doors.conftest import Api, Qd, Running
from tests.doors.test_attachments import PNG
from tests.doors.test_problem import problem
from tests.doors.test_sessions import begin
from tests.doors.test_stream import client

EVIL = (
    "</pre></div></li></script><script>alert(1)</script><img src=x onerror=alert(2)>\n"
    "# not a heading @everybody #1 !2\n```\n~~~\n</details>\n[click](javascript:alert(3)) ![see](https://evil.example/p)\n"
    "\x1b]0;title\x07\x1b[31mred\x1b[0m\u202e <style>*{display:none}</style>\n---\n| a | b |\n1. one\n    indented\n"
    "&lt;b>\r```\r"
)
DIFF_EVIL = f"{DIFF}+````</pre><script>alert(4)</script>\n"


def evil(name: str = "0.1-fix_pipeline") -> bytes:
    """A file in which everybody says the worst."""

    def say(line: dict[str, Any]) -> None:
        payload = line.get("payload", {})
        for field in ("goal", "text", "thinking", "reason", "by", "executor", "name", "question", "system", "user"):
            if field in payload:
                payload[field] = EVIL
        if "title" in payload:
            payload["title"] = "</title><script>alert(0)</script>@everybody #3 | <b>"
        if "args" in payload:
            payload["args"] = {EVIL: EVIL}

    return rewritten(file_of(corpus(name), output=EVIL.encode(), diff=DIFF_EVIL), say)


async def brought(api: Api, data: bytes, **query: str) -> httpx.Response:
    return await api.client.post("/api/v1/sessions/import", content=data, params=query, headers=api.headers)


async def exported(api: Api, session: int, **query: Any) -> httpx.Response:
    answer = await api.get(f"/sessions/{session}/export", **query)
    assert answer.status_code == 200, answer.text
    return answer


class Parsed(HTMLParser):
    """The tags, attributes and texts of a page, as a browser's parser finds them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            if name.startswith("on") or name == "style":
                self.handlers.append(name)
            if name in ("href", "src", "action", "srcset") and value:
                self.links.append(value)


async def test_a_page_is_whole_and_nothing_in_it_is_code(api: Api) -> None:
    session = (await brought(api, evil(), project="sample")).json()
    answer = await exported(api, session["id"], format="html")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    found = Parsed(answer.text)
    assert found.tags.count("script") == found.tags.count("style") == 1
    assert not {"img", "b>", "iframe", "object", "link", "base"} & set(found.tags)
    assert found.handlers == []
    assert {link[:2] for link in found.links} == {"#e"}
    events = (await api.get(f"/sessions/{session['id']}/events")).json()["items"]
    assert [one for one in found.ids if one.startswith("e")] == [f"e{event['seq']}" for event in events]
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', answer.text)
    assert [one.replace("&#39;", "'") for one in policy] == [page.POLICY]
    assert "unsafe" not in page.POLICY
    assert page.SCRIPT in answer.text
    assert page.STYLE in answer.text
    assert '<span class="c1">red</span>' in answer.text
    assert '<span class="plus">+new\n</span>' in answer.text
    assert "\u202e" not in answer.text
    assert "\x1b" not in answer.text
    assert "was session #77 of" in answer.text


async def test_files_are_named_and_small_images_are_seen(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def upload(name: str, data: bytes) -> int:
        answer = await api.client.post("/api/v1/attachments", params={"name": name}, content=data, headers=api.headers)
        return answer.json()["id"]

    images = [PNG, b"GIF89a" + bytes(50), PNG + bytes(page.IMAGE_BYTES)]
    given = [await upload(f'"><script>alert({n})<\\script>@ada.png', data) for n, data in enumerate(images)]
    given.append(await upload("page.html", b"<svg onload=alert(1)>"))
    session = (await begin(api, attachments=given))["id"]
    seen = Parsed((await exported(api, session, format="html")).text)
    urls = [link for link in seen.links if not link.startswith("#e")]
    assert [base64.b64decode(url.partition("base64,")[2]) for url in urls] == images[:2], "the third is too large"
    assert [url.partition(";")[0] for url in urls] == ["data:image/png", "data:image/gif"]
    assert (seen.tags.count("img"), seen.tags.count("script"), seen.tags.count("svg"), seen.handlers) == (2, 1, 0, [])
    for query in ({"redacted": True}, {"files": False}):
        without = await exported(api, session, format="html", **query)
        assert "img" not in Parsed(without.text).tags
        assert "page.html (text/plain, 21 bytes)" in without.text
    monkeypatch.setattr(page, "IMAGES_BYTES", len(PNG) + 10)
    assert Parsed((await exported(api, session, format="html")).text).tags.count("img") == 1

    markdown = (await exported(api, session, format="markdown", level="result")).text
    tokens = MarkdownIt("commonmark", {"html": True}).parse(markdown)
    said = [child.content for token in tokens for child in token.children or []]
    assert "Attached: page.html (text/plain, 21 bytes)" in said
    assert any("script" in one and "@\u2060ada" in one for one in said)
    assert not any("script" in token.content for token in tokens if token.type == "html_block")


@pytest.mark.parametrize("level", ["result", "concise", "full"])
async def test_markdown_says_it_and_none_of_it_is_markup(api: Api, level: str) -> None:
    session = (await brought(api, evil(), project="sample")).json()
    answer = await exported(api, session["id"], format="markdown", level=level)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(answer.text)
    blocks = [token.content for token in tokens if token.type == "html_block"]
    inline = [child for token in tokens for child in token.children or []]
    assert {child.type for child in inline} <= {"text", "softbreak", "hardbreak", "strong_open", "strong_close"}
    opened = sum(block.count("<details>") for block in blocks)
    assert opened == sum(block.count("</details>") for block in blocks)
    assert (opened > 0) == (level != "result")
    assert not any(re.search(r"<(?!/?details>|/?summary>)", block) for block in blocks)
    headings = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    assert [heading.split(":")[0].replace("\\", "") for heading in headings] == [
        f"Session #{session['id']}", "Log", "Changes",
    ]  # fmt: skip
    assert {token.type for token in tokens} & {"bullet_list_open", "ordered_list_open", "hr"} == set()
    outside = "\n".join([*blocks, *(child.content for child in inline)])
    assert "@everybody" not in outside
    assert not re.search(r"(?<!\w)[#!]\d", outside.replace(f"#{session['id']}", ""))
    changes = [token.content for token in tokens if token.type == "fence" and token.info == "diff"]
    assert changes[-1] == DIFF_EVIL
    short = await exported(api, session["id"], format="markdown", level=level, files=False)
    assert "## Changes" not in short.text


def test_nothing_that_is_not_seen_is_left_out_where_people_decide() -> None:
    formats = (
        "\u00ad\u0600\u061c\u06dd\u070f\u0890\u08e2\u180e\ufeff\ufffb\U000110bd\U00013430\U0001bca0\U0001d173\U000e0041"
    )
    assert visible(formats) == "".join(f"\u27e8U+{ord(sign):04X}\u27e9" for sign in formats)
    assert visible("\x1b\x7f a\tb\n\u0639\u6f22\u00e9") == "\u241b\u2421 a\tb\n\u0639\u6f22\u00e9"


def test_what_prose_and_code_become() -> None:
    assert quoted("if x:\n    go\n\nend") == "> if x:  \n> \u00a0\u00a0\u00a0\u00a0go  \n> \n> end  \n"
    assert escaped("2. a_b @ada ada@x #3") == "2\u2060. a\\_b @\u2060ada ada@x #\u20603"
    assert fence("a ```` b\n") == "`````\na ```` b\n`````\n"
    assert [*coloured("a\x1b[1;31mb\x1b[22mc\x1b[39md\x1b[38;5;9me\x1b[48:2:1:2:3mf\x1b[mg\x1b[2Jh\x1b[4;93mi")] == [
        ("", "a"), ("c1 s1", "b"), ("c1", "c"), ("", "d"), ("", "e"), ("", "f"), ("", "gh"), ("c3 s4", "i"),
    ]  # fmt: skip
    assert [span.look for span in diff("diff --git a b\n@@ -1 +1 @@\n-a\n+b\n c\n")] == [
        "file", "hunk", "minus", "plus", "",
    ]  # fmt: skip
    assert plain("a\r\nb\rc\x00\x1b]8;;http://x\x07d\x1b") == "a\nb\ncd"


async def test_what_is_asked_wrongly(api: Api) -> None:
    given = file_of(corpus("0.2-plan"))
    session = (await brought(api, given, project="sample")).json()
    assert (await brought(api, given, project="sample")).status_code == 201
    refused = problem(await brought(api, given[:-9], project="sample"))
    assert refused["code"] == "invalid_input"
    assert "cut off" in refused["detail"]
    assert problem(await api.get(f"/sessions/{session['id']}/export", format="pdf"))["code"] == "invalid_input"
    assert problem(await api.get("/sessions/4711/export"))["code"] == "not_found"
    for query in ({"speed": "-1"}, {"speed": "nan"}, {"speed": "inf"}, {"max_gap": "nan"}):
        assert problem(await api.get(f"/sessions/{session['id']}/replay", **query))["code"] == "invalid_input"


async def test_a_replay_is_resumed_and_ends(running: Running) -> None:
    async with client(running) as http:
        answer = await http.post("/sessions/import", params={"project": "sample"}, content=file_of(corpus("0.2-plan")))
        path = f"/sessions/{answer.json()['id']}/replay?speed=0"
        whole = [one async for one in _signals(http, path)]
        rest = [one async for one in _signals(http, path, last=20)]
    ids = [one for one in whole if one]
    assert ids == [str(number) for number in range(1, len(ids) + 1)]
    assert rest == ids[20:]


async def _signals(http: httpx.AsyncClient, path: str, last: int = 0) -> AsyncIterator[str]:
    from httpx_sse import aconnect_sse

    async with asyncio.timeout(60), aconnect_sse(http, "GET", path, headers={"Last-Event-ID": str(last)}) as source:
        async for signal in source.aiter_sse():
            if signal.event == "end":
                return
            if signal.id:
                yield signal.id


def test_files_by_commands(running: Running, qd: Qd, tmp_path: Path) -> None:
    source = tmp_path / "a.ndjson"
    source.write_bytes(evil())
    brought = qd("session", "import", str(source), "-p", "sample", "--json")
    assert brought.returncode == 0, brought.stderr
    number = str(json.loads(brought.stdout)["id"])
    assert "it was #77 of" in qd("session", "show", number).stdout

    for name, start in (("a.html", b"<!doctype html>"), ("a.md", b"# Session"), ("b.ndjson", b'{"line":"header"')):
        saved = qd("session", "export", number, "-o", str(tmp_path / name))
        assert saved.returncode == 0, saved.stderr
        assert (tmp_path / name).read_bytes().startswith(start)
    told = qd("session", "export", number, "--redact", "--without-files").stdout
    assert lines(told.encode())[-1]["line"] == "footer"
    assert qd("session", "export", "4711", "-o", str(tmp_path / "no.md")).returncode == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "a.md", "a.ndjson", "b.ndjson"]
    assert qd("session", "export", number, "--format", "pdf").returncode == 2
    assert qd("session", "export", number, "--format", "html", "--json").returncode == 2
    (tmp_path / "cut.ndjson").write_bytes(evil()[:-20])
    cut = qd("session", "import", str(tmp_path / "cut.ndjson"), "-p", "sample")
    assert cut.returncode == 2
    assert "cut off" in cut.stderr
    assert qd("session", "import", str(tmp_path / "none"), "-p", "sample").returncode == 2

    again = qd("session", "replay", number, "--speed", "max", "--from", "3", "--json")
    seqs = [line["data"]["seq"] for line in map(json.loads, again.stdout.splitlines()) if "seq" in line["data"]]
    assert seqs == list(range(3, seqs[-1] + 1))
    shown = qd("session", "replay", number, "--speed", "1000", "--max-gap", "1ms", "--level", "full")
    assert shown.returncode == 0, shown.stderr
    assert "\x1b" not in shown.stdout
    assert qd("session", "replay", number, "--speed", "fast").returncode == 2
    assert qd("session", "replay", number, "--max-gap", "soon").returncode == 2
