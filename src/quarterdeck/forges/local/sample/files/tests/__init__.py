"""Tests of the bookshelf."""
