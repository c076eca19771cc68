"""Images on their way to models: as each protocol wants them, or said to be left out; and what prices are known."""

import asyncio
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncGenerator

import pytest
from pydantic import SecretStr

from quarterdeck.app.model_access import StoredKey
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.history import Image, Said
from quarterdeck.core.limits import IMAGE_CHARACTERS
from quarterdeck.engine.models import access, messages
from quarterdeck.engine.models.access import ModelKeys
from quarterdeck.engine.models.keyring import Keyring
from quarterdeck.engine.models.model import Request
from quarterdeck.engine.models.sight import takes_images
from tests.engine import stubs
from tests.engine.stubs import serving

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(100))
LOOK = Said("What is this?\n\nAttached image: `p.png`", images=(Image("p.png", "image/png", PNG),))
ANSWERS = {
    "anthropic:claude-sonnet-5-5": stubs.anthropic(stubs.text_block("A picture.")),
    "openai:gpt-6.1-terra": stubs.openai(stubs.delta(content="A picture.")),
    "openai-responses:gpt-6.1-terra": stubs.responses(stubs.said_item("A picture.")),
    "google:gemini-3.8-flash": stubs.google({"text": "A picture."}),
    "ollama:llava": stubs.openai(stubs.delta(content="A picture.")),
    "mistral:pixtral-large": stubs.openai(stubs.delta(content="A picture.")),
    "ollama:qwen3-coder:30b": stubs.openai(stubs.delta(content="A text.")),
}


@pytest.fixture(autouse=True)
async def _closed() -> AsyncGenerator[None]:  # pyright: ignore[reportUnusedFunction]  # pytest calls it
    yield
    await access.close()


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_image_goes_with_its_words_or_the_model_is_told_that_it_does_not(name: str) -> None:
    async def nobody(_: str) -> None:
        pass

    async with serving(stubs.stream(*ANSWERS[name])) as stub:
        key = SecretStr("sk-given-0123456789")
        keys = ModelKeys(
            anthropic_api_key=key, anthropic_base_url=stub.url, openai_api_key=key, openai_base_url=f"{stub.url}/v1",
            google_api_key=key, google_base_url=stub.url, ollama_base_url=f"{stub.url}/v1",
            mistral_api_key=key, mistral_base_url=f"{stub.url}/v1",
        )  # fmt: skip
        request = Request("a", "You look.", (LOOK,), (), 1)
        await asyncio.wait_for(access.model(name, None, keys).answer(request, nobody), 60)
        body = json.dumps(stub.requests[0].body)
    assert "What is this?" in body
    shown = b64encode(PNG).decode() in body or urlsafe_b64encode(PNG).decode() in body
    assert shown is takes_images(name)
    assert ("takes no images. Say so." in body) is not shown
    assert messages.size(request) == len("You look.") + len(LOOK.text) + IMAGE_CHARACTERS


def test_what_is_known_to_read_text_alone() -> None:
    for name in (
        "openai:gpt-3.5-turbo", "groq:openai/gpt-oss-120b", "openrouter:deepseek/deepseek-v3.2", "ollama:llama3.1:8b",
        "mistral:codestral-latest", "openai-compatible:Qwen3-Coder",
    ):  # fmt: skip
        assert not takes_images(name), name
    for name in ("scripted", "replay:3", "openai:gpt-4o", "openrouter:meta/llama-4-scout", "ollama:llama3.2-vision"):
        assert takes_images(name), name


async def test_prices_that_are_known() -> None:
    keyring = Keyring(ModelKeys(ollama_base_url="http://127.0.0.1:1/v1"), None)
    stored = [
        StoredKey("anthropic", SecretStr("k" * 20), None),
        StoredKey("openai-compatible", None, "http://127.0.0.1:1/v1"),
    ]
    assert await keyring.priced("anthropic:claude-sonnet-4-5", stored)
    assert not await keyring.priced("anthropic:claude-unheard-of", stored)
    assert not await keyring.priced("openai-compatible:claude-sonnet-4-5", stored), "at another address"
    assert await keyring.priced("scripted:fix_pipeline/v1", stored)
    with pytest.raises(InvalidInputError, match="GOOGLE_API_KEY"):
        await keyring.priced("google:gemini-3.8-flash", stored)
