"""Landlock by its three system calls: what a process may still reach on the file system and by TCP (Linux 5.13 on).

Standard library only: the supervisor loads this file by itself, in a Python without site packages.
"""

import ctypes
import os
import stat

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ABI_VERSION_FLAG = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVS = 38
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_BIND_AND_CONNECT_TCP = 3
_ABSTRACT_SOCKETS_AND_SIGNALS = 3
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many file rights a version knows; later ones know 16."""

libc = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def abi() -> int:
    """The version of Landlock that the kernel has, 0 for none."""
    return max(0, libc.syscall(_CREATE_RULESET, None, 0, _ABI_VERSION_FLAG))


def no_new_privs() -> None:
    """Nothing that this process starts can gain rights by set-user-id files."""
    _checked(libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))


def restrict(readable: list[str], writable: list[str]) -> None:
    """From now on this process and its children reach only these paths, open no TCP, and signal only each other.

    Paths that don't exist are left out. What the kernel's version doesn't know isn't restricted.

    Raises:
        OSError: the kernel refuses.
    """
    version = abi()
    rights = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    ruleset = _Ruleset(
        rights,
        _BIND_AND_CONNECT_TCP if version >= 4 else 0,
        _ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0,
    )
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    fd = _checked(libc.syscall(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), 0))
    for path in readable:
        _allow(fd, path, rights & _READ)
    for path in writable:
        _allow(fd, path, rights)
    no_new_privs()
    _checked(libc.syscall(_RESTRICT_SELF, fd, 0))
    os.close(fd)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not stat.S_ISDIR(os.fstat(parent).st_mode):
        rights &= _OF_A_FILE
    rule = _PathBeneath(rights, parent)
    try:
        _checked(libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(parent)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
