"""What one session may use of a runner's machine, as an administrator writes it: `memory=4G, processes=256`."""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

LimitName = Literal["memory", "processes", "workspace", "files", "output", "call", "session"]

_SIZES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_TIMES = {"": 1, "S": 1, "M": 60, "H": 3600, "D": 86_400}
_GB = 1024**3
_ADVICE: dict[LimitName, tuple[str, str]] = {
    "memory": ("of memory for all its commands together", "Do less at a time: fewer parallel jobs, smaller inputs."),
    "processes": ("processes at a time", "Start fewer at a time, and look for something that starts itself again."),
    "workspace": ("for the files of its workspace", "Delete what is not needed, and write less."),
    "files": ("files and folders in its workspace", "Delete what is not needed, and make fewer."),
    "output": ("of output of all its commands together", "Nothing more can be run; what is there can still be read."),
    "call": ("for one call", "Do it in smaller steps."),
    "session": ("for all its commands together", "Nothing more can be run; what is there can still be read."),
}


def _number(value: object, units: dict[str, int]) -> object:
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"([0-9]{1,15}) ?([A-Za-z]?)", value.strip())
    if found is None or found[2].upper() not in units:
        raise ValueError(f"{value!r} is no number with one of {', '.join(unit for unit in units if unit)} after it")
    return int(found[1]) * units[found[2].upper()]


_Bytes = Annotated[int, BeforeValidator(lambda value: _number(value, _SIZES))]
_Seconds = Annotated[int, BeforeValidator(lambda value: _number(value, _TIMES))]
_Count = Annotated[int, BeforeValidator(lambda value: _number(value, {"": 1}))]


class Limits(BaseModel):
    """The bounds of one session, or one pipeline job, on one runner."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    memory: _Bytes = Field(default=8 * _GB, ge=64 * 1024**2)
    """Of all its commands together; never more than three quarters of the machine's."""
    processes: _Count = Field(default=512, ge=16)
    workspace: _Bytes = Field(default=20 * _GB, ge=1024**2)
    """What its files take of the disk."""
    files: _Count = Field(default=1_000_000, ge=100)
    output: _Bytes = Field(default=_GB, ge=1024**2)
    """Of what its commands print: all that is kept, which is at most `OUTPUT_BYTES` of one call."""
    call: _Seconds = Field(default=86_400, ge=1)
    """Seconds of one command; a tool's own timeout is mostly shorter."""
    session: _Seconds = Field(default=3 * 86_400, ge=1)
    """Seconds of all its commands together."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `name=value, name=value`; what isn't named keeps its default.

        Raises:
            ValueError: says what is wrong.
        """
        given: dict[str, str] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = (word.strip() for word in part.partition("="))
            if not equals or name in given:
                raise ValueError(f"{part!r} is not one NAME=VALUE, or not the first of that name")
            given[name] = value
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            names = ", ".join(cls.model_fields)
            raise ValueError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']} (there are {names})") from None

    def words(self) -> str:
        """The same again as `parse` reads it."""
        return ", ".join(f"{name}={self.value(name)}" for name in _ADVICE)

    def value(self, name: LimitName) -> str:
        """A bound as people write it, in the largest unit that fits."""
        number: int = getattr(self, name)
        units = {"processes": {"": 1}, "files": {"": 1}, "call": _TIMES, "session": _TIMES}.get(name, _SIZES)
        fitting = [unit for unit in units if number % units[unit] == 0]
        unit = max(reversed(fitting), key=lambda unit: units[unit])  # of two that are the same, the one with a letter
        return f"{number // units[unit]}{unit.lower() if units is _TIMES else unit}"

    def reached(self, name: LimitName) -> str:
        """What a model and people are told when a bound was reached: which, its value, and what to do."""
        what, advice = _ADVICE[name]
        return (
            f"This session's limit on this runner was reached: {self.value(name)} {what}. {advice} An administrator "
            f"can raise `{name}` in the runner's limits."
        )
