"""Finding books."""

import unittest

from shelf.books import BOOKS, search


class SearchTest(unittest.TestCase):
    """What `search` finds."""

    def test_upper_and_lower_case_are_the_same(self) -> None:
        """People type as they like."""
        self.assertEqual([book.year for book in search("SEA")], [1870, 1904])

    def test_authors_are_searched_too(self) -> None:
        """Not only titles."""
        self.assertEqual([book.title for book in search("melville")], ["Moby-Dick"])

    def test_nothing_to_search_for_finds_all(self) -> None:
        """By year, whatever order they stand in."""
        self.assertEqual(len(search("")), len(BOOKS))
        self.assertEqual(search("")[0].year, 1840)


if __name__ == "__main__":
    unittest.main()
