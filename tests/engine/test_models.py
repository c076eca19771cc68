import asyncio
import json
import re
import subprocess
import sys
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime

import pytest
from pydantic import SecretStr
from pydantic_ai.usage import RequestUsage

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.events import AnswerCall, Level, Outcome
from quarterdeck.core.history import Answered, Message, Result, Results, Said
from quarterdeck.engine.models import access, exchange
from quarterdeck.engine.models.access import ModelKeys
from quarterdeck.engine.models.model import ModelRejectedError, ModelUnavailableError, Reply, Request
from quarterdeck.engine.models.prices import priced
from quarterdeck.tools.tool import Tool, ToolArgs
from tests.engine import stubs
from tests.engine.stubs import Wire, serving

SECRET = "sk-given-0123456789"
HELLO = ("Hel", "lo", " th", "ere", ".")
BOTH = pytest.mark.parametrize("provider", ["openai", "anthropic"])


class ReadArgs(ToolArgs):
    file_path: str


READ = Tool("read_file", "Reads a file.", ReadArgs, "executor", "read", None, Level.FULL)


@pytest.fixture(autouse=True)
async def _closed() -> AsyncGenerator[None]:  # pyright: ignore[reportUnusedFunction]  # pytest calls it
    yield
    await access.close()


def keys(url: str, *, idle_seconds: float = 20) -> ModelKeys:
    key = SecretStr(SECRET)
    return ModelKeys(
        openai_api_key=key,
        openai_base_url=f"{url}/v1",
        anthropic_api_key=key,
        anthropic_base_url=url,
        ollama_base_url=f"{url}/v1",
        idle_seconds=idle_seconds,
    )


async def ask(
    url: str, provider: str = "openai", *messages: Message, told: list[str] | None = None, idle_seconds: float = 20
) -> Reply:
    async def on_text(text: str) -> None:
        if told is not None:
            told.append(text)

    request = Request("fix", "You repair.", messages or (Said("Go."),), (READ,), 1)
    model = access.model(f"{provider}:m-1", None, keys(url, idle_seconds=idle_seconds))
    return await asyncio.wait_for(model.answer(request, on_text), 60)


def words(provider: str, *pieces: str) -> list[bytes]:
    """A stream that says this."""
    if provider == "anthropic":
        return stubs.anthropic(stubs.text_block(*pieces))
    return stubs.openai(*(stubs.delta(content=piece) for piece in pieces))


def half(provider: str) -> list[bytes]:
    """The beginning of a stream that greets."""
    return words(provider, *HELLO)[:4]


def call(provider: str, *pieces: str, finish: str = "") -> list[bytes]:
    """A stream that calls read_file with arguments in these pieces."""
    if provider == "anthropic":
        return stubs.anthropic(stubs.tool_block("toolu_1", "read_file", *pieces), stop=finish or "tool_use")
    first = stubs.call_delta(0, "", "read_file", "call_1")
    return stubs.openai(first, *(stubs.call_delta(0, piece) for piece in pieces), finish=finish or "tool_calls")


def error(provider: str, message: str, code: str = "", kind: str = "invalid_request_error") -> object:
    return (
        stubs.anthropic_error(message, kind) if provider == "anthropic" else stubs.openai_error(message, code or None)
    )


@BOTH
async def test_text_streams_as_it_comes_and_only_the_given_key_travels(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN", "OLLAMA_API_KEY",
    ):  # fmt: skip
        monkeypatch.setenv(name, f"environment-{name}")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, "authorization: Bearer environment\nX-API-KEY: environment\nX-Other: environment")
    told: list[str] = []
    release = asyncio.Event()

    async def slowly(wire: Wire) -> None:
        await wire.begin()
        await wire.send(*half(provider))
        await asyncio.wait_for(release.wait(), 60)
        await wire.send(*words(provider, *HELLO)[4:])
        await wire.end()

    async with serving(slowly) as stub:
        asked = asyncio.create_task(ask(stub.url, provider, told=told))
        async with asyncio.timeout(60):
            while not told:
                await asyncio.sleep(0.01)
        assert "Hello there.".startswith(told[0])
        assert told[0] != "Hello there."
        release.set()
        reply = await asked
    assert reply.text == told[-1] == "Hello there."
    assert (reply.model, reply.calls, reply.thinking, reply.opaque) == (f"{provider}:m-1", (), "", "")
    [wire] = stub.requests
    assert SECRET in wire.headers["authorization"]
    assert "environment" not in str(wire.headers)
    assert "quarterdeck" in wire.headers["user-agent"]
    assert "You repair." in json.dumps(wire.body)
    assert "file_path" in json.dumps(wire.body["tools"])


@BOTH
async def test_on_text_is_told_seldom_and_its_own_error_is_not_the_providers(provider: str) -> None:
    told: list[str] = []
    async with serving(stubs.stream(*words(provider, *["word "] * 2_000))) as stub:
        reply = await ask(stub.url, provider, told=told)
        assert reply.text == told[-1] == "word " * 2_000
        assert len(told) < 500

    async def fails(_text: str) -> None:
        raise KeyError("mine")

    async with serving(stubs.stream(*words(provider, "Hello"))) as stub:
        model = access.model(f"{provider}:m-1", None, keys(stub.url))
        with pytest.raises(KeyError, match="mine"):
            await model.answer(Request("fix", "", (Said("Go."),), (), 1), fails)


async def test_parallel_calls_come_in_fragments_and_their_results_go_back() -> None:
    answer = stubs.openai(
        stubs.delta(content="Looking."),
        stubs.call_delta(0, "", "read_file", "call_1"),
        stubs.call_delta(0, '{"file_'),
        stubs.call_delta(1, '{"file_path"', "read_file", "call_2"),
        stubs.call_delta(0, 'path": "a"}'),
        stubs.call_delta(1, ': "b"}'),
        finish="tool_calls",
    )
    async with serving(stubs.stream(*answer), stubs.stream(*words("openai", "Done."))) as stub:
        reply = await ask(stub.url)
        assert [(c.provider_id, c.tool, c.args, c.fault) for c in reply.calls] == [
            ("call_1", "read_file", {"file_path": "a"}, ""),
            ("call_2", "read_file", {"file_path": "b"}, ""),
        ]
        await ask(stub.url, "openai", *_continued(reply, Outcome.OK, Outcome.TIMED_OUT))
    sent = stub.requests[1].body["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool", "tool", "user"]
    assert [c["id"] for c in sent[2]["tool_calls"]] == ["call_1", "call_2"]
    assert [(m["tool_call_id"], m["content"]) for m in sent[3:5]] == [
        ("call_1", "result 0"),
        ("call_2", "Outcome: timed_out\nresult 1"),
    ]


async def test_signed_thoughts_go_back_to_their_model_and_to_no_other() -> None:
    answer = stubs.anthropic(
        stubs.thinking_block("c2lnbmVk", "Let me ", "see."),
        stubs.text_block("Looking."),
        stubs.tool_block("toolu_1", "read_file", '{"file_path"', ': "hidden value"}'),
        stubs.tool_block("toolu_2", "read_file", '{"file_path": "b"}'),
        stop="tool_use",
    )
    done = stubs.stream(*words("anthropic", "Done."))
    async with serving(stubs.stream(*answer), done, done) as stub:
        reply = await ask(stub.url, "anthropic")
        assert (reply.text, reply.thinking) == ("Looking.", "Let me see.")
        assert "c2lnbmVk" in reply.opaque
        assert "hidden value" not in reply.opaque
        assert "Looking" not in reply.opaque
        talk = _continued(reply, Outcome.OK, Outcome.ERROR)
        await ask(stub.url, "anthropic", *talk)
        other = access.model("anthropic:m-2", None, keys(stub.url))
        await other.answer(Request("fix", "", talk, (READ,), 1), _ignore)
    [_, again, elsewhere] = [wire.body["messages"] for wire in stub.requests]
    blocks = again[1]["content"]
    assert [block["type"] for block in blocks] == ["thinking", "text", "tool_use", "tool_use"]
    assert (blocks[0]["thinking"], blocks[0]["signature"]) == ("Let me see.", "c2lnbmVk")
    assert (blocks[2]["id"], blocks[2]["input"]) == ("toolu_1", {"file_path": "hidden value"})
    results = [block for block in again[2]["content"] if block["type"] == "tool_result"]
    assert [r["tool_use_id"] for r in results] == ["toolu_1", "toolu_2"]
    assert "Outcome: error" in json.dumps(results[1])
    assert [block["type"] for block in elsewhere[1]["content"]] == ["text", "tool_use", "tool_use"]
    assert "c2lnbmVk" not in json.dumps(elsewhere)


async def test_a_history_that_providers_would_refuse_is_made_fit() -> None:
    """Names of tools that no provider takes, call ids that clash, an empty answer, an opaque part nobody can read."""
    calls = tuple(
        AnswerCall(call_id=f"c_{i}", provider_id=provider_id, tool="rm -rf /!", args={})
        for i, provider_id in enumerate(("same", "same", "with space"))
    )
    results = Results(tuple(Result(c.call_id, c.provider_id, c.tool, {}, Outcome.OK, "") for c in calls))
    talk = (Said("Go."), Answered("", "", (), "", "x"), Answered("Hm.", "", calls, "no json", "openai:m-1"), results)
    async with serving(stubs.stream(*words("openai", "Done."))) as stub:
        await ask(stub.url, "openai", *talk)
    sent = stub.requests[0].body["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool", "tool", "tool"]
    assert [message["tool_call_id"] for message in sent[3:]] == ["c_0", "c_1", "c_2"]
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", c["function"]["name"]) for c in sent[2]["tool_calls"])


@BOTH
@pytest.mark.parametrize("pieces", [('{"file_path": ',), ('["a"]',), ('{"n": 1e999}',), ("no json",)])
async def test_arguments_that_are_no_object_are_a_fault_of_the_call(provider: str, pieces: tuple[str, ...]) -> None:
    async with serving(stubs.stream(*call(provider, *pieces))) as stub:
        [asked] = (await ask(stub.url, provider)).calls
    assert (asked.tool, asked.args) == ("read_file", {})
    assert "arguments" in asked.fault


@BOTH
async def test_a_call_cut_by_the_length_limit_says_so(provider: str) -> None:
    finish = {"openai": "length", "anthropic": "max_tokens"}[provider]
    async with serving(stubs.stream(*call(provider, '{"file_pa', finish=finish))) as stub:
        [asked] = (await ask(stub.url, provider)).calls
    assert "limit of length" in asked.fault


@BOTH
async def test_what_postgresql_refuses_never_passes(provider: str) -> None:
    async with serving(stubs.stream(*words(provider, "a\ud800b\x00c"))) as stub:
        reply = await ask(stub.url, provider)
    assert reply.text == "a\ufffdb\ufffdc" or re.fullmatch("a\ufffd+b\ufffdc", reply.text)
    async with serving(stubs.stream(*call(provider, r'{"file_path": "x\u0000\ud83d"}'))) as stub:
        [asked] = (await ask(stub.url, provider)).calls
    json.dumps(asked.args, ensure_ascii=False).encode()
    assert "\x00" not in str(asked.args)
    assert str(asked.args["file_path"]).startswith("x\ufffd")


@BOTH
async def test_an_empty_answer_is_an_answer_and_a_very_long_one_arrives_whole(provider: str) -> None:
    async with serving(stubs.stream(*words(provider))) as stub:
        assert (await ask(stub.url, provider)).text == ""
    long = ["x" * 100_000] * 10
    async with serving(stubs.stream(*words(provider, *long))) as stub:
        assert (await ask(stub.url, provider)).text == "".join(long)


async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "ANSWER_CHARACTERS", 10_000)

    async def forever(wire: Wire) -> None:
        await wire.begin()
        while True:
            await wire.send(stubs.delta(content="again and again "))

    async with serving(forever) as stub:
        with pytest.raises(ModelRejectedError, match=r"didn't end its answer within 10,000 characters"):
            await ask(stub.url)


@pytest.mark.parametrize(
    ("bound", "event"), [("SILENT_SECONDS", b": ping\n\n"), ("ANSWER_SECONDS", stubs.delta(content="again "))]
)
async def test_an_answer_that_is_only_kept_alive_is_given_up(
    bound: str, event: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, bound, 1.0)

    async def forever(wire: Wire) -> None:
        await wire.begin()
        await wire.send(*half("openai"))
        while True:
            await wire.send(event)
            await asyncio.sleep(0.05)

    async with serving(forever) as stub:
        with pytest.raises(
            ModelUnavailableError, match=r"openai:m-1 can't answer now: its answer didn't come to an end"
        ):
            await ask(stub.url)


async def test_usage_counts_the_cache_and_has_no_price_elsewhere() -> None:
    cached = {"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 200, "cache_creation_input_tokens": 30}
    async with serving(stubs.stream(*stubs.anthropic(stubs.text_block("Hi"), usage=cached, output=7))) as stub:
        usage = (await ask(stub.url, "anthropic")).usage
    assert (usage.requests, usage.input_tokens, usage.output_tokens) == (1, 240, 7)
    assert (usage.cache_read_tokens, usage.cache_write_tokens, usage.cost) == (200, 30, None)
    reported = {"prompt_tokens": 50, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 20}}
    async with serving(stubs.stream(*stubs.openai(usage=reported | {"total_tokens": 57})), _unmeasured) as stub:
        usage = (await ask(stub.url)).usage
        assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cost) == (50, 7, 20, None)
        usage = (await ask(stub.url)).usage
        assert (usage.requests, usage.input_tokens, usage.output_tokens, usage.cost) == (1, 0, 0, None)


def test_a_price_is_known_only_at_an_address_on_the_list() -> None:
    used = RequestUsage(input_tokens=1_000_000, output_tokens=1_000_000)
    known = priced(used, "claude-sonnet-4-5", "https://api.anthropic.com").cost
    assert isinstance(known, Decimal)
    assert known > 1
    assert priced(used, "claude-sonnet-4-5", "http://127.0.0.1:8000").cost is None
    assert priced(used, "no-such-model", "https://api.anthropic.com").cost is None
    assert priced(RequestUsage(), "claude-sonnet-4-5", "https://api.anthropic.com").cost is None


@BOTH
@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (400, "invalid_request_error", "refused the request"),
        (401, "authentication_error", "_API_KEY"),
        (402, "billing_error", "quota or credit"),
        (403, "permission_error", "may not use m-1"),
        (404, "not_found_error", "no model m-1"),
        (413, "request_too_large", "refused the request"),
        (422, "invalid_request_error", "refused the request"),
        (307, "", "redirects"),
    ],
)
async def test_what_asking_again_does_not_cure_is_rejected(provider: str, status: int, kind: str, told: str) -> None:
    body = error(provider, f"Because of the moon, said to {SECRET}.", kind=kind)
    headers = {"Location": "http://127.0.0.1:9/"} if status == 307 else {}
    async with serving(stubs.refusal(status, body, headers)) as stub:
        with pytest.raises(ModelRejectedError) as caught:
            await ask(stub.url, provider)
    assert len(stub.requests) == 1
    assert told in caught.value.message
    assert status == 307 or "Because of the moon" in caught.value.message
    assert not _holds_secret(caught.value)


@BOTH
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
async def test_what_passes_is_unavailable_and_not_retried_here(provider: str, status: int) -> None:
    body = error(provider, f"Later, {SECRET}.", kind="overloaded_error" if status == 529 else "api_error")
    async with serving(stubs.refusal(status, body, {"x-should-retry": "true"})) as stub:
        with pytest.raises(ModelUnavailableError) as caught:
            await ask(stub.url, provider)
    assert len(stub.requests) == 1
    assert "Later" in caught.value.message
    assert caught.value.retry_after is None
    assert not _holds_secret(caught.value)


@BOTH
async def test_retry_after_is_read_as_seconds_and_as_a_date(provider: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    for value, low, high in (("7", 7, 7), (date, 30, 90), ("Mon, 01 Jan 2001 00:00:00 GMT", 0, 0)):
        async with serving(stubs.refusal(429, error(provider, "Slow down."), {"Retry-After": value})) as stub:
            with pytest.raises(ModelUnavailableError) as caught:
                await ask(stub.url, provider)
        assert caught.value.retry_after is not None
        assert low <= caught.value.retry_after <= high


async def test_a_conversation_too_long_and_a_spent_account_say_so() -> None:
    cases = [
        (
            "openai",
            400,
            error("openai", "This model's maximum context length is 8.", "context_length_exceeded"),
            "longer",
        ),
        ("anthropic", 400, error("anthropic", "prompt is too long: 9 tokens > 8 maximum"), "longer"),
        ("openai", 429, error("openai", "You exceeded your current quota.", "insufficient_quota"), "quota or credit"),
        ("anthropic", 400, error("anthropic", "Your credit balance is too low."), "quota or credit"),
    ]
    for provider, status, body, told in cases:
        async with serving(stubs.refusal(status, body)) as stub:
            with pytest.raises(ModelRejectedError, match=told):
                await ask(stub.url, provider)


async def _cut(wire: Wire, provider: str) -> None:
    await wire.begin()
    await wire.send(*half(provider))
    wire.cut()


async def _ended_early(wire: Wire, provider: str) -> None:
    await wire.stream(*half(provider))


async def _broken_json(wire: Wire, provider: str) -> None:
    await wire.stream(*words(provider, "Hel")[:2], stubs.sse('{"id": "r1", "cho', "content_block_delta"))


async def _wrong_shapes(wire: Wire, provider: str) -> None:
    odd = {"type": "content_block_delta", "index": "x", "delta": 7, "choices": [3]}
    await wire.stream(*words(provider, "Hel")[:2], stubs.sse(odd, "content_block_delta"))


async def _web_page(wire: Wire, provider: str) -> None:
    await wire.json(200, b"<html>Welcome</html>", {"Content-Type": "text/html"})


async def _no_http(wire: Wire, provider: str) -> None:
    wire.writer.write(b"220 mail.example.org ESMTP\r\n\r\n")
    wire.cut()


async def _error_in_stream(wire: Wire, provider: str) -> None:
    body = error(provider, "Overloaded", "server_error", kind="overloaded_error")
    await wire.stream(*words(provider, "Hel")[:2], stubs.sse(body, "error"))


async def _error_as_end(wire: Wire, provider: str) -> None:
    assert provider
    await wire.stream(*stubs.openai(stubs.delta(content="Hel"), finish="error"))


async def _silence(wire: Wire, provider: str) -> None:
    await wire.begin()
    await wire.gone()


ENDINGS = [
    _cut, _ended_early, _broken_json, _wrong_shapes, _web_page, _no_http, _error_in_stream, _error_as_end, _silence,
]  # fmt: skip


@BOTH
@pytest.mark.parametrize("ending", ENDINGS)
async def test_half_an_answer_is_none(provider: str, ending: Callable[[Wire, str], Awaitable[None]]) -> None:
    async with serving(lambda wire: ending(wire, provider)) as stub:
        with pytest.raises(ModelUnavailableError) as caught:
            await ask(stub.url, provider, idle_seconds=0.5 if ending is _silence else 20)
    assert caught.value.message.startswith(f"{provider}:m-1 can't answer now: ")
    assert not _holds_secret(caught.value)


@BOTH
async def test_nobody_there_is_unavailable(provider: str) -> None:
    with pytest.raises(ModelUnavailableError, match=r"can't answer now: .*http://127\.0\.0\.1:9: "):
        await ask("http://127.0.0.1:9", provider)


async def test_a_withheld_answer_is_rejected_with_the_reason() -> None:
    refused = stubs.openai(stubs.delta(refusal="I can't "), stubs.delta(refusal="help."))
    async with serving(stubs.stream(*refused)) as stub:
        with pytest.raises(ModelRejectedError, match=r"withheld the answer: I can't help\."):
            await ask(stub.url)
    async with serving(stubs.stream(*stubs.anthropic(stop="refusal"))) as stub:
        with pytest.raises(ModelRejectedError, match="withheld"):
            await ask(stub.url, "anthropic")


@BOTH
async def test_cancelling_closes_the_providers_stream(provider: str) -> None:
    begun, gone = asyncio.Event(), asyncio.Event()

    async def endless(wire: Wire) -> None:
        await wire.begin()
        await wire.send(*half(provider))
        begun.set()
        await wire.gone()
        gone.set()

    async with serving(endless) as stub:
        asked = asyncio.create_task(ask(stub.url, provider))
        await asyncio.wait_for(begun.wait(), 60)
        await asyncio.sleep(0.05)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await asyncio.wait_for(gone.wait(), 60)


async def test_servers_without_keys_are_asked_too() -> None:
    reasoning = stubs.openai(stubs.delta(reasoning="Hm."), stubs.delta(content="Hi"))
    async with serving(stubs.stream(*reasoning), stubs.stream(*words("openai", "Hi"))) as stub:
        local = ModelKeys(openai_base_url=f"{stub.url}/v1", ollama_base_url=f"{stub.url}/v1")
        request = Request("fix", "", (Said("Go."),), (), 1)
        reply = await access.model("ollama:qwen3:8b", None, local).answer(request, _ignore)
        assert (reply.text, reply.thinking, reply.model) == ("Hi", "Hm.", "ollama:qwen3:8b")
        await access.model("openai-compatible:org/m", None, local).answer(request, _ignore)
    assert [wire.body["model"] for wire in stub.requests] == ["qwen3:8b", "org/m"]
    assert {wire.path for wire in stub.requests} == {"/v1/chat/completions"}
    assert {wire.headers["authorization"] for wire in stub.requests} == {"Bearer none"}


def test_names_and_keys_are_checked_without_a_call() -> None:
    for name, variable in (
        ("anthropic:m", "ANTHROPIC_API_KEY"),
        ("openai:m", "OPENAI_API_KEY"),
        ("openai-compatible:m", "OPENAI_BASE_URL"),
    ):
        with pytest.raises(ModelRejectedError, match=f"{variable} is not set.*scripted"):
            access.check(name, ModelKeys())
    for name in ("gpt-6", "mystery:m", ""):
        with pytest.raises(InvalidInputError, match=r"anthropic, openai, .*, ollama, google, .*, scripted, replay"):
            access.check(name, ModelKeys())
    with pytest.raises(InvalidInputError, match="names no model"):
        access.check("ollama: ", ModelKeys())
    with pytest.raises(InvalidInputError, match="OPENAI_BASE_URL"):
        access.check("openai-compatible:m", ModelKeys(openai_base_url="localhost:8000"))
    access.check("ollama:m", ModelKeys())
    access.check("scripted:script", ModelKeys())


def test_the_default_is_the_provider_whose_key_is_set() -> None:
    one, other = SecretStr("a"), SecretStr("b")
    assert access.default_model(ModelKeys()) is None
    assert str(access.default_model(ModelKeys(openai_api_key=one))).startswith("openai:")
    assert str(access.default_model(ModelKeys(openai_api_key=one, anthropic_api_key=other))).startswith("anthropic:")
    assert access.default_model(ModelKeys(openai_api_key=one, openai_base_url="http://127.0.0.1/v1")) is None
    assert access.known(ModelKeys(openai_api_key=one, openai_base_url="http://127.0.0.1/v1")) == (
        "openai",
        "openai-compatible",
    )
    assert access.known(ModelKeys()) == ()


def test_importing_the_way_to_models_loads_no_provider() -> None:
    script = (
        "import sys; from quarterdeck.engine.models import access; from pydantic import SecretStr;"
        "access.model('openai:m', None, access.ModelKeys(openai_api_key=SecretStr('k')));"
        "print([m for m in ('pydantic_ai', 'openai', 'anthropic', 'genai_prices', 'httpx2') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.strip() == "[]"


async def _ignore(_text: str) -> None:
    pass


async def _unmeasured(wire: Wire) -> None:
    await wire.stream(*words("openai", "Hi"))


def _continued(reply: Reply, *outcomes: Outcome) -> tuple[Message, ...]:
    """The conversation after `reply`, with a result for each call and one more message."""
    calls = tuple(
        AnswerCall(call_id=f"c_{i}", provider_id=c.provider_id, tool=c.tool, args=c.args)
        for i, c in enumerate(reply.calls)
    )
    results = tuple(
        Result(c.call_id, c.provider_id, c.tool, c.args, outcome, f"result {i}")
        for i, (c, outcome) in enumerate(zip(calls, outcomes, strict=True))
    )
    answered = Answered(reply.text, reply.thinking, calls, reply.opaque, reply.model)
    return (Said("Go."), answered, Results(results), Said("And?"))


def _holds_secret(error: BaseException) -> bool:
    """Whether the key may stand in what a log prints of the error and of those behind it."""
    return SECRET in "".join(traceback.format_exception(error))
