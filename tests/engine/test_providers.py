"""The real clients of each protocol against stubs that speak it: Responses, Google, and who speaks OpenAI's chat."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
from pydantic import SecretStr

from quarterdeck.core.events import AnswerCall, Level, Outcome
from quarterdeck.core.history import Answered, Message, Result, Results, Said
from quarterdeck.core.prices import Price
from quarterdeck.engine.models import access
from quarterdeck.engine.models.access import Credentials, ModelKeys
from quarterdeck.engine.models.model import ModelRejectedError, ModelUnavailableError, Reply, Request
from quarterdeck.tools.tool import Tool, ToolArgs
from tests.engine import stubs
from tests.engine.stubs import Wire, serving

SECRET = "sk-given-0123456789"
GOOGLES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE",
}  # fmt: skip
"""What Google calls each status."""
NEW = pytest.mark.parametrize("provider", ["openai-responses", "google"])


class ReadArgs(ToolArgs):
    file_path: str


READ = Tool("read_file", "Reads a file.", ReadArgs, "executor", "read", None, Level.FULL)


@pytest.fixture(autouse=True)
async def _closed() -> AsyncGenerator[None]:  # pyright: ignore[reportUnusedFunction]  # pytest calls it
    yield
    await access.close()


def keys(url: str, *, idle_seconds: float = 20, **more: Any) -> ModelKeys:
    key = SecretStr(SECRET)
    names = ("openai", "google", "mistral", "groq", "openrouter", "bedrock")
    given: dict[str, Any] = {f"{name}_api_key": key for name in names}
    paths = {"google": "", "bedrock": ""}
    given |= {f"{name}_base_url": url + paths.get(name, "/v1") for name in names}
    return ModelKeys.model_validate({**given, "idle_seconds": idle_seconds, **more})


def question(*messages: Message) -> Request:
    return Request("fix", "You repair.", messages or (Said("Go."),), (READ,), 1)


async def ask(
    url: str, name: str, *messages: Message, told: list[str] | None = None, request: Request | None = None, **more: Any
) -> Reply:
    async def on_text(text: str) -> None:
        if told is not None:
            told.append(text)

    full = name if ":" in name else f"{name}:m-1"
    model = access.model(full, None, keys(url, **more))
    return await asyncio.wait_for(model.answer(request or question(*messages), on_text), 60)


def words(provider: str, *pieces: str) -> list[bytes]:
    if provider == "google":
        return stubs.google(*({"text": piece} for piece in pieces))
    return stubs.responses(stubs.said_item("".join(pieces)))


def half(provider: str) -> list[bytes]:
    return words(provider, "Hello ", "there.")[: 1 if provider == "google" else 4]


def error(provider: str, message: str, status: int) -> object:
    if provider == "google":
        return stubs.google_error(message, GOOGLES[status], status)
    return stubs.openai_error(message)


@NEW
async def test_text_streams_and_only_the_given_key_travels(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"):
        monkeypatch.setenv(name, "environment")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "OPENAI_BASE_URL", "GOOGLE_GEMINI_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    told: list[str] = []
    release = asyncio.Event()

    async def slowly(wire: Wire) -> None:
        await wire.begin()
        await wire.send(*half(provider))
        await asyncio.wait_for(release.wait(), 60)
        await wire.send(*words(provider, "Hello ", "there.")[len(half(provider)) :])
        await wire.end()

    async with serving(slowly) as stub:
        asked = asyncio.create_task(ask(stub.url, provider, told=told))
        async with asyncio.timeout(60):
            while not told:
                await asyncio.sleep(0.01)
        assert told[0] == "Hello "
        release.set()
        reply = await asked
    assert reply.text == told[-1] == "Hello there."
    assert (reply.model, reply.calls, reply.usage.requests) == (f"{provider}:m-1", (), 1)
    assert reply.usage.input_tokens > 10
    assert reply.usage.cost is None
    assert not reply.usage.estimated
    [wire] = stub.requests
    assert SECRET in (wire.headers["x-goog-api-key"] if provider == "google" else wire.headers["authorization"])
    assert SECRET not in wire.path
    assert "environment" not in str(wire.headers)
    assert wire.headers["user-agent"] == "quarterdeck"
    assert not [name for name in wire.headers if name.startswith(("x-stainless", "x-goog-api-client"))]
    assert "You repair." in json.dumps(wire.body)
    assert "file_path" in json.dumps(wire.body["tools"])


async def test_responses_thoughts_and_calls_go_back_to_their_model() -> None:
    answer = stubs.responses(
        stubs.reasoning_item("Let me see.", "c2VhbGVk"),
        stubs.said_item("Looking."),
        stubs.call_item("call_1", "read_file", '{"file_path": "a"}'),
        stubs.call_item("call_2", "read_file", '{"file_path": "b"}'),
    )
    done = stubs.stream(*words("openai-responses", "Done."))
    async with serving(stubs.stream(*answer), done, done) as stub:
        name = "openai-responses:gpt-6.1-terra"
        reply = await ask(stub.url, name)
        assert (reply.text, reply.thinking) == ("Looking.", "Let me see.")
        assert [(c.provider_id, c.args) for c in reply.calls] == [
            ("call_1", {"file_path": "a"}),
            ("call_2", {"file_path": "b"}),
        ]
        assert "c2VhbGVk" in reply.opaque
        assert "Looking" not in reply.opaque
        talk = _continued(reply, Outcome.OK, Outcome.ERROR)
        await ask(stub.url, name, *talk)
        await ask(stub.url, "openai-responses:gpt-6-luna", *talk)
    assert {wire.path for wire in stub.requests} == {"/v1/responses"}
    [_, again, elsewhere] = [wire.body["input"] for wire in stub.requests]
    assert "c2VhbGVk" in json.dumps(again)
    assert "c2VhbGVk" not in json.dumps(elsewhere)
    outputs = [item for item in again if item.get("type") == "function_call_output"]
    assert [(one["call_id"], one["output"]) for one in outputs] == [
        ("call_1", "result 0"),
        ("call_2", "Outcome: error\nresult 1"),
    ]


async def test_googles_thoughts_signatures_and_calls_go_back_to_their_model() -> None:
    called: stubs.Json = {"functionCall": {"name": "read_file", "args": {"file_path": "hidden value"}}}
    answer = stubs.google(
        {"text": "Let me see.", "thought": True}, {"text": "Looking."}, called | {"thoughtSignature": "c2lnbmVk"},
        {"functionCall": {"name": "read_file", "args": {"file_path": "b"}}},
    )  # fmt: skip
    done = stubs.stream(*words("google", "Done."))
    async with serving(stubs.stream(*answer), done, done) as stub:
        reply = await ask(stub.url, "google:gemini-3.8-flash")
        assert (reply.text, reply.thinking) == ("Looking.", "Let me see.")
        assert [c.args for c in reply.calls] == [{"file_path": "hidden value"}, {"file_path": "b"}]
        assert "hidden value" not in reply.opaque
        talk = _continued(reply, Outcome.OK, Outcome.TIMED_OUT)
        await ask(stub.url, "google:gemini-3.8-flash", *talk)
        await ask(stub.url, "google:gemini-4-argon", *talk)
    assert stub.requests[0].path.startswith("/v1beta/models/gemini-3.8-flash:streamGenerateContent")
    [_, again, elsewhere] = [wire.body["contents"] for wire in stub.requests]
    parts = [part for content in again for part in content["parts"]]
    assert [part["functionCall"]["args"] for part in parts if "functionCall" in part] == [
        {"file_path": "hidden value"},
        {"file_path": "b"},
    ]
    assert any(part.get("thoughtSignature") == "c2lnbmVk" for part in parts)
    results = [json.dumps(part["functionResponse"]) for part in parts if "functionResponse" in part]
    assert len(results) == 2
    assert "result 0" in results[0]
    assert "timed_out" in results[1]
    assert "c2lnbmVk" not in json.dumps(elsewhere)


@NEW
@pytest.mark.parametrize(("status", "told"), [(400, "refused"), (401, "_API_KEY"), (403, "may not"), (404, "no model")])
async def test_what_asking_again_does_not_cure_is_rejected(provider: str, status: int, told: str) -> None:
    body = error(provider, f"Because of the moon, said to {SECRET}.", status)
    async with serving(stubs.refusal(status, body)) as stub:
        with pytest.raises(ModelRejectedError) as caught:
            await ask(stub.url, provider)
    assert len(stub.requests) == 1
    assert told in caught.value.message
    assert "Because of the moon" in caught.value.message
    assert SECRET not in caught.value.message


@NEW
@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_what_passes_is_unavailable_and_not_retried_here(provider: str, status: int) -> None:
    body = error(provider, f"Later, {SECRET}.", status)
    async with serving(stubs.refusal(status, body, {"Retry-After": "7"})) as stub:
        with pytest.raises(ModelUnavailableError) as caught:
            await ask(stub.url, provider)
    assert len(stub.requests) == 1
    assert "Later" in caught.value.message
    assert SECRET not in caught.value.message
    if status in (429, 503):
        assert caught.value.retry_after == 7


async def _cut(wire: Wire, provider: str) -> None:
    await wire.begin()
    await wire.send(*half(provider))
    wire.cut()


async def _ended_early(wire: Wire, provider: str) -> None:
    await wire.stream(*half(provider))


async def _broken_json(wire: Wire, provider: str) -> None:
    await wire.stream(*half(provider), stubs.sse('{"id": "r1", "cho', "response.output_text.delta"))


async def _wrong_shapes(wire: Wire, provider: str) -> None:
    odd = {"type": "response.output_item.added", "item": 7, "candidates": [3]}
    await wire.stream(*half(provider), stubs.sse(odd, "response.output_item.added"))


async def _web_page(wire: Wire, provider: str) -> None:
    assert provider
    await wire.json(200, b"<html>Welcome</html>", {"Content-Type": "text/html"})


async def _silence(wire: Wire, provider: str) -> None:
    assert provider
    await wire.begin()
    await wire.gone()


@NEW
@pytest.mark.parametrize("ending", [_cut, _ended_early, _broken_json, _wrong_shapes, _web_page, _silence])
async def test_half_an_answer_is_none(provider: str, ending: Callable[[Wire, str], Awaitable[None]]) -> None:
    async with serving(lambda wire: ending(wire, provider)) as stub:
        with pytest.raises(ModelUnavailableError) as caught:
            await ask(stub.url, provider, idle_seconds=0.5 if ending is _silence else 20)
    assert caught.value.message.startswith(f"{provider}:m-1 can't answer now: ")
    assert len(stub.requests) == 1


@NEW
async def test_cancelling_closes_the_stream_and_its_use_is_an_estimate(provider: str) -> None:
    gone = asyncio.Event()

    async def endless(wire: Wire) -> None:
        await wire.begin()
        await wire.send(*half(provider))
        await wire.gone()
        gone.set()

    told: list[str] = []
    request = question()
    price = {f"{provider}:m-1": Price(input=2, output=8)}  # pyright: ignore[reportArgumentType]  # pydantic makes Decimals
    async with serving(endless) as stub:
        asked = asyncio.create_task(ask(stub.url, provider, told=told, request=request, prices=price))
        async with asyncio.timeout(60):
            while not told:
                await asyncio.sleep(0.01)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await asyncio.wait_for(gone.wait(), 60)
    used = request.meter.usage
    assert used is not None
    assert used.estimated
    assert used.output_tokens == 2  # "Hello ", about four characters a token
    assert used.input_tokens > 30  # the system text, the message, and what the tool is described with
    assert used.cost is not None
    assert used.cost > 0


async def test_what_was_told_before_an_answer_broke_off_is_not_guessed() -> None:
    async def cut(wire: Wire) -> None:
        await wire.begin()
        begin = {"input_tokens": 1_000, "output_tokens": 1, "cache_read_input_tokens": 500}
        await wire.send(*stubs.anthropic(stubs.text_block("x" * 400, "never"), usage=begin)[:4])
        wire.cut()

    request = question()
    async with serving(cut) as stub:
        with pytest.raises(ModelUnavailableError):
            await ask(stub.url, "anthropic", request=request, anthropic_api_key="k", anthropic_base_url=stub.url)
    used = request.meter.usage
    assert used is not None
    assert (used.input_tokens, used.cache_read_tokens, used.output_tokens, used.estimated) == (1_500, 500, 100, True)
    assert used.cost is None


async def test_nothing_is_noted_of_a_request_that_was_refused() -> None:
    request = question()
    async with serving(stubs.refusal(500, {})) as stub:
        with pytest.raises(ModelUnavailableError):
            await ask(stub.url, "google", request=request)
    assert request.meter.usage is None


@pytest.mark.parametrize(
    ("name", "path", "header"),
    [
        ("mistral:mistral-medium-latest", "/v1/chat/completions", "authorization"),
        ("groq:openai/gpt-oss-120b", "/v1/chat/completions", "authorization"),
        ("openrouter:openai/gpt-oss-120b", "/v1/chat/completions", "authorization"),
    ],
)
async def test_who_speaks_openais_chat_is_asked_in_it(name: str, path: str, header: str) -> None:
    answer = stubs.openai(
        stubs.delta(content="Looking."),
        stubs.call_delta(0, "", "read_file", "call_1"),
        stubs.call_delta(0, '{"file_path": "a"}'),
        finish="tool_calls",
        usage={"prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57},
    )
    done = stubs.openai(stubs.delta(content="Done."))
    async with serving(stubs.stream(*answer), stubs.stream(*done)) as stub:
        reply = await ask(stub.url, name)
        assert (reply.text, reply.model) == ("Looking.", name)
        assert [call.args for call in reply.calls] == [{"file_path": "a"}]
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == (50, 7)
        assert (await ask(stub.url, name, *_continued(reply, Outcome.OK))).text == "Done."
    first, second = stub.requests
    assert first.path == path
    assert first.headers[header] == f"Bearer {SECRET}"
    # Mistral refuses a request with a field that it doesn't know, and an id that hasn't nine characters
    assert ("stream_options" in first.body) is not name.startswith("mistral")
    [said] = [message for message in second.body["messages"] if message["role"] == "tool"]
    assert (len(said["tool_call_id"]) == 9) is name.startswith("mistral")


async def test_bedrock_speaks_the_protocol_of_each_maker() -> None:
    spoken = {
        "bedrock:anthropic.claude-sonnet-5-5": (
            "/anthropic/v1/messages", stubs.anthropic(stubs.text_block("Hi")),
        ),
        "bedrock:openai.gpt-6.1-terra": ("/openai/v1/responses", stubs.responses(stubs.said_item("Hi"))),
        "bedrock:openai.gpt-oss-120b": ("/v1/responses", stubs.responses(stubs.said_item("Hi"))),
        "bedrock:openai.gpt-oss-safeguard-20b": ("/v1/chat/completions", stubs.openai(stubs.delta(content="Hi"))),
    }  # fmt: skip
    for name, (path, answer) in spoken.items():
        async with serving(stubs.stream(*answer)) as stub:
            assert (await ask(stub.url, name)).text == "Hi"
        assert stub.requests[0].path.partition("?")[0] == path
        assert stub.requests[0].headers["authorization"] == f"Bearer {SECRET}"
        assert "x-api-key" not in stub.requests[0].headers


def test_a_region_makes_bedrocks_address() -> None:
    from quarterdeck.engine.models.endpoints import endpoint

    key = SecretStr("k")
    assert endpoint("bedrock:openai.m", ModelKeys(bedrock_api_key=key, bedrock_region="eu-central-1")).base_url == (
        "https://bedrock-mantle.eu-central-1.api.aws"
    )
    with pytest.raises(ModelRejectedError, match="AWS_REGION is not set"):
        access.check("bedrock:openai.m", ModelKeys(bedrock_api_key=key))
    with pytest.raises(Exception, match="AWS_REGION is no name"):
        access.check("bedrock:openai.m", ModelKeys(bedrock_api_key=key, bedrock_region="evil.example/"))


async def test_a_price_that_the_server_was_told_comes_first() -> None:
    reported = {"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000, "total_tokens": 2_000_000}
    price = {"groq:m-1": Price(input=1, output=2)}  # pyright: ignore[reportArgumentType]  # pydantic makes Decimals
    async with serving(stubs.stream(*stubs.openai(usage=reported))) as stub:
        assert (await ask(stub.url, "groq", prices=price)).usage.cost == 3


async def test_a_stored_key_goes_to_its_own_address_and_the_environment_comes_first() -> None:
    hello = stubs.stream(*stubs.openai(stubs.delta(content="Hi")))
    async with serving(hello) as stored, serving(hello) as named:
        entered = {"groq": Credentials(key=SecretStr("stored-key"), base_url=f"{stored.url}/v1")}
        only = ModelKeys(groq_base_url=f"{named.url}/v1", stored=entered)
        assert (await access.model("groq:m", None, only).answer(question(), _ignore)).text == "Hi"
        both = ModelKeys(groq_api_key=SecretStr("env-key"), groq_base_url=f"{named.url}/v1", stored=entered)
        assert (await access.model("groq:m", None, both).answer(question(), _ignore)).text == "Hi"
    assert [wire.headers["authorization"] for wire in stored.requests] == ["Bearer stored-key"]
    assert [wire.headers["authorization"] for wire in named.requests] == ["Bearer env-key"]


def test_a_library_that_is_missing_is_named_with_what_to_type() -> None:
    script = (
        "import asyncio, sys; sys.modules['google.genai'] = None\n"
        "from quarterdeck.core.history import Said\n"
        "from quarterdeck.engine.models import access\n"
        "from quarterdeck.engine.models.model import ModelRejectedError, Request\n"
        "async def quiet(_): pass\n"
        "async def main():\n"
        "    model = access.model('google:m', None, access.ModelKeys(google_api_key='k'))\n"
        "    try: await model.answer(Request('c', '', (Said('x'),), (), 1), quiet)\n"
        "    except ModelRejectedError as error: print(error.message)\n"
        "asyncio.run(main())"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "pip install 'quarterdeck[google]'" in ended.stdout


async def _ignore(_text: str) -> None:
    pass


def _continued(reply: Reply, *outcomes: Outcome) -> tuple[Message, ...]:
    """The conversation after `reply`, with a result for each call and one more message."""
    calls = tuple(
        AnswerCall(call_id=f"c_{i:026}", provider_id=c.provider_id, tool=c.tool, args=c.args)
        for i, c in enumerate(reply.calls)
    )
    results = tuple(
        Result(c.call_id, c.provider_id, c.tool, c.args, outcome, f"result {i}")
        for i, (c, outcome) in enumerate(zip(calls, outcomes, strict=True))
    )
    answered = Answered(reply.text, reply.thinking, calls, reply.opaque, reply.model)
    return (Said("Go."), answered, Results(results), Said("And?"))
