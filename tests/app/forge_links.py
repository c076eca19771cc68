"""A project that is connected to a forge, without one: for deliveries that a test signs itself."""

import hashlib
import hmac
import json
from typing import Any

from sqlalchemy import insert

from quarterdeck.app import forge_deliveries, projects
from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.projects import AddProject, ProjectView
from quarterdeck.store.tables import connections

SECRET = "a-secret-of-the-tests"


async def linked(app: App, owner: Actor, forge: str = "github", **more: Any) -> tuple[ProjectView, int]:
    """The project, and the connection's number; its forge and git are nowhere."""
    project = await projects.add(app, owner, AddProject(path="hello"))
    values = {
        "project_id": project.id,
        "forge": forge,
        "api_url": "http://127.0.0.1:9",
        "web_url": "http://127.0.0.1:9/octo/hello",
        "repository": "octo/hello",
        "git_url": "file:///nowhere.git",
        "token": app.vault.encrypt("ghp_of-the-tests"),
        "hook_secret": app.vault.encrypt(SECRET),
        "login": "quarterdeck-bot",
        "private": True,
        "run_pipelines": True,
        "connected_by": owner.username,
        **more,
    }
    async with app.database.transaction() as connection:
        made = await connection.execute(insert(connections).values(values).returning(connections.c.id))
        return project, made.scalar_one()


def github_headers(event: str, body: bytes, key: str, secret: str = SECRET) -> dict[str, str]:
    """What GitHub sends with a body."""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"x-github-event": event, "x-github-delivery": key, "x-hub-signature-256": f"sha256={signature}"}


async def told(app: App, number: int, event: str, payload: object, key: str) -> bool:
    """Sends what GitHub would, and applies it; False when it was known."""
    body = json.dumps(payload).encode()
    fresh = await forge_deliveries.receive(app, number, github_headers(event, body, key), body)
    await forge_deliveries.apply(app, number)
    return fresh
