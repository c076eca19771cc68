"""Which models take no images. Of all others it is not known, and the provider says so where one doesn't."""

import re

from quarterdeck.engine.models.providers import parsed, unspoken

_BLIND = re.compile(
    r"(?:^|/)(?:gpt-3\.5|gpt-oss|o1-mini|o3-mini|codestral|devstral-small|mixtral|ministral-8b-2410|"
    r"deepseek-(?:chat|coder|reasoner|r1|v3)|qwen-?2\.5-coder|qwen-?3-coder|kimi-k2|"
    r"llama-?3\.[13]|starcoder|codellama|phi-?[34]-mini)"
)
"""The beginnings of their names, with or without that of who made them."""


def takes_images(name: str) -> bool:
    """False for a model that is known to read text only; a script can be shown an image, which it doesn't look at."""
    return unspoken(name) or _BLIND.search(parsed(name)[1].lower()) is None
