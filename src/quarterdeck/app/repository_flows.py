"""The flows that lie in a project's repository, as files on its default branch."""

from asyncio import to_thread
from dataclasses import dataclass
from pathlib import PurePosixPath

from quarterdeck.app.access import Project
from quarterdeck.app.application import App
from quarterdeck.core import limits
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.flow import NAME
from quarterdeck.core.text import decode, line

FOLDERS = {".quarterdeck/flows": (".yml",), ".gitlab/duo/flows": (".yml", ".yaml")}
"""Where they lie, and how their names end."""
DESCRIPTION_CHARACTERS = 500
FILES = 100
"""How many are read; the rest is left out, and lists say so."""


@dataclass(frozen=True)
class FlowFile:
    """A flow of a file; `text` is empty when it is too large or none."""

    name: str
    path: str
    text: str
    description: str
    faults: tuple[str, ...]
    environment: str = ""
    workspace: bool = False


@dataclass(frozen=True)
class FlowFiles:
    """All that were read, by path, and how many were not."""

    files: tuple[FlowFile, ...]
    left_out: int = 0

    def called(self, name: str) -> list[FlowFile]:
        """Those of that name; more than one is a fault that only a person can mend."""
        return [file for file in self.files if file.name == name]


async def read(app: App, project: Project) -> FlowFiles:
    """The files of the default branch's commit; none of a repository that has no commit yet."""
    try:
        commit = await app.forge.commit_of(project.id, project.default_branch)
    except NotFoundError:
        return FlowFiles(())
    paths = list[str]()
    for folder, endings in FOLDERS.items():
        try:
            entries = await app.forge.tree(project.id, commit, folder, recursive=False, limit=10 * FILES)
        except NotFoundError:
            continue
        paths += [one.path for one in entries if one.kind == "file" and one.path.endswith(endings)]
    found = await app.forge.files(project.id, commit, paths[:FILES], limit=limits.FLOW_BYTES)
    # Anybody may have written them: a hundred large ones take longer than others of this process should wait.
    files = await to_thread(lambda: tuple(_file(app, one.path, one.size, one.data) for one in found))
    return FlowFiles(files, left_out=max(0, len(paths) - FILES))


def _file(app: App, path: str, size: int, data: bytes | None) -> FlowFile:
    stem = PurePosixPath(path).stem
    if data is None:
        told = f"the file has {size:,} bytes; a flow may have {limits.FLOW_BYTES:,}."
        return FlowFile(stem, path, "", "", (f"1:1 the file: {told}",))
    text = decode(data)
    examined = app.flows.examine(text)
    faults = examined.faults
    if not examined.name and not NAME.fullmatch(stem):
        faults = (*faults, "1:1 name: a file of this name needs a name in it, of letters, digits, '_' and '-'.")
    return FlowFile(
        name=examined.name or stem,
        path=path,
        text=text,
        description=line(app.redactor.text(examined.description), DESCRIPTION_CHARACTERS),
        faults=tuple(app.redactor.text(fault) for fault in faults),
        environment=examined.environment,
        workspace=examined.workspace,
    )
