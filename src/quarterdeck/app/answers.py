"""What a person answers to what a session asks, as events; the session is a real one or a simulated one."""

from dataclasses import dataclass

from quarterdeck.app.acts import Acting
from quarterdeck.app.calls import finished
from quarterdeck.core import events as e
from quarterdeck.core.component import HumanInputComponent
from quarterdeck.core.events import Outcome
from quarterdeck.core.flow import Flow
from quarterdeck.core.status import Transition


@dataclass(frozen=True)
class Person:
    """Who answers, and from where."""

    name: str
    door: str


def say(it: Acting, flow: Flow, who: Person, approval_id: str, text: str) -> None:
    """The words that a question waited for, or what to change in a plan."""
    pending = it.state.approvals[approval_id]
    if pending.ask == "plan":
        it.append(e.ApprovalDenied(approval_id=approval_id, by=who.name, door=who.door, reason=text))
    else:
        it.append(e.QuestionAnswered(approval_id=approval_id, text=text, by=who.name, door=who.door))
    for call_id in pending.call_ids:
        it.append(finished(call_id, it.state.calls[call_id], Outcome.OK, text))
    asking = flow.component(pending.component) if pending.component else None
    if isinstance(asking, HumanInputComponent):
        it.append(e.MessageAdded(text=text, by=who.name, component=asking.sends_response_to))


def refuse(it: Acting, flow: Flow, who: Person, approval_id: str, reason: str) -> None:
    """No: a plan with a reason comes back changed, one without ends the session; a call's reason goes to the model."""
    pending = it.state.approvals[approval_id]
    if pending.ask == "plan" and reason:
        say(it, flow, who, approval_id, reason)
        return
    it.append(e.ApprovalDenied(approval_id=approval_id, by=who.name, door=who.door, reason=reason))
    said = f"{who.name} did not allow this call." + (f" The reason: {reason}" if reason else "")
    for call_id in pending.call_ids:
        it.append(finished(call_id, it.state.calls[call_id], Outcome.DENIED, said))
    if pending.ask == "plan":
        it.move(Transition.STOP, reason=f"The plan was rejected by {who.name}.", by=who.name)
