"""What a form brought."""

import re
from typing import Annotated, Any

from litestar import Request, Response
from litestar.datastructures import FormMultiDict
from litestar.di import Dependency
from litestar.params import SkipValidationMarker
from litestar.response import Redirect

from quarterdeck.core.errors import InvalidInputError


class Fields:
    """The fields of a form, and whether a script sent it, which wants no page."""

    def __init__(self, form: FormMultiDict, *, by_script: bool) -> None:
        self._form = form
        self._by_script = by_script

    def text(self, name: str) -> str:
        """A text without the space around it; empty if it is not there."""
        return (self.verbatim(name) or "").strip()

    def verbatim(self, name: str) -> str | None:
        """A text as it was typed; None if it is not there."""
        value: object = self._form.get(name)
        return value.replace("\r\n", "\n") if isinstance(value, str) else None

    def texts(self, name: str) -> tuple[str, ...]:
        """All texts of a field that may be there many times, without what is empty."""
        return tuple(filter(None, (text.strip() for text in self.given.get(name, ()))))

    def lines(self, name: str) -> tuple[str, ...]:
        """What stands on the lines of a field, or between its commas."""
        return tuple(filter(None, (part.strip() for part in re.split(r"[,\n]", self.text(name)))))

    @property
    def given(self) -> dict[str, tuple[str, ...]]:
        """All texts by the names of their fields."""
        found: dict[str, list[str]] = {}
        for name, value in self._form.multi_items():
            if isinstance(value, str):
                found.setdefault(name, []).append(value.replace("\r\n", "\n"))
        return {name: tuple(values) for name, values in found.items()}

    def numbers(self, name: str) -> tuple[int, ...]:
        """All numbers of a field that may be there many times."""
        values: list[object] = self._form.getall(name, [])
        if not all(isinstance(value, str) and value.isascii() and value.isdigit() for value in values):
            raise InvalidInputError(f"{name} are numbers.")
        return tuple(int(str(value)) for value in values)

    def go(self, path: str) -> Response[Any]:
        """Done: a browser goes on to `path`, a script that has the page already stays and is told it."""
        if self._by_script:
            return Response(None, status_code=204, headers={"Location": path})
        return Redirect(path, status_code=303)


Form = Annotated[Fields, Dependency("named"), SkipValidationMarker()]
"""How a handler asks for them, as `form`."""


async def form(request: Request[Any, Any, Any]) -> Fields:
    """The dependency `form`."""
    return Fields(await request.form(), by_script="application/json" in request.headers.get("accept", ""))
