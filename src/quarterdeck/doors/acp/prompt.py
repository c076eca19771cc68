"""What a person said in an editor, with what they attached, as one message."""

from typing import Any

from acp.exceptions import RequestError


def text_of(prompt: list[Any]) -> str:
    """The text; files that came along stand in it, links by their address. Raises RequestError for what is neither."""
    parts = [part for block in prompt if (part := _part(block))]
    text = "\n\n".join(parts).strip()
    if not text:
        raise RequestError.invalid_params({"prompt": "It is empty."})
    return text


def _part(block: Any) -> str:
    match block.type:
        case "text":
            return block.text
        case "resource_link":
            return f"[{block.name}]({block.uri})"
        case "resource" if hasattr(block.resource, "text"):
            return f"{block.resource.uri}:\n\n```\n{block.resource.text}\n```"
        case _:
            raise RequestError.invalid_params({"prompt": f"A block of the type {block.type} can't be taken."})
