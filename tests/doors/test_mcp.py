"""MCP servers by the API and the command line: what goes in as a secret comes out nowhere."""

from typing import Any

from tests.doors.conftest import Api

SECRET = "sesame-open-now"


async def test_the_api_never_tells_a_secret(api: Api) -> None:
    server: dict[str, Any] = {
        "name": "tracker",
        "url": f"https://tracker.example/mcp?key={SECRET}",
        "headers": {"Authorization": f"Bearer {SECRET}"},
    }
    for path in ("/projects/sample/mcp_servers", "/mcp_servers"):
        answers = [
            await api.post(path, {**server, "headers": {"Authorization": f"{SECRET}\r\nX: y"}}),
            await api.post(path, {**server, "name": f"no name {SECRET}"[:24]}),
            await api.post(path, {**server, "headers": {"Authorization": [SECRET]}}),
            await api.post(path, {**server, "surplus": 1}),
            await api.post(path, server),
            await api.post(path, server),
            await api.get(path),
            await api.get(f"{path}/tracker"),
            await api.client.patch(f"/api/v1{path}/tracker", json={"enabled": False}, headers=api.headers),
            await api.client.delete(f"/api/v1{path}/tracker", headers=api.headers),
            await api.get(f"{path}/tracker"),
        ]
        assert [one.status_code for one in answers] == [400, 400, 400, 400, 201, 409, 200, 200, 200, 204, 404]
        assert not any(SECRET in one.text for one in answers if one.status_code != 400)
        assert not any(f"Bearer {SECRET}" in one.text or f"key={SECRET}" in one.text for one in answers)
        assert answers[8].json()["enabled"] is False
        (listed,) = answers[6].json()["servers"]
        assert listed["secret_names"] == ["Authorization", "(query of the url)"]


async def test_a_block_is_for_all(api: Api) -> None:
    path = "/api/v1/projects/sample/mcp_block"
    for blocked in (True, True, False):
        answer = await api.client.patch(path, json={"blocked": blocked}, headers=api.headers)
        assert (answer.status_code, answer.json()["blocked"]) == (200, blocked)
