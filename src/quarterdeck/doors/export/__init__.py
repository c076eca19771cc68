"""A session to be read elsewhere: as Markdown, and as one page that plays it offline."""
