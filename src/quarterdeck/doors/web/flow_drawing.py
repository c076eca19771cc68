"""A flow as a picture: its components as boxes, and the ways that its routers and its agents go."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import assert_never

from quarterdeck.core.component import (
    AgentComponent,
    Component,
    DeterministicStepComponent,
    HumanInputComponent,
    OneOffComponent,
)
from quarterdeck.core.flow import ABORT, END, Flow, Router
from quarterdeck.doors.export.terminal import plain
from quarterdeck.doors.web import graph
from quarterdeck.doors.web.graph import Edge, Node, Point, Way
from quarterdeck.doors.web.languages import gettext as _
from quarterdeck.doors.web.languages import ngettext
from quarterdeck.flows.shape import Draft
from quarterdeck.flows.ways import DEFAULT_ROUTE

START = ":start"
"""The names of components have no colon, so it is none of them."""
_LETTER, _SMALL_LETTER = 8.0, 7.0
"""Widths of a letter of the picture's fonts; the names' has letters of one width."""
_NAME_LETTERS, _LABEL_LETTERS = 26, 24
_PADDING = 26.0
_LEAST, _PILL = 120.0, 70.0
_PILL_HEIGHT = 30.0
_DRAWINGS = 64


@dataclass(frozen=True)
class Plan:
    """What of a flow is drawn; also of one that has faults, as far as it can be read."""

    components: tuple[Component, ...]
    routers: tuple[Router, ...]
    entry_point: str
    chats: bool = False

    @classmethod
    def of(cls, flow: Flow) -> "Plan":
        """The plan of a flow that can be used."""
        return cls(flow.components, flow.routers, flow.entry_point, flow.chats)

    @classmethod
    def draft(cls, draft: Draft) -> "Plan":
        """What there is of one that can't."""
        return cls(tuple(draft.components.values()), tuple(draft.routers.values()), draft.entry_point)


@dataclass(frozen=True)
class Turn:
    """Where a flow goes from a component: `when` it is so, empty for always."""

    source: str
    target: str
    when: tuple[str, ...] = ()
    """The values of what is compared; empty for all others, or for a way without a condition."""
    compared: str = ""
    delegates: bool = False

    @property
    def label(self) -> str:
        """The words at the edge."""
        if self.delegates:
            return _("delegates")
        words = [_("else") if value == DEFAULT_ROUTE else value for value in self.when]
        return _cut(", ".join(words), _LABEL_LETTERS)

    @property
    def words(self) -> str:
        """The same as a sentence's beginning, with what is compared."""
        if self.delegates:
            return _("delegates to")
        named = [value for value in self.when if value != DEFAULT_ROUTE]
        told = [_("%(what)s is %(values)s") % {"what": self.compared, "values": ", ".join(named)}] if named else []
        return "; ".join((*told, *([_("else")] if DEFAULT_ROUTE in self.when else [])))


@dataclass(frozen=True)
class Box:
    """A component or an end of the flow, drawn with the class `look`."""

    name: str
    kind: str
    look: str
    x: float
    y: float
    """The middle."""
    width: float
    height: float


@dataclass(frozen=True)
class Line:
    """A way between boxes: `d` is its path, with words in its middle if it has any."""

    d: str
    look: str
    label: str
    at: Point
    width: float
    told: str


@dataclass(frozen=True)
class Drawing:
    """All of the picture."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]


def kind(component: Component) -> str:
    """What a component is, in two words or three."""
    match component:
        case AgentComponent():
            return _("Agent")
        case DeterministicStepComponent():
            return component.tool_name
        case OneOffComponent():
            return _("One round of tools")
        case HumanInputComponent():
            return _("Asks for approval") if component.interaction_type == "approval" else _("Asks a question")
        case _:
            assert_never(component)


def turns(plan: Plan) -> list[Turn]:
    """All ways of a flow, those to one component together; where no router leads on, it ends."""
    found: list[Turn] = []
    for component in plan.components:
        router = next((one for one in plan.routers if one.source == component.name), None)
        subagents = component.subagents if isinstance(component, AgentComponent) else ()
        found += [Turn(component.name, use.name, delegates=True) for use in subagents]
        if router is None:
            found += [] if component.name in _subagents(plan) else [Turn(component.name, END)]
        elif router.condition is None:
            found += [Turn(component.name, router.to)] if router.to else []
        else:
            routes, compared = router.condition.routes, router.condition.input.source.removeprefix("context:")
            for target in dict.fromkeys(routes.values()):
                when = tuple(value for value, leads in routes.items() if leads == target)
                found.append(Turn(component.name, target, when, compared))
    return found


def _subagents(plan: Plan) -> set[str]:
    return {use.name for one in plan.components if isinstance(one, AgentComponent) for use in one.subagents}


@lru_cache(_DRAWINGS)
def _layout(nodes: tuple[Node, ...], edges: tuple[Edge, ...]) -> graph.Layout | None:
    """Flows are looked at again and again, and a picture takes its time."""
    return graph.layout(nodes, edges, bottom=(END, ABORT))


def draw(plan: Plan) -> Drawing | None:
    """The picture; None of what is too large for one, or of nothing."""
    ways = turns(plan)
    if plan.entry_point:
        ways.insert(0, Turn(START, plan.entry_point))
    boxes = _boxes(plan, ways)
    if len(boxes) > graph.NODES or not plan.components:
        return None
    nodes = tuple(Node(name, width) for name, (_name, _kind, _look, width) in boxes.items())
    edges = tuple(Edge(way.source, way.target, _width(way.label, _SMALL_LETTER, 12)) for way in ways)
    found = _layout(nodes, edges)
    if found is None:
        return None
    return Drawing(
        width=round(found.width),
        height=round(found.height),
        boxes=tuple(_box(*box, at) for box, at in zip(boxes.values(), found.places.values(), strict=True)),
        lines=tuple(_line(turn, way) for turn, way in zip(ways, found.ways, strict=True)),
    )


def _box(name: str, told: str, look: str, width: float, at: Point) -> Box:
    """What begins and what ends is lower than the rest, and stands where its edge is."""
    if told:
        return Box(name, told, look, round(at.x, 1), round(at.y, 1), width, graph.NODE_HEIGHT)
    lower = (graph.NODE_HEIGHT - _PILL_HEIGHT) / 2 * (1 if look == "start" else -1)
    return Box(name, told, look, round(at.x, 1), round(at.y + lower, 1), width, _PILL_HEIGHT)


def _told(component: Component) -> str:
    """The second line of a box."""
    if not isinstance(component, AgentComponent) or not component.toolset:
        return kind(component)
    tools = len(component.toolset)
    return f"{kind(component)} · {ngettext('%(num)s tool', '%(num)s tools', tools) % {'num': tools}}"


def _boxes(plan: Plan, ways: Sequence[Turn]) -> dict[str, tuple[str, str, str, float]]:
    """By name: what is written in the box and under it, its class and its width."""
    found: dict[str, tuple[str, str, str, float]] = {}
    if plan.entry_point:
        found[START] = _("Start"), "", "start", _PILL
    for one in plan.components:
        name, told = _cut(one.name, _NAME_LETTERS), _cut(_told(one), _NAME_LETTERS)
        width = max(_LEAST, _width(name, _LETTER, _PADDING), _width(told, _SMALL_LETTER, _PADDING))
        found[one.name] = name, told, _LOOKS[one.type], width
    ends = {END: _("Rests") if plan.chats else _("End"), ABORT: _("Aborts")}
    for name in (way.target for way in ways):
        if name in ends:
            found.setdefault(name, (ends[name], "", name, _width(ends[name], _LETTER, _PADDING)))
        elif name not in found:
            told = _cut(name, _NAME_LETTERS)
            found[name] = told, _("is missing"), "missing", max(_LEAST, _width(told, _LETTER, _PADDING))
    return found


_LOOKS = {
    "AgentComponent": "agent",
    "OneOffComponent": "agent",
    "DeterministicStepComponent": "step",
    "HumanInputComponent": "human",
}


def _line(turn: Turn, way: Way) -> Line:
    looks = ("way", *(["back"] if way.back else []), *(["delegates"] if turn.delegates else []))
    return Line(
        d=_path(way),
        look=" ".join(looks),
        label=turn.label,
        at=Point(round(way.label.x, 1), round(way.label.y, 1)),
        width=way.edge.label,
        told=turn.words,
    )


def _path(way: Way) -> str:
    """Curves that leave and meet each point upright, and straight down where nothing turns."""
    first, *others = way.points
    if way.edge.source == way.edge.target:
        middle, last = others
        bend = f"C{middle.x:.0f} {first.y + 6:.0f} {middle.x:.0f} {last.y - 6:.0f} {last.x:.0f} {last.y:.0f}"
        return f"M{first.x:.0f} {first.y:.0f}{bend}"
    found, before = [f"M{first.x:.0f} {first.y:.0f}"], first
    for point in others:
        half = (before.y + point.y) / 2
        bend = f"C{before.x:.0f} {half:.0f} {point.x:.0f} {half:.0f} {point.x:.0f} {point.y:.0f}"
        found.append(f"V{point.y:.0f}" if abs(point.x - before.x) < 1 else bend)
        before = point
    return "".join(found)


def _width(text: str, letter: float, padding: float) -> float:
    return _cells(text) * letter + padding if text else 0


def _cells(text: str) -> int:
    """How many letters of one width a text takes; those of Chinese, Japanese and Korean are twice as wide."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _cut(text: str, most: int) -> str:
    """`text` on one line, as far as there is room."""
    flat = " ".join(plain(text).split())
    if _cells(flat) <= most:
        return flat
    while _cells(flat) > most - 1:
        flat = flat[:-1]
    return f"{flat}…"
