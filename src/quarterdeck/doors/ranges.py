"""The `Range` of a request (RFC 9110): one span of bytes, bounded."""

import re
from http import HTTPStatus

from litestar.exceptions import HTTPException

_SPAN = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def byte_range(header: str, size: int, *, most: int) -> range | None:
    """The bytes that the header asks for, of `size` that there are, at most `most`; None when it is to be ignored.

    Several spans at once are ignored, as everybody may.

    Raises:
        HTTPException: 416, there is nothing of it; `Content-Range` says how much there is.
    """
    told = _SPAN.fullmatch(header.replace(" ", ""))
    if told is None or not (told[1] or told[2]):
        return None
    if told[1]:
        first, last = int(told[1]), int(told[2] or size - 1)
        if told[2] and last < first:
            return None
    else:
        first, last = max(0, size - int(told[2])), size - 1
    span = range(first, min(last + 1, size, first + most))
    if not span:
        raise HTTPException(
            detail=f"There are {size:,} bytes by now; the range lies behind them.",
            status_code=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            headers={"Content-Range": f"bytes */{size}"},
        )
    return span
