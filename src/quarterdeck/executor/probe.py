"""Which walls this machine gives, found by really running a command within them."""

import asyncio
import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.executor import landlock
from quarterdeck.executor.command import SandboxBrokenError
from quarterdeck.executor.processes import Processes
from quarterdeck.executor.sandbox import SYSTEM_PATH, Sandbox

_TRIAL_SECONDS = 20


class SandboxUnavailableError(QuarterdeckError):
    """This machine gives no sandbox, so no command is run. Install bubblewrap: `apt install bubblewrap`."""

    code = "sandbox_unavailable"


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
    reduced = Sandbox("reduced", f"{refusal} Landlock (version {landlock.abi()}) and limits instead.", extra_ro_paths)
    fault = await _fault(reduced) if landlock.abi() else "the kernel has none"
    if fault and allow_unsandboxed:
        return Sandbox("none", f"{refusal} No Landlock either: {fault}.", extra_ro_paths)
    if fault:
        raise SandboxUnavailableError(
            f"{refusal} No Landlock either: {fault}. To run commands without any sandbox all the same, set "
            "QUARTERDECK_ALLOW_UNSANDBOXED=true."
        )
    if allow_reduced or allow_unsandboxed:
        return reduced
    raise SandboxUnavailableError(
        f"{refusal} To be content with reduced isolation (Landlock), set QUARTERDECK_ALLOW_REDUCED_ISOLATION=true."
    )


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
    fault = await _fault(sandbox)
    if not fault:
        return sandbox, ""
    return None, (
        f"bubblewrap is installed but refused to run: {fault} User namespaces are probably off: set "
        "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu) or user.max_user_namespaces above 0; in a container, "
        "allow them in its seccomp profile."
    )


async def _fault(sandbox: Sandbox) -> str:
    """What is wrong with these walls, nothing when a command ran within them and could write its workspace."""
    with TemporaryDirectory(prefix="quarterdeck-probe-") as folder:
        command = ["/bin/sh", "-c", "printf x > trial && printf 'walls stand'"]
        try:
            ended = await Processes(sandbox).run("probe", command, root=Path(folder), timeout=_TRIAL_SECONDS)
        except (SandboxBrokenError, OSError) as error:
            return str(error)
    return "" if ended.text == "walls stand" else f"a trial ended with {ended.outcome}: {ended.text.strip()[:500]}"


async def _said(*argv: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode("utf-8", "replace")
