"""Searches for patterns that others wrote, within a time."""

import time
from functools import lru_cache

import regex

from quarterdeck.core import patterns

SECONDS = 1.0
"""What all searches for one value may take together, in time of the processor."""


class SearchError(Exception):
    """A pattern can't be searched for, or not in the time that is left; says which and why."""


class Searches:
    """Those for one value: when the time is used up, all that follow fail."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._left = seconds

    def found(self, pattern: str, text: str) -> bool:
        """Whether `pattern` is in `text`.

        Raises:
            SearchError: it can't be told.
        """
        began = time.thread_time()
        try:
            return _compiled(pattern).search(text, timeout=max(self._left, 0.0)) is not None
        except TimeoutError:
            raise SearchError(f"the pattern {pattern[:200]!r} takes too long") from None
        finally:
            self._left -= time.thread_time() - began


@lru_cache(maxsize=16)
def _compiled(pattern: str) -> regex.Pattern[str]:
    try:
        why = patterns.fault(pattern)
        made = None if why else regex.compile(pattern, cache_pattern=False)  # its own cache has no bound of memory
    except (regex.error, OverflowError, RecursionError) as error:
        why, made = str(error), None
    if made is None:
        raise SearchError(f"the pattern {pattern[:200]!r} can't be used: {why}")
    return made
