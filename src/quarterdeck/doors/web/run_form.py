"""The form that starts a session of a flow: its fields, what there is to choose from, and what is wrong with them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from quarterdeck.app import issues, merge_requests, model_rules, pipelines, repositories
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.model_choice import SCRIPTED
from quarterdeck.app.sessions import StartSession
from quarterdeck.core.flow import Flow
from quarterdeck.core.inputs import field_faults
from quarterdeck.core.text import finite, line
from quarterdeck.doors.export.terminal import plain
from quarterdeck.doors.web.drafts import WrongFieldsError, checked
from quarterdeck.doors.web.fields import Fields
from quarterdeck.doors.web.languages import gettext as _

ABOUT = {"pipeline": "pipeline_id", "issue": "issue_iid", "merge_request": "merge_request_iid"}
"""What a session is about is named by its number; the server knows the rest."""
SECTION = "run"
_NUMBER = re.compile(r"[0-9]{1,18}")
_FILLED = frozenset({"agent_platform_standard_context", "user_rule", "workspace_agent_skills"})
"""The server gives these by itself."""
CHOICES, BRANCHES, MODELS = 50, 200, 50
"""So many of the newest are offered; a page of an older one leads here with it chosen."""
_TITLE_CHARACTERS = 80

Option = tuple[str, str]
"""What can be chosen, and how it is shown."""


@dataclass(frozen=True)
class Wanted:
    """A field that a flow's inputs come to; `kind` is a type of JSON Schema, or `about`: one of what there is."""

    name: str
    label: str
    kind: str
    required: bool
    group: str = ""
    """The category of the input that it belongs to."""
    description: str = ""


@dataclass(frozen=True)
class Offers:
    """What there is to choose from."""

    about: Mapping[str, tuple[Option, ...]]
    branches: tuple[str, ...]
    models: tuple[str, ...]
    usual_model: str | None


def wanted_of(flow: Flow) -> list[Wanted]:
    """The fields that a flow's inputs come to."""
    found: list[Wanted] = []
    for one in flow.inputs:
        if one.category in ABOUT:
            required = not all(field.get("optional") for field in one.input_schema.values())
            label = {"pipeline": _("Pipeline"), "issue": _("Issue")}.get(one.category, _("Merge request"))
            found.append(Wanted(ABOUT[one.category], label, "about", required))
        elif one.category not in _FILLED:
            for field, schema in one.input_schema.items():
                kind, told = str(schema.get("type", "string")), str(schema.get("description") or "")
                name, required = f"{one.category}.{field}", not schema.get("optional")
                found.append(Wanted(name, words(field), kind, required, words(one.category), told))
    return found


def words(name: str) -> str:
    """A name of a flow file as people write it.

    >>> words("merge_request")
    'Merge request'
    """
    return name.replace("_", " ").replace("-", " ").strip().capitalize() or name


async def offers(app: App, actor: Actor, project_id: int, flow: Flow, *, scripted: bool) -> Offers:
    """What the project has to choose from, the newest first."""
    about: dict[str, tuple[Option, ...]] = {}
    for one in flow.inputs:
        match one.category:
            case "pipeline":
                runs = await pipelines.find(app, actor, project_id, limit=CHOICES)
                texts = [(x.id, f"#{x.id} {_(x.status.value)} · {x.ref} {x.sha[:8]}") for x in runs]
            case "issue":
                open_issues = await issues.find(app, actor, project_id, status="opened", limit=CHOICES)
                texts = [(x.iid, f"#{x.iid} {line(x.title, _TITLE_CHARACTERS)}") for x in open_issues]
            case "merge_request":
                requests = await merge_requests.find(app, actor, project_id, status="opened", limit=CHOICES)
                texts = [(x.iid, f"!{x.iid} {line(x.title, _TITLE_CHARACTERS)}") for x in requests]
            case _:
                continue
        about[ABOUT[one.category]] = tuple((str(number), plain(text)) for number, text in texts)
    rules = (await model_rules.show(app, actor)).rules
    named = [name for rule in rules for name in (rule.default, *rule.tags.values(), *rule.fallbacks) if name]
    return Offers(
        about=about,
        branches=tuple(one.name for one in (await repositories.branches(app, actor, project_id))[:BRANCHES]),
        models=tuple(dict.fromkeys([SCRIPTED, *named] if scripted else named))[:MODELS],
        usual_model=await model_rules.usual(app, actor, project_id, flow.name),
    )


def wish_of(flow: Flow, project_id: int, name: str, form: Fields) -> StartSession:
    """What to start. Raises WrongFieldsError with what is wrong, by the fields' names."""
    inputs, faults = _inputs(flow, form)
    if form.text("script") and form.text("model") != SCRIPTED:
        faults["script"] = _("A script answers in place of a language model: choose the model “scripted” with it.")
    if faults:
        raise WrongFieldsError(faults)
    about = {field: int(form.text(field)) for field in ABOUT.values() if _NUMBER.fullmatch(form.text(field))}
    free = {field: form.text(field) or None for field in ("title", "model", "script")}
    texts = {field: form.text(field) for field in ("goal", "ref")}
    values = {"project": project_id, "flow": name, "inputs": inputs, "origin": "web", **free, **texts, **about}
    return checked(StartSession, values)


def _inputs(flow: Flow, form: Fields) -> tuple[dict[str, JsonValue], dict[str, str]]:
    """The envelopes that a form was filled in with, and what is wrong, by the fields' names."""
    inputs: dict[str, dict[str, JsonValue]] = {}
    faults: dict[str, str] = {}
    for field in wanted_of(flow):
        category, _dot, name = field.name.partition(".")
        text = form.text(field.name)
        if field.required and not text:
            faults[field.name] = _("The flow needs this.")
        elif field.kind == "about" and text and not _NUMBER.fullmatch(text):
            faults[field.name] = _("This is no number.")
        elif field.kind != "about" and text:
            value, fault = _value(field, text)
            inputs.setdefault(category, {})[name] = value
            faults |= {field.name: fault} if fault else {}
    for one in flow.inputs:
        if one.category not in ABOUT and one.category not in _FILLED:
            for name, what in field_faults(one, inputs.get(one.category, {})).items():
                faults.setdefault(f"{one.category}.{name}", _("It %(what)s.") % {"what": what})
    return dict(inputs), faults


def _value(field: Wanted, text: str) -> tuple[JsonValue, str]:
    if field.kind == "string":
        return text, ""
    try:
        return json.loads(text, parse_constant=finite, parse_float=finite), ""
    except (ValueError, RecursionError):
        return text, _("It is of the type %(kind)s: write it as JSON.") % {"kind": field.kind}
