"""Prints one page of the books: `python3 -m shelf --page 2`."""

import argparse

from shelf.books import search
from shelf.pages import page, page_count


def main() -> None:
    """Reads the command line and prints the page."""
    parser = argparse.ArgumentParser(prog="shelf", description="Lists the books of a small library.")
    parser.add_argument("--search", default="", help="only books with this in their title or author")
    parser.add_argument("--page", type=int, default=1)
    parser.add_argument("--per-page", type=int, default=3)
    asked = parser.parse_args()
    books = search(asked.search)
    for book in page(books, asked.page, asked.per_page):
        print(f"{book.year}  {book.title} ({book.author})")
    print(f"page {asked.page} of {page_count(len(books), asked.per_page)}")


if __name__ == "__main__":
    main()
