"""Every tool of the catalogue is whole: definition, schema, body, documentation."""

import inspect
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

from quarterdeck.core.errors import InvalidInputError, NotFoundError
from quarterdeck.core.events import Level
from quarterdeck.core.limits import OUTPUT_BYTES, RESULT_CHARACTERS
from quarterdeck.executor import bodies
from quarterdeck.executor import tools as executor_tools
from quarterdeck.executor.hands import Done, Hands
from quarterdeck.tools.catalogue import CATALOGUE, tool
from quarterdeck.tools.tool import Tool

REFERENCE = Path(__file__).parents[2] / "docs/reference/tools.md"
EXECUTOR = [entry for entry in CATALOGUE.values() if entry.side == "executor"]
every_tool = pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.name)
every_body = pytest.mark.parametrize("entry", EXECUTOR, ids=lambda entry: entry.name)


def test_the_tools_that_flows_and_agents_count_on() -> None:
    assert set(CATALOGUE) == {
        "read_file", "read_files", "create_file_with_contents", "edit_file", "mkdir", "list_dir", "find_files", "grep",
        "run_command", "run_git_command", "create_commit", "todo_write", "get_pipeline_failing_jobs", "get_job_logs",
        "run_pipeline", "create_merge_request", "comment_on_merge_request", "get_merge_request", "list_pipelines",
        "get_pipeline", "get_issue", "list_issues", "create_issue", "update_issue", "create_issue_note",
        "list_issue_notes", "list_merge_requests", "list_merge_request_diffs", "create_merge_request_diff_note",
        "submit_review", "update_merge_request", "ci_linter", "blob_search", "get_repository_file",
        "list_repository_tree", "list_commits", "get_commit", "list_branches", "start_flow", "get_session_context",
        "notify_me_when", "clarification_question", "delegate_task", "final_response_tool",
    }  # fmt: skip


@every_tool
def test_a_definition_is_whole(entry: Tool) -> None:
    module = sys.modules[entry.args.__module__]
    assert module.__name__ == f"quarterdeck.tools.{entry.name}"
    assert 40 <= len(entry.description) <= 500
    assert 1 <= entry.timeout_seconds <= 7200
    match entry.risk:
        case "read":
            assert (entry.level, entry.parallel, entry.snapshot) == (Level.FULL, True, False)
        case "write":
            assert (entry.level, entry.parallel) == (Level.CONCISE, False)
        case "execute":
            assert not entry.parallel
    assert entry.snapshot == (entry.side == "executor" and entry.risk != "read")


@every_tool
def test_a_schema_says_what_each_argument_is(entry: Tool) -> None:
    schema = entry.schema()
    properties = schema.get("properties", {})
    assert (schema["type"], schema["additionalProperties"]) == ("object", False)
    assert isinstance(properties, dict)
    for name, field in entry.args.model_fields.items():
        assert field.description, f"{entry.name}.{name} has no description"
        shape = properties[name]
        assert isinstance(shape, dict)
        bounds = {"maxLength", "maxItems", "maxProperties", "maximum", "enum"}
        assert bounds & set(shape) or shape["type"] == "boolean" or "minimum" in shape, f"{name} has no bound"
    with pytest.raises(InvalidInputError, match="unknown_argument"):
        entry.parse({"unknown_argument": 1})


@every_tool
def test_it_has_its_line_in_the_reference(entry: Tool) -> None:
    what = (sys.modules[entry.args.__module__].__doc__ or "").strip()
    privilege = entry.privilege.value if entry.privilege else "none"
    line = f"| `{entry.name}` | {what} | {entry.risk} | {privilege} | {entry.level.value} |"
    assert line in REFERENCE.read_text(encoding="utf-8").splitlines()


@every_body
def test_a_body_has_the_shape_of_bodies(entry: Tool) -> None:
    run = bodies.body(entry.name)
    assert inspect.iscoroutinefunction(run)
    shape = inspect.signature(run, eval_str=True)
    assert [parameter.annotation for parameter in shape.parameters.values()] == [Hands, entry.args]
    assert shape.return_annotation is Done


@every_body
def test_a_body_raises_what_goes_wrong(entry: Tool) -> None:
    """Faults as text are made in one place; only a command's own failure is an outcome of its body."""
    source = inspect.getsource(import_module(f"{executor_tools.__name__}.{entry.name}"))
    if entry.name != "read_files":
        assert "Outcome.ERROR" not in source
        assert "error.message" not in source
    assert "except Exception" not in source
    assert "subprocess" not in source


def test_no_body_without_a_tool() -> None:
    assert {module.name for module in iter_modules(executor_tools.__path__)} == {entry.name for entry in EXECUTOR}
    with pytest.raises(NotFoundError):
        bodies.body("todo_write")


def test_a_wrong_name_is_told_the_near_ones() -> None:
    with pytest.raises(NotFoundError, match="run_command"):
        tool("run_comand")
    assert RESULT_CHARACTERS < OUTPUT_BYTES
