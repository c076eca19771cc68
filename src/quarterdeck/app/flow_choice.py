"""Which flow a session is started with: one that ships, one that its project stores, or a file of its repository."""

from asyncio import to_thread
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import repository_flows
from quarterdeck.app.access import Project
from quarterdeck.app.application import App
from quarterdeck.app.repository_flows import FlowFile
from quarterdeck.core import limits
from quarterdeck.core.errors import InvalidInputError, NotFoundError
from quarterdeck.core.flow import Flow
from quarterdeck.core.text import clean
from quarterdeck.core.versions import newest
from quarterdeck.store.tables import project_flows

Origin = Literal["shipped", "project", "repository", "given"]
OWN, FILE = "project:", "repository:"
"""What a name begins with that passes over the flows that ship, and over those that are stored too."""
FILE_VERSION = "0.0.0"
WITHOUT_RULES = frozenset({"code_review"})
"""Flows that ship and judge what a branch brings: what the branch says of how to judge doesn't count."""


@dataclass(frozen=True)
class Chosen:
    """A flow, and the text that the session is pinned to."""

    flow: Flow
    text: str
    origin: Origin
    script: str | None = None
    """What the scripted model answers, where the flow ships with it."""
    path: str = ""

    @property
    def heeds_rules(self) -> bool:
        """Whether its agents are given what the repository says."""
        return self.origin != "shipped" or self.flow.name not in WITHOUT_RULES


@dataclass(frozen=True)
class Found:
    """Where a name leads: the text of a flow, which may have faults."""

    name: str
    version: str
    text: str
    origin: Origin
    script: str | None = None
    path: str = ""
    faults: tuple[str, ...] = ()
    """Of a file, which was looked at already."""


def version_of(number: int) -> str:
    """A stored flow's version as people write it."""
    return f"{number}.0.0"


async def choose(
    app: App, connection: AsyncConnection, project: Project, name: str, flow_yaml: str | None = None
) -> Chosen:
    """The flow of that name; `flow_yaml` is taken instead when it is given.

    A plain name is looked for among the flows that ship, then those that the project stores, then the files on its
    default branch. `project:NAME` leaves out the first, `repository:NAME` the first two.

    Raises:
        InvalidInputError: it can't be used, with every fault and its line; or two files have the name.
        NotFoundError: there is none; names those that there are.
    """
    if flow_yaml is not None:
        if len(flow_yaml.encode("utf-8", "replace")) > limits.FLOW_BYTES:
            raise InvalidInputError(f"A flow may have {limits.FLOW_BYTES:,} bytes of YAML; this one is larger.")
        text = clean(flow_yaml)
        return Chosen(await to_thread(app.flows.read, text), text, "given")
    found = await look_up(app, connection, project, name)
    if found.origin == "shipped":
        return Chosen(app.flows.read(found.text), found.text, "shipped", found.script)
    flow = _read(app, project, found).model_copy(update={"name": found.name, "version": found.version})
    return Chosen(flow, found.text, found.origin, path=found.path)


async def look_up(app: App, connection: AsyncConnection, project: Project, name: str) -> Found:
    """Where the name leads, without a look at whether the flow can be used.

    Raises:
        InvalidInputError: two files have the name.
        NotFoundError: there is none; names those that there are.
    """
    wanted, _, constraint = name.removeprefix(OWN).removeprefix(FILE).partition("/")
    shipped = {known.partition("/")[0] for known in app.flows.names()}
    if wanted in shipped and not name.startswith((OWN, FILE)):
        text, script = app.flows.shipped(name)
        flow = app.flows.read(text)
        return Found(flow.name, flow.version, text, "shipped", script)
    if not name.startswith(FILE):
        stored = await _stored(connection, project, wanted, constraint)
        if stored is not None:
            return stored
    return await _of_repository(app, connection, project, name, wanted, constraint)


async def _stored(connection: AsyncConnection, project: Project, name: str, constraint: str) -> Found | None:
    ours = (project_flows.c.project_id == project.id) & (project_flows.c.name == name)
    numbers = (await connection.execute(select(project_flows.c.version).where(ours))).scalars()
    there = {version_of(number): number for number in numbers}
    if not there:
        return None
    version = newest(there, constraint or ">=0")
    if version is None:
        known = ", ".join(sorted(there))
        raise NotFoundError(f"The flow {name!r} of {project.path} has no version {constraint}. There are {known}.")
    query = select(project_flows.c.text).where(ours, project_flows.c.version == there[version])
    text = (await connection.execute(query)).scalar_one_or_none()
    return None if text is None else Found(name, version, text, "project")


async def _of_repository(
    app: App, connection: AsyncConnection, project: Project, asked: str, name: str, constraint: str
) -> Found:
    found = await repository_flows.read(app, project)
    files = found.called(name)
    if len(files) > 1:
        paths = ", ".join(file.path for file in files)
        raise InvalidInputError(f"{len(files)} files of {project.path} are flows called {name!r}: {paths}. Rename one.")
    if not files or newest([FILE_VERSION], constraint or ">=0") is None:
        raise NotFoundError(await _missing(app, connection, project, asked, found.files))
    file = files[0]
    return Found(name, FILE_VERSION, file.text, "repository", path=file.path, faults=file.faults)


async def _missing(
    app: App, connection: AsyncConnection, project: Project, asked: str, files: tuple[FlowFile, ...]
) -> str:
    stored = await connection.execute(
        select(project_flows.c.name).where(project_flows.c.project_id == project.id).distinct()
    )
    own = sorted({*stored.scalars(), *(file.name for file in files)})
    told = f"There is no flow {asked!r} in {project.path}. There are {', '.join(app.flows.names())}"
    return f"{told}; its own: {', '.join(own)}." if own else f"{told}."


def _read(app: App, project: Project, found: Found) -> Flow:
    subject = f"The flow {found.name}/{found.version} that {project.path} stores"
    if found.origin == "repository":
        subject = f"The flow {found.name!r} of {project.path} ({found.path})"
    if found.faults:
        raise InvalidInputError("\n".join([f"{subject} can't be used:", *found.faults]))
    try:
        return app.flows.read(found.text)
    except InvalidInputError as error:
        # A tool may be gone since it was stored; a file was looked at already.
        _, _, faults = error.message.partition("\n")
        raise InvalidInputError(f"{subject} can't be used:\n{faults or error.message}") from None
