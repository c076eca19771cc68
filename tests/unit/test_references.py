import pytest

from quarterdeck.core.references import closing_issues


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("Closes #4", (4,)),
        ("this fixes: #4, #5 and #6, and resolves #4", (4, 5, 6)),
        ("Implementing #12, and #13\n\nFIXED #1", (12, 13, 1)),
        ("close #1\nclosed #2\nclosing #3\nfix #4\nresolve #5\nimplements #6", (1, 2, 3, 4, 5, 6)),
        ("Closes #4.", (4,)),
        ("See #4; discloses #5; closes group/tool#6; closes #7a; closes 8; closes #0; foreclose #9", ()),
        ("closes #4 but not #5", (4,)),
        ("closes #" + "9" * 40, ()),
        ("", ()),
    ],
)
def test_what_a_text_closes(text: str, closed: tuple[int, ...]) -> None:
    assert closing_issues(text) == closed
