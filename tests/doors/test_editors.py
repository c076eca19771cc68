"""Editors over the API and in the browser: attached, listed, given a session, and taken from."""

from typing import Any

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from tests.app.chats import SCRIPT
from tests.doors.conftest import Api
from tests.doors.test_web_settings import NASTY, window

FOLDER = f"/home/ada/{NASTY}"


async def test_a_session_is_given_to_an_editor_and_handed_over(api: Api, app: App, owner: Actor) -> None:
    told = {"kind": "ide", "name": f"VS Code {NASTY}", "instance": "i" * 16, "folder": FOLDER}
    made = (await api.post("/executors", told)).json()
    assert made["token"].startswith("qdr_")
    (listed,) = (await api.get("/executors")).json()
    assert (listed["id"], listed["folder"], listed["alive"]) == (made["executor"], FOLDER, False)
    wish: dict[str, Any] = {"message": "Hello", "project": "sample", "model": "scripted", "script": SCRIPT}
    chat = (await api.post("/chats", {**wish, "executor": made["executor"]})).json()
    assert chat["editor"]["name"] == f"VS Code {NASTY}"
    assert (await api.post("/chats", {**wish, "executor": 999})).status_code == 404
    without = {name: value for name, value in wish.items() if name != "project"}
    assert (await api.post("/chats", {**without, "executor": made["executor"]})).status_code == 400
    rows = (await api.get("/sessions", executor=made["executor"])).json()["items"]
    assert [row["id"] for row in rows] == [chat["id"]]

    at = await window(api, app, owner)
    page = await at.get(f"/sessions/{chat['id']}/details")
    assert "Hand over to a runner" in page
    assert "VS Code &lt;script&gt;" in page
    page = await at.send(f"/sessions/{chat['id']}/hand-over")
    assert "Hand over to a runner" not in page
    assert (await api.get(f"/sessions/{chat['id']}")).json()["editor"] is None
    back = await api.post(f"/sessions/{chat['id']}/executor", {"executor": made["executor"]})
    assert back.json()["editor"]["id"] == made["executor"]
    page = await at.get("/settings")
    assert "VS Code &lt;script&gt;" in page
    assert "1 session" in page
    await at.send(f"/settings/editors/{made['executor']}/forget")
    gone = await api.client.delete(f"/api/v1/executors/{made['executor']}", headers=api.headers)
    assert gone.status_code == 404
    assert (await api.get("/executors")).json() == []
