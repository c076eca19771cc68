"""Routers, and whether everything in a flow can be come to."""

from quarterdeck.core.component import AgentComponent, HumanInputComponent, InputSource
from quarterdeck.core.flow import ABORT, END, Router
from quarterdeck.flows.document import Document, Path
from quarterdeck.flows.shape import Draft
from quarterdeck.flows.sources import check_source

DEFAULT_ROUTE = "default_route"
RESULTS = {"execution_result": ("failed", "success"), "approval": ("approve", "reject")}
"""All values that these outputs have."""


def targets(router: Router) -> dict[Path, str]:
    """Where a router may go, by the path inside it."""
    found: dict[Path, str] = {} if router.to is None else {("to",): router.to}
    if router.condition is not None:
        found.update({("condition", "routes", key): name for key, name in router.condition.routes.items()})
    return found


def check(document: Document, draft: Draft) -> None:
    """Notes routers that lead nowhere, and components that nothing leads to."""
    seen: set[str] = set()
    for path, router in draft.routers.items():
        at = (*path, "from")
        if router.source not in draft.names:
            document.fault(at, f"there is no component {router.source!r}", document.closest(router.source, draft.names))
        if router.source in draft.subagents:
            document.fault(at, f"{router.source!r} is a subagent: when it is done, the agent that delegated goes on")
        if router.source in seen:
            document.fault(at, f"{router.source!r} has a router already; this one would never be used")
        seen.add(router.source)
        if (router.to is None) == (router.condition is None):
            document.fault(path, "a router has either `to` or a `condition`")
        for inner, name in targets(router).items():
            if name not in (END, ABORT, *draft.names):
                hint = document.closest(name, (END, ABORT, *draft.names))
                document.fault((*path, *inner), f"there is no component {name!r}", hint)
            if name in draft.subagents:
                hint = "Take it out of `subagents`, or write a second component"
                document.fault((*path, *inner), f"{name!r} is a subagent; only its agent comes to it", hint)
        if router.condition is not None:
            _condition(document, draft, router.condition.input, (*path, "condition", "input"))
            _routes(document, draft, router.condition.input, router.condition.routes, (*path, "condition", "routes"))
    _reached(document, draft)


def _condition(document: Document, draft: Draft, source: InputSource, path: Path) -> None:
    if source.literal or source.source.startswith("conversation_history:"):
        document.fault(path, "a router reads context or status only")
    else:
        check_source(document, draft, source, path)


def _routes(document: Document, draft: Draft, source: InputSource, routes: dict[str, str], path: Path) -> None:
    if not routes:
        document.fault(path, "there is no route in it")
    owner, _, output = source.source.removeprefix("context:").partition(".")
    component = next((one for one in draft.components.values() if one.name == owner), None)
    values = RESULTS.get(output)
    if component is None or values is None or isinstance(component, AgentComponent):
        return
    for key in routes.keys() - {*values, DEFAULT_ROUTE}:
        document.note((*path, key), f"{output} is never {key!r}", f"It is {' or '.join(values)}")
    asks = isinstance(component, HumanInputComponent) and component.interaction_type == "input"
    if DEFAULT_ROUTE not in routes and not asks:
        for value in {*values} - routes.keys():
            document.note(path, f"there is no route for {value!r}, which would end the session")


def _reached(document: Document, draft: Draft) -> None:
    if not draft.entry_point:
        document.fault(("flow",), "it has no entry_point")
        return
    if draft.entry_point not in draft.names:
        hint = document.closest(draft.entry_point, draft.names)
        document.fault(("flow", "entry_point"), f"there is no component {draft.entry_point!r}", hint)
        return
    if draft.entry_point in draft.subagents:
        what = f"{draft.entry_point!r} is a subagent; a flow begins with what others don't delegate to"
        document.fault(("flow", "entry_point"), what)
    subagents = {
        one.name: {use.name for use in one.subagents}
        for one in draft.components.values()
        if isinstance(one, AgentComponent)
    }
    reached, new = {draft.entry_point}, {draft.entry_point}
    while new:
        routed = {
            name for router in draft.routers.values() if router.source in new for name in targets(router).values()
        }
        new = (routed | {name for one in new for name in subagents.get(one, ())}) - reached
        reached |= new
    for path, component in draft.components.items():
        if component.name not in reached:
            document.fault((*path, "name"), f"no way leads from {draft.entry_point!r} to {component.name!r}")
