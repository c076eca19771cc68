"""Which thing a page is about, by its address: what the messages of a chat beside it say they are about."""

import re
from urllib.parse import parse_qsl

from pydantic import ValidationError

from quarterdeck.app.page_subjects import Subject

_NUMBER = "[1-9][0-9]{0,17}"
_PROJECT = rf"/projects/(?P<project_id>{_NUMBER})"
_PAGES = (
    ("session", rf"/sessions/(?P<id>{_NUMBER})(?:/.*)?"),
    ("issue", rf"{_PROJECT}/issues/(?P<id>{_NUMBER})(?:/.*)?"),
    ("merge_request", rf"{_PROJECT}/merge_requests/(?P<id>{_NUMBER})(?:/.*)?"),
    ("pipeline", rf"/pipelines/(?P<id>{_NUMBER})(?:/.*)?"),
    ("file", rf"{_PROJECT}/file"),
)
_KINDS = tuple((kind, re.compile(pattern, re.ASCII)) for kind, pattern in _PAGES)
_ASKED = ("path", "ref")
"""Which file it is stands in the query."""


def subject_of(address: str) -> Subject | None:
    """The subject of the page with that path and query; None where it is about no single thing.

    >>> subject_of("/projects/1/issues/3").name
    'issue #3'
    """
    path, _, query = address.partition("?")
    for kind, pattern in _KINDS:
        if found := pattern.fullmatch(path):
            asked = {name: value for name, value in parse_qsl(query) if name in _ASKED} if kind == "file" else {}
            if kind == "file" and not asked.get("path"):
                return None
            try:
                return Subject.model_validate({"kind": kind, **found.groupdict(), **asked})
            except ValidationError:
                return None
    return None
