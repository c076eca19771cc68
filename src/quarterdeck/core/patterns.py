"""Regular expressions that others wrote, searched for within bounds of time and memory."""

import re
import time
from functools import lru_cache

import regex

SECONDS = 1.0
"""What all searches for one value may take together, in time of the processor."""
PARTS = 20_000
"""What a pattern may come to when its repeats are written out, as `regex` does: some 300 bytes each."""

_ESCAPE = re.compile(r"\\.", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")
_COUNT = re.compile(r"(.?)\{(\d*),?(\d*)\}", re.DOTALL)
_SPACED = re.compile(r"\(\?(#|[a-zA-Z]*x)")


class SearchError(Exception):
    """A pattern can't be searched for, or not in the time that is left; says which and why."""


def fault(pattern: str) -> str:
    """Why `pattern` can't be used; empty when it can. It must be one of Python's and no large one."""
    try:
        re.compile(pattern)
        if why := _too_much(pattern):
            return why
        _compiled(pattern)
    except (re.error, regex.error, OverflowError, RecursionError) as error:
        return str(error)
    return ""


def _too_much(pattern: str) -> str:
    """Bounds the size from above, without reading groups: each count behind a `)` multiplies all there is."""
    plain = _ESCAPE.sub("x", pattern)
    if _SPACED.search(plain):
        return "comments and the flag x are not supported"
    size, times = len(plain), 1
    for before, least, most in _COUNT.findall(plain):
        count = max(int(least or 1), int(most or 1), 1)
        size, times = (size, times * count) if before == ")" else (size + count, times)
    if size * times > PARTS:
        return f"its repeats come to more than {PARTS:,} parts"
    if "{" in _COUNT.sub(r"\1", _CLASS.sub("x", plain)):
        return "a brace that is no count is written \\{"
    return ""


@lru_cache(maxsize=16)
def _compiled(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern, cache_pattern=False)  # its own cache has no bound of memory


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
            if why := _faults(pattern):
                raise SearchError(f"the pattern {pattern[:200]!r} can't be used: {why}")
            return _compiled(pattern).search(text, timeout=max(self._left, 0.0)) is not None
        except TimeoutError:
            raise SearchError(f"the pattern {pattern[:200]!r} takes too long") from None
        finally:
            self._left -= time.thread_time() - began


_faults = lru_cache(maxsize=256)(fault)
