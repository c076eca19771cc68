"""Every tool there is, by name: one module of this package each."""

import difflib
from importlib import import_module
from pkgutil import iter_modules

from quarterdeck import tools
from quarterdeck.core.errors import NotFoundError
from quarterdeck.tools.tool import Tool


def _found() -> dict[str, Tool]:
    modules = (import_module(f"{tools.__name__}.{module.name}") for module in iter_modules(tools.__path__))
    entries = [entry for module in modules if isinstance(entry := getattr(module, "TOOL", None), Tool)]
    return {entry.name: entry for entry in entries}


CATALOGUE = _found()


def tool(name: str) -> Tool:
    """The tool of that name.

    Raises:
        NotFoundError: names the tools that it may have meant.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    close = difflib.get_close_matches(name, CATALOGUE, n=3)
    hint = f" Near it: {', '.join(close)}." if close else ""
    raise NotFoundError(f"There is no tool {name!r}.{hint}")
