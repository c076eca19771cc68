"""How many queries something takes: counted where they go to PostgreSQL."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from quarterdeck.app.application import App


@contextmanager
def counted(app: App) -> Generator[list[str]]:
    """The statements that `app` sends within the block, but for those that ask what time it is."""
    statements: list[str] = []

    def note(*sent: Any) -> None:
        if "clock_timestamp" not in sent[2]:
            statements.append(sent[2])

    engine = app.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)
