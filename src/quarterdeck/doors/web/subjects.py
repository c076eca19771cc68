"""Which thing a page is about, by its address: what the messages of a chat beside it say they are about."""

import re
from urllib.parse import unquote

from pydantic import ValidationError

from quarterdeck.app.page_subjects import Subject

_NUMBER = "[1-9][0-9]{0,17}"
_PAGES = (
    ("session", rf"/sessions/(?P<id>{_NUMBER})(?:/.*)?"),
    ("issue", rf"/projects/(?P<project_id>{_NUMBER})/issues/(?P<id>{_NUMBER})(?:/.*)?"),
    ("merge_request", rf"/projects/(?P<project_id>{_NUMBER})/merge_requests/(?P<id>{_NUMBER})(?:/.*)?"),
    ("pipeline", rf"/pipelines/(?P<id>{_NUMBER})(?:/.*)?"),
)
_KINDS = tuple((kind, re.compile(pattern, re.ASCII)) for kind, pattern in _PAGES)


def subject_of(path: str) -> Subject | None:
    """The subject of the page with that address; None where it is about no single thing.

    >>> subject_of("/projects/1/issues/3").name
    'issue #3'
    """
    for kind, pattern in _KINDS:
        if found := pattern.fullmatch(path):
            try:
                return Subject.model_validate({"kind": kind, **{k: unquote(v) for k, v in found.groupdict().items()}})
            except ValidationError:
                return None
    return None
