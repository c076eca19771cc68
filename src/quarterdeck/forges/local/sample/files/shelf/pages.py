"""Lists, a page at a time."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def page_count(items: int, per_page: int) -> int:
    """How many pages `items` fill; the last one may be partly empty."""
    if per_page < 1:
        raise ValueError("a page has room for at least one item")
    return items // per_page


def page(items: Sequence[Item], number: int, per_page: int) -> list[Item]:
    """The items of page `number`, counted from 1; empty behind the last page."""
    start = (number - 1) * per_page
    return list(items[start : start + per_page])
