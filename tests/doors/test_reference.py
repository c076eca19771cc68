"""No command, option and route is undocumented."""

from pathlib import Path
from typing import Any

import typer

from quarterdeck.doors.cli.failure import Exit
from quarterdeck.doors.cli.main import app as cli
from tests.doors.conftest import Api

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
GLOBAL = {"server", "token_file", "as_json", "help"}


def test_every_command_and_option_is_documented() -> None:
    text = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    root: Any = typer.main.get_command(cli)
    for name, command in _commands(root, "qd"):
        rows = [row for row in text.splitlines() if row.startswith((f"| `{name} ", f"| `{name}`"))]
        assert len(rows) == 1, name
        options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
        for option in (one for one in options if one.name not in GLOBAL):
            assert any(f"`{word}`" in rows[0] for word in option.opts), (name, option.opts)
    for status in Exit:
        assert f"| {status.value} |" in text


def _commands(command: Any, name: str) -> list[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if not inner:
        return [(name, command)]
    return [found for word, child in inner.items() for found in _commands(child, f"{name} {word}")]


async def test_every_route_is_documented(api: Api) -> None:
    text = (REFERENCE / "api.md").read_text(encoding="utf-8")
    document: dict[str, Any] = (await api.client.get("/api/v1/openapi.json")).json()
    for path, item in document["paths"].items():
        for verb in item:
            assert f"`{verb.upper()} {path.removeprefix('/api/v1')}`" in text
