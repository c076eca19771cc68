"""A project's `agent-config.yml`: read from the head of its default branch when a session starts, and pinned there."""

from quarterdeck.app import network
from quarterdeck.app.access import Project
from quarterdeck.app.application import App
from quarterdeck.core.agent_config import FILE_BYTES, PATHS, AgentConfig
from quarterdeck.core.errors import NotFoundError
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
    notes = [*(f"It can't be used, and none of it is: {fault}" for fault in asked.faults), *asked.notes]
    policy = None
    if asked.allowed:
        policy, vain = network.policy(app, project, asked.allowed, asked.denied)
        notes += vain
    return AgentConfig(
        path=file.path,
        commit=commit,
        setup_script=asked.setup_script,
        network=policy,
        cache=asked.cache,
        notes=tuple(line(app.redactor.text(note), NOTE_CHARACTERS) for note in notes[:NOTES]),
    )
