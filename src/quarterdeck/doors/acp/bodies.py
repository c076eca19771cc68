"""The executor's tools through an editor: its buffers for files, its terminals for the rest; all in its folder."""

import posixpath
import shlex
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import JsonValue

from quarterdeck.core.errors import InvalidInputError, NotFoundError, QuarterdeckError
from quarterdeck.core.events import Outcome
from quarterdeck.core.limits import RESULT_CHARACTERS
from quarterdeck.core.text import cut
from quarterdeck.doors.acp.terminals import Ended, Terminals
from quarterdeck.tools import (
    create_file_with_contents,
    edit_file,
    find_files,
    grep,
    list_dir,
    mkdir,
    read_file,
    read_files,
    run_command,
    run_git_command,
)

LISTED_LINES = 500
SEARCH_SECONDS = 30
Done = tuple[Outcome, str, int | None]
"""The outcome, what the model is told, and the exit code of a command."""


class Bodies:
    """The tools of one call."""

    def __init__(
        self, client: Any, session_id: str, folder: str, terminals: Terminals, shown: Any, printed: Any
    ) -> None:
        self._client, self._session_id, self._folder = client, session_id, folder
        self._terminals, self._shown, self._printed = terminals, shown, printed
        self.tools: dict[str, Callable[[dict[str, JsonValue]], Awaitable[Done]]] = {
            "read_file": self._read_file,
            "read_files": self._read_files,
            "create_file_with_contents": self._create,
            "edit_file": self._edit,
            "list_dir": self._list,
            "find_files": self._find,
            "grep": self._grep,
            "mkdir": self._mkdir,
            "run_command": self._command,
            "run_git_command": self._git,
            "create_commit": self._commit,
        }

    def path(self, path: str) -> str:
        """The whole path of one in the folder. Raises InvalidInputError."""
        inner = path.removeprefix("/workspace/") if path != "/workspace" else "."
        whole = posixpath.normpath(posixpath.join(self._folder, inner))
        root = self._folder.rstrip("/")
        if "\x00" in path or (whole != root and not whole.startswith(f"{root}/")):
            raise InvalidInputError(f"{path} is not in the folder of this session.")
        return whole

    def writable(self, path: str) -> str:
        """The same, outside of `.git`."""
        whole = self.path(path)
        if ".git" in whole.removeprefix(self._folder.rstrip("/")).split("/"):
            raise InvalidInputError("Files of .git are not written.")
        return whole

    async def _text(self, path: str) -> str:
        from acp.exceptions import RequestError

        try:
            answer = await self._client.read_text_file(session_id=self._session_id, path=self.path(path))
        except RequestError as error:
            raise NotFoundError(f"{path} can't be read: {error}") from None
        return answer.content

    async def _read_file(self, raw: dict[str, JsonValue]) -> Done:
        args = read_file.Args.model_validate(raw)
        lines = (await self._text(args.file_path)).splitlines(keepends=True)
        part = lines[args.offset - 1 : args.offset - 1 + args.limit]
        text = "".join(part)
        whole = len(part) == len(lines)
        note = "" if whole else f"\n[lines {args.offset} to {args.offset + len(part) - 1} of {len(lines)}]"
        return Outcome.OK, (cut(text, RESULT_CHARACTERS - 200) + note) or "[the file is empty]", None

    async def _read_files(self, raw: dict[str, JsonValue]) -> Done:
        args = read_files.Args.model_validate(raw)
        parts: list[str] = []
        found = False
        for path in args.file_paths:
            try:
                text = await self._text(path)
                found = True
            except QuarterdeckError as error:
                text = f"Not read: {error.message}"
            parts.append(f"==> {path} <==\n{cut(text, RESULT_CHARACTERS // len(args.file_paths) - 200)}")
        return Outcome.OK if found else Outcome.ERROR, "\n\n".join(parts), None

    async def _create(self, raw: dict[str, JsonValue]) -> Done:
        args = create_file_with_contents.Args.model_validate(raw)
        path = self.writable(args.file_path)
        await self._client.write_text_file(session_id=self._session_id, path=path, content=args.contents)
        return Outcome.OK, f"Wrote {args.file_path}.", None

    async def _edit(self, raw: dict[str, JsonValue]) -> Done:
        args = edit_file.Args.model_validate(raw)
        path = self.writable(args.file_path)
        before = await self._text(args.file_path)
        places = before.count(args.old_str)
        if places != 1:
            raise InvalidInputError(
                f"old_str is in {args.file_path} {places} times; it must be there exactly once. Read the file again "
                "and copy the text, with enough lines around it."
            )
        if args.old_str == args.new_str:
            raise InvalidInputError("old_str and new_str are the same; nothing was changed.")
        at = before.index(args.old_str)
        after = before[:at] + args.new_str + before[at + len(args.old_str) :]
        await self._client.write_text_file(session_id=self._session_id, path=path, content=after)
        return Outcome.OK, f"Changed {args.file_path} at line {before.count(chr(10), 0, at) + 1}.", None

    async def _list(self, raw: dict[str, JsonValue]) -> Done:
        where = self.path(list_dir.Args.model_validate(raw).directory)
        return self._found(await self._quiet(["ls", "-1Ap", "--", where]), "the folder is empty")

    async def _find(self, raw: dict[str, JsonValue]) -> Done:
        pattern = find_files.Args.model_validate(raw).name_pattern.removeprefix("/workspace/").removeprefix("./")
        test = ["-name", pattern]
        if "/" in pattern:
            test = ["-path", f"./{pattern}", "-o", "-path", f"./{pattern.replace('**/', '')}"]
        argv = ["find", ".", "-name", ".git", "-prune", "-o", "!", "-type", "d", "(", *test, ")", "-print"]
        return self._found(await self._quiet(argv), f"no file matches {pattern}")

    async def _grep(self, raw: dict[str, JsonValue]) -> Done:
        args = grep.Args.model_validate(raw)
        where = posixpath.relpath(self.path(args.directory), self._folder)
        argv = ["grep", "-rnHIs", "-P", "--exclude-dir=.git", "--max-count=100", *(["-i"] * args.case_insensitive)]
        return self._found(
            await self._quiet([*argv, "-e", args.pattern, "--", where]), f"no line matches {args.pattern}"
        )

    async def _mkdir(self, raw: dict[str, JsonValue]) -> Done:
        path = self.writable(mkdir.Args.model_validate(raw).directory_path)
        ended = await self._quiet(["mkdir", "-p", "--", path])
        done = ended.exit_code == 0
        return Outcome.OK if done else Outcome.ERROR, ended.text.strip() or f"Made {path}.", None

    async def _command(self, raw: dict[str, JsonValue]) -> Done:
        args = run_command.Args.model_validate(raw)
        ended = await self._loud(["sh", "-c", args.command], args.timeout_seconds)
        return _told(ended, f"Exit code {ended.exit_code}.", args.timeout_seconds)

    async def _git(self, raw: dict[str, JsonValue]) -> Done:
        args = run_git_command.Args.model_validate(raw)
        try:
            words = shlex.split(args.args)
        except ValueError as error:
            raise InvalidInputError(f"The arguments are not quoted as in a shell: {error}.") from None
        ended = await self._loud(["git", "--no-pager", args.command, *words], 120)
        return _told(ended, f"git {args.command}: exit code {ended.exit_code}.", 120)

    async def _commit(self, raw: dict[str, JsonValue]) -> Done:
        del raw
        raise InvalidInputError(
            "In this editor the person commits; what you changed is in their folder. If they want you to commit, use "
            "run_git_command, which asks them."
        )

    async def _quiet(self, argv: list[str]) -> Ended:
        return await self._terminals.run(argv, timeout=SEARCH_SECONDS)

    async def _loud(self, argv: list[str], seconds: float) -> Ended:
        return await self._terminals.run(argv, timeout=seconds, shown=self._shown, printed=self._printed)

    @staticmethod
    def _found(ended: Ended, nothing: str) -> Done:
        lines = [line.removeprefix("./") for line in ended.text.splitlines() if line.strip()]
        if ended.timed_out:
            return (
                Outcome.TIMED_OUT,
                f"It was not done after {SEARCH_SECONDS} s. Search more narrowly.",
                None,
            )
        if ended.exit_code not in (0, 1):
            return Outcome.ERROR, cut("\n".join(lines), 500) or f"It ended with exit code {ended.exit_code}.", None
        more = [f"[… {len(lines) - LISTED_LINES:,} more …]"] if len(lines) > LISTED_LINES else []
        return Outcome.OK, cut("\n".join([*lines[:LISTED_LINES], *more]), RESULT_CHARACTERS) or f"[{nothing}]", None


def _told(ended: Ended, heading: str, seconds: float) -> Done:
    if ended.timed_out:
        text = f"Killed after {seconds:g} seconds.\n{cut(ended.text, RESULT_CHARACTERS - 100)}"
        return Outcome.TIMED_OUT, text, ended.exit_code
    outcome = Outcome.OK if ended.exit_code == 0 else Outcome.ERROR
    return outcome, f"{heading}\n{cut(ended.text, RESULT_CHARACTERS - 100)}".rstrip(), ended.exit_code
