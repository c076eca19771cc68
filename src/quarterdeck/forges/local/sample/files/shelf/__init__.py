"""A small library's books, page by page."""
