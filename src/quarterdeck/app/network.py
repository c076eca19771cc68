"""What sessions may reach: as the server allows it, as their project does, and what a repository asks for of both."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Annotated, Concatenate, ParamSpec, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import update

from quarterdeck.app.access import Project, project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.network import (
    GROUPS,
    HOST_CHARACTERS,
    NONE,
    REGISTRIES,
    SERVER,
    TOLD,
    Groups,
    NetworkPolicy,
    beyond,
    expanded,
    rules,
    written_out,
)
from quarterdeck.store.tables import projects

HOSTS = 200
_P = ParamSpec("_P")
_T = TypeVar("_T")
Host = Annotated[str, Field(min_length=1, max_length=HOST_CHARACTERS + 10)]


class NetworkView(BaseModel):
    """What a repository's `agent-config.yml` may ask for."""

    model_config = ConfigDict(frozen=True)
    hosts: tuple[str, ...]
    """Hosts, `*.domain`, `host:port` and groups that the server allows."""
    groups: dict[str, tuple[str, ...]]
    """What each group stands for here; nothing where no tool of the machine says it."""


class ProjectNetworkView(NetworkView):
    """The same, and what of it the project allows its sessions."""

    project_hosts: tuple[str, ...]
    """`server` is all that the server allows."""


class EditNetwork(BaseModel):
    """What of the server's allowance a project lets its sessions ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    hosts: Annotated[tuple[Host, ...], Field(max_length=HOSTS)] = Field(
        description="Hosts, `*.domain`, `host:port`, groups; `server` is all that the server allows, none is nothing."
    )


async def show(app: App, actor: Actor) -> NetworkView:
    """What the server allows; everybody may know, who writes an `agent-config.yml` has to."""
    del actor
    return NetworkView(hosts=app.network_hosts, groups=dict(await groups(app)))


async def show_project(app: App, actor: Actor, project: int | str) -> ProjectNetworkView:
    """What a project allows."""
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.READ_PROJECT)
    return await _view(app, found.network_hosts)


async def edit_project(app: App, actor: Actor, project: int | str, request: EditNetwork) -> ProjectNetworkView:
    """Lets the sessions that start from now on ask for these hosts, and for no others.

    Raises:
        InvalidInputError: one is no host and no group, or more than the server allows.
    """
    known = await groups(app)
    hosts = tuple(dict.fromkeys(text.strip().lower() for text in request.hosts))
    if NONE in hosts and len(hosts) > 1:
        raise InvalidInputError(f"`{NONE}` stands alone: it is nothing.")
    hosts = () if hosts == (NONE,) else hosts
    server = expanded(app.network_hosts, known)
    for text in hosts:
        rules(text)
        if text != SERVER and beyond(expanded((text,), known), server):
            raise InvalidInputError(f"This server doesn't allow {text}, or not all of it: {_WIDER}")
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.MANAGE_NETWORK)
        await connection.execute(update(projects).where(projects.c.id == found.id).values(network_hosts=list(hosts)))
    return await _view(app, hosts)


async def groups(app: App) -> Groups:
    """Hosts by their words: those that ship, what the machine's tools say, and before both the administrator's."""
    return {**GROUPS, **await app.registries.found(), **app.network_groups}


class UntoldError(Exception):
    """The machine's tools are to be asked, which takes seconds: not while a transaction is open."""


def with_tools_told(
    start: Callable[Concatenate[App, _P], Awaitable[_T]],
) -> Callable[Concatenate[App, _P], Awaitable[_T]]:
    """A use case that may need a `policy`: where the tools are to be asked for it, it is undone, and begun again."""

    @wraps(start)
    async def begun(app: App, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        while True:
            try:
                return await start(app, *args, **kwargs)
            except UntoldError:
                await app.registries.found()

    return begun


def policy(
    app: App, project: Project, allowed: tuple[str, ...], denied: tuple[str, ...]
) -> tuple[NetworkPolicy, list[str]]:
    """What comes of a repository's wishes, as hosts alone, and what is to be said of those that come to nothing.

    For use cases `with_tools_told`.
    """
    known = _told(app, {*allowed, *denied, *app.network_hosts, *project.network_hosts})
    server = expanded(app.network_hosts, known)
    # `server` is no group: `registries`, which is all of them, would be all that the server allows.
    own = [server if text == SERVER else expanded((text,), known) for text in project.network_hosts]
    of_project = tuple(dict.fromkeys(host for hosts in own for host in hosts))
    made = NetworkPolicy(
        allowed=expanded(allowed, known),
        denied=expanded(denied, known),
        within=(server, of_project),
        named=_named(app),
    )
    hosts = {text: expanded((text,), known) for text in (*allowed, *denied)}
    return made, [
        *_note(f"This server knows no hosts for {{}}. {_DEFINE}", [text for text in hosts if not hosts[text]]),
        *_note(
            f"This server allows no part or only a part of: {{}}. {_WIDER}",
            [text for text in allowed if beyond(hosts[text], server)],
        ),
        *_note(
            "The project allows no part or only a part of: {}. A maintainer may allow more: qd project network.",
            [text for text in allowed if beyond(hosts[text], of_project) and not beyond(hosts[text], server)],
        ),
    ]


_WIDER = "An administrator may allow more: QUARTERDECK_NETWORK_HOSTS."
_DEFINE = "An administrator may say them: QUARTERDECK_NETWORK_GROUPS."


def _note(text: str, wishes: list[str]) -> list[str]:
    return [text.format(", ".join(wishes))] if wishes else []


def _told(app: App, texts: set[str]) -> Groups:
    """As `groups`, without asking; the tools' hosts only where one of the texts may stand for them."""
    untold = TOLD - app.network_groups.keys()
    words = {text.strip().lower() for text in texts}
    if not untold or not words & {REGISTRIES, *untold}:
        return {**GROUPS, **app.network_groups}
    told = app.registries.told()
    if told is None:
        raise UntoldError
    return {**GROUPS, **told, **app.network_groups}


def _named(app: App) -> tuple[str, ...]:
    """The hosts that the administrator wrote out, alone or in a group; what a tool says is no such word."""
    own = app.network_groups
    texts = [text for text in app.network_hosts if text.lower() not in GROUPS or text.lower() in own]
    return written_out(expanded(tuple(texts), own))


async def _view(app: App, hosts: tuple[str, ...]) -> ProjectNetworkView:
    return ProjectNetworkView(hosts=app.network_hosts, groups=dict(await groups(app)), project_hosts=hosts)
