"""The language of a page: gettext catalogues in `locale/`, chosen by what the browser asks for."""

import gettext as catalogues
from contextvars import ContextVar
from functools import cache
from importlib.resources import files
from pathlib import Path

USUAL = "en"
"""The language of the templates themselves; it needs no catalogue."""
DOMAIN = "quarterdeck"
FOLDER = Path(str(files("quarterdeck.doors.web"))) / "locale"

_language: ContextVar[str] = ContextVar("language", default=USUAL)


def speak(accepted: str) -> None:
    """Chooses the language of what is rendered from here on, by an `Accept-Language` header."""
    _language.set(chosen(accepted, known()))


def spoken() -> str:
    """The language of what is rendered now."""
    return _language.get()


def chosen(accepted: str, among: frozenset[str]) -> str:
    """The language that somebody likes best among those that there are.

    >>> chosen("fr-CH, de;q=0.9, en;q=0.8", frozenset({"en", "de"}))
    'de'
    """
    wishes: list[tuple[float, str]] = []
    for part in accepted[:500].split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            wishes.append((float(weight or 1), tag.partition("-")[0].lower()))
        except ValueError:
            continue
    best = sorted(wishes, key=lambda wish: -wish[0])
    return next((name for weight, name in best if weight > 0 and name in among), USUAL)


@cache
def known() -> frozenset[str]:
    """The languages that have a catalogue, and the usual one."""
    return frozenset({USUAL, *(file.parts[-3] for file in FOLDER.glob(f"*/LC_MESSAGES/{DOMAIN}.mo"))})


@cache
def _catalogue(language: str) -> catalogues.NullTranslations:
    return catalogues.translation(DOMAIN, FOLDER, [language], fallback=True)


def gettext(text: str) -> str:
    """`text` in the language that is spoken."""
    return _catalogue(spoken()).gettext(text)


def ngettext(one: str, more: str, number: int) -> str:
    """The form of the text for `number` things."""
    return _catalogue(spoken()).ngettext(one, more, number)
