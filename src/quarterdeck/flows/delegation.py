"""Subagents: who may delegate to whom."""

from quarterdeck.core.component import AgentComponent
from quarterdeck.flows.document import Document, Path
from quarterdeck.flows.shape import Draft


def check(document: Document, draft: Draft) -> None:
    """Notes subagents that are none, that are told nothing of, and circles of delegation."""
    agents = {one.name: one for one in draft.components.values() if isinstance(one, AgentComponent)}
    for path, lead in draft.components.items():
        if not isinstance(lead, AgentComponent):
            continue
        seen: set[str] = set()
        for index, use in enumerate(lead.subagents):
            at = (*path, "subagents", index)
            if use.name in seen:
                document.fault(at, f"the subagent {use.name!r} is there twice")
            seen.add(use.name)
            if use.name not in draft.names:
                document.fault(at, f"there is no component {use.name!r}", document.closest(use.name, agents))
            elif use.name not in agents:
                if any(one.name == use.name for one in draft.components.values()):
                    document.fault(at, f"{use.name!r} is no AgentComponent", document.closest(use.name, agents))
            else:
                _fits(document, agents, lead.name, use.name, at)


def _fits(document: Document, agents: dict[str, AgentComponent], lead: str, name: str, at: Path) -> None:
    if lead in _below(agents, name):
        document.fault(at, f"{name!r} would come to delegate to itself")
    elif not agents[name].description:
        document.note(at, f"{lead!r} isn't told what {name!r} is for", f"Give {name!r} a description")


def _below(agents: dict[str, AgentComponent], name: str) -> set[str]:
    """`name`, and all that it may delegate to, straight or through others."""
    found, new = {name}, {name}
    while new:
        new = {use.name for one in new if one in agents for use in agents[one].subagents} - found
        found |= new
    return found
