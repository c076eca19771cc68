"""When a tool call needs a person's yes."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping

from pydantic import JsonValue

from quarterdeck.core import limits
from quarterdeck.core.errors import InvalidInputError

PATTERN_TOOLS = ("run_command", "run_git_command")
"""The tools that have a command to compare with a pattern."""

_HARMLESS = re.compile(r"[A-Za-z0-9 _\-./:=,@+%]+", re.ASCII)
"""All else may mean something to a shell: `;`, `&`, `|`, `$`, backticks, quotes, parentheses, line feeds, its globs."""


def fingerprint(tool: str, args: dict[str, JsonValue]) -> str:
    """What an approval for the session remembers: the tool with exactly these arguments."""
    exact = json.dumps([tool, args], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(exact.encode()).hexdigest()


def needs_approval(
    tool: str,
    args: dict[str, JsonValue],
    *,
    privilege: str | None,
    component_asks: bool,
    component_pre_approved: Collection[str],
    session_pre_approved: Collection[str],
    session_approvals: Collection[str],
    session_patterns: Collection[str] = (),
    start_patterns: Collection[str] = (),
    always_ask: Collection[str] = (),
) -> bool:
    """Whether a person has to be asked, in GitLab's order of skipping.

    Component's own list, then the privilege that the session was started with, then an approval of exactly this call
    or of a pattern that its command matches. A tool without a privilege (plan, questions) asks nobody unless its
    component asks for all. Of the privileges that `always_ask` has, only what a person said in the session counts.
    """
    if privilege in always_ask:
        return asks_still(tool, args, approvals=session_approvals, patterns=session_patterns)
    if tool in component_pre_approved:
        return False
    if not component_asks and (privilege is None or privilege in session_pre_approved):
        return False
    return asks_still(tool, args, approvals=session_approvals, patterns=(*start_patterns, *session_patterns))


def asks_still(tool: str, args: dict[str, JsonValue], *, approvals: Collection[str], patterns: Collection[str]) -> bool:
    """Whether nothing that a person said in the session answers this call already: exactly it, or its pattern."""
    if any(matches(pattern, tool, args) for pattern in patterns):
        return False
    return fingerprint(tool, args) not in approvals


def command_of(tool: str, args: Mapping[str, JsonValue]) -> str | None:
    """The command that patterns are compared with; None for a tool without one."""
    if tool not in PATTERN_TOOLS:
        return None
    command = str(args.get("command", ""))
    return f"git {command} {args.get('args', '')}".strip(" ") if tool == "run_git_command" else command


def matches(pattern: str, tool: str, args: Mapping[str, JsonValue]) -> bool:
    """Whether a pattern, in which `*` stands for anything, is of this command; never when a shell could do more."""
    command = command_of(tool, args)
    if command is None or len(command) > limits.PATTERN_COMMAND_CHARACTERS or not _HARMLESS.fullmatch(command):
        return False
    first, *rest = pattern.split("*")
    if not rest:
        return command == pattern
    if not command.startswith(first):
        return False
    place, last = len(first), rest.pop()
    for part in rest:  # the earliest place of each leaves the most for those behind
        found = command.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return len(command) - place >= len(last) and command.endswith(last)


def pattern_of(tool: str, args: Mapping[str, JsonValue]) -> str:
    """The narrowest pattern that is of a call: its command as it stands; empty where none can be."""
    command = command_of(tool, args)
    return command if command is not None and matches(command, tool, args) else ""


def check_patterns(patterns: Mapping[str, Collection[str]]) -> None:
    """Refuses patterns that could never match, or would match any program.

    Raises:
        InvalidInputError: says which and why.
    """
    for tool, those in patterns.items():
        if tool not in PATTERN_TOOLS:
            raise InvalidInputError(f"Patterns are for commands: {', '.join(PATTERN_TOOLS)}; {tool!r} has none.")
        if len(those) > limits.PATTERNS:
            raise InvalidInputError(f"A tool may have {limits.PATTERNS} patterns; {tool} has {len(those)}.")
        for pattern in those:
            _check_pattern(pattern)


def _check_pattern(pattern: str) -> None:
    if len(pattern) > limits.PATTERN_CHARACTERS:
        raise InvalidInputError(f"A pattern may have {limits.PATTERN_CHARACTERS} characters; {pattern[:40]}… has more.")
    if not _HARMLESS.fullmatch(pattern.replace("*", "_")):
        raise InvalidInputError(
            f"{pattern!r} can't be a pattern: beside `*` it has letters, digits, spaces and _-./:=,@+% only. A command "
            "with anything else is always asked for."
        )
    program = pattern.split(" ", 1)[0]
    if not program or "*" in program:
        raise InvalidInputError(f"{pattern!r} would allow any program; begin it with the name of one.")
