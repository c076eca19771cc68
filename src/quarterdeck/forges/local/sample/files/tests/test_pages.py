"""Counting and cutting pages."""

import unittest

from shelf.pages import page, page_count


class PageCountTest(unittest.TestCase):
    """How many pages there are."""

    def test_full_pages(self) -> None:
        """Nothing is left over."""
        self.assertEqual(page_count(40, 20), 2)

    def test_what_is_left_over_gets_a_page_too(self) -> None:
        """The last page is partly empty."""
        self.assertEqual(page_count(41, 20), 3)

    def test_nothing_fills_no_page(self) -> None:
        """An empty list has no pages."""
        self.assertEqual(page_count(0, 20), 0)

    def test_a_page_without_room(self) -> None:
        """It would never end."""
        with self.assertRaises(ValueError):
            page_count(1, 0)


class PageTest(unittest.TestCase):
    """What stands on a page."""

    def test_the_last_page_has_the_rest(self) -> None:
        """Five letters, two on each page."""
        self.assertEqual(page("abcde", 3, 2), ["e"])

    def test_behind_the_last_page_is_nothing(self) -> None:
        """No error."""
        self.assertEqual(page("abcde", 4, 2), [])


if __name__ == "__main__":
    unittest.main()
