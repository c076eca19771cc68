"""The limits of every command, with and without walls."""

import os
import resource

MAX_PROCESSES = 512
FILE_BYTES = 8 * 1024**3
OPEN_FILES = 8_192
_SHARED_PROCESSES = 4_096
"""Without a user namespace the count is of everything that the runner's user runs."""


def rlimits(*, own_user_namespace: bool) -> list[tuple[int, int]]:
    """Pairs of a resource and its bound, none above what this process itself is allowed.

    Memory is bounded as data (three quarters of the machine's, per process), not as address space, which Node, Java
    and sanitizers reserve by the terabyte and never use.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_DATA: memory,
        resource.RLIMIT_FSIZE: FILE_BYTES,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_NPROC: MAX_PROCESSES if own_user_namespace else _SHARED_PROCESSES,
    }
    return [(limit, _within(bound, resource.getrlimit(limit)[1])) for limit, bound in wanted.items()]


def _within(bound: int, hard: int) -> int:
    return bound if hard == resource.RLIM_INFINITY else min(bound, hard)
