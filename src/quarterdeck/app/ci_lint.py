"""A pipeline file, looked at without running it."""

from pydantic import BaseModel, ConfigDict

from quarterdeck.app.access import project_for
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.core.access import Ability
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.text import clean

NO_COMMIT = "0" * 40


class LintedJob(BaseModel):
    """A job that a push would run."""

    model_config = ConfigDict(frozen=True)
    name: str
    stage: str


class LintView(BaseModel):
    """What is wrong with a pipeline file, or what it comes to."""

    model_config = ConfigDict(frozen=True)
    valid: bool
    faults: tuple[str, ...]
    """Each with its line."""
    jobs: tuple[LintedJob, ...]
    nothing: str = ""
    """Why such a push would run nothing, when it is valid and has no jobs."""


async def lint(app: App, actor: Actor, project: int | str, text: str, ref: str | None = None) -> LintView:
    """Reads a `.gitlab-ci.yml` as a push of it to a branch would, without `ref` to the default branch.

    What it includes is as it is there now; of a branch that is not there yet as on the default branch.
    """
    async with app.database.transaction() as connection:
        found = await project_for(connection, actor, project, Ability.READ_PIPELINE)
    heads = await app.forge.branches(found.id)
    branch = ref or found.default_branch
    sha = heads.get(branch) or heads.get(found.default_branch, NO_COMMIT)
    try:
        made = await app.forge.read_ci(
            found.id,
            clean(text),
            ref=branch,
            sha=sha,
            default_branch=found.default_branch,
            source="push",
        )
    except InvalidInputError as error:
        _, _, faults = error.message.partition("\n")
        return LintView(valid=False, faults=tuple((faults or error.message).split("\n")), jobs=())
    jobs = tuple(LintedJob(name=job.name, stage=job.stage) for job in made.jobs)
    return LintView(valid=True, faults=(), jobs=jobs, nothing=made.left_out)
