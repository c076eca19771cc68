"""What every session is told when it starts: where it is, the rules of its repository and its person, the skills."""

from dataclasses import dataclass

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection

import quarterdeck
from quarterdeck.app import agent_config, skills, user_rules
from quarterdeck.app.access import Project
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.agent_config import AgentConfig
from quarterdeck.core.events import SessionCreated
from quarterdeck.core.redaction import Redactor
from quarterdeck.core.text import cut, decode
from quarterdeck.store import log

AGENTS = "AGENTS.md"
RULE_FILES = (AGENTS, ".quarterdeck/rules.md", ".gitlab/duo/chat-rules.md")
"""Read from the session's commit, in this order."""
FILE_BYTES = 128 * 1024
RULES_CHARACTERS = 24_000
SKILLS_CHARACTERS = 8_000
"""What rules and skills may come to, 32 KiB together with the notes that say what was cut off."""
DEEPER = 50
"""How many further AGENTS.md are named."""
STANDARD, RULES, SKILLS = "agent_platform_standard_context", "user_rule", "workspace_agent_skills"
_VERSION = "1.1.0"


@dataclass(frozen=True)
class Surroundings:
    """What a session's start adds to what it was given."""

    session_id: int
    """Reserved for it, since the facts name it."""
    commit: str
    facts: dict[str, JsonValue]
    agent_config: AgentConfig | None
    inputs: dict[str, JsonValue]
    """By category; none that has nothing to say."""

    def with_given(self, given: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """All inputs: who starts a session may bring rules and skills of their own, but not say where it is."""
        return {**self.inputs, **given, STANDARD: self.inputs[STANDARD]}


async def collect(
    app: App,
    connection: AsyncConnection,
    actor: Actor,
    project: Project | None,
    *,
    ref: str = "",
    branch: str = "",
    rules: bool = True,
) -> Surroundings:
    """All of it, from the commit that `ref` stands at; without `rules` nothing that the repository says.

    A session without a project has no repository, but its person's rules.

    Raises:
        NotFoundError: there is no such ref.
    """
    config = await agent_config.of(app, project) if project else None  # may be begun again, so before the number
    session_id = await log.reserve(connection)
    commit = await app.forge.commit_of(project.id, ref) if project and ref else ""
    facts, inputs = _facts(app, session_id), dict[str, JsonValue]({STANDARD: _standard(actor, project, branch)})
    read = commit if rules else ""
    told = await _rules(app, connection, actor, project.id if project else 0, read)
    if told:
        inputs[RULES] = {"content": told}
    found = await skills.find(app, project.id, read) if project and read else []
    if found:
        inputs[SKILLS] = _skills(found)
    facts |= _place(app, project) if project else {}
    return Surroundings(session_id, commit, facts, config, inputs)


async def renewed(
    app: App, connection: AsyncConnection, actor: Actor, project: Project | None, before: SessionCreated, *, branch: str
) -> Surroundings:
    """For a session that goes on from another: where it is, on the same commit; what it was told stays what it was.

    Raises:
        NotFoundError: the commit is gone.
    """
    config = await agent_config.of(app, project) if project else None
    session_id = await log.reserve(connection)
    commit = await app.forge.commit_of(project.id, before.commit) if project and before.commit else ""
    facts = _facts(app, session_id) | (_place(app, project) if project else {})
    inputs = {**before.inputs, STANDARD: _standard(actor, project, branch)}
    return Surroundings(session_id, commit, facts, config, inputs)


def _place(app: App, project: Project) -> dict[str, JsonValue]:
    return {
        "project_http_url_to_repo": f"{app.public_url}/git/{project.path}.git",
        "project_default_branch": project.default_branch,
        "namespace": project.path.rpartition("/")[0] or project.path,
    }


def _facts(app: App, session_id: int) -> dict[str, JsonValue]:
    return {
        "workflow_id": str(session_id),
        "session_url": f"{app.public_url}/sessions/{session_id}",
        "instance_type": "quarterdeck",
        "instance_url": app.public_url,
        "instance_version": quarterdeck.__version__,
    }


def _standard(actor: Actor, project: Project | None, branch: str) -> JsonValue:
    person: dict[str, JsonValue] = {"metadata": {"version": _VERSION}, "session_owner_id": str(actor.user_id)}
    if project is None:
        return person
    return {
        **person,
        "workload_branch": branch,
        "primary_branch": project.default_branch,
        "project_id": project.id,
    }


async def _rules(app: App, connection: AsyncConnection, actor: Actor, project_id: int, commit: str) -> str:
    """The person's rules and the files', each under its name; the folders with rules of their own at the end."""
    own = await user_rules.of(connection, actor)
    parts = [(f"Rules of {actor.username}, who started this session", own.text)] if own.text else []
    deeper = ""
    if commit:
        for file in await app.forge.files(project_id, commit, RULE_FILES, limit=FILE_BYTES):
            text = decode(file.data) if file.data is not None else f"(left out: it has {file.size:,} bytes)"
            if text.strip():
                parts.append((file.path, text.strip()))
        deeper = _deeper(await app.forge.named(project_id, commit, AGENTS, limit=DEEPER + 2))
    told = [_shared(parts, RULES_CHARACTERS - len(deeper), app.redactor)] if parts else []
    return "\n\n".join([*told, deeper] if deeper else told)


def _shared(parts: list[tuple[str, str]], room: int, redactor: Redactor) -> str:
    """All parts, the long ones cut so that none takes the room of the others."""
    whole = [f"# {name}\n\n{redactor.text(text)}" for name, text in parts]  # first: a half secret looks like none
    kept, room = dict[int, str](), room - 100 * len(whole)
    for done, place in enumerate(sorted(range(len(whole)), key=lambda one: len(whole[one]))):
        kept[place] = cut(whole[place], room // (len(whole) - done))
        room -= len(kept[place])
    return "\n\n".join(kept[place] for place in sorted(kept))


def _deeper(paths: list[str]) -> str:
    """A list of few characters, however long the paths are."""
    below = [path for path in paths if path != AGENTS and path.isprintable()]
    if not below:
        return ""
    lines = [f"- {path}" for path in below[:DEEPER] if len(path) <= 200]
    more = "" if len(below) <= DEEPER else "\n- and more: look for AGENTS.md in the folder that you work in"
    head = "Folders with rules of their own; read the nearest one before you change a file below it:"
    return f"# {AGENTS} of folders\n\n{head}\n" + "\n".join(lines) + more


def _skills(found: list[skills.Skill]) -> JsonValue:
    lines = "\n".join(f"- {one.name}: {one.description} ({one.path})" for one in found)
    head = "Skills of this repository. When one fits what you do, read its file first and follow it:"
    return {
        "content": cut(f"{head}\n{lines}", SKILLS_CHARACTERS, note="characters of skills left out"),
        "skills": [{"name": one.name, "description": one.description, "path": one.path} for one in found],
    }
