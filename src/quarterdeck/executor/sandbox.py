"""The walls around a command: bubblewrap by default, Landlock where that is refused and allowed by name, or none.

`Sandbox` says how a command is started; `probe` really runs one and says which walls this machine gives. A sandbox
of this kind shares the kernel with the machine: it is not made for tenants who are hostile to each other.
"""

import asyncio
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.protocol import Isolation
from quarterdeck.executor import landlock

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


class SandboxUnavailableError(QuarterdeckError):
    """This machine gives no sandbox, so no command is run. Install bubblewrap: `apt install bubblewrap`."""

    code = "sandbox_unavailable"


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


async def probe(
    *, allow_reduced: bool = False, allow_unsandboxed: bool = False, extra_ro_paths: tuple[Path, ...] = ()
) -> Sandbox:
    """The best walls that this machine gives, seen by really running a command within them.

    Reduced isolation (Landlock, no namespaces) and none at all are only answered when they are allowed by name.

    Raises:
        SandboxUnavailableError: says what was refused and what to install or to set.
    """
    missing = [str(path) for path in extra_ro_paths if not path.exists()]
    if missing:
        raise SandboxUnavailableError(f"These of extra_ro_paths aren't there: {', '.join(missing)}.")
    sandbox, refusal = await _bubblewrap(extra_ro_paths)
    if sandbox:
        return sandbox
    abi = landlock.abi()
    if (allow_reduced or allow_unsandboxed) and abi:
        return Sandbox("reduced", f"{refusal} Landlock (version {abi}) and limits instead.", extra_ro_paths)
    if allow_unsandboxed:
        return Sandbox("none", f"{refusal} Landlock isn't there either.", extra_ro_paths)
    way_out = (
        "Or allow reduced isolation (Landlock) by the setting allow_reduced."
        if abi
        else "Or allow commands without a sandbox by the setting allow_unsandboxed."
    )
    raise SandboxUnavailableError(f"{refusal} {way_out}")


async def _bubblewrap(extra_ro_paths: tuple[Path, ...]) -> tuple[Sandbox | None, str]:
    if not sys.platform.startswith("linux"):
        return None, f"The sandbox needs Linux; this is {sys.platform}."
    bwrap = shutil.which("bwrap", path=f"{SYSTEM_PATH}:{os.defpath}")
    if not bwrap:
        return None, "bubblewrap isn't installed: `apt install bubblewrap` (or the same of your system)."
    _, known = await _said(bwrap, "--help")
    options = frozenset(option for option in ("--disable-userns", "--size") if option in known)
    _, version = await _said(bwrap, "--version")
    sandbox = Sandbox("full", version.strip(), extra_ro_paths, bwrap, options)
    code, refusal = await _trial(sandbox)
    if code == 0 and refusal == "walls stand":
        return sandbox, ""
    return None, (
        f"bubblewrap is installed but refused to run ({refusal or f'exit code {code}'}). User namespaces are probably "
        "off: set kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu) or user.max_user_namespaces above 0, or in a "
        "container allow them in its seccomp profile."
    )


async def _trial(sandbox: Sandbox) -> tuple[int | None, str]:
    # Imported here, because supervision is built on the sandbox and only its trial needs supervision.
    from tempfile import TemporaryDirectory

    from quarterdeck.executor.processes import Processes

    with TemporaryDirectory(prefix="quarterdeck-probe-") as folder:
        command = 'printf x > trial && printf "walls stand"'
        ended = await Processes(sandbox).run("probe", ["/bin/sh", "-c", command], root=Path(folder), timeout=20)
    return ended.exit_code, ended.text.strip()


async def _said(*argv: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode("utf-8", "replace")
