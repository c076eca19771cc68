"""Whether a session is started with what its flow wants."""

from pydantic import JsonValue

from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.flow import Flow

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def check_inputs(flow: Flow, inputs: dict[str, JsonValue]) -> None:
    """Compares `inputs` (category to fields) with the flow's `inputs`; more than it wants may be given.

    Raises:
        InvalidInputError: every field that is missing or of another type.
    """
    faults: list[str] = []
    for wanted in flow.inputs:
        given = inputs.get(wanted.category)
        fields = given if isinstance(given, dict) else {}
        for name, schema in wanted.input_schema.items():
            place = f"{wanted.category}.{name}"
            if fields.get(name) is None:
                if not schema.get("optional"):
                    faults.append(f"{place} is missing ({schema.get('description') or schema.get('type')})")
            elif not _fits(fields[name], str(schema.get("type"))):
                faults.append(f"{place} should be of the type {schema.get('type')}")
    if faults:
        raise InvalidInputError(f"The flow {flow.id} can't start: {'; '.join(faults)}.")


def _fits(value: JsonValue, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES.get(kind, (object,)))
