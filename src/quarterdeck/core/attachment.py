"""Files that a person gives to a session: what they are by their own bytes, whatever they are called."""

import re

from pydantic import BaseModel, ConfigDict, Field

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.text import cut

IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
TEXT = "text/plain"
NAME_CHARACTERS = 255


class Attachment(BaseModel):
    """One of them, as the log knows it; the bytes lie in a blob of the session."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    id: int
    name: str
    media_type: str
    size: int = Field(ge=0)
    characters: int = Field(ge=0)
    """About what it adds to a conversation."""
    category: str = ""
    """Of what kind of context it is, where that was said."""

    @property
    def image(self) -> bool:
        """Whether a model has to look at it."""
        return self.media_type in IMAGES


def media_type(data: bytes) -> str:
    """What the bytes are: an image of a kind that models take, or text.

    Raises:
        InvalidInputError: neither.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InvalidInputError("The file is neither text in UTF-8 nor an image (PNG, JPEG, GIF, WebP).")
    return TEXT


def fenced(attachment: Attachment, text: str, *, most: int) -> str:
    """A file as a conversation has it: between fences that its own text can't close, the middle left out if it is long.

    Of an image only the name; it stands behind the words by itself.
    """
    name = " ".join(attachment.name.split()).replace("`", "'")
    if attachment.image:
        return f"Attached image: `{name}`"
    shown = cut(text, most)
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    what = f"Attached {attachment.category or 'file'}"
    return f"{what}: `{name}`\n{fence}\n{shown}\n{fence}"
