"""A project's own flows: where a name is looked for, what is stored, and what a broken one says."""

from typing import Any

import pytest
from sqlalchemy import select

from quarterdeck.app import project_flows, projects, sessions
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.project_flows import StoreFlow
from quarterdeck.app.sessions import StartSession
from quarterdeck.core.access import Role
from quarterdeck.core.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from quarterdeck.core.limits import FLOW_BYTES
from quarterdeck.store.tables import documents
from quarterdeck.store.tables import sessions as rows
from tests.app.test_merge_requests import commit, person
from tests.app.test_sessions import SCRIPT


def flow(name: str | None, says: str) -> str:
    named = f"name: {name}\n" if name else ""
    return f"""version: v1
environment: ambient
{named}description: {says}
components: [{{name: work, type: AgentComponent, prompt_id: work, inputs: ["context:goal"], toolset: [read_file]}}]
flow: {{entry_point: work}}
prompts: [{{prompt_id: work, prompt_template: {{system: {says}, user: "{{{{ goal }}}}"}}}}]
"""


BROKEN = flow("broken", "breaks").replace("read_file", "read_fiel")


@pytest.fixture
async def project(app: App, owner: Actor) -> projects.ProjectView:
    made = await projects.add(app, owner, projects.AddProject(path="group/app"))
    await commit(
        app,
        made.id,
        "main",
        None,
        **{
            ".quarterdeck/flows/stemmed.yml": flow(None, "stem"),
            ".quarterdeck/flows/file.yml": flow("lookout", "from the file"),
            ".quarterdeck/flows/mine.yml": flow("fix_pipeline", "not the one that ships"),
            ".quarterdeck/flows/not-read.yaml": flow("unread", "x"),
            ".quarterdeck/flows/deeper/no.yml": flow("deeper", "x"),
            ".gitlab/duo/flows/broken.yaml": BROKEN,
            ".gitlab/duo/flows/one.yml": flow("twice", "first"),
            ".gitlab/duo/flows/two.yml": flow("twice", "second"),
            ".gitlab/duo/flows/large.yml": "# " + "x" * FLOW_BYTES,
            ".gitlab/duo/flows/odd name.yml": flow(None, "odd"),
        },
    )
    await commit(app, made.id, "other", "main", **{".quarterdeck/flows/elsewhere.yml": flow("elsewhere", "x")})
    return made


async def started(app: App, actor: Actor, name: str) -> tuple[str, str]:
    """The session's flow, and the text that it is pinned to."""
    request = StartSession(project="group/app", flow=name, goal="g", model="scripted", script=SCRIPT)
    view = await sessions.start(app, actor, request)
    async with app.database.transaction() as connection:
        query = select(documents.c.text).join(rows, rows.c.flow_hash == documents.c.hash).where(rows.c.id == view.id)
        return view.flow, (await connection.execute(query)).scalar_one()


async def test_where_a_name_is_looked_for(app: App, owner: Actor, project: projects.ProjectView) -> None:
    """What ships cannot be taken over; what is stored comes before what is pushed."""
    assert await started(app, owner, "stemmed") == ("stemmed/0.0.0", flow(None, "stem"))
    assert await started(app, owner, "lookout") == ("lookout/0.0.0", flow("lookout", "from the file"))
    for number, says in ((1, "stored"), (2, "stored anew"), (2, "stored anew")):
        view = await project_flows.store(app, owner, project.id, StoreFlow(text=flow("lookout", says)))
        assert (view.version, view.start_as, view.stored_by) == (f"{number}.0.0", "lookout", "ada")
    stored = flow("lookout", "stored anew")
    assert await started(app, owner, "lookout") == ("lookout/2.0.0", stored)
    assert await started(app, owner, "project:lookout/v2") == ("lookout/2.0.0", stored)
    assert await started(app, owner, "lookout/1.0.0") == ("lookout/1.0.0", flow("lookout", "stored"))
    assert await started(app, owner, "repository:lookout") == ("lookout/0.0.0", flow("lookout", "from the file"))
    _, mine = await started(app, owner, "project:fix_pipeline")
    assert mine == flow("fix_pipeline", "not the one that ships")
    shipped = await project_flows.show(app, owner, project.id, "fix_pipeline")
    assert (shipped.origin, shipped.text == mine) == ("shipped", False)
    with pytest.raises(InvalidInputError, match=r"pipeline\.id is missing"):
        await started(app, owner, "fix_pipeline")
    await project_flows.remove(app, owner, project.id, "lookout")
    assert (await started(app, owner, "lookout"))[0] == "lookout/0.0.0"
    with pytest.raises(NotFoundError, match="stores no flow 'lookout'"):
        await project_flows.remove(app, owner, project.id, "lookout")


async def test_what_cannot_be_started_says_why(app: App, owner: Actor, project: projects.ProjectView) -> None:
    for name, error, told in (
        ("broken", InvalidInputError, r"\.gitlab/duo/flows/broken\.yaml\) can't be used:\n5:\d+ .*read_fiel"),
        ("twice", InvalidInputError, r"one\.yml, \.gitlab/duo/flows/two\.yml\. Rename one"),
        ("large", InvalidInputError, "a flow may have 40,960"),
        ("odd name", InvalidInputError, "needs a name in it"),
        ("elsewhere", NotFoundError, r"There are .*fix_pipeline.*its own: .*stemmed"),
        ("deeper", NotFoundError, "no flow"),
        ("unread", NotFoundError, "no flow"),
        ("lookout/v3", NotFoundError, "no flow 'lookout/v3'"),
        ("../../etc/passwd", NotFoundError, "no flow"),
        ("project:", NotFoundError, "no flow"),
    ):
        with pytest.raises(error, match=told):
            await started(app, owner, name)
    await project_flows.store(app, owner, project.id, StoreFlow(text=flow(None, "x"), name="kept"))
    with pytest.raises(NotFoundError, match=r"has no version v7\. There are 1\.0\.0"):
        await started(app, owner, "kept/v7")
    for request, error in (
        (StoreFlow(text=BROKEN), InvalidInputError),
        (StoreFlow(text=flow(None, "x")), InvalidInputError),
        (StoreFlow(text=flow(None, "x"), name="a/b"), InvalidInputError),
        (StoreFlow(text=flow("fix_pipeline", "x")), ConflictError),
        (StoreFlow(text=flow("leaky", "ghp_" + "a1B2" * 9)), InvalidInputError),
    ):
        with pytest.raises(error):
            await project_flows.store(app, owner, project.id, request)


async def test_the_list_has_all_with_their_faults(app: App, owner: Actor, project: projects.ProjectView) -> None:
    await project_flows.store(app, owner, project.id, StoreFlow(text=flow("lookout", "stored")))
    listed = await project_flows.find(app, owner, project.id)
    found: dict[str, Any] = {one.path or one.start_as: one for one in listed.flows}
    assert found["lookout"].origin == "project"
    assert found[".quarterdeck/flows/file.yml"].start_as == "repository:lookout"
    assert found[".quarterdeck/flows/mine.yml"].start_as == "repository:fix_pipeline"
    assert found[".quarterdeck/flows/stemmed.yml"].start_as == "stemmed"
    faulty = {path.rpartition("/")[2]: one.faults for path, one in found.items() if one.faults}
    assert set(faulty) == {"broken.yaml", "one.yml", "two.yml", "large.yml", "odd name.yml"}
    assert faulty["broken.yaml"][0].startswith("5:")
    assert "two.yml" in faulty["one.yml"][0]
    assert any(one.origin == "shipped" and one.start_as.startswith("fix_pipeline/1.") for one in listed.flows)
    many = {f".quarterdeck/flows/n{number}.yml": flow(None, "x") for number in range(99)}
    await commit(app, project.id, "main", "main^0", **many)
    crowded = await project_flows.find(app, owner, project.id)
    assert (sum(one.origin == "repository" for one in crowded.flows), crowded.left_out) == (100, 7)


async def test_who_may(app: App, owner: Actor, project: projects.ProjectView) -> None:
    developer = await person(app, owner, project, "dev", Role.DEVELOPER)
    reporter = await person(app, owner, project, "rep", Role.REPORTER)
    stranger = await person(app, owner, project, "eve", None)
    store = StoreFlow(text=flow("lookout", "x"))
    assert (await project_flows.find(app, developer, project.id)).flows
    assert (await project_flows.show(app, developer, project.id, "stemmed")).path == ".quarterdeck/flows/stemmed.yml"
    for attempt in (
        project_flows.store(app, developer, project.id, store),
        project_flows.remove(app, developer, project.id, "lookout"),
        project_flows.find(app, reporter, project.id),
        project_flows.show(app, reporter, project.id, "stemmed"),
    ):
        with pytest.raises(ForbiddenError):
            await attempt
    for hidden in (
        project_flows.find(app, stranger, project.id),
        project_flows.show(app, stranger, project.id, "stemmed"),
        project_flows.store(app, stranger, project.id, store),
    ):
        with pytest.raises(NotFoundError):
            await hidden
    empty = await projects.add(app, owner, projects.AddProject(path="empty"))
    assert all(one.origin == "shipped" for one in (await project_flows.find(app, owner, empty.id)).flows)
