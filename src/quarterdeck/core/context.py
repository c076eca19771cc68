"""What components read of a session: the values that `from:` names."""

from collections.abc import Mapping

from pydantic import JsonValue

from quarterdeck.core.component import InputSource
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.state import SessionState


def initial(state: SessionState) -> dict[str, JsonValue]:
    """The values a flow starts with, beside its components' outputs."""
    created = state.created
    return {
        **created.facts,
        "goal": created.goal,
        "project_id": created.project_id,
        "current_date": state.created_at.date().isoformat(),
        "primary_branch": created.ref,
        "workload_branch": created.branch,
        "inputs": dict(created.inputs),
    }


def value_of(source: InputSource, state: SessionState) -> JsonValue:
    """The value that `source` names; None for a missing optional one.

    Raises:
        InvalidInputError: a path that leads nowhere and is not optional.
    """
    if source.literal:
        return source.source
    target, _, path = source.source.partition(":")
    if target == "status":
        return state.status.value
    value: JsonValue = {
        **initial(state),
        **{name: dict(outputs) for name, outputs in state.context.items()},
    }
    for part in path.split(".") if path else []:
        if not isinstance(value, dict) or part not in value:
            if source.optional:
                return None
            raise InvalidInputError(f"The flow reads {source.source!r}, but there is no {part!r} in it yet.")
        value = value[part]
    return value


def values(
    sources: tuple[InputSource, ...], state: SessionState, histories: Mapping[str, str] | None = None
) -> dict[str, JsonValue]:
    """All values of a component's inputs, by the names it uses for them.

    `histories` are the conversations that inputs ask for, by component; without it those inputs are left out.

    Raises:
        InvalidInputError: as `value_of` does.
    """
    found: dict[str, JsonValue] = {}
    for source in sources:
        if not source.history_of:
            found[source.variable] = value_of(source, state)
        elif histories is not None:
            found[source.variable] = histories.get(source.history_of, "")
    return found
