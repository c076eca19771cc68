"""Versions of flows and the constraints that ask for one."""

import re
from collections.abc import Iterable

from quarterdeck.core.errors import InvalidInputError

Version = tuple[int, int, int]

_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})")
_CONSTRAINT = re.compile(r"(\^|~|>=|=|)\s*(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?")
_SCHEMA = re.compile(r"v(\d{1,9})")


def version(text: str) -> Version:
    """`1.2.3` as numbers that compare.

    Raises:
        InvalidInputError: it is not three numbers.
    """
    found = _VERSION.fullmatch(text.strip())
    if found is None:
        raise InvalidInputError(f"{text!r} is no version. A version is three numbers, such as 1.0.0.")
    return int(found[1]), int(found[2]), int(found[3])


def bounds(constraint: str) -> tuple[Version, Version | None]:
    """The lowest version that `constraint` allows, and the first that is too high again (None: there is none).

    `^1.2.3` allows what doesn't change the leftmost number that isn't 0, `~1.2.3` what doesn't change the second,
    `>=1.2.3` everything from there, `1.2.3` only itself and `v1` every 1.x.y. Missing numbers are 0.

    Raises:
        InvalidInputError: it is none of these.
    """
    schema = _SCHEMA.fullmatch(constraint.strip())
    found = _CONSTRAINT.fullmatch(f"^{schema[1]}" if schema else constraint.strip())
    if found is None:
        raise InvalidInputError(f"{constraint!r} is no version constraint. Write 1.0.0, ^1.0.0, ~1.0.0, >=1.0.0 or v1.")
    given = [int(number) for number in found.groups()[1:] if number is not None]
    low = (*given, 0, 0)[0], (*given, 0, 0)[1], (*given, 0, 0)[2]
    match found[1]:
        case ">=":
            return low, None
        case "^":
            nonzero = next((place for place, number in enumerate(given) if number), len(given) - 1)
            return low, _raised(low, nonzero)
        case "~":
            return low, _raised(low, min(len(given), 2) - 1)
        case _:
            return low, _raised(low, 2)


def newest(versions: Iterable[str], constraint: str) -> str | None:
    """The highest of `versions` that `constraint` allows; None when there is none."""
    low, high = bounds(constraint)
    fitting = [text for text in versions if low <= version(text) and (high is None or version(text) < high)]
    return max(fitting, key=version, default=None)


def _raised(low: Version, place: int) -> Version:
    raised = [*low[:place], low[place] + 1, 0, 0]
    return raised[0], raised[1], raised[2]
