"""What a runner keeps of its registration: the server, its own token, and what the server knows it as."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from quarterdeck import __version__
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.core.protocol import PROTOCOL_VERSION, Register
from quarterdeck.executor.client import Client
from quarterdeck.executor.home import Home


class Registration(BaseModel):
    """The file `registration.json` in the runner's home."""

    model_config = ConfigDict(frozen=True)
    url: str
    token: str
    name: str
    tags: tuple[str, ...] = ()
    project: str = ""
    capacity: int
    allow_plain_http: bool = False


async def register(
    home: Home, url: str, secret: str, *, name: str, tags: tuple[str, ...] | None, capacity: int, plain: bool
) -> Registration:
    """Exchanges a registration token for one of the runner's own, and keeps it.

    The same home may do it again, under its name and for the same project: its token of before is dead then.
    """
    with home.locked():
        client = Client(url, secret)
        asked = Register(protocol=PROTOCOL_VERSION, version=__version__, name=name, instance=home.instance(), tags=tags)
        try:
            answer = await client.register(asked)
        finally:
            await client.close()
        made = Registration(
            url=client.url,
            token=answer.token,
            name=answer.name,
            tags=answer.tags,
            project=answer.project,
            capacity=capacity,
            allow_plain_http=plain,
        )
        _keep(_file(home), made)
        return made


def registration(home: Home) -> Registration:
    """What `register` kept. Raises InvalidInputError when there is nothing, or it can't be read."""
    file = _file(home)
    try:
        return Registration.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise InvalidInputError(
            f"No runner is registered in {home.root}. `qd runner register` does that, or give --url and --token-file."
        ) from None
    except ValidationError:
        raise InvalidInputError(f"{file} can't be read; register the runner again.") from None


def _file(home: Home) -> Path:
    return home.root / "registration.json"


def _keep(file: Path, made: Registration) -> None:
    """Whole or not at all, and for this user alone from the first byte on."""
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(made.model_dump_json())
        opened.flush()
        os.fsync(opened.fileno())
    fresh.replace(file)
