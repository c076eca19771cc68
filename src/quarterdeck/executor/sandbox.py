"""The walls around a command: bubblewrap by default, Landlock where that is refused and allowed by name, or none.

`Sandbox` says how a command is started; which walls a machine gives is found by `probe.probe`. A sandbox of this kind
shares the kernel with the machine: it is not made for tenants who are hostile to each other.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from quarterdeck.core.protocol import Isolation

WORKSPACE = "/workspace"
HOME = "/home/agent"
SCRATCH = "/tmp"  # noqa: S108 the sandbox has one of its own there
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
UID_FOR_ROOT = 1000
"""Who a command is inside when the runner is root; its files stay root's outside."""
SCRATCH_BYTES = 1024**3
"""What the private /tmp and the private home may hold, each; they are memory."""

_ETC = (
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "debian_version",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "pki/ca-trust/extracted",
    "pki/tls/certs",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
)
_ROOT_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


@dataclass(frozen=True)
class Sandbox:
    """Walls that were seen to stand; made by `probe`."""

    isolation: Isolation
    reason: str
    """What was found, for `doctor` and for the session's page."""
    extra_ro_paths: tuple[Path, ...] = ()
    """More of the machine that commands may read, such as a Python or Node in a home directory."""
    bwrap: str = ""
    options: frozenset[str] = frozenset()
    """Options that this version of bubblewrap has beyond the oldest that works."""

    @property
    def has_pid_namespace(self) -> bool:
        """Whether the death of one process is the death of all that a command started."""
        return self.isolation == "full"

    def workspace(self, root: Path) -> str:
        """Where a command finds the workspace."""
        return WORKSPACE if self.isolation == "full" else str(root)

    def environment(self, extra: dict[str, str], scratch: str | None = None) -> dict[str, str]:
        """All that a command gets of an environment: nothing of the runner's own."""
        tools = [str(path / "bin") for path in self.extra_ro_paths if (path / "bin").is_dir()]
        return {
            "PATH": ":".join([*tools, SYSTEM_PATH]),
            "HOME": scratch or HOME,
            "TMPDIR": scratch or SCRATCH,
            "USER": "agent",
            "LOGNAME": "agent",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "PAGER": "cat",
            "GIT_PAGER": "cat",
            "GIT_TERMINAL_PROMPT": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            **extra,
        }

    def bwrap_argv(self, argv: list[str], *, root: Path, readable: tuple[Path, ...], fds: dict[str, int]) -> list[str]:
        """The command line of bubblewrap; `fds` has `status`, `block`, and one of each generated file of /etc."""
        walls = [
            *(self.bwrap, "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
            *("--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "sandbox"),
            *("--json-status-fd", str(fds["status"]), "--block-fd", str(fds["block"])),
        ]
        if "--disable-userns" in self.options:
            walls.append("--disable-userns")
        if os.geteuid() == 0:
            walls += ["--uid", str(UID_FOR_ROOT), "--gid", str(UID_FOR_ROOT)]
        for name, fd in fds.items():
            if name.startswith("/etc/"):
                walls += ["--perms", "0444", "--file", str(fd), name]
        walls += _system_binds()
        # Read-only, because a runner's root is the owner of /proc/sys, and that is the machine's, not the sandbox's.
        walls += ["--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev"]
        walls += [*self._scratch(SCRATCH), *self._scratch(HOME)]
        for path in (*self.extra_ro_paths, *readable):
            walls += ["--ro-bind", str(path), str(path)]
        walls += ["--bind", str(root), WORKSPACE, "--chdir", WORKSPACE, "--remount-ro", "/"]
        return [*walls, "--", *argv]

    def _scratch(self, place: str) -> list[str]:
        size = ["--size", str(SCRATCH_BYTES)] if "--size" in self.options else []
        return [*size, "--tmpfs", place]

    def landlock_rules(self, root: Path, readable: tuple[Path, ...], scratch: str) -> tuple[list[str], list[str]]:
        """What a command under Landlock may read, and what it may also write."""
        system = ["/usr", "/proc", "/dev/urandom", "/dev/random", *(f"/{name}" for name in _ROOT_LINKS)]
        system += [f"/etc/{name}" for name in (*_ETC, "passwd", "group", "hosts")]
        return (
            [*system, *(str(path) for path in (*self.extra_ro_paths, *readable))],
            [str(root), scratch, "/dev/null", "/dev/zero", "/dev/full"],
        )


def etc_files() -> dict[str, bytes]:
    """The files of /etc that a sandbox has of its own: its user, and no host but itself."""
    uid = UID_FOR_ROOT if os.geteuid() == 0 else os.getuid()
    gid = UID_FOR_ROOT if os.geteuid() == 0 else os.getgid()
    return {
        "/etc/passwd": f"agent:x:{uid}:{gid}::{HOME}:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n".encode(),
        "/etc/group": f"agent:x:{gid}:\nnogroup:x:65534:\n".encode(),
        "/etc/hosts": b"127.0.0.1 localhost sandbox\n::1 localhost\n",
    }


def _system_binds() -> list[str]:
    binds = ["--ro-bind", "/usr", "/usr"]
    for name in _ROOT_LINKS:
        path = Path("/", name)
        if path.is_symlink():
            binds += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            binds += ["--ro-bind", str(path), str(path)]
    for name in _ETC:
        binds += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return binds
