"""Code that is made from what the project already says: `python3 dev.py client` writes the client library's calls."""
