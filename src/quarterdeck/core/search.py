"""Search: what is looked for, the words that texts are kept under, and where in a text a query is found.

The index knows words alone and narrows down; whether a text fits is decided here, on the text itself, so that phrases,
punctuation and words that don't belong are exact. `ruff.toml` is kept as `ruff` and `toml`, and found as `ruff.toml`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.text import clean

QUERY_CHARACTERS = 256
QUERY_TERMS = 16
PREFIX_CHARACTERS = 3
"""A shorter beginning of a word stands for too many words."""
WORD_CHARACTERS = 32
"""How much of a long word is kept; what is behind it is looked at in the text."""
LINE_CHARACTERS = 240
"""How much of a line is shown around what was found."""

_ALONE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # Chinese characters
    "\uac00-\ud7af"  # Hangul
)
"""Letters of scripts that are written without spaces, or whose words have endings: each is a word of its own."""
_LETTER = re.compile(rf"[^\W_{_ALONE}]")
_WORD = re.compile(rf"[{_ALONE}](?<=\w)|{_LETTER.pattern}+")
_SIGNS = {code: " " for code in range(128) if not chr(code).isalnum()}
_TERM = re.compile(r'(-?)"([^"]*)"|(\S+)')
_CODES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|\r(?=\n|$)")


@cache
def _folds() -> dict[int, str]:
    folded = ((code, chr(code).casefold()) for code in range(0x1E944))
    return {code: letter for code, letter in folded if letter != chr(code) and len(letter) == 1}


def fold(text: str) -> str:
    """`text` as it is compared, each character at its place: without the difference of small and capital letters."""
    return text.lower() if text.isascii() else text.translate(_folds())


def words(text: str) -> set[str]:
    """The words that a text is kept under."""
    return {word[:WORD_CHARACTERS] for word in set(_split(fold(text)))}


def _split(folded: str) -> list[str]:
    return folded.translate(_SIGNS).split() if folded.isascii() else _WORD.findall(folded)


def readable(text: str) -> str:
    """Output without what only a terminal understands, which would stick to its words; every line stays."""
    return _CODES.sub("", text) if "\x1b" in text or "\r" in text else text


@dataclass(frozen=True)
class Term:
    """A part of a query, folded: a word or a phrase as it stands in the text."""

    text: str
    absent: bool
    """Whether it must not be there."""
    begins: bool
    """Whether it is the beginning of a word."""

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # What is before it is not looked at here: a pattern that begins with a text is searched for much faster.
        whole = not self.begins and _LETTER.match(self.text[-1])
        return re.compile(r"\s+".join(map(re.escape, self.text.split())) + (f"(?!{_LETTER.pattern})" if whole else ""))

    def spans(self, folded: str) -> Iterator[tuple[int, int]]:
        """Where in a folded text it begins and ends: at whole words, with any space between those of a phrase."""
        whole = _LETTER.match(self.text)
        place = 0
        while found := self._pattern.search(folded, place):
            if whole and found.start() and _LETTER.match(folded, found.start() - 1):
                place = found.start() + 1
            else:
                yield found.span()
                place = found.end()

    def within(self, folded: str) -> bool:
        """Whether it is in a folded text."""
        return next(self.spans(folded), None) is not None


@dataclass(frozen=True)
class Word:
    """A word that the index is asked for; `begins` stands for all words that begin so."""

    text: str
    begins: bool


@dataclass(frozen=True)
class Query:
    """What somebody looks for."""

    terms: tuple[Term, ...]

    @cached_property
    def words(self) -> frozenset[Word]:
        """All of them are in every text that fits."""
        return frozenset(word for term in self.terms if not term.absent for word in _words_of(term))

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """What is in every text that fits, folded, and can be looked for fast."""
        return tuple({part for term in self.terms if not term.absent for part in term.text.split()})

    def fits(self, text: str) -> bool:
        """Whether everything that is looked for is in the text, and nothing that must not be."""
        return self.fits_folded(fold(text))

    def fits_folded(self, folded: str) -> bool:
        """The same of a text that is folded already."""
        return all(term.within(folded) is not term.absent for term in self.terms)

    def marks(self, text: str) -> list[tuple[int, int]]:
        """Where in the text something that is looked for begins and ends, in characters; none overlap."""
        folded = fold(text)
        merged: list[tuple[int, int]] = []
        for begin, end in sorted(span for term in self.terms if not term.absent for span in term.spans(folded)):
            if merged and begin < merged[-1][1]:
                begin, end = merged[-1][0], max(end, merged.pop()[1])
            merged.append((begin, end))
        return merged


def _words_of(term: Term) -> list[Word]:
    found = [Word(word[:WORD_CHARACTERS], begins=False) for word in _split(term.text)]
    if term.begins and len(found[-1].text) < WORD_CHARACTERS:
        found[-1] = Word(found[-1].text, begins=True)
    return found


def query(text: str) -> Query:
    """Reads a query: words that all have to be there, `"a phrase"`, `-without`, `beginning*`.

    Raises:
        InvalidInputError: it can't be looked for; says why.
    """
    text = clean(text)
    if len(text) > QUERY_CHARACTERS:
        raise InvalidInputError(f"A search has at most {QUERY_CHARACTERS} characters; this one has {len(text)}.")
    if text.count('"') % 2:
        raise InvalidInputError('A quotation mark (") is not closed.')
    terms = [term for minus, phrase, word in _TERM.findall(fold(text)) if (term := _term(minus, phrase, word))]
    if len(terms) > QUERY_TERMS:
        raise InvalidInputError(f"A search has at most {QUERY_TERMS} words and phrases; this one has {len(terms)}.")
    made = Query(tuple(terms))
    if not made.words:
        raise InvalidInputError("Say at least one word to look for, with a letter or a digit in it.")
    return made


def _term(minus: str, phrase: str, word: str) -> Term | None:
    if not word:
        return Term(phrase.strip(), absent=bool(minus), begins=False) if phrase.strip() else None
    absent = len(word) > 1 and word[0] == "-" != word[1]
    word = word[1:] if absent else word
    if not word.endswith("*") or not word.strip("*"):
        return Term(word, absent=absent, begins=False)
    word = word.rstrip("*")
    last = re.search(rf"{_LETTER.pattern}+$", word)
    if last is not None and len(last[0]) < PREFIX_CHARACTERS:
        raise InvalidInputError(f"The beginning of a word needs {PREFIX_CHARACTERS} letters before its *: {word}*.")
    return Term(word, absent=absent, begins=last is not None)


def shown(line: str, marks: list[tuple[int, int]]) -> tuple[str, list[tuple[int, int]]]:
    """A line short enough to be shown, cut around the first of its marks, and where those are in it then."""
    if len(line) <= LINE_CHARACTERS:
        return line, marks
    first = marks[0][0] if marks else 0
    begin = min(max(0, first - LINE_CHARACTERS // 3), len(line) - LINE_CHARACTERS)
    end = begin + LINE_CHARACTERS
    inside = [(max(a, begin), min(b, end)) for a, b in marks if a < end and b > begin]
    head, tail = ("…" if begin else ""), ("…" if end < len(line) else "")
    moved = len(head) - begin
    return head + line[begin:end] + tail, [(a + moved, b + moved) for a, b in inside]
