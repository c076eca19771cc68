"""`qd flow lint` and `qd flow simulate`: what is in a flow file, and how it goes, without a server."""

from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from quarterdeck.app.simulated import Ending, Simulation
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.events import Event, Level
from quarterdeck.doors.cli import given, screen, timeline
from quarterdeck.doors.cli.command import Cli
from quarterdeck.doors.cli.failure import Exit, Failure
from quarterdeck.doors.cli.plain import line
from quarterdeck.flows.document import Finding
from quarterdeck.flows.reader import examine
from quarterdeck.tools.catalogue import CATALOGUE

_ORDER = list(Level)


def lint_file(cli: Cli, file: Path) -> list[Finding] | None:
    """Prints all findings and answers the faults among them; None for a file that can't be read."""
    try:
        text = given.text(file)
    except Failure as failure:
        if cli.json:
            cli.print({"file": str(file), "ok": False, "error": str(failure), "findings": []})
        else:
            cli.say(line(str(failure), 1_000))
        return None
    findings = examine(text, CATALOGUE).document.findings()
    faults = [finding for finding in findings if finding.severity == "fault"]
    if cli.json:
        cli.print({"file": str(file), "ok": not faults, "findings": [asdict(finding) for finding in findings]})
        return faults
    console = screen.console()
    for finding in findings:
        style = "red" if finding.severity == "fault" else "yellow"
        where, _, what = str(finding).partition(" ")
        told = Text.assemble(f"{line(str(file), 1_000)}:{where} ", (f"{finding.severity} ", style), line(what, 2_000))
        console.print(told)
    if not findings:
        console.print(f"{line(str(file), 1_000)}: nothing found")
    return faults


@dataclass(frozen=True)
class Play:
    """What `qd flow simulate` is given."""

    file: Path
    script: Path | None
    goal: str
    inputs: list[str]
    answers: list[str]
    denied: list[str]
    ask_all: bool
    level: str


async def play(cli: Cli, wish: Play) -> bool:
    """Simulates and shows it; answers whether it came to a good end."""
    from quarterdeck import server

    if wish.level not in _ORDER:
        raise Failure(f"There is no level {wish.level!r}; there are {', '.join(_ORDER)}.", Exit.USAGE)
    console, shown = screen.console(), _ORDER[: _ORDER.index(Level(wish.level)) + 1]
    simulation = Simulation(
        flow=given.text(wish.file),
        script=given.text(wish.script) if wish.script is not None else None,
        goal=wish.goal,
        inputs=dict(given.inputs(wish.inputs)),
        answers=tuple(wish.answers),
        denied=tuple(wish.denied),
        ask_all=wish.ask_all,
    )

    def show(event: Event) -> None:
        if cli.json:
            cli.print(event.model_dump(mode="json"))
        elif event.level in shown:
            _print(console, event)

    try:
        ending = await server.simulate(simulation, show)
    except QuarterdeckError as error:
        raise Failure(error.message, Exit.USAGE) from None
    _tell(cli, console, ending)
    return ending.well


def _print(console: Console, event: Event) -> None:
    made = timeline.row(event)
    if made is None:
        return
    first, *rest = made.text.splitlines() or [""]
    console.print(Text.assemble((f"{made.glyph} ", made.style), (first, made.style)))
    for text in rest:
        console.print(Text.assemble("  ", (text, made.style)))


def _tell(cli: Cli, console: Console, ending: Ending) -> None:
    if cli.json:
        cli.print({"status": ending.status.value, "reason": ending.reason, "well": ending.well, "way": ending.way})
        return
    console.print()
    console.print(Text.assemble(("way  ", "dim"), line(" → ".join(ending.way), 10_000)))
    why = f": {line(ending.reason, 2_000)}" if ending.reason else ""
    console.print(Text.assemble(("end  ", "dim"), screen.status(ending.status.value), why))
