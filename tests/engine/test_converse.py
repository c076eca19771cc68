"""Bedrock's Converse API: the real SDK against a stub that speaks it, byte by byte."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from quarterdeck import server, settings
from quarterdeck.core.events import AnswerCall, Level, Outcome
from quarterdeck.core.history import Answered, Message, Result, Results, Said
from quarterdeck.engine.models import access
from quarterdeck.engine.models.access import Credentials, Identity, ModelKeys
from quarterdeck.engine.models.endpoints import endpoint
from quarterdeck.engine.models.model import ModelRejectedError, ModelUnavailableError, Reply, Request
from quarterdeck.tools.tool import Tool, ToolArgs
from tests.engine import converse_stubs, stubs
from tests.engine.converse_stubs import answer, call, frame, signed_by, stream, text, thoughts
from tests.engine.stubs import Wire, serving

NOVA = "bedrock:amazon.nova-lite-v1:0"
CLAUDE = "bedrock:eu.anthropic.claude-haiku-4-5-20251001-v1:0"
BEARER = "sk-given-0123456789"
SECRET, TOKEN = "secret/given+0123456789", "token-given-0123456789"
KEYS = Identity(SecretStr("AKIAGIVEN"), SecretStr(SECRET), SecretStr(TOKEN))


class ReadArgs(ToolArgs):
    file_path: str


READ = Tool("read_file", "Reads a file.", ReadArgs, "executor", "read", None, Level.FULL)


@pytest.fixture(autouse=True)
async def _closed() -> AsyncGenerator[None]:  # pyright: ignore[reportUnusedFunction]  # pytest calls it
    yield
    await access.close()


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # pyright: ignore[reportUnusedFunction]  # pytest calls it
    """Nothing of this machine's own AWS settings."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def keys(url: str, *, identity: Identity | None = KEYS, idle_seconds: float = 20, **more: Any) -> ModelKeys:
    """Those of an identity; else a Bedrock API key."""
    who: dict[str, Any] = {"bedrock_identity": identity} if identity else {"bedrock_api_key": SecretStr(BEARER)}
    return ModelKeys(bedrock_base_url=url, bedrock_region="eu-central-1", idle_seconds=idle_seconds, **(who | more))


def question(*messages: Message) -> Request:
    return Request("fix", "You repair.", messages or (Said("Go."),), (READ,), 1)


async def ask(
    url: str,
    name: str = NOVA,
    *messages: Message,
    told: list[str] | None = None,
    request: Request | None = None,
    **more: Any,
) -> Reply:
    async def on_text(words: str) -> None:
        if told is not None:
            told.append(words)

    model = access.model(name, None, keys(url, **more))
    return await asyncio.wait_for(model.answer(request or question(*messages), on_text), 90)


HALF = answer(text("Hello ", "there."))[:2]


@pytest.mark.parametrize("identity", [None, KEYS])
async def test_text_streams_and_nothing_of_the_environment_has_a_say(
    identity: Identity | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.setenv(name, "environment")
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SDK_UA_APP_ID", "AWS_EXECUTION_ENV", "_X_AMZN_TRACE_ID"):
        monkeypatch.setenv(name, "environment")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, "/no/such/file")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "environment")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "9")
    told: list[str] = []
    release = asyncio.Event()

    async def slowly(wire: Wire) -> None:
        await wire.begin(converse_stubs.STREAM)
        await wire.send(*HALF)
        await asyncio.wait_for(release.wait(), 60)
        await wire.send(*answer(text("Hello ", "there."))[2:])
        await wire.end()

    async with serving(slowly) as stub:
        asked = asyncio.create_task(ask(stub.url, told=told, identity=identity))
        async with asyncio.timeout(60):
            while not told:
                await asyncio.sleep(0.01)
        assert told[0] == "Hello "
        release.set()
        reply = await asked
    assert reply.text == told[-1] == "Hello there."
    assert (reply.model, reply.calls, reply.thinking, reply.opaque) == (NOVA, (), "", "")
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cost) == (12, 6, None)
    [wire] = stub.requests
    assert wire.path == "/model/amazon.nova-lite-v1%3A0/converse-stream"
    if identity:
        assert "/eu-central-1/bedrock/aws4_request" in wire.headers["authorization"]
        assert wire.headers["x-amz-security-token"] == TOKEN
        assert signed_by(wire, SECRET)
        assert not signed_by(wire, "another")
    else:
        assert wire.headers["authorization"] == f"Bearer {BEARER}"
        assert "x-amz-security-token" not in wire.headers
    assert "environment" not in str(wire.headers)
    assert wire.headers["user-agent"] == "quarterdeck"
    assert wire.body["system"][0] == {"text": "You repair."}
    assert "file_path" in json.dumps(wire.body["toolConfig"]["tools"])


async def test_signed_thoughts_and_calls_go_back_to_their_model_and_to_no_other() -> None:
    first = answer(
        thoughts("c2lnbmVk", "Let me ", "see."),
        text("Looking."),
        call("tooluse_1", "read_file", '{"file_path"', ': "hidden value"}'),
        call("tooluse_2", "read_file", '{"file_path": "b"}'),
        stop="tool_use",
        usage={"inputTokens": 10, "outputTokens": 7, "totalTokens": 247, "cacheReadInputTokens": 200,
               "cacheWriteInputTokens": 30},
    )  # fmt: skip
    done = stream(*answer(text("Done.")))
    async with serving(stream(*first), done, done) as stub:
        reply = await ask(stub.url, CLAUDE)
        assert (reply.text, reply.thinking) == ("Looking.", "Let me see.")
        assert [(c.provider_id, c.tool, c.args) for c in reply.calls] == [
            ("tooluse_1", "read_file", {"file_path": "hidden value"}),
            ("tooluse_2", "read_file", {"file_path": "b"}),
        ]
        assert "c2lnbmVk" in reply.opaque
        assert "hidden value" not in reply.opaque
        assert "Looking" not in reply.opaque
        used = reply.usage
        assert (used.input_tokens, used.cache_read_tokens, used.cache_write_tokens) == (240, 200, 30)
        talk = _continued(reply, Outcome.OK, Outcome.ERROR)
        assert (await ask(stub.url, CLAUDE, *talk)).text == "Done."
        await ask(stub.url, NOVA, *talk)
    [_, again, elsewhere] = [wire.body["messages"] for wire in stub.requests]
    blocks = again[1]["content"]
    assert blocks[0] == {"reasoningContent": {"reasoningText": {"text": "Let me see.", "signature": "c2lnbmVk"}}}
    assert blocks[1] == {"text": "Looking."}
    assert [block["toolUse"]["input"] for block in blocks[2:4]] == [{"file_path": "hidden value"}, {"file_path": "b"}]
    results = [block["toolResult"] for block in again[2]["content"] if "toolResult" in block]
    assert [result["toolUseId"] for result in results] == ["tooluse_1", "tooluse_2"]
    assert "Outcome: error" in json.dumps(results[1])
    assert "c2lnbmVk" not in json.dumps(elsewhere)


async def test_arguments_that_are_no_json_and_a_cut_by_length_are_faults_of_the_call() -> None:
    cut = answer(call("tooluse_1", "read_file", '{"file_pa'), stop="max_tokens")
    async with serving(stream(*cut)) as stub:
        [asked] = (await ask(stub.url)).calls
    assert asked.args == {}
    assert "no JSON" in asked.fault
    assert "limit of length" in asked.fault


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (400, "ValidationException", "refused the request"),
        (400, "ExpiredTokenException", "refused"),
        (403, "AccessDeniedException", "refused the keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (403, "UnrecognizedClientException", "refused the keys in AWS_ACCESS_KEY_ID"),
        (404, "ResourceNotFoundException", "There is no model amazon.nova-lite-v1:0"),
    ],
)
async def test_what_asking_again_does_not_cure_is_rejected(status: int, code: str, told: str) -> None:
    body = {"message": f"Because of the moon, said to {SECRET} with {TOKEN}."}
    async with serving(stubs.refusal(status, body, {"x-amzn-ErrorType": code})) as stub:
        with pytest.raises(ModelRejectedError) as caught:
            await ask(stub.url)
    assert len(stub.requests) == 1
    assert told in caught.value.message
    assert "Because of the moon, said to [key] with [key]." in caught.value.message
    assert "RequestId" not in caught.value.message


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (408, "ModelTimeoutException"), (424, "ModelErrorException"), (429, "ThrottlingException"),
        (429, "ModelNotReadyException"), (500, "InternalServerException"), (503, "ServiceUnavailableException"),
    ],
)  # fmt: skip
async def test_what_passes_is_unavailable_and_not_retried_here(status: int, code: str) -> None:
    headers = {"x-amzn-ErrorType": code, "Retry-After": "7"}
    async with serving(stubs.refusal(status, {"message": f"Later, {SECRET}."}, headers)) as stub:
        with pytest.raises(ModelUnavailableError) as caught:
            await ask(stub.url)
    assert len(stub.requests) == 1
    assert "Later, [key]." in caught.value.message
    if status in (429, 503):
        assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("throttlingException", ModelUnavailableError), ("modelStreamErrorException", ModelUnavailableError),
        ("internalServerException", ModelUnavailableError), ("serviceUnavailableException", ModelUnavailableError),
        ("validationException", ModelRejectedError),
    ],
)  # fmt: skip
async def test_an_error_in_the_stream_is_what_it_would_be_before_it(code: str, kind: type[Exception]) -> None:
    broken = frame(code, {"message": "Because of the moon."}, "exception")
    async with serving(stream(*HALF, broken)) as stub:
        with pytest.raises(kind, match="Because of the moon"):
            await ask(stub.url)
    assert len(stub.requests) == 1


async def _cut(wire: Wire) -> None:
    await wire.begin(converse_stubs.STREAM)
    await wire.send(*HALF)
    wire.cut()


async def _ended_early(wire: Wire) -> None:
    await stream(*HALF)(wire)


async def _half_a_frame(wire: Wire) -> None:
    await stream(*HALF, answer(text("x"))[2][:20])(wire)


async def _wrong_checksum(wire: Wire) -> None:
    await stream(*HALF, answer()[-1][:-1] + b"?")(wire)


async def _broken_json(wire: Wire) -> None:
    await stream(*HALF, frame("contentBlockDelta", b'{"contentBlockIn'))(wire)


async def _wrong_shapes(wire: Wire) -> None:
    await stream(*HALF, frame("contentBlockDelta", {"delta": 7}))(wire)


async def _web_page(wire: Wire) -> None:
    await wire.json(200, b"<html>Welcome</html>", {"Content-Type": "text/html"})


async def _silence(wire: Wire) -> None:
    await wire.begin(converse_stubs.STREAM)
    await wire.gone()


async def _no_head(wire: Wire) -> None:
    await wire.gone()


@pytest.mark.parametrize(
    "ending",
    [_cut, _ended_early, _half_a_frame, _wrong_checksum, _broken_json, _wrong_shapes, _web_page, _silence, _no_head],
)
async def test_half_an_answer_is_none(ending: Callable[[Wire], Awaitable[None]]) -> None:
    async with serving(ending) as stub:
        with pytest.raises(ModelUnavailableError) as caught:
            await ask(stub.url, idle_seconds=0.5 if ending in (_silence, _no_head) else 20)
    assert caught.value.message.startswith(f"{NOVA} can't answer now: ")
    assert len(stub.requests) == 1


async def test_who_is_not_there_is_unavailable_and_named() -> None:
    with pytest.raises(ModelUnavailableError, match=r"can't answer now: .*http://127\.0\.0\.1:9"):
        await ask("http://127.0.0.1:9")


@pytest.mark.parametrize("begun", [True, False])
async def test_cancelling_closes_the_connection_and_its_use_is_an_estimate(begun: bool) -> None:
    asked_for, gone = asyncio.Event(), asyncio.Event()

    async def endless(wire: Wire) -> None:
        if begun:
            await wire.begin(converse_stubs.STREAM)
            await wire.send(*HALF)
        asked_for.set()
        await wire.gone()
        gone.set()

    request = question()
    told: list[str] = []
    async with serving(endless) as stub:
        asked = asyncio.create_task(ask(stub.url, request=request, told=told))
        await asyncio.wait_for(asked_for.wait(), 60)
        while begun and not told:
            await asyncio.sleep(0.01)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await asyncio.wait_for(gone.wait(), 60)
    if begun:
        used = request.meter.usage
        assert used is not None
        assert (used.estimated, used.output_tokens) == (True, 2)
    else:
        assert request.meter.usage is None


async def test_a_process_ends_although_its_question_was_given_up() -> None:
    """The SDK's thread would keep it until the connection timed out."""
    script = (
        "import asyncio, sys\n"
        "from quarterdeck.core.history import Said\n"
        "from quarterdeck.engine.models import access\n"
        "from quarterdeck.engine.models.model import Request\n"
        "async def quiet(_): pass\n"
        "async def main():\n"
        "    keys = access.ModelKeys(bedrock_api_key='k', bedrock_base_url=sys.argv[1], idle_seconds=3600)\n"
        "    model = access.model('bedrock:amazon.m', None, keys)\n"
        "    asked = asyncio.create_task(model.answer(Request('c', '', (Said('x'),), (), 1), quiet))\n"
        "    await asyncio.to_thread(sys.stdin.readline)\n"
        "    asked.cancel()\n"
        "    await asyncio.wait([asked])\n"
        "    print('cancelled', asked.cancelled())\n"
        "asyncio.run(main())"
    )
    arrived = asyncio.Event()

    async def silent(wire: Wire) -> None:
        arrived.set()
        await wire.gone()

    async with serving(silent) as stub:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stub.url, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            await asyncio.wait_for(arrived.wait(), 60)
            out, _ = await asyncio.wait_for(process.communicate(b"\n"), 60)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert out.split() == [b"cancelled", b"True"]


async def test_more_answers_than_a_loop_has_threads_by_itself_stream_at_a_time() -> None:
    many = 60
    waiting = asyncio.Barrier(many)

    async def together(wire: Wire) -> None:
        await wire.begin(converse_stubs.STREAM)
        await waiting.wait()
        await wire.send(*answer(text("Hi")))
        await wire.end()

    async with serving(*[together] * many) as stub:
        replies = await asyncio.gather(*(ask(stub.url) for _ in range(many)))
    assert {reply.text for reply in replies} == {"Hi"}


def test_each_protocol_is_asked_at_its_own_address() -> None:
    region = "bedrock_region", "eu-central-1"
    key = SecretStr("k")
    runtime, mantle = (
        "https://bedrock-runtime.eu-central-1.amazonaws.com",
        "https://bedrock-mantle.eu-central-1.api.aws",
    )
    with_key = ModelKeys(bedrock_api_key=key, **dict([region]))
    with_keys = ModelKeys(bedrock_identity=KEYS, **dict([region]))
    claude = "bedrock:anthropic.claude-sonnet-5-5"
    assert endpoint(claude, with_key).base_url == mantle
    assert endpoint(NOVA, with_key).base_url == runtime
    assert {endpoint(name, with_keys).base_url for name in (claude, NOVA, CLAUDE)} == {runtime}
    for stored in (runtime, mantle):
        only = ModelKeys(stored={"bedrock": Credentials(key=key, base_url=stored)})
        assert endpoint(claude, only).base_url == mantle
        assert endpoint(NOVA, only).base_url == runtime
        assert endpoint(NOVA, only).region == "eu-central-1"
    own = "https://vpce-1.bedrock-runtime.us-west-2.vpce.amazonaws.com"
    at_own = endpoint(NOVA, ModelKeys(bedrock_identity=KEYS, bedrock_base_url=own, **dict([region])))
    assert (at_own.base_url, at_own.region) == (own, "us-west-2")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "AWS_BEARER_TOKEN_BEDROCK, AWS_ACCESS_KEY_ID or AWS_PROFILE is not set"),
        ({"bedrock_identity": Identity(SecretStr("AKIA"))}, "AWS_SECRET_ACCESS_KEY is not set"),
        ({"bedrock_identity": Identity(None, SecretStr("s"))}, "AWS_ACCESS_KEY_ID is not set"),
        ({"bedrock_identity": KEYS}, "AWS_REGION is not set"),
        ({"bedrock_identity": KEYS, "bedrock_base_url": "http://127.0.0.1:9"}, "AWS_REGION is not set"),
        ({"bedrock_identity": KEYS, "bedrock_region": "evil.example/"}, "AWS_REGION is no name"),
    ],
)
def test_what_is_missing_is_named(given: dict[str, Any], told: str) -> None:
    found = ModelKeys(**given)
    with pytest.raises(Exception, match=told):
        access.check(NOVA, found)
    assert "bedrock" not in access.known(found)


def test_who_has_credentials_can_ask_but_is_no_default() -> None:
    found = ModelKeys(bedrock_identity=KEYS, bedrock_region="us-east-1")
    assert "bedrock" in access.known(found)
    assert access.default_model(found) is None
    assert {SECRET, TOKEN} <= set(found.secrets())
    assert SECRET not in repr(found)


def test_the_servers_settings_name_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert endpoint(NOVA, server.model_keys(settings.load())).key_words == "the AWS profile work"
    for name, value in (("ACCESS_KEY_ID", "AKIAGIVEN"), ("SECRET_ACCESS_KEY", SECRET), ("SESSION_TOKEN", TOKEN)):
        monkeypatch.setenv(f"AWS_{name}", value)
    found = endpoint(NOVA, server.model_keys(settings.load()))
    assert found.key_words.startswith("the keys in AWS_ACCESS_KEY_ID")
    assert found.identity
    assert found.identity.secrets() == [SECRET, TOKEN]
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", BEARER)
    found = endpoint(NOVA, server.model_keys(settings.load()))
    assert (found.secret, found.identity) == (BEARER, None)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "BEARER_TOKEN_BEDROCK", "PROFILE"):
        monkeypatch.delenv(f"AWS_{name}")
    assert "bedrock" not in access.known(server.model_keys(settings.load()))
    monkeypatch.setenv("QUARTERDECK_BEDROCK_MACHINE_ROLE", "true")
    assert endpoint(NOVA, server.model_keys(settings.load())).key_words == "this machine's AWS role"


async def test_a_profile_signs_and_its_mended_file_is_read_after_a_refusal(tmp_path: Path) -> None:
    shared = tmp_path / "credentials"
    entry = "[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = {}\n"
    shared.write_text(entry.format("stale"), encoding="utf-8")
    refused = stubs.refusal(403, {"message": "No."}, {"x-amzn-ErrorType": "UnrecognizedClientException"})
    work = Identity(profile="work")
    async with serving(refused, stream(*answer(text("Hi")))) as stub:
        with pytest.raises(ModelRejectedError, match="refused the AWS profile work"):
            await ask(stub.url, identity=work)
        shared.write_text(entry.format("fresh"), encoding="utf-8")
        assert (await ask(stub.url, identity=work)).text == "Hi"
    assert signed_by(stub.requests[0], "stale")
    assert signed_by(stub.requests[1], "fresh")


async def test_a_machine_is_asked_for_its_role_only_when_that_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[profile empty]\nregion = us-east-1\n", encoding="utf-8")
    role = {
        "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIAROLE", "SecretAccessKey": "of-the-role",
        "Token": "role-token", "Expiration": "2099-01-01T00:00:00Z",
    }  # fmt: skip
    metadata = [
        stubs.refusal(200, b"imds-token", {"x-aws-ec2-metadata-token-ttl-seconds": "600"}),
        stubs.refusal(200, b"the-role"),
        stubs.refusal(200, role),
    ]
    async with serving(*metadata) as machine, serving(stream(*answer(text("Hi")))) as stub:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine.url)
        for unnamed, told in ((Identity(profile="empty"), "Unable to locate"), (Identity(profile="none"), "none")):
            with pytest.raises(ModelRejectedError, match=told):
                await ask(stub.url, identity=unnamed)
        assert machine.requests == []
        assert (await ask(stub.url, identity=Identity(machine_role=True))).text == "Hi"
    assert [wire.path for wire in machine.requests][-1] == "/latest/meta-data/iam/security-credentials/the-role"
    [wire] = stub.requests
    assert wire.headers["x-amz-security-token"] == "role-token"
    assert signed_by(wire, "of-the-role")


async def test_a_model_that_converse_does_not_serve_says_what_it_takes() -> None:
    with pytest.raises(ModelRejectedError, match="It takes a Bedrock API key"):
        await ask("http://127.0.0.1:9", "bedrock:openai.gpt-5.4")


def test_the_missing_library_is_named_with_what_to_type() -> None:
    script = (
        "import asyncio, sys; sys.modules['botocore'] = None\n"
        "from quarterdeck.core.history import Said\n"
        "from quarterdeck.engine.models import access\n"
        "from quarterdeck.engine.models.model import ModelRejectedError, Request\n"
        "async def quiet(_): pass\n"
        "async def main():\n"
        "    keys = access.ModelKeys(bedrock_api_key='k', bedrock_region='us-east-1')\n"
        "    model = access.model('bedrock:amazon.m', None, keys)\n"
        "    try: await model.answer(Request('c', '', (Said('x'),), (), 1), quiet)\n"
        "    except ModelRejectedError as error: print(error.message)\n"
        "asyncio.run(main())"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "pip install 'quarterdeck[bedrock]'" in ended.stdout


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
