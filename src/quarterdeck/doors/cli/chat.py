"""`qd chat` and `qd ask`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarterdeck.doors.cli import given
from quarterdeck.doors.cli.command import Cli, command
from quarterdeck.doors.cli.failure import Exit, Failure

if TYPE_CHECKING:
    from quarterdeck.client.models import SessionView
    from quarterdeck.doors.cli.client import Client

Project = Annotated[str | None, typer.Option("--project", "-p", help="The project that it is about.")]
Model = Annotated[str | None, typer.Option("--model", help="provider:model, or scripted.")]
Script = Annotated[Path | None, typer.Option("--script", help="The answers of the scripted model, a file.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    command(app)(chat)
    command(app)(ask)


async def chat(
    cli: Cli,
    message: Annotated[str | None, typer.Argument(metavar="[MESSAGE]", help="What to say first.")] = None,
    project: Project = None,
    agent: Annotated[str | None, typer.Option("--agent", help="Whom to talk with; see qd agent list.")] = None,
    model: Model = None,
    script: Script = None,
    session: Annotated[int | None, typer.Option("--session", "-s", min=1, help="Go on with this chat.")] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", metavar="GLOB", help="Commands not to be asked about; may be repeated."),
    ] = None,
    tag: given.Tags = None,
    attach: given.Attach = None,
    context_files: given.ContextFiles = None,
    cost: given.Cost = None,
    tokens: given.Tokens = None,
    list_them: Annotated[bool, typer.Option("--list", help="List your chats instead.")] = False,
    level: Annotated[str, typer.Option("--level", help="result, concise or full.")] = "concise",
) -> None:
    """Talk with an agent; Ctrl-C interrupts its answer, and leaves when there is none."""
    from quarterdeck.client.models import SessionView
    from quarterdeck.doors.cli import session_list_pages, session_pages, talk
    from quarterdeck.doors.cli.client import parse

    density = session_pages.level_of(level)
    async with cli.client() as client:
        if list_them:
            answer = await client.get("/sessions", kind="chat", mine=True, project=project)
            cli.print(answer) if cli.json else session_list_pages.print_list(answer)
            return
        seated = sys.stdin.isatty() and sys.stdout.isatty() and not cli.json
        if session is not None:
            if any(
                value is not None for value in (project, agent, model, script, allow, tag, context_files, cost, tokens)
            ):
                raise Failure("A chat keeps its project, agent and model; name --session alone.", Exit.USAGE)
            there, after = await _go_on(client, session, message, attach, seated=seated)
        else:
            body: dict[str, Any] = {
                "message": message or _first(seated=seated),
                "project": project,
                "model": model,
                "runner_tags": tag or [],
            }
            body |= {"agent": agent} if agent is not None else {}
            body |= {"script": given.text(script)} if script is not None else {}
            body |= {"pre_approved_patterns": {"run_command": allow}} if allow else {}
            body |= {"budget": given.budget(cost, tokens), "additional_context": given.contexts(context_files)}
            body |= {"attachments": await given.attached(client, attach)}
            there, after = parse(SessionView, await client.post("/chats", body)), 0
        if seated:
            await talk.at_terminal(cli, client, there, density)
        else:
            await talk.one_answer(cli, client, there, after)


async def _go_on(
    client: "Client", number: int, message: str | None, attach: list[Path] | None, *, seated: bool
) -> "tuple[SessionView, int]":
    """The chat, and the event behind which its next answer comes."""
    from quarterdeck.client.models import SessionView
    from quarterdeck.doors.cli.client import parse

    there = parse(SessionView, await client.get(f"/sessions/{number}"))
    text = message if message is not None or seated else sys.stdin.read().strip()
    if not text:
        if not seated:
            raise Failure("There is nothing to say: give a message, or write it to the standard input.", Exit.USAGE)
        if attach:
            raise Failure("Files come with a message: give one, or type /attach FILE in the chat.", Exit.USAGE)
        return there, there.seq
    body = {"text": text, "attachments": await given.attached(client, attach)}
    answered = parse(SessionView, await client.post(f"/sessions/{number}/messages", body))
    return answered, there.seq


def _first(*, seated: bool) -> str:
    """The first message, typed or from a pipe."""
    try:
        text = input("> ") if seated else sys.stdin.read()
    except EOFError:
        text = ""
    if not text.strip():
        raise Failure("There is nothing to say: give a message, or write it to the standard input.", Exit.USAGE)
    return text.strip()


async def ask(
    cli: Cli,
    question: Annotated[str, typer.Argument(help="The question.")],
    project: Project = None,
    model: Model = None,
    script: Script = None,
) -> None:
    """Ask a question that is answered without tools; no session is made."""
    from quarterdeck.doors.cli.plain import plain

    body: dict[str, Any] = {"question": question, "project": project, "model": model}
    body |= {"script": given.text(script)} if script is not None else {}
    async with cli.client() as client:
        answer: Any = await client.post("/ask", body)
    if cli.json:
        cli.print(answer)
        return
    print(plain(str(answer["answer"])))
    if answer["scripted"]:
        print("(No language model answered: a script did.)", file=sys.stderr)
