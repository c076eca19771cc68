"""The client library's models and calls, written from the API's own description.

A test makes them anew and compares, so that they can't fall behind. Bounds are left out: the server checks them, and
says what is wrong.
"""

import json
import keyword
import pkgutil
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litestar.serialization import encode_json

from codegen.types import Schema, docstring, model, reached, type_of
from quarterdeck import server
from quarterdeck.doors import api
from quarterdeck.doors.api.document import PATH, described
from quarterdeck.doors.http import application
from quarterdeck.settings import Settings

PACKAGE = Path(server.__file__).parent / "client"
GROUPS = sorted((one.name for one in pkgutil.iter_modules(api.__path__)), key=len, reverse=True)
LONG = ("forks_fork",)
"""Operations that take long though nothing is uploaded."""
_HEAD = '''"""{title} Written by `python3 dev.py client`: change the API instead.

Why this module is long: it has an entry for each part of the API.
"""
'''
_MODELS = """
from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from quarterdeck.client.model import Model

"""
_CALLS = """
from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import JsonValue

from quarterdeck.client import models
from quarterdeck.client.request import LONG_TIMEOUT, UNSET, Unset, part
"""


def document() -> Schema:
    """The API's description, as the server gives it out, without what only executors use."""
    with tempfile.TemporaryDirectory() as home:
        web = application(server.assemble(Settings(home=Path(home)), "postgresql://nobody@localhost/none"))
        whole: Schema = json.loads(encode_json(described(web.openapi_schema.to_schema(), web)))
    paths = {path: item for path, item in whole["paths"].items() if not path.startswith(f"{PATH}/executor/")}
    return {**whole, "paths": paths}


def files(api_document: Schema) -> dict[str, str]:
    """The generated modules by their names, not yet formatted."""
    schemas: dict[str, Schema] = api_document["components"]["schemas"]
    paths: dict[str, dict[str, Schema]] = api_document["paths"]
    calls = [_call(path, verb, one, schemas) for path, item in paths.items() for verb, one in item.items()]
    names = reached(schemas, "".join(call.text for call in calls))
    aliases_first = sorted(names, key=lambda name: ("properties" in schemas[name], name))
    entries = "\n\n".join(model(name, schemas[name]) for name in aliases_first)
    return {
        "models.py": _HEAD.format(title="What the API answers.") + _MODELS + re.sub(r"\bmodels\.", "", entries),
        "calls.py": _groups(calls, ""),
        "async_calls.py": _groups(calls, "Async"),
    }


def main() -> None:
    """Write the modules into the client's package, formatted."""
    for name, text in files(document()).items():
        (PACKAGE / name).write_text(formatted(text), encoding="utf-8")


def formatted(text: str) -> str:
    """`text` as the project's own tools leave it."""
    ruff = Path(sys.executable).with_name("ruff")
    for command in (["check", "--fix-only", "--quiet"], ["format", "--quiet"]):
        line = [ruff, *command, f"--stdin-filename={PACKAGE / 'generated.py'}", "-"]
        text = subprocess.run(line, input=text, capture_output=True, text=True, check=True).stdout
    return text


def _groups(calls: list["_Call"], form: str) -> str:
    """A class for each module of the API with its calls, and one that holds them all."""
    module = "async_connection" if form else "connection"
    imports = f"from quarterdeck.client.{module} import {form}Calls, {form}Transport, Content, Events\n"
    words = {"async_": "async ", "await_": "await "} if form else {"async_": "", "await_": ""}
    by_group: defaultdict[str, list[str]] = defaultdict(list)
    for call in calls:
        by_group[call.group].append(re.sub(r"«(\w+)»", lambda found: words[found[1]], call.text))
    lines = [_HEAD.format(title=f"The calls of the API{', for asyncio' if form else ''}."), _CALLS, imports]
    lines += ["", f"class {form}Groups:", '    """All calls, by their noun."""', ""]
    lines.append(f"    def __init__(self, transport: {form}Transport) -> None:")
    lines += [f"        self.{group} = {form}{_class(group)}(transport)" for group in by_group]
    for group, texts in by_group.items():
        about = f'    """Calls about {group.replace("_", " ")}."""'
        lines += ["", "", f"class {form}{_class(group)}({form}Calls):", about, "", *texts]
    return "\n".join(lines)


def _class(group: str) -> str:
    return "".join(word.capitalize() for word in group.split("_"))


@dataclass(frozen=True)
class _Call:
    """A method; `«async_»` and `«await_»` stand where the two forms differ."""

    group: str
    text: str


def _call(path: str, verb: str, operation: Schema, schemas: dict[str, Schema]) -> _Call:
    group = next(one for one in GROUPS if str(operation["operationId"]).startswith(f"{one}_"))
    name = str(operation["operationId"]).removeprefix(f"{group}_")
    positional, named = ["self"], list[str]()
    sent: defaultdict[str, list[str]] = defaultdict(list)
    taken: set[str] = set()

    def ask(given_name: str, place: str, schema: Schema, *, required: bool) -> None:
        variable = _variable(given_name, taken)
        taken.add(variable)
        kind = type_of(schema)
        if place == "path":
            positional.append(f"{variable}: {'int | str' if variable == 'project' else kind}")
        else:
            named.append(f"{variable}: {kind}" if required else f"{variable}: {kind} | Unset = UNSET")
            sent[place].append(f'"{given_name}": {variable}')

    for one in operation.get("parameters", ()):
        ask(str(one["name"]), str(one["in"]), one["schema"], required=bool(one["required"]))
    body: Schema = operation.get("requestBody", {}).get("content", {})
    if "application/json" in body:
        whole = body["application/json"]["schema"]
        fields = schemas[str(whole["$ref"]).rpartition("/")[2]]
        for field, schema in fields["properties"].items():
            ask(field, "body", schema, required=field in fields.get("required", ()))
        named.sort(key=lambda one: one.endswith("UNSET"))
    elif body:
        positional.append("content: Content")
    arguments = [f'"{verb.upper()}"', _path(path)]
    method, answer, coroutine = _answer(operation, arguments)
    arguments += [f"{place}={{{', '.join(values)}}}" for place, values in sent.items()]
    if "content: Content" in positional:
        arguments += ["content=content", f'content_type="{next(iter(body))}"']
    if "content: Content" in positional or operation["operationId"] in LONG:
        arguments.append("timeout=LONG_TIMEOUT")
    said = {"description": f"{operation['summary']}. {operation.get('description', '')}"}
    heading = ", ".join([*positional, *(["*", *sorted(named, key=lambda one: one.endswith("UNSET"))] if named else [])])
    return _Call(
        group,
        f"    {'«async_»' if coroutine else ''}def {name}({heading}) -> {answer}:\n        {docstring(said, 8)}\n"
        f"        return {'«await_»' if coroutine else ''}self.{method}({', '.join(arguments)})\n",
    )


def _variable(name: str, taken: set[str]) -> str:
    variable = name.lower().replace("-", "_")
    return f"{variable}_" if keyword.iskeyword(variable) or variable in taken else variable


def _path(path: str) -> str:
    below = path.removeprefix(PATH)
    parts = re.sub(r"\{(\w+)\}", r"{part(\1)}", below)
    return f'f"{parts}"' if parts != below else f'"{below}"'


def _answer(operation: Schema, arguments: list[str]) -> tuple[str, str, bool]:
    """How it is asked, what it answers, and whether that is awaited; a JSON answer's type is another argument."""
    status, given = next((status, one) for status, one in operation["responses"].items() if status.startswith("2"))
    content: dict[str, Any] = given.get("content", {})
    if status == "204" or not content:
        return "_do", "None", True
    if "text/event-stream" in content:
        return "_events", "Events", False
    if "application/json" in content:
        kind = type_of(content["application/json"]["schema"])
        arguments.append(kind)
        return "_send", kind, True
    return "_read", "bytes", True


if __name__ == "__main__":
    main()
