"""A flow as it is looked at: faulty ones too, their versions, a text that is being written, and the way by a name."""

import pytest

from quarterdeck.app import flow_versions, model_rules, project_flows, projects
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.project_flows import StoreFlow
from quarterdeck.core.access import Role
from quarterdeck.core.errors import ForbiddenError, InvalidInputError, NotFoundError
from tests.app.test_merge_requests import commit, person
from tests.app.test_project_flows import BROKEN, flow


@pytest.fixture
async def project(app: App, owner: Actor) -> projects.ProjectView:
    made = await projects.add(app, owner, projects.AddProject(path="group/app"))
    files = {".quarterdeck/flows/broken.yml": BROKEN, ".quarterdeck/flows/mine.yml": flow("fix_pipeline", "mine")}
    await commit(app, made.id, "main", None, **files)
    for says in ("one", "two", "three"):
        await project_flows.store(app, owner, made.id, StoreFlow(text=flow("lookout", says)))
    return made


async def test_what_a_name_leads_to_and_its_versions(app: App, owner: Actor, project: projects.ProjectView) -> None:
    newest = await flow_versions.show(app, owner, project.id, "lookout")
    assert [one.version for one in newest.versions] == ["3.0.0", "2.0.0", "1.0.0"]
    assert {one.stored_by for one in newest.versions} == {"ada"}
    assert (newest.version, newest.before, newest.start_exactly_as) == ("3.0.0", "2.0.0", "lookout")
    first = await flow_versions.show(app, owner, project.id, "project:lookout/1.0.0")
    assert (first.text, first.before) == (flow("lookout", "one"), "")
    assert first.start_exactly_as == "project:lookout/1.0.0"
    shipped = await flow_versions.show(app, owner, project.id, "fix_pipeline")
    assert (shipped.origin, shipped.scripted, shipped.start_exactly_as) == ("shipped", True, "fix_pipeline")
    mine = await flow_versions.show(app, owner, project.id, "repository:fix_pipeline")
    assert (mine.origin, mine.path, mine.versions) == ("repository", ".quarterdeck/flows/mine.yml", ())
    assert (mine.before, mine.start_exactly_as) == ("", "repository:fix_pipeline")
    broken = await flow_versions.show(app, owner, project.id, "broken")
    assert broken.text == BROKEN
    assert "read_fiel" in broken.faults[0]
    with pytest.raises(NotFoundError, match=r"its own: .*lookout"):
        await flow_versions.show(app, owner, project.id, "nothing")
    await commit(app, project.id, "main", "main^0", **{".quarterdeck/flows/again.yml": flow("fix_pipeline", "again")})
    with pytest.raises(InvalidInputError, match="Rename one"):
        await flow_versions.show(app, owner, project.id, "repository:fix_pipeline")


async def test_a_text_is_looked_at_and_not_stored(app: App, owner: Actor, project: projects.ProjectView) -> None:
    reading = await flow_versions.look_at(app, owner, project.id, BROKEN)
    assert reading.flow is None
    assert [one.name for one in reading.draft.components.values()] == ["work"]
    assert [one.severity for one in reading.document.findings()] == ["fault"]
    assert (await flow_versions.look_at(app, owner, project.id, flow("other", "x"))).flow is not None
    with pytest.raises(NotFoundError):
        await flow_versions.show(app, owner, project.id, "other")
    developer = await person(app, owner, project, "dev", Role.DEVELOPER)
    with pytest.raises(ForbiddenError, match="Maintainer"):
        await flow_versions.look_at(app, developer, project.id, BROKEN)
    assert (await flow_versions.show(app, developer, project.id, "lookout")).text == flow("lookout", "three")
    reporter = await person(app, owner, project, "rep", Role.REPORTER)
    with pytest.raises(ForbiddenError, match="Developer"):
        await flow_versions.show(app, reporter, project.id, "lookout")


async def test_stored_flows_are_found_by_name_where_they_may_be_started(
    app: App, owner: Actor, project: projects.ProjectView
) -> None:
    found = await flow_versions.named(app, owner, "OOK")
    assert [(one.project_path, one.name) for one in found] == [("group/app", "lookout")]
    for role, seen in ((Role.DEVELOPER, 1), (Role.REPORTER, 0), (None, 0)):
        who = await person(app, owner, project, f"p{seen}{role}", role)
        assert len(await flow_versions.named(app, who, "look")) == seen
    assert await flow_versions.named(app, owner, "l%k") == []


async def test_which_model_is_usual(app: App, owner: Actor, project: projects.ProjectView) -> None:
    assert await model_rules.usual(app, owner, project.id, "lookout") is None
    rules = model_rules.ChangeRules(project=project.id, flow="lookout", default="anthropic:one")
    await model_rules.change(app, owner, rules)
    assert await model_rules.usual(app, owner, project.id, "lookout") == "anthropic:one"
    assert await model_rules.usual(app, owner, project.id, "other") is None
