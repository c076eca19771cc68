"""What one session may use of a runner's machine, as an administrator writes it: `memory=4G, processes=256`.

A project may ask for less. Two of the limits are totals: what a session has used of them doesn't come back, so one that
has used one up is paused until a person has raised it (promise 9).
"""

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

LimitName = Literal["memory", "processes", "workspace", "files", "output", "call", "session"]
TOTALS: frozenset[LimitName] = frozenset({"output", "session"})

_SIZES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_TIMES = {"": 1, "S": 1, "M": 60, "H": 3600, "D": 86_400}
_GB = 1024**3
_MOST_USED = 10**15
_PAUSES = "The session pauses until a person has raised it."
_ADVICE: dict[LimitName, tuple[str, str]] = {
    "memory": ("of memory for all its commands together", "Do less at a time: fewer parallel jobs, smaller inputs."),
    "processes": ("processes at a time", "Start fewer at a time, and look for something that starts itself again."),
    "workspace": ("for the files of its workspace", "Delete what is not needed, and write less."),
    "files": ("files and folders in its workspace", "Delete what is not needed, and make fewer."),
    "output": ("of output of all its commands together", _PAUSES),
    "call": ("for one call", "Do it in smaller steps."),
    "session": ("for all its commands together", _PAUSES),
}


def _units(name: str) -> dict[str, int]:
    return {"processes": {"": 1}, "files": {"": 1}, "call": _TIMES, "session": _TIMES}.get(name, _SIZES)


def _number(name: str, text: str) -> int:
    units = _units(name)
    found = re.fullmatch(r"([0-9]{1,15}) ?([A-Za-z]?)", text)
    if found is None or found[2].upper() not in units:
        after = ", ".join(unit for unit in units if unit)
        raise ValueError(f"{name}: {text!r} is no number{f' with one of {after} after it' if after else ''}")
    return int(found[1]) * units[found[2].upper()]


Memory = Annotated[int, Field(ge=64 * 1024**2, le=10**15)]
Processes = Annotated[int, Field(ge=16, le=10**15)]
Files = Annotated[int, Field(ge=100, le=10**15)]
Space = Annotated[int, Field(ge=1024**2, le=10**15)]
Time = Annotated[int, Field(ge=1, le=10**9)]


class _Written(BaseModel):
    """Limits by name, each a number of bytes, seconds or things."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `name=value, name=value`; what isn't named keeps its default.

        Raises:
            ValueError: says what is wrong.
        """
        given: dict[str, int] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = (word.strip() for word in part.partition("="))
            if not equals or name in given:
                raise ValueError(f"{part!r} is not one NAME=VALUE, or not the first of that name")
            given[name] = _number(name, value)
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            names = ", ".join(cls.model_fields)
            raise ValueError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']} (there are {names})") from None

    def words(self) -> str:
        """The same again as `parse` reads it."""
        return ", ".join(f"{name}={self.value(name)}" for name in _ADVICE if getattr(self, name) is not None)

    def value(self, name: LimitName) -> str:
        """A bound as people write it, in the largest unit that fits."""
        number: int = getattr(self, name)
        units = _units(name)
        fitting = [unit for unit in units if number % units[unit] == 0]
        unit = max(reversed(fitting), key=lambda unit: units[unit])  # of two that are the same, the one with a letter
        return f"{number // units[unit]}{unit.lower() if units is _TIMES else unit}"


class ProjectLimits(_Written):
    """What a project asks for its sessions and jobs; of this and a runner's own the stricter holds."""

    memory: Memory | None = None
    processes: Processes | None = None
    workspace: Space | None = None
    files: Files | None = None
    output: Space | None = None
    call: Time | None = None
    session: Time | None = None


class Limits(_Written):
    """The bounds of one session, or one pipeline job, on one runner."""

    memory: Memory = 8 * _GB
    """Of all its commands together; never more than three quarters of the machine's."""
    processes: Processes = 512
    workspace: Space = 20 * _GB
    """What its files take of the disk."""
    files: Files = 1_000_000
    output: Space = _GB
    """Of what its commands print: all that is kept, which is at most `OUTPUT_BYTES` of one call."""
    call: Time = 86_400
    """Seconds of one command; a tool's own timeout is mostly shorter."""
    session: Time = 3 * 86_400
    """Seconds of all its commands together."""

    def within(self, asked: ProjectLimits | None) -> "Limits":
        """Of each bound the stricter: this one, or what a project asks for."""
        bounds = asked.model_dump(exclude_none=True) if asked else {}
        return self.model_copy(update={name: min(bound, getattr(self, name)) for name, bound in bounds.items()})

    def reached(self, name: LimitName, *, of: "Limits | None" = None) -> "Reached":
        """That this bound was reached; `of` are the runner's own, where a project may have asked for less."""
        by_project = of is not None and getattr(self, name) < getattr(of, name)
        return Reached(name=name, bound=self.value(name), of="project" if by_project else "runner")


class Used(BaseModel):
    """What a session's commands took of its totals."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ms: Annotated[int, Field(ge=0, le=_MOST_USED)] = 0
    output: Annotated[int, Field(ge=0, le=_MOST_USED)] = 0
    """Bytes that were kept of what they printed."""

    def __add__(self, other: "Used") -> "Used":
        """Both together; no more than can be told, because a runner may tell that much of each of its calls."""
        ms, output = self.ms + other.ms, self.output + other.output
        return Used(ms=min(ms, _MOST_USED), output=min(output, _MOST_USED))

    def up(self, name: LimitName, bounds: Limits | ProjectLimits) -> bool:
        """Whether this is all that `bounds` allow of the total."""
        bound: int | None = getattr(bounds, name)
        return bound is not None and (self.output if name == "output" else self.ms / 1000) >= bound


class Reached(BaseModel):
    """A limit that a session has reached: which, its bound as people write it, and whose it is."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    _MAY_RAISE: ClassVar = {
        "runner": "An administrator can raise `{}` in the runner's limits",
        "project": "An owner can raise `{}` in the project's limits",
    }

    name: LimitName
    bound: Annotated[str, Field(pattern=r"^[0-9]{1,18}[A-Za-z]?$")]
    of: Literal["runner", "project"] = "runner"

    @property
    def total(self) -> bool:
        """Whether nothing more can be run until it is raised."""
        return self.name in TOTALS

    @property
    def pause(self) -> str:
        """Why the session is paused."""
        may_raise = self._MAY_RAISE[self.of].format(self.name)
        return f"It has used up its {self.bound} {_ADVICE[self.name][0]}. {may_raise}; then resume the session."

    def __str__(self) -> str:
        """What a model and people are told when it was reached: which, its value, and what to do."""
        what, advice = _ADVICE[self.name]
        whose = " on this runner" if self.of == "runner" else ""
        return (
            f"This session's limit{whose} was reached: {self.bound} {what}. {advice} "
            f"{self._MAY_RAISE[self.of].format(self.name)}."
        )
