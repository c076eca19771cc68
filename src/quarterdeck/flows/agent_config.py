"""Reads a project's `agent-config.yml`: strict in what it knows, and with a note on all that has no effect."""

import json
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from quarterdeck.core.agent_config import FILE_BYTES
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.network import REGISTRIES, rules
from quarterdeck.flows.document import Document, Path, closest, read

DOMAINS = 1_000
IMAGE_CHARACTERS = 512
_IDLE = {
    "image": "there is no executor with containers here, so commands run with the programs of the runner's machine",
    "cache": "nothing is kept between sessions",
    "id_tokens": "no such tokens are made here",
}


@dataclass(frozen=True)
class Asked:
    """What the file asks for."""

    setup_script: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    """What makes it unusable, as `line:column path: what`; then it asks for nothing."""
    notes: tuple[str, ...] = ()


_Domains = Annotated[tuple[str, ...], Field(max_length=DOMAINS)]


class _Network(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    allowed_domains: _Domains = ()
    denied_domains: _Domains = ()
    include_recommended_allowed: bool = False
    allow_all_unix_sockets: bool = False


class _Top(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    setup_script: tuple[str, ...] = ()
    network_policy: _Network = _Network()
    image: Annotated[str, Field(max_length=IMAGE_CHARACTERS)] = ""
    cache: JsonValue = None
    id_tokens: JsonValue = None


def read_config(text: str) -> Asked:
    """What is in the file, with everything that is wrong with it at once."""
    document = read(text, FILE_BYTES)
    top = document.value
    if document.faults or top is None:
        return Asked(**_findings(document))
    if not isinstance(top, dict):
        document.fault((), "it is a mapping with setup_script, network_policy and the like")
        return Asked(**_findings(document))
    known = _without_unknown(document, top)
    try:
        asked = _Top.model_validate_json(json.dumps(known), strict=True)
    except ValidationError as error:
        document.fitting_faults((), error.errors(include_url=False))
        return Asked(**_findings(document))
    policy = asked.network_policy
    for name in ("allowed_domains", "denied_domains"):
        _check(document, name, getattr(policy, name))
    for name, why in _IDLE.items():
        if known.get(name) is not None:
            document.note((name,), f"it has no effect: {why}")
    if policy.allow_all_unix_sockets:
        document.note(("network_policy", "allow_all_unix_sockets"), "it has no effect: a sandbox has its own sockets")
    found = _findings(document)
    if document.faults:
        return Asked(**found)
    recommended = (REGISTRIES,) if policy.include_recommended_allowed else ()
    return Asked(asked.setup_script, (*policy.allowed_domains, *recommended), policy.denied_domains, **found)


def _without_unknown(document: Document, top: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The keys that are known; the others may be of a later version, or mistyped, and are noted."""
    known = _known(document, (), top, _Top)
    policy = known.get("network_policy")
    if isinstance(policy, dict):
        known["network_policy"] = _known(document, ("network_policy",), policy, _Network)
    if isinstance(script := known.get("setup_script"), str):
        known["setup_script"] = [script]
    return {name: value for name, value in known.items() if value is not None}


def _known(document: Document, at: Path, values: dict[str, JsonValue], model: type[BaseModel]) -> dict[str, JsonValue]:
    for name in values:
        if name not in model.model_fields:
            document.note((*at, name), "unknown key, it has no effect", closest(name, model.model_fields))
    return {name: value for name, value in values.items() if name in model.model_fields}


def _check(document: Document, name: str, domains: tuple[str, ...]) -> None:
    for number, domain in enumerate(domains):
        try:
            rules(domain)
        except InvalidInputError as error:
            document.fault(("network_policy", name, number), error.message)


def _findings(document: Document) -> dict[str, tuple[str, ...]]:
    found = document.findings()
    return {
        f"{severity}s": tuple(str(one) for one in found if one.severity == severity) for severity in ("fault", "note")
    }
