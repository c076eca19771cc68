"""Regular expressions that others wrote: which of them can be used."""

import re

PARTS = 20_000
"""What a pattern may come to when its repeats are written out, as what searches for them does: some 300 bytes each."""

_ESCAPE = re.compile(r"\\.", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")
_COUNT = re.compile(r"(.?)\{(\d*),?(\d*)\}", re.DOTALL)
_SPACED = re.compile(r"\(\?(#|[a-zA-Z]*x)")


def fault(pattern: str) -> str:
    """Why `pattern` can't be used; empty when it can. It must be one of Python's and no large one."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error)
    return _too_much(pattern)


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
