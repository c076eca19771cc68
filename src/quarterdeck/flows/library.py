"""The flows that ship, as `<name>/<version>.yml` beside this module, and the way to read any other."""

from functools import cached_property, lru_cache, partial
from hashlib import sha256
from importlib.resources import files

from quarterdeck.core import limits
from quarterdeck.core.component import HumanInputComponent, Prompted
from quarterdeck.core.errors import InvalidInputError, NotFoundError
from quarterdeck.core.flow import NAME, Examined, Flow
from quarterdeck.core.versions import newest, version
from quarterdeck.flows import prompts
from quarterdeck.flows.document import REPORTED_FAULTS, closest
from quarterdeck.flows.reader import examine, read_flow
from quarterdeck.flows.toolsets import Tools

_FLOW = ".yml"
_SCRIPT = ".script.yml"
PINNED_FLOWS = 100
"""So many are kept read: each step of a session asks for its own, and most that are given or listed were before."""


class Library:
    """Implements `app.outside.FlowLibrary`; `tools` is the catalogue that flows are checked with."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._given = lru_cache(PINNED_FLOWS)(partial(read_flow, tools=tools))
        self._examined = lru_cache(PINNED_FLOWS)(partial(_examined, tools=tools))
        self._read: dict[str, Flow] = {}
        self._pinned: dict[str, Flow] = {}

    def shipped(self, name: str) -> tuple[str, str | None]:
        """The YAML of a flow that ships, and that of its script if it has one.

        `fix_pipeline` and `fix_pipeline/v1` are the newest 1.x.y, `fix_pipeline/1.0.0` that one; constraints such as
        `fix_pipeline/^1.2.0` work too.

        Raises:
            NotFoundError: names the flows that there are.
        """
        flow, _, wanted = name.partition("/")
        versions = [text.partition("/")[2] for text in self._texts if text.partition("/")[0] == flow]
        try:
            found = newest(versions, wanted or "v1")
        except InvalidInputError as error:
            raise NotFoundError(f"There is no flow {name!r}: {error.message}") from error
        if found is None:
            hint = closest(name, self._texts)
            raise NotFoundError(f"There is no flow {name!r}." + (f" {hint}." if hint else ""))
        return self._texts[f"{flow}/{found}"]

    def names(self) -> list[str]:
        """The flows that ship, as `name/version`."""
        return list(self._texts)

    def read(self, text: str, *, most: int = limits.FLOW_BYTES) -> Flow:
        """A flow from YAML; one whose text ships is known by the name and version that it ships under.

        Raises:
            InvalidInputError: every fault with its line.
        """
        for name, (shipped, _) in self._texts.items():
            if shipped == text:
                return self._shipped_flow(name, text)
        return self._given(text, most=most)

    def pinned(self, text: str) -> Flow:
        """The flow of a session that was started with it: checked then, by the rules and with the tools of that time.

        Raises:
            InvalidInputError: this version can't read its shape any more.
        """
        digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        if digest not in self._pinned:
            flow = self._read_pinned(text)
            while len(self._pinned) >= PINNED_FLOWS:
                del self._pinned[next(iter(self._pinned))]
            self._pinned[digest] = flow
        return self._pinned[digest]

    def known(self, digest: str) -> Flow | None:
        """The pinned flow whose text has this SHA-256, if it was read not long ago."""
        return self._pinned.get(digest)

    def _read_pinned(self, text: str) -> Flow:
        shipped = next((name for name, (known, _) in self._texts.items() if known == text), None)
        if shipped is not None:
            return self._shipped_flow(shipped, text)
        reading = examine(text, None, most=limits.PINNED_FLOW_BYTES)
        reading.document.refuse("The flow")
        if reading.flow is None:
            raise AssertionError("refused above")
        return reading.flow

    def examine(self, text: str) -> Examined:
        """What a flow says of itself, also when it can't be used."""
        return self._examined(text)

    def render(self, flow: Flow, component: str, values: dict[str, object]) -> tuple[str, str]:
        """A component's system and user text; what asks a person has only the second.

        Raises:
            InvalidInputError: the component has no text, or the template is wrong or comes to too much of it.
        """
        of = flow.component(component)
        if isinstance(of, HumanInputComponent):
            return "", prompts.render(of.message_template, values)
        if not isinstance(of, Prompted):
            raise InvalidInputError(f"{component!r} is no agent; it has no prompt.")
        template = flow.prompt(of.prompt_id).prompt_template
        return prompts.render(template.system, values), prompts.render(template.user, values)

    def _shipped_flow(self, name: str, text: str) -> Flow:
        if name not in self._read:
            flow, _, number = name.partition("/")
            self._read[name] = read_flow(text, self._tools, name=flow, version=number)
        return self._read[name]

    @cached_property
    def _texts(self) -> dict[str, tuple[str, str | None]]:
        found: dict[str, tuple[str, str | None]] = {}
        for folder in files("quarterdeck.flows").iterdir():
            if not folder.is_dir() or folder.name.startswith(("_", ".")):
                continue
            texts = {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(_FLOW)}
            for file, text in texts.items():
                if not file.endswith(_SCRIPT):
                    stem = file.removesuffix(_FLOW)
                    found[f"{folder.name}/{stem}"] = text, texts.get(f"{stem}{_SCRIPT}")
        return dict(
            sorted(found.items(), key=lambda item: (item[0].partition("/")[0], version(item[0].partition("/")[2])))
        )


def _examined(text: str, tools: Tools) -> Examined:
    reading = examine(text, tools)
    document, flow = reading.document, reading.flow
    top = document.value if isinstance(document.value, dict) else {}
    name, description = top.get("name"), top.get("description")
    faults = [str(one) for one in document.findings() if one.severity == "fault"]
    return Examined(
        name=name if isinstance(name, str) and NAME.fullmatch(name) else "",
        description=description if isinstance(description, str) else "",
        faults=tuple(faults[:REPORTED_FAULTS]),
        environment=flow.environment if flow else "",
        workspace=flow is not None and flow.workspace,
    )
