"""A project's `agent-config.yml`: read from the head of its default branch when a session starts, and pinned there."""

from quarterdeck.app.access import Project
from quarterdeck.app.application import App
from quarterdeck.core.agent_config import FILE_BYTES, PATHS, AgentConfig
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.network import NetworkPolicy, written_out
from quarterdeck.core.text import decode, line
from quarterdeck.flows.agent_config import Asked, read_config

NOTES = 20
NOTE_CHARACTERS = 300


async def of(app: App, project: Project) -> AgentConfig | None:
    """What the file asks for, as far as it may; None when there is no file.

    One with faults asks for nothing and refuses no session, because a session may be what mends it.
    """
    try:
        commit = await app.forge.commit_of(project.id, project.default_branch)
    except NotFoundError:
        return None
    found = {one.path: one for one in await app.forge.files(project.id, commit, PATHS, limit=FILE_BYTES)}
    file = next((found[path] for path in PATHS if path in found), None)
    if file is None:
        return None
    large = f"1:1 the file: it has {file.size:,} bytes; at most {FILE_BYTES:,} are read."
    asked = Asked(faults=(large,)) if file.data is None else read_config(decode(file.data))
    network = _network(app, asked)
    notes = [*(f"It can't be used, and none of it is: {fault}" for fault in asked.faults), *asked.notes]
    if network and (idle := network.idle()):
        notes.append(
            f"This server allows no part or only a part of: {', '.join(idle)}. An administrator may allow more: "
            "QUARTERDECK_NETWORK_HOSTS."
        )
    return AgentConfig(
        path=file.path,
        commit=commit,
        setup_script=asked.setup_script,
        network=network,
        notes=tuple(line(app.redactor.text(note), NOTE_CHARACTERS) for note in notes[:NOTES]),
    )


def _network(app: App, asked: Asked) -> NetworkPolicy | None:
    if not asked.allowed:
        return None
    return NetworkPolicy(
        allowed=asked.allowed,
        denied=asked.denied,
        within=(app.network_hosts,),
        named=written_out(app.network_hosts),
    )
