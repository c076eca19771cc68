"""`qd` as a process against a real server."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.conftest import PERSON
from tests.doors.conftest import COMMAND, START, Qd, Running, environment


def test_help_needs_no_library_of_the_commands() -> None:
    heavy = "{'httpx', 'pydantic', 'rich', 'litestar', 'sqlalchemy', 'quarterdeck.app'}"
    look = f"import sys; import quarterdeck.doors.cli.main; print({heavy} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60, check=True)
    assert shown.stdout.strip() == "set()"


def test_no_server_says_what_to_type(qd: Qd) -> None:
    away = qd("session", "list")
    assert away.returncode == 5
    assert "qd serve" in away.stderr
    assert "--server" in away.stderr
    assert "Traceback" not in away.stderr
    assert not away.stdout


def test_a_session_by_commands(running: Running, qd: Qd) -> None:
    assert "sample" in qd("project", "list").stdout
    without = qd("session", "start", "-p", "sample", "--model", "scripted")
    assert without.returncode == 2
    assert "--pipeline" in without.stderr
    started = qd(*START, "--goal", "\x1b[2JRepair it", "--json")
    assert started.returncode == 0, started.stderr
    session = str(json.loads(started.stdout)["id"])

    shown = qd("session", "show", session)
    assert "a script answers" in shown.stdout
    assert "Repair it" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert f"#{session}" in qd("session", "list", "--mine").stdout
    assert json.loads(qd("--json", "session", "list").stdout)["items"][0]["id"] == int(session)

    refused = qd("session", "resume", session)
    assert refused.returncode == 6
    assert refused.stderr.startswith("qd: ")
    assert len(refused.stderr.splitlines()) == 1
    assert qd("session", "show", "4711").returncode == 3
    assert qd("session", "approve", session, "--args", "[1]").returncode == 2
    assert qd(*START, "--goal", "x" * 20_000).returncode == 2
    assert qd(*START, "--input", "pipeline.id").returncode == 2
    assert qd("session", "watch", session, "--level", "loud").returncode == 2

    stopped = qd("session", "cancel", session, "--reason", "enough", "--wait")
    assert stopped.returncode == 0, stopped.stderr
    assert "nothing was running" in stopped.stdout
    watched = qd("session", "watch", session)
    assert watched.returncode == 1
    assert "stopped by ada: enough" in watched.stdout
    lines = qd("session", "events", session, "--json").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert "session.created" in qd("session", "events", session).stdout

    kept = qd("session", "delete", session, given="n\n")
    assert kept.returncode == 1
    assert qd("session", "delete", session, "--yes").returncode == 0
    assert qd("session", "show", session).returncode == 3


def test_a_token_that_is_wrong(running: Running, qd: Qd, home: Path) -> None:
    (home / "wrong").write_text("qdp_nobody", encoding="utf-8")
    assert qd("whoami").stdout.startswith("ada")
    assert qd("whoami", "--token-file", str(home / "wrong")).returncode == 4
    assert qd("whoami", "--token-file", str(home / "missing")).returncode == 4
    (home / "picture").write_bytes(b"\x89PNG\xff")
    (home / "words").write_text("qdp_zoë two", encoding="utf-8")
    for file in ("picture", "words"):
        refused = qd("whoami", "--token-file", str(home / file))
        assert (refused.returncode, len(refused.stderr.splitlines())) == (4, 1), refused.stderr
    assert "/sign-in?token=" in qd("sign-in-link").stdout


def test_settings_that_can_not_be_used(home: Path) -> None:
    for name, value, args in (
        ("QUARTERDECK_PORT", "abc", ("session", "list")),
        ("QUARTERDECK_PORT", "abc", ("serve",)),
        ("QUARTERDECK_PORT", "abc", ("demo",)),
        ("QUARTERDECK_PUBLIC_URL", "http://x:port", ("session", "list")),
    ):
        given = {**environment(home), name: value}
        told = subprocess.run([*COMMAND, *args], env=given, capture_output=True, text=True, timeout=60, check=False)
        assert (told.returncode, len(told.stderr.splitlines())) == (2, 1), told.stderr
        assert name in told.stderr or value in told.stderr


def test_projects_pipelines_and_merge_requests(running: Running, qd: Qd, home: Path) -> None:
    repository = home / "orders"
    for argv in (
        ["init", "-q", "-b", "main", str(repository)],
        ["-C", str(repository), "commit", "-q", "--allow-empty", "-m", "first"],
    ):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *argv], check=True, timeout=60)
    added = qd("project", "add", "group/orders", "--from", str(repository))
    assert added.returncode == 0, added.stderr
    assert len(qd("project", "show", "sample", "--json").stdout.splitlines()) == 1
    assert "group/orders" in qd("project", "show", "group/orders").stdout
    assert "owner" in qd("member", "list", "-p", "group/orders").stdout
    assert qd("project", "add", "group/orders").returncode == 6
    assert qd("pipeline", "list", "-p", "sample").returncode == 0
    listed = qd("mr", "list", "-p", "group/orders", "--json")
    assert listed.stdout.strip() == "[]", listed.stderr
    assert qd("mr", "show", "-p", "sample", "1").returncode == 3
    flows = qd("flow", "list")
    assert "fix_pipeline" in flows.stdout


def test_issues_reviews_and_lint(running: Running, qd: Qd, home: Path) -> None:
    of = ("-p", "sample")
    made = qd("issue", "create", *of, "It \x1b[2Jbreaks", "--description", "how", "--label", "bug", "--assignee", "ada")
    assert made.returncode == 0, made.stderr
    assert "#1 It breaks" in made.stdout
    assert "\x1b" not in made.stdout
    said = qd("issue", "comment", *of, "1", "me too")
    assert re.search(r"^ada \(.* ago\): me too$", said.stdout, re.MULTILINE)
    assert "It breaks" in qd("issue", "list", *of, "--label", "bug", "--status", "opened").stdout
    assert json.loads(qd("issue", "list", *of, "--search", "nothing", "--json").stdout) == []
    assert "closed by" in qd("issue", "close", *of, "1").stdout
    assert qd("issue", "close", *of, "1").returncode == 6
    assert "opened" in qd("issue", "reopen", *of, "1").stdout
    assert qd("issue", "show", *of, "7").returncode == 3
    on_it = qd(*START, "--issue", "1", "--json")
    assert on_it.returncode == 0, on_it.stderr
    session = json.loads(on_it.stdout)
    assert session["goal"].startswith("Issue #1: ")
    assert f"#{session['id']} created" in qd("issue", "show", *of, "1").stdout
    both = qd(*START, "--issue", "1", "--merge-request", "1")
    assert (both.returncode, "not both" in both.stderr) == (2, True)

    right, wrong = home / "right.yml", home / "wrong.yml"
    right.write_text("build: {script: make}\n", encoding="utf-8")
    wrong.write_text("build: {script: make, image: x}\n", encoding="utf-8")
    checked = qd("pipeline", "lint", str(right), *of)
    assert (checked.returncode, "build" in checked.stdout) == (0, True), checked.stderr
    refused = qd("pipeline", "lint", str(wrong), *of)
    assert (refused.returncode, "line 1: " in refused.stdout, "1 faults" in refused.stderr) == (1, True, True)
    assert json.loads(qd("pipeline", "lint", str(wrong), *of, "--json").stdout)["valid"] is False

    folder = home / "repositories" / f"{json.loads(qd('project', 'show', 'sample', '--json').stdout)['id']}.git"
    stream = "commit refs/heads/work\ncommitter A <a@b> now\ndata 1\nx\nfrom refs/heads/main\n"
    stream += "M 100644 inline new\ndata 4\none\n\n"
    git = ("git", "-c", "safe.directory=*", "-C", str(folder), "fast-import", "--quiet", "--date-format=now")
    subprocess.run(git, input=stream, text=True, check=True, timeout=60)
    made = httpx.post(
        f"{running.url}/api/v1/projects/sample/merge_requests",
        json={"source_branch": "work", "title": "T"}, headers={"Authorization": f"Bearer {PERSON}"}, timeout=60,
    )  # fmt: skip
    assert made.status_code == 201, made.text
    assert "new:1 (" in qd("mr", "comment", *of, "1", "why?", "--file", "new", "--line", "1").stdout
    assert "nearest that are: 1" in qd("mr", "comment", *of, "1", "x", "--file", "new", "--line", "4").stderr
    assert qd("mr", "comment", *of, "1", "x", "--line", "4").returncode == 2
    assert "!1 Better" in qd("mr", "update", *of, "1", "--title", "Better").stdout


def test_people_members_and_tokens(running: Running, qd: Qd, home: Path) -> None:
    made = qd("person", "add", "dora", "--name", "Dora")
    assert f"{running.url}/sign-in?token=qds_" in made.stdout
    assert "somebody called 'Dora' already" in qd("person", "add", "Dora").stderr
    assert "dora" in qd("member", "set", "dora", "developer", "--project", "sample").stdout
    assert "developer" in qd("member", "list", "-p", "sample").stdout
    assert "no member of sample any more" in qd("member", "remove", "dora", "-p", "sample").stdout
    secret = qd("token", "add", "the laptop", "--no-end").stdout.strip()
    (home / "laptop").write_text(secret, encoding="utf-8")
    assert "ada" in qd("--token-file", str(home / "laptop"), "whoami").stdout
    row = next(line for line in qd("token", "list").stdout.splitlines() if "the laptop" in line)
    assert "never" not in row, "it was used just now"
    qd("token", "revoke", row.split()[0])
    refused = qd("--token-file", str(home / "laptop"), "whoami")
    assert refused.returncode != 0
    assert "sign-in?token=" in qd("person", "link", "dora").stdout
    assert "needs a new link now" in qd("person", "shut-out", "dora").stdout
    assert "Dora" in qd("person", "list").stdout
    assert "No key is stored" in qd("model", "key", "test", "groq").stderr


def test_doctor_names_what_is_missing(running: Running, qd: Qd) -> None:
    found = qd("doctor", "--json")
    reach = [one["detail"] for one in json.loads(found.stdout) if one["name"] == "network"]
    assert "an agent-config.yml may ask for registries" in reach
    assert "go: proxy.golang.org, sum.golang.org" in reach
    assert {"pypi", "npm", "apt"} == {word for word in ("pypi", "npm", "apt") if word in "\n".join(reach)}
    states = {finding["name"]: finding for finding in json.loads(found.stdout)}
    assert states["server"]["state"] == states["database"]["state"] == states["git"]["state"] == "ok"
    assert states["workers"]["state"] == states["runners"]["state"] == "failed"
    assert states["runners"]["remedy"]
    assert "none was ever taken" in states["backup"]["detail"]
    assert found.returncode == 1
    assert "workers" in found.stderr


def test_what_a_projects_sessions_reach_is_said_and_shown(running: Running, qd: Qd) -> None:
    said = qd("project", "network", "sample", "--allow", "go", "--allow", "none.test")
    assert (said.returncode, "doesn't allow none.test" in said.stderr) == (2, True)
    assert "project allows  go, hex" in qd("project", "network", "sample", "--allow", "go", "--allow", "hex").stdout
    shown = json.loads(qd("project", "network", "sample", "--json").stdout)
    assert (shown["project_hosts"], shown["hosts"]) == (["go", "hex"], ["registries"])
    started = qd(*START, "--tag", "gpu", "--json")
    assert json.loads(started.stdout)["runner_tags"] == ["gpu"]


def test_runner_alone_is_its_start(qd: Qd) -> None:
    said = qd("runner", "--capacity", "3", "--tag", "x")
    assert (
        said.returncode,
        "quarterdeck.executor: error: the following arguments are required: --home" in said.stderr,
    ) == (2, True)
    assert "invite" in qd("runner", "--help").stdout


def test_doctor_without_a_server(qd: Qd) -> None:
    found = qd("doctor")
    assert found.returncode == 1
    assert "qd serve" in found.stdout
    assert "is free" in found.stdout


async def test_watch_survives_a_restart_and_ctrl_c(running: Running, qd: Qd, home: Path) -> None:
    started = await asyncio.to_thread(qd, *START, "--json")
    session = str(json.loads(started.stdout)["id"])
    watching = await asyncio.create_subprocess_exec(
        *COMMAND, "session", "watch", session, "--level", "full", "--json",
        env=environment(home), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert watching.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert json.loads(await watching.stdout.readline())["event"] == "session.created"
            await asyncio.to_thread(running.stop)
            await asyncio.to_thread(running.start)
            await asyncio.to_thread(qd, "session", "rename", session, "after the restart")
            again = json.loads(await watching.stdout.readline())
            assert (again["event"], again["data"]["seq"]) == ("session.renamed", 2)
            watching.send_signal(signal.SIGINT)
            _, said = await watching.communicate()
    finally:
        if watching.returncode is None:
            watching.kill()
            await watching.wait()
    assert watching.returncode == 130
    assert f"qd session watch {session}" in said.decode()
    assert b"Traceback" not in said
    shown = await asyncio.to_thread(qd, "session", "show", session, "--json")
    assert json.loads(shown.stdout)["status"] == "created"


def test_no_token_goes_over_plain_http_to_another_machine(home: Path) -> None:
    """Nobody is at that address: what is tried, and not refused, ends as unreachable."""
    (home / "token").write_text("qdp_of-a-person", encoding="utf-8")

    def asked(scheme: str, **settings: str) -> subprocess.CompletedProcess[str]:
        words = [*COMMAND, "--server", f"{scheme}://quarterdeck.invalid:9", "session", "list"]
        given = {**environment(home), **settings}
        return subprocess.run(words, env=given, capture_output=True, text=True, timeout=60, check=False)

    refused = asked("http")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "QUARTERDECK_ALLOW_PLAIN_HTTP" in refused.stderr
    assert asked("https").returncode == 5
    assert asked("http", QUARTERDECK_ALLOW_PLAIN_HTTP="true").returncode == 5
