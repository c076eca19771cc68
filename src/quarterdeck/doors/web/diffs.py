"""Diffs as pages have them: by file, and not without end."""

from quarterdeck.core.text import cut, decode

DIFF_CHARACTERS = 500_000
"""Of one page; the API and git have the rest."""


def by_file(diff: bytes | str) -> list[tuple[str, str]]:
    """A diff in pieces: the first line of each file, and all of its lines."""
    text = cut(decode(diff), DIFF_CHARACTERS) if isinstance(diff, bytes) else diff
    pieces = ("\n" + text).split("\ndiff --git ")[1:]
    return [(piece.partition("\n")[0], f"diff --git {piece}") for piece in pieces]
