"""The reference says what there is: nothing is undocumented, and nothing documented is gone."""

import importlib
import inspect
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

import quarterdeck
from quarterdeck.core import events
from quarterdeck.core.access import INITIATOR_ABILITIES, LEAST_ROLE
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.events import EventClass, Payload
from quarterdeck.doors import problem
from quarterdeck.doors.cli.main import app as cli
from quarterdeck.flows.library import Library
from quarterdeck.settings import Settings
from quarterdeck.tools.catalogue import CATALOGUE
from tests.docs.conftest import ROOT

REFERENCE = ROOT / "docs" / "reference"
FLOWS = ROOT / "docs" / "flows"
KINDS: tuple[type[Payload], ...] = get_args(get_args(events.AnyPayload)[0])
EVERYWHERE = {"server", "token_file", "as_json", "help"}
HOME_DEFAULT = "`/var/lib/quarterdeck` for root, `~/.local/share/quarterdeck` for others"


def text(page: str) -> str:
    return (REFERENCE / page).read_text(encoding="utf-8")


def rows(of: str) -> dict[str, list[str]]:
    """The tables' rows that begin with a name in backticks: the name, and the other cells."""
    found: dict[str, list[str]] = {}
    for line in of.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `") and (name := re.match(r"`([^`]+)`", cells[0])):
            assert name[1] not in found, f"{name[1]} is there twice"
            found[name[1]] = cells[1:]
    return found


def test_settings() -> None:
    wanted: dict[str, list[str]] = {}
    for name, field in Settings.model_fields.items():
        assert field.description, f"{name} has no description"
        variable = str(field.validation_alias or f"QUARTERDECK_{name.upper()}")
        value: object = field.default
        shown = f"`{str(value).lower() if isinstance(value, bool) else value}`" if value not in (None, "") else "none"
        wanted[variable] = [HOME_DEFAULT if field.default_factory else shown, field.description]
    assert rows(text("settings.md")) == wanted


@pytest.mark.parametrize("event_class", EventClass)
def test_event_kinds(event_class: EventClass) -> None:
    """A field with `?` has a default; the sentence is the docstring's."""
    title = {EventClass.WORK: "Work", EventClass.RECORD: "Records"}[event_class]
    section = text("events.md").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    wanted: dict[str, list[str]] = {}
    for kind in KINDS:
        fields = [
            f"`{name}{'' if field.is_required() else '?'}`"
            for name, field in kind.model_fields.items()
            if name != "kind"
        ]
        sentence = " ".join((kind.__doc__ or "").split())
        if kind.event_class is event_class:
            name = str(kind.model_fields["kind"].default)
            wanted[name] = [kind.default_level.value, sentence, ", ".join(fields)]
    assert rows(section) == wanted


def _classes(kind: type[QuarterdeckError] = QuarterdeckError) -> Iterator[type[QuarterdeckError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _classes(child)


def test_error_codes_and_their_statuses() -> None:
    """One status for a code; `none` where no error of that code is raised for a request."""
    skipped = ("quarterdeck.store.migrations", "quarterdeck.forges.local.sample.")
    for module in pkgutil.walk_packages(quarterdeck.__path__, "quarterdeck."):
        if not module.name.startswith(skipped) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    wanted: dict[str, str] = dict.fromkeys((kind.code for kind in _classes()), "none")
    for kind in _classes():
        status = problem.status_of(kind.__new__(kind)).value
        elsewhere = kind.__module__.startswith(
            ("quarterdeck.engine", "quarterdeck.executor", "quarterdeck.supervisor", "quarterdeck.store.schema")
        )
        if kind.__module__ == "quarterdeck.store.embedded.fault" or (status == 500 and elsewhere):
            continue
        assert wanted[kind.code] in ("none", str(status)), f"{kind.code} has two statuses"
        wanted[kind.code] = str(status)
    of_doors = re.findall(r"^    (\d{3}): \"(\w+)\",$", inspect.getsource(problem), re.MULTILINE)
    wanted |= {code: status for status, code in of_doors} | {"internal": "500"}
    assert {code: cells[0] for code, cells in rows(text("errors.md")).items()} == wanted


def test_roles() -> None:
    """The page of the one table: each ability, and from which role on."""
    told = {name: cells for name, cells in rows(text("roles.md")).items()}
    least = {ability.value: role.name.capitalize() for ability, role in LEAST_ROLE.items()}
    assert {name: cells[0] for name, cells in told.items()} == least
    assert {name for name, cells in told.items() if cells[2] == "yes"} == set(INITIATOR_ABILITIES)


def test_tools() -> None:
    """Each tool's line is compared by the contract of tools; here none may be left of one that is gone."""
    assert set(rows(text("tools.md"))) == set(CATALOGUE)


def _commands(command: Any, name: str) -> dict[str, Any]:
    inner = getattr(command, "commands", None)
    if not inner:
        return {name: command}
    return {key: found for word, child in inner.items() for key, found in _commands(child, f"{name} {word}").items()}


def test_commands_and_options() -> None:
    """Options that every command has stand in the page's first paragraph."""
    root: Any = typer.main.get_command(cli)
    commands = _commands(root, "qd")
    documented = {re.sub(r" \[?[A-Z]{2,}\]?", "", name): cells for name, cells in rows(text("cli.md")).items()}
    documented = {name: cells for name, cells in documented.items() if name.startswith("qd ")}
    assert set(documented) == set(commands)
    for name, (what, options) in documented.items():
        asked = [one for one in commands[name].params if one.param_type_name == "option" and not one.hidden]
        known = {word for one in asked for word in one.opts}
        told = set(re.findall(r"`(--[\w-]+)`", options))
        assert told <= known, name
        for one in asked:
            assert one.name in EVERYWHERE or told & set(one.opts), (name, one.opts)
        assert what == (commands[name].help or "").partition("\n\n")[0], name


@pytest.mark.parametrize("page", sorted(FLOWS.glob("*.md")), ids=lambda page: page.stem)
def test_commands_of_flow_pages(page: Path) -> None:
    """They aren't typed here, for most need a model; what they consist of is there."""
    commands = _commands(typer.main.get_command(cli), "qd")
    lines = re.findall(r"^qd .*$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert lines
    for words in map(shlex.split, lines):
        command = commands.get(" ".join(words[:3])) or commands[" ".join(words[:2])]
        known = {word for one in command.params for word in one.opts}
        assert {word for word in words if re.fullmatch(r"--[a-z-]+", word)} <= known, words
        if "--flow" in words:
            assert words[words.index("--flow") + 1] == f"{page.stem}/v1"


def test_flows() -> None:
    """A flow that ships has a section and a page of its name; one that is spoken of with a full version ships."""
    library = Library(CATALOGUE)
    page = text("flows.md")
    for name in {name.partition("/")[0] for name in library.names()}:
        assert f"\n## {name}\n" in page
        own = (FLOWS / f"{name}.md").read_text(encoding="utf-8")
        assert own.lower().startswith(f"# {name}")
        flow = library.read(library.shipped(name)[0])
        assert flow.chats or {one.name for one in flow.components} <= set(re.findall(r"`(\w+)`", own)), name
    for name in re.findall(r"\b([a-z_]+/\d+\.\d+\.\d+)\b", page):
        assert name in library.names()
