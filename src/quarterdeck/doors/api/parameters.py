"""What handlers ask for by annotation: the application, who calls, and the parameters that many routes share."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from litestar.di import Dependency
from litestar.params import HeaderParameter, PathParameter, QueryParameter, SkipValidationMarker

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App

_LARGEST = 2**63 - 1

TheApp = Annotated[App, Dependency("named"), SkipValidationMarker()]
Caller = Annotated[Actor, Dependency("named"), SkipValidationMarker()]
Still = Annotated[Callable[[], Awaitable[Actor]], Dependency("named"), SkipValidationMarker()]
"""Who calls, let in again; a stream asks it while it goes on."""

SessionId = Annotated[int, PathParameter(ge=1, le=_LARGEST, description="The session's number, without `#`.")]
RowId = Annotated[int, PathParameter(ge=1, le=_LARGEST)]
CallId = Annotated[str, PathParameter(max_length=64, description="The call's id, `c_…`.")]
_ProjectInUrl = Annotated[
    str, PathParameter(max_length=255, description="The project's number or path; a slash is written `%2F`.")
]
ProjectRef = Annotated[str, Dependency("named"), SkipValidationMarker()]
"""How a handler asks for the project of its URL, `{project:str}`."""

After = Annotated[int, QueryParameter(ge=0, le=_LARGEST, description="Only what comes after this `seq`.")]
Offset = Annotated[int, QueryParameter(ge=0, le=_LARGEST, description="The first byte.")]
Limit = Annotated[int, QueryParameter(ge=1, le=100, description="How many of a page.")]
LastEventId = Annotated[
    int | None, HeaderParameter(name="Last-Event-ID", ge=0, le=_LARGEST, description="Resumes behind this `seq`.")
]
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key", min_length=1, max_length=255, description="The same key again answers the same session."
    ),
]


def project_ref(project: _ProjectInUrl) -> str:
    """The dependency `project_ref`: what `{project:str}` in a route names."""
    return project.replace("%2F", "/")
