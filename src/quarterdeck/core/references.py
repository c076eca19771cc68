"""What a text says about issues: `Closes #12` in a merge request's description."""

import re

_ISSUE = r"#\d{1,9}(?!\w)"
_CLOSING = re.compile(
    r"\b(?:clos(?:e|es|ed|ing)|fix(?:|es|ed|ing)|resolv(?:e|es|ed|ing)|implement(?:|s|ed|ing)):?[ \t]{1,8}"
    rf"(?P<issues>{_ISSUE}(?:(?:[ \t]{{0,8}},[ \t]{{0,8}}(?:and[ \t]{{1,8}})?|[ \t]{{1,8}}and[ \t]{{1,8}}){_ISSUE})*)",
    re.IGNORECASE,
)


def closing_issues(text: str) -> tuple[int, ...]:
    """The numbers of the issues that the text says it closes, in its order; the words are GitLab's."""
    found = (int(number) for match in _CLOSING.finditer(text) for number in re.findall(r"\d+", match["issues"]))
    return tuple(dict.fromkeys(number for number in found if number > 0))
