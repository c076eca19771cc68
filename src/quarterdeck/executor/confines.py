"""The limits of every process, with and without walls; those of a session as a whole are `watch`'s and the groups'."""

import os
import resource
from contextlib import suppress

from quarterdeck.core.session_limits import Limits

FILE_BYTES = 8 * 1024**3
OPEN_FILES = 8_192
SPARE_PROCESSES = 16
UNSEEN_PROCESSES = 4_096
"""Where others of the runner's user can't be seen, which count all the same: so many it may have with them."""
_MACHINES_PIDS = 0xEFFFFFFC
"""What the kernel numbers the machine's own pid namespace with."""
_SPARE_BYTES = 1024**3
"""Beyond the session's limits, so that whoever counts sees them reached."""


def within(limits: Limits) -> Limits:
    """The limits as this machine can keep them: three quarters of its memory at most."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4
    return limits.model_copy(update={"memory": min(limits.memory, machine)})


def rlimits(limits: Limits, *, own_user_namespace: bool) -> list[tuple[int, int]]:
    """Pairs of a resource and its bound, none above what this process itself is allowed.

    Memory is bounded as data, not as address space, which Node, Java and sanitizers reserve by the terabyte and never
    use; beyond the session's limits, so that this is seen to be reached, and because stacks that are hardly used count.
    """
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_DATA: limits.memory + max(limits.memory // 4, _SPARE_BYTES),
        resource.RLIMIT_FSIZE: FILE_BYTES,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_NPROC: _processes(limits.processes + SPARE_PROCESSES, own_user_namespace=own_user_namespace),
    }
    return [(limit, _within(bound, resource.getrlimit(limit)[1])) for limit, bound in wanted.items()]


def _processes(wanted: int, *, own_user_namespace: bool) -> int:
    if own_user_namespace:
        return wanted
    with suppress(OSError):
        if os.stat("/proc/self/ns/pid").st_ino == _MACHINES_PIDS:
            return wanted + _running()
    # In a container: the user's processes outside of it count, and nothing here says how many there are.
    return max(wanted + _running(), UNSEEN_PROCESSES)


def _running() -> int:
    """What counts already without a user namespace: all processes and threads of the runner's user.

    A command that forks without end would otherwise have more of them than can be looked at, and never be killed: each
    that dies makes room for others. Root's are counted for nothing; only a control group bounds them.
    """
    if (user := os.geteuid()) == 0:
        return 0
    found = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if os.stat(f"/proc/{name}").st_uid == user:
                found += len(os.listdir(f"/proc/{name}/task"))
    return found


def _within(bound: int, hard: int) -> int:
    return bound if hard == resource.RLIM_INFINITY else min(bound, hard)
