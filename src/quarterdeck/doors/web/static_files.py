"""The stylesheet, the scripts and the icon: read once, and kept by browsers for good under their content's name."""

import hashlib
from importlib.resources import files
from typing import Annotated

from litestar import Response, get
from litestar.params import PathParameter

from quarterdeck.core.errors import NotFoundError

_KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_FILES = {
    file.name: file.read_bytes()
    for file in sorted((files("quarterdeck.doors.web") / "static").iterdir(), key=lambda file: file.name)
    if file.name.rpartition(".")[2] in _KINDS
}
_VERSION = hashlib.sha256(b"".join(_FILES.values())).hexdigest()[:16]
FOLDER = f"/static/{_VERSION}"
"""Where they are; scripts import one another from the same folder, and so of the same version."""

_Name = Annotated[str, PathParameter(max_length=100)]


@get("/static/{version:str}/{name:str}")
async def static(version: _Name, name: _Name) -> Response[bytes]:
    """One of the files."""
    if name not in _FILES:
        raise NotFoundError(f"There is no file {name!r}.")
    kept = "public, max-age=31536000, immutable" if version == _VERSION else "no-store"
    return Response(
        _FILES[name],
        media_type=_KINDS[name.rpartition(".")[2]],
        headers={
            "Cache-Control": kept,
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
        },
    )
