"""The books that there are."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Book:
    """One book of the library."""

    title: str
    author: str
    year: int


BOOKS = (
    Book("Twenty Thousand Leagues Under the Seas", "Jules Verne", 1870),
    Book("Moby-Dick", "Herman Melville", 1851),
    Book("Treasure Island", "Robert Louis Stevenson", 1883),
    Book("The Sea-Wolf", "Jack London", 1904),
    Book("Two Years Before the Mast", "Richard Henry Dana", 1840),
    Book("Typhoon", "Joseph Conrad", 1902),
    Book("Captains Courageous", "Rudyard Kipling", 1897),
)


def search(words: str, books: tuple[Book, ...] = BOOKS) -> list[Book]:
    """The books whose title or author has `words` in it, in upper or lower case, by year."""
    wanted = words.casefold()
    found = [book for book in books if wanted in f"{book.title} {book.author}".casefold()]
    return sorted(found, key=lambda book: book.year)
