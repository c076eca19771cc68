"""The settings as commands read them: what can't be used is said in a sentence."""

from pydantic import ValidationError

from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.settings import Settings, load


def settings(**given: object) -> Settings:
    """The settings, with what the command line sets over them.

    Raises:
        Failure: names every variable that can't be used.
    """
    try:
        return load(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        faults = (
            f"{_variable(str(fault['loc'][0]) if fault['loc'] else 'settings')} can't be used: {fault['msg']}."
            for fault in error.errors(include_url=False, include_input=False)
        )
        raise Failure("\n".join(faults), Exit.USAGE) from None


def _variable(name: str) -> str:
    return name if name.isupper() else f"QUARTERDECK_{name.upper()}"
