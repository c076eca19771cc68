"""Several things at once, whose fault is that of one."""

from asyncio import TaskGroup
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast


@asynccontextmanager
async def in_parallel() -> AsyncGenerator[TaskGroup]:
    """A group of tasks, all done at its end. The first fault ends the others, and is raised as itself."""
    try:
        async with TaskGroup() as group:
            yield group
    except ExceptionGroup as faults:
        raise first(faults) from None


def first(fault: Exception) -> Exception:
    """The first fault that is no group, of groups in groups."""
    if isinstance(fault, ExceptionGroup):
        return first(cast("ExceptionGroup[Exception]", fault).exceptions[0])
    return fault
