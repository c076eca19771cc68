"""Use cases: one function is one ability check is one transaction."""
