"""Assembles Quarterdeck: wires the implementations to what `app` asks for, and is the entry of each process."""

import argparse
import asyncio
import contextlib
import ctypes
import gc
import getpass
import importlib
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.settings import Settings, installer_environment, load

if TYPE_CHECKING:
    from quarterdeck.app.application import App
    from quarterdeck.app.simulated import Ending, Show, Simulation
    from quarterdeck.engine.courier import MailServer
    from quarterdeck.engine.models.access import ModelKeys

PERSON_FILE = "token"
RUNNER_FILE = "runner.token"
_PR_SET_PDEATHSIG = 1
WEB_MODULES = (
    "quarterdeck.doors.http",
    "quarterdeck.store.schema",
    "quarterdeck.engine.jobs",
    "quarterdeck.engine.models.keyring",
    "quarterdeck.flows.library",
    "quarterdeck.forges.local.repository",
    "quarterdeck.forges.remotes",
)
"""What the web process is made of; loaded before it needs its database."""
WORKER_MODULES = (
    "quarterdeck.app.search_index",
    "quarterdeck.app.telling",
    "quarterdeck.engine.brain",
    "quarterdeck.engine.desk",
    "quarterdeck.engine.jobs",
    "quarterdeck.engine.models.keyring",
    "quarterdeck.engine.worker",
    "quarterdeck.flows.library",
    "quarterdeck.forges.local.repository",
    "quarterdeck.forges.remotes",
    "quarterdeck.store.schema",
)
"""The same of the worker."""


def assemble(settings: Settings, database_url: str) -> "App":
    """One process's Quarterdeck on that database."""
    from quarterdeck.app.application import App
    from quarterdeck.core.network import defined
    from quarterdeck.core.redaction import Redactor
    from quarterdeck.engine.courier import Courier
    from quarterdeck.engine.jobs import JobDispatch
    from quarterdeck.engine.mcp import HttpMcp
    from quarterdeck.engine.models.keyring import Keyring
    from quarterdeck.flows.library import Library
    from quarterdeck.forges.local.repository import LocalForge
    from quarterdeck.forges.remotes import REMOTES
    from quarterdeck.registries import Registries
    from quarterdeck.store.database import Database
    from quarterdeck.store.doorbell import Doorbell
    from quarterdeck.store.vault import Vault
    from quarterdeck.tools.catalogue import CATALOGUE

    keys = model_keys(settings)

    def check_script(text: str) -> None:
        from quarterdeck.engine.models.script import read_script

        read_script(text)

    return App(
        database=Database(database_url),
        doorbell=Doorbell(database_url),
        dispatch=JobDispatch(database_url),
        forge=LocalForge(settings.home),
        flows=Library(CATALOGUE),
        home=settings.home,
        public_url=settings.url,
        models=Keyring(keys, settings.model, settings.context_tokens),
        vault=Vault(settings.home),
        check_script=check_script,
        mcp=HttpMcp(private=settings.mcp_private_addresses),
        courier=Courier(
            private=settings.webhook_private_addresses, mail=_mail_server(settings), public_url=settings.url
        ),
        redactor=Redactor(_secrets(settings, keys, database_url)),
        registries=Registries(installer_environment()),
        remotes=REMOTES,
        network_hosts=settings.network_rules(),
        network_groups=defined(settings.network_groups),
    )


async def simulate(wish: "Simulation", show: "Show") -> "Ending":
    """Runs a flow against a script, without a database and without touching anything.

    Raises:
        InvalidInputError: the flow or the script can't be used, or the inputs don't fit.
    """
    from quarterdeck.engine import simulation
    from quarterdeck.flows.library import Library
    from quarterdeck.tools.catalogue import CATALOGUE

    return await simulation.simulate(Library(CATALOGUE), wish, show)


def _secrets(settings: Settings, keys: "ModelKeys", database_url: str) -> list[str]:
    """The server's own secrets, by value; those that people enter are learnt when they are."""
    of_mail = settings.smtp_password.get_secret_value() if settings.smtp_password else ""
    return keys.secrets() + [password for password in (urlsplit(database_url).password, of_mail) if password]


def _mail_server(settings: Settings) -> "MailServer | None":
    """The part of the settings that e-mail is sent with; None where there is no server."""
    from quarterdeck.engine.courier import MailServer

    if not settings.smtp_host:
        return None
    host = urlsplit(settings.url).hostname or "localhost"
    return MailServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        username=settings.smtp_username,
        password=settings.smtp_password,
        sender=settings.mail_from or f"quarterdeck@{host}",
    )


def model_keys(settings: Settings) -> "ModelKeys":
    """The part of the settings that models are reached with."""
    from quarterdeck.engine.models.access import Identity, ModelKeys

    return ModelKeys(
        anthropic_api_key=settings.anthropic_api_key,
        anthropic_base_url=settings.anthropic_base_url,
        openai_api_key=settings.openai_api_key,
        openai_base_url=settings.openai_base_url,
        ollama_base_url=settings.ollama_base_url,
        google_api_key=settings.google_api_key or settings.gemini_api_key,
        google_base_url=settings.google_base_url,
        mistral_api_key=settings.mistral_api_key,
        mistral_base_url=settings.mistral_base_url,
        groq_api_key=settings.groq_api_key,
        groq_base_url=settings.groq_base_url,
        openrouter_api_key=settings.openrouter_api_key,
        openrouter_base_url=settings.openrouter_base_url,
        bedrock_api_key=settings.bedrock_api_key,
        bedrock_base_url=settings.bedrock_base_url,
        bedrock_region=settings.aws_region,
        bedrock_identity=Identity(
            access_key_id=settings.aws_access_key_id,
            secret_access_key=settings.aws_secret_access_key,
            session_token=settings.aws_session_token,
            profile=settings.aws_profile,
            machine_role=settings.bedrock_machine_role,
        ),
        prices=settings.price_list().models,
    )


async def web(settings: Settings, database_url: str, listening: socket.socket, ready: int | None) -> None:
    """The process of all HTTP doors: brings the schema up to date, then answers until SIGTERM.

    `ready` is a descriptor that is written to when the first request can be answered.
    """
    from quarterdeck.app import connections, first_start, people, repositories
    from quarterdeck.app import model_keys as stored
    from quarterdeck.doors.http import Server, application
    from quarterdeck.engine.models import access
    from quarterdeck.store import schema

    schema.upgrade(database_url)
    app = assemble(settings, database_url)
    await app.database.check()
    made = await first_start.ensure(
        app,
        administrator=getpass.getuser(),
        token=(settings.home / PERSON_FILE).read_text(encoding="utf-8").strip(),
        runner_token=(settings.home / RUNNER_FILE).read_text(encoding="utf-8").strip(),
    )
    app.doorbell.start()
    await stored.stored_keys(app)  # before a first line could be written that holds one
    await connections.learn(app)
    following = asyncio.create_task(stored.follow(app))
    server = Server(application(app), host=settings.host, port=settings.port, trusted_proxies=settings.trusted_proxies)
    link = await people.sign_in_link(app, made.administrator) if made.first else ""
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    begun = asyncio.create_task(server.ready.wait())
    await asyncio.wait((serving, begun), return_when=asyncio.FIRST_COMPLETED)
    gc.freeze()
    gc.enable()
    if ready is not None and begun.done():
        os.write(ready, f"{link}\n".encode())
        os.close(ready)
    catching_up = asyncio.create_task(repositories.catch_up(app))
    await serving
    begun.cancel()
    catching_up.cancel()
    following.cancel()
    await access.close()
    await app.doorbell.stop()
    await app.database.close()


async def worker(settings: Settings, database_url: str) -> None:
    """The process that takes turns: works until SIGTERM, then hands over what it has."""
    from quarterdeck.app import connections, outgoing, search_index, telling
    from quarterdeck.app import model_keys as stored
    from quarterdeck.engine.brain import Brain
    from quarterdeck.engine.desk import Desk
    from quarterdeck.engine.models import access
    from quarterdeck.engine.models.keyring import CurrentKeys, Keyring
    from quarterdeck.engine.worker import Worker
    from quarterdeck.store import schema

    schema.upgrade(database_url)
    app = assemble(settings, database_url)
    keys = CurrentKeys(app, Keyring(model_keys(settings), settings.model))
    app.doorbell.start()
    await stored.stored_keys(app)
    await connections.learn(app)
    beside = [
        asyncio.create_task(work(app)) for work in (stored.follow, search_index.follow, telling.follow, outgoing.follow)
    ]
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    brain = Brain(app, lambda name, script: access.model(name, script, keys))
    gc.freeze()
    gc.enable()
    try:
        await Worker(app, brain, Desk(app), concurrency=settings.concurrency).run(stop)
    finally:
        for task in beside:
            task.cancel()
        await access.close()
        await app.doorbell.stop()
        await app.database.close()


def log_to_stderr() -> None:
    """One line an event, for people on a terminal and as JSON elsewhere."""
    import structlog

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )


def die_with(parent: int) -> None:
    """Asks the kernel to end this process when its parent dies, however it dies."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(0)


def main(arguments: list[str] | None = None) -> int:
    """The entry of the processes that `serve` starts: `python -m quarterdeck.server web|worker …`."""
    parser = argparse.ArgumentParser(prog="quarterdeck.server")
    parser.add_argument("role", choices=("web", "worker"))
    parser.add_argument("--parent", type=int, help="end when this process is no longer the parent")
    parser.add_argument("--socket", type=int, help="an inherited descriptor that listens")
    parser.add_argument("--ready", type=int, help="an inherited descriptor to write to when requests are answered")
    parser.add_argument("--wait", action="store_true", help="begin only at a line on the standard input")
    given = parser.parse_args(arguments)
    if given.parent is not None:
        die_with(given.parent)
    log_to_stderr()
    settings = load()
    gc.disable()  # loading makes nothing that could be collected; looking for it costs a sixth of the time
    for name in WEB_MODULES if given.role == "web" else WORKER_MODULES:  # while PostgreSQL starts
        importlib.import_module(name)
    if given.wait and not sys.stdin.readline():
        return 0  # `serve` has given up before there was anything to do
    try:
        url = database_url(settings)
        if given.role == "worker":
            asyncio.run(worker(settings, url))
        else:
            listening = socket.socket(fileno=given.socket) if given.socket is not None else bind(settings)
            asyncio.run(web(settings, url, listening, given.ready))
    except QuarterdeckError as error:
        sys.stderr.write(f"quarterdeck {given.role}: {error.message}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def database_url(settings: Settings) -> str:
    """The PostgreSQL that the settings name, else the one that `serve` tells on the standard input.

    Raises:
        QuarterdeckError: none is named; only `serve` starts the embedded one.
    """
    if settings.database_url is None and (told := sys.stdin.readline().strip()):
        return told
    if settings.database_url is None:
        raise QuarterdeckError("DATABASE_URL is not set. `quarterdeck serve` starts a PostgreSQL of its own.")
    return settings.database_url.get_secret_value()


def bind(settings: Settings) -> socket.socket:
    """A socket that listens where the settings say.

    Raises:
        QuarterdeckError: the port is taken, or the address isn't this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else asyncio delays small answers
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise QuarterdeckError(
            f"Can't listen on {settings.host}:{settings.port}: {error.strerror}. "
            "Is another server running there? Choose a port with --port."
        ) from error
    listening.listen(1024)
    return listening


def secret_file(path: Path) -> str:
    """The secret in `path`, made at first: 0600 from its first byte on."""
    import secrets

    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"qd{'r' if path.name == RUNNER_FILE else 'p'}_{secrets.token_urlsafe(32)}\n")
    return path.read_text(encoding="utf-8").strip()


if __name__ == "__main__":
    sys.exit(main())
