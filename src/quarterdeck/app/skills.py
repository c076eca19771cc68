"""The skills of a repository: instructions in `skills/NAME/SKILL.md` that an agent reads when it needs them."""

import re
from dataclasses import dataclass

from quarterdeck.app.application import App
from quarterdeck.core.errors import NotFoundError
from quarterdeck.core.text import cut, decode, line
from quarterdeck.flows import document

FOLDERS = ("skills", ".quarterdeck/skills")
FILE = "SKILL.md"
SKILLS = 50
"""How many are told of; the rest is left out."""
FILE_BYTES = 128 * 1024
TEXT_CHARACTERS = 16_384
"""What a slash command brings of a skill."""
DESCRIPTION_CHARACTERS = 500
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_COMMAND = re.compile(rf"\s*/({_NAME.pattern})(?=\s|$)")
_FRONT = re.compile(r"\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|$)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Skill:
    """A skill as its front matter says."""

    name: str
    description: str
    path: str
    text: str
    """What stands behind the front matter."""


async def find(app: App, project_id: int, commit: str) -> list[Skill]:
    """Those of a commit, by folder and name; of two with one name the first, and none without a readable head."""
    paths = list[str]()
    for folder in FOLDERS:
        try:
            entries = await app.forge.tree(project_id, commit, folder, recursive=False, limit=10 * SKILLS)
        except NotFoundError:
            continue
        paths += [f"{one.path}/{FILE}" for one in entries if one.kind == "folder"]
    if not paths:
        return []
    found = dict[str, Skill]()
    for file in await app.forge.files(project_id, commit, paths[: 2 * SKILLS], limit=FILE_BYTES):
        skill = _skill(app, file.path, decode(file.data)) if file.data is not None else None
        if skill is not None:
            found.setdefault(skill.name, skill)
    return list(found.values())[:SKILLS]


def _skill(app: App, path: str, text: str) -> Skill | None:
    front = _FRONT.match(text)
    if front is None:
        return None
    # Anchors, tags and deep nesting are refused there, so that hostile front matter costs nothing.
    head = document.read(front[1], FILE_BYTES)
    if head.faults or not isinstance(head.value, dict):
        return None
    name, description = head.value.get("name"), head.value.get("description")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not isinstance(description, str):
        return None
    # Redacted before it is cut: half of a secret doesn't look like one.
    told = line(app.redactor.text(description), DESCRIPTION_CHARACTERS)
    return Skill(name, told, path, app.redactor.text(text[front.end() :]).strip())


async def with_skill(app: App, project_id: int, commit: str, text: str) -> str:
    """`text`, and if it begins with `/NAME` of a skill, that skill behind it as material; other slashes are words."""
    command = _COMMAND.match(text)
    if command is None or not commit:
        return text
    named = next((one for one in await find(app, project_id, commit) if one.name == command[1]), None)
    if named is None:
        return text
    head = f"[The skill {named.name} of this repository, {named.path}: how to do what is asked for above.]"
    return f"{text}\n\n{head}\n{cut(named.text, TEXT_CHARACTERS)}"
