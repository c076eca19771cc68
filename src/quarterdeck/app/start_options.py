"""What flows and chats are started with alike: model, privileges, budget, context and files."""

import json
from collections.abc import Collection, Iterable
from typing import Annotated

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app import attachments, budgets
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.model_choice import Choice
from quarterdeck.core import limits
from quarterdeck.core.attachment import NAME_CHARACTERS, Attachment
from quarterdeck.core.budget import Budget
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.protocol import TAGS, Tag
from quarterdeck.core.text import clean, clean_value, deeper, finite
from quarterdeck.tools.tool import Privilege


class Context(BaseModel):
    """Something more to go by, of a category, as GitLab's `additional_context` has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    category: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,63}$",
        validation_alias=AliasChoices("category", "Category"),
        description="What it is: `file`, `snippet`, `terminal`, or the category of one of the flow's inputs.",
    )
    content: str = Field(
        max_length=limits.CONTEXT_CHARACTERS,
        validation_alias=AliasChoices("content", "Content"),
        description="A JSON object is that input of the flow; any other text is shown to its agents.",
    )
    name: str = Field(default="", max_length=NAME_CHARACTERS, description="Of the file, where it is one.")

    @property
    def envelope(self) -> dict[str, JsonValue] | None:
        """The fields of an input of the flow; None when it is a text."""
        try:
            value: JsonValue = json.loads(self.content, parse_constant=finite, parse_float=finite)
        except (ValueError, RecursionError):
            return None
        # What nests deeper than a body may is a text too: what stores and reads inputs goes down by calls.
        if not isinstance(value, dict) or deeper(value, limits.INPUT_LEVELS):
            return None
        return {clean(name): clean_value(field) for name, field in value.items()}


class StartOptions(BaseModel):
    """What they have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = Field(
        default=None,
        max_length=200,
        description="`provider:model`, `scripted`, or `replay:NUMBER` of a session; the configured one if absent.",
    )
    script: str | None = Field(default=None, description="The answers of a `scripted:` model, as YAML.")
    title: str | None = Field(default=None, max_length=limits.TITLE_CHARACTERS)
    ref: str = Field(default="", max_length=limits.REF_CHARACTERS, description="Branch, tag or commit to start from.")
    privileges: tuple[Privilege, ...] | None = Field(
        default=None, description="What its tools may be of at all; every privilege if absent."
    )
    may_ask: bool = Field(default=True, description="Whether its agents may ask you questions.")
    pre_approved: tuple[Privilege, ...] | None = Field(
        default=None, description="Privileges whose tools ask nobody; some of `privileges`."
    )
    pre_approved_patterns: dict[str, tuple[str, ...]] = Field(
        default={}, max_length=8, description="By tool, commands that ask nobody, such as `git status*`."
    )
    budget: Budget | None = Field(
        default=None, description="What it may use, in US dollars or tokens; it pauses when that is spent."
    )
    additional_context: tuple[Context, ...] = Field(
        default=(),
        max_length=limits.CONTEXTS,
        description="More to go by: inputs of the flow, or texts for its agents.",
    )
    attachments: tuple[int, ...] = Field(
        default=(),
        max_length=limits.ATTACHMENTS,
        description="Files and images, by the numbers that `POST /attachments` gave them.",
    )
    runner_tags: Annotated[tuple[Tag, ...], Field(max_length=TAGS)] = Field(
        default=(), description="Its runners must have all of these, beside those that the project asks for."
    )

    executor: int | None = Field(
        default=None,
        ge=1,
        le=2**63 - 1,
        description="An editor of yours, as `POST /executors` numbers it: it works there, and on no runner.",
    )

    def tags(self) -> tuple[str, ...]:
        """The tags as they are kept: each once, in order."""
        return tuple(sorted({clean(tag) for tag in self.runner_tags}))

    def given_inputs(self) -> dict[str, JsonValue]:
        """The inputs that came as context; several of one category are envelopes of several versions."""
        found: dict[str, list[JsonValue]] = {}
        for one in self.additional_context:
            if (envelope := one.envelope) is not None:
                found.setdefault(one.category, []).append(envelope)
        return {category: many[0] if len(many) == 1 else many for category, many in found.items()}

    def asking_nobody(self, usual: tuple[Privilege, ...], always_ask: Collection[str]) -> tuple[Privilege, ...]:
        """The privileges whose tools ask nobody: those of the kind of session unless the start names them.

        `always_ask` are those for which the project has a person asked.
        """
        had = set(Privilege if self.privileges is None else self.privileges)
        if self.pre_approved is None:
            return tuple(one for one in usual if one in had and one not in always_ask)
        if asked := [one.value for one in self.pre_approved if one in always_ask]:
            raise InvalidInputError(f"The project has a person asked each time, so not beforehand: {', '.join(asked)}.")
        if beyond := [one.value for one in self.pre_approved if one not in had]:
            raise InvalidInputError(f"The session can't be approved beforehand what it may not: {', '.join(beyond)}.")
        return self.pre_approved


async def take(
    app: App, connection: AsyncConnection, actor: Actor, session_id: int, options: StartOptions, choice: Choice
) -> tuple[Attachment, ...]:
    """The files and texts that the session is started with, checked with its budget against its models.

    Raises:
        InvalidInputError: the budget can't be kept, or a model can't be given the files.
        NotFoundError: there is no such file.
    """
    await budgets.check(app, connection, options.budget, choice.models)
    given = list(await attachments.claim(connection, actor, session_id, options.attachments, room=choice.room))
    for one in options.additional_context:
        if one.envelope is None:
            given.append(
                await attachments.note(app, connection, actor, session_id, one.category, one.name, one.content)
            )
    attachments.check_room(given, choice.room)
    check_sight(app, choice.models, given)
    return tuple(given)


def check_sight(app: App, models: Iterable[str], given: Iterable[Attachment]) -> None:
    """Raises InvalidInputError for an image where one of the models is known to take none."""
    image = next((one.name for one in given if one.image), None)
    blind = [name for name in models if not app.models.takes_images(name)]
    if image is not None and blind:
        raise InvalidInputError(f"{', '.join(blind)} takes no images, so {image} can't be shown to it.")
