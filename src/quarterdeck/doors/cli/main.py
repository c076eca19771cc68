"""`quarterdeck`, short `qd`: it speaks to a server by HTTP alone; libraries are imported when they are needed."""

import sys
from typing import Annotated

import typer

import quarterdeck
from quarterdeck.doors.cli import (
    acp,
    agent,
    backups,
    chat,
    demo,
    doctor,
    editor,
    flow,
    forge,
    fork,
    issue,
    mcp,
    member,
    merge_request,
    model,
    network,
    people,
    person,
    pipeline,
    processes,
    project,
    retention,
    rules,
    runner,
    session,
    session_files,
    session_lists,
    session_reading,
    session_record,
    session_replay,
    session_search,
    to_do,
    token,
    trigger,
    webhook,
)
from quarterdeck.doors.cli.command import Json, Options, Server, TokenFile
from quarterdeck.doors.cli.failure import Exit

app = typer.Typer(
    name="qd",
    help="Runs agents and flows, and records, shows, steers and stops every session of them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
session_lists.register(session.group)
session_files.register(session.group)
session_record.register(session.group)
session_replay.register(session.group)
session_reading.register(session.group)
app.add_typer(session.group, name="session")
session_search.register(session.group)
fork.register(session.group)
network.register(project.group)
app.add_typer(project.group, name="project")
app.add_typer(member.group, name="member")
app.add_typer(retention.group, name="retention")
app.add_typer(pipeline.group, name="pipeline")
app.add_typer(merge_request.group, name="mr")
app.add_typer(issue.group, name="issue")
app.add_typer(flow.group, name="flow")
app.add_typer(agent.group, name="agent")
chat.register(app)
acp.register(app)
app.add_typer(rules.group, name="rules")
app.add_typer(mcp.group, name="mcp")
app.add_typer(webhook.group, name="webhook")
app.add_typer(to_do.group, name="todo")
app.add_typer(forge.group, name="forge")
app.add_typer(model.group, name="model")
app.add_typer(runner.group, name="runner")
demo.register(app)
doctor.register(app)
people.register(app)
app.add_typer(person.group, name="person")
app.add_typer(token.group, name="token")
app.add_typer(editor.group, name="editor")
app.add_typer(trigger.group, name="trigger")
processes.register(app)
backups.register(app)


def _version(asked: bool) -> None:
    if asked:
        print(f"quarterdeck {quarterdeck.__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    server: Server = None,
    token_file: TokenFile = None,
    as_json: Json = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="The version.")] = False,
) -> None:
    """Runs agents and flows, and records, shows, steers and stops every session of them."""
    del version
    context.obj = Options(server, token_file, as_json)


def run() -> int:
    """The entry point; answers the exit status."""
    try:
        app(prog_name="qd")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(Exit.FAILED)
    except UnicodeEncodeError as error:
        if error.encoding != "utf-8":
            raise
        print("qd: An argument has bytes that are no UTF-8; the server takes text only.", file=sys.stderr)
        return Exit.USAGE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return Exit.OK


if __name__ == "__main__":
    sys.exit(run())
