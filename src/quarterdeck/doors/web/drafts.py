"""Forms that come back: what was typed stays, and what is wrong stands beside its field."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from litestar import Response
from pydantic import BaseModel, ValidationError

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.errors import InvalidInputError, QuarterdeckError
from quarterdeck.doors import problem
from quarterdeck.doors.web.fields import Fields
from quarterdeck.doors.web.layout import framed

Model = TypeVar("Model", bound=BaseModel)


class WrongFieldsError(InvalidInputError):
    """Something in the form doesn't fit."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        """`faults` by the names of fields; an empty name is the form as a whole."""
        super().__init__("; ".join(f"{name}: {fault}" if name else fault for name, fault in faults.items()))
        self.faults = faults


@dataclass(frozen=True)
class Draft:
    """One of a page's forms as it was sent, or an empty one: then fields have what is stored."""

    section: str = ""
    """Which of the page's forms."""
    given: Mapping[str, tuple[str, ...]] | None = None
    faults: Mapping[str, str] = field(default_factory=dict[str, str])
    status: int = 200
    saved: bool = False

    def of(self, section: str) -> "Draft":
        """This one if it is of that form, else an empty one of it."""
        return self if self.section == section else Draft(section)

    def value(self, name: str, stored: object = "") -> str:
        """What a field shows."""
        if self.given is None:
            return "" if stored is None else str(stored)
        return self.given.get(name, ("",))[0]

    def chosen(self, name: str, value: str, *, stored: bool) -> bool:
        """Whether a box or an option is chosen."""
        return stored if self.given is None else value in self.given.get(name, ())

    def described(self, name: str, hint: str) -> dict[str, str]:
        """What tells those who don't see it that a hint or a fault stands below a field."""
        place = f"{self.section}-{name}"
        notes = [f"{place}-fault"] * (name in self.faults) + [f"{place}-hint"] * bool(hint)
        found = {"aria-describedby": " ".join(notes)} if notes else {}
        return found | ({"aria-invalid": "true"} if name in self.faults else {})


NO_DRAFT = Draft()
"""Of a page none of whose forms came back."""


def came_back(form: Fields, section: str, error: QuarterdeckError, name: str = "") -> Draft:
    """The draft of a form that was refused; what is no fault of a certain field is told beside `name`."""
    faults = error.faults if isinstance(error, WrongFieldsError) else {name: error.message}
    return Draft(section, form.given, faults, problem.status_of(error).value)


def saved(section: str) -> Draft:
    """The page behind a form that was taken."""
    return Draft(section, saved=bool(section))


def checked(model: type[Model], values: Mapping[str, object]) -> Model:
    """The request that the fields make. Raises WrongFieldsError."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults: dict[str, str] = {}
        for fault in error.errors(include_url=False):
            name = str(fault["loc"][0]) if fault["loc"] else ""
            faults.setdefault(name, fault["msg"].removeprefix("Value error, "))
        raise WrongFieldsError(faults) from None


async def drafted(app: App, actor: Actor, template: str, draft: Draft, /, **values: Any) -> Response[str]:
    """A page with what stands around it, one of whose forms may have come back."""
    response = await framed(app, actor, template, draft=draft, **values)
    response.status_code = draft.status
    return response
