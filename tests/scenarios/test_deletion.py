"""A deleted session is nowhere: every table, file and repository is looked at, before and after."""

import gzip
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import zstandard
from psycopg import sql

from tests.chaos.proof import database_url
from tests.instance import Instance, files_below
from tests.scenarios.work import call, flow, start

ZSTD, GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"


def test_a_deleted_session_is_in_no_table_file_repository_or_runner(instance: Instance) -> None:
    word = "quagga" + os.urandom(5).hex()
    made = call("create_file_with_contents", file_path=f"{word}.txt", contents=f"{word}-file")
    steps = (
        {"say": f"{word}-answer", "call": made},
        {"call": call("run_command", command=f"echo {word}-output")},
        {"call": call("create_commit", message=f"{word}-commit")},
        {"call": call("run_command", command=f"touch {word}-asked")},
        {"expect": word, "call": call("run_command", command=f"touch {word}-again")},
    )  # fmt: skip
    session_id = start(
        instance,
        *steps,
        flow_yaml=flow().replace("Do what is asked.", f"{word}-prompt"),
        goal=f"{word}-goal",
        title=f"{word}-title",
        pre_approved=["read_only_files", "read_write_files", "use_git"],
        pre_approved_patterns={"run_command": ["echo *"]},
    )
    instance.wait_for(session_id, "tool_call_approval_required")
    instance.qd("session", "reply", str(session_id), f"{word}-message")
    instance.wait(
        lambda: "again" in json.dumps(instance.session(session_id)["approvals"]), 60, "the session asks once more"
    )
    branch = instance.session(session_id)["branch"]
    pipelines = [one["id"] for one in instance.get("/projects/sample/pipelines", ref=branch)]
    assert pipelines, "the push started one"
    before = set(traces(instance, word))
    wanted = {
        "table sessions", "table event_batches", "table offers", "table outputs", "table documents",
        "table blob_chunks", "repository 1.git", "file runner/workspaces", "file runner/journal.jsonl",
    }  # fmt: skip
    assert wanted <= before, "it is found where it is known to be"
    rows = set(mine(instance, session_id))
    assert {"event_batches", "outbox", "approvals", "artifacts", "blobs", "leases", "offers", "sessions"} <= rows

    instance.qd("session", "delete", str(session_id), "--yes")

    def gone() -> bool:
        return not set(traces(instance, word)) and not set(mine(instance, session_id))

    try:
        instance.wait(gone, 60, "nothing of it is left")
    except AssertionError as error:
        left = {*traces(instance, word), *mine(instance, session_id)}
        raise AssertionError(f"left: {sorted(left)}") from error
    with instance.client() as client:
        for path in (f"/sessions/{session_id}", *(f"/pipelines/{one}" for one in pipelines)):
            assert client.get(path).status_code == 404, path
    assert branch not in {one["name"] for one in instance.get("/projects/sample/branches")}


def traces(instance: Instance, word: str) -> Iterator[str]:
    """Everywhere that `word` is: tables, files of the home, objects of the repositories that something refers to."""
    sought = word.encode()
    with psycopg.connect(database_url(instance)) as connection:
        tables = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'public'"
            " and table_type = 'BASE TABLE'"
        ).fetchall()
        for (table,) in tables:
            rows = connection.execute(sql.SQL("select * from {}").format(sql.Identifier(table)))
            if any(sought in data for row in rows for value in row for data in readings(value)):
                yield f"table {table}"
    for path, content in files_below(instance.home):
        relative = path.relative_to(instance.home)
        if relative.parts[0] == "postgres":
            continue  # the database was asked above; what it keeps of deleted rows until it vacuums can't be asked for
        if sought in str(relative).encode() or any(sought in data for data in readings(content)):
            yield f"file {'/'.join(relative.parts[:2])}"
    for repository in (instance.home / "repositories").glob("*.git"):
        objects = git(repository, "rev-list", "--objects", "--all").decode().split("\n")
        ids = "\n".join(line.partition(" ")[0] for line in objects)
        if sought in git(repository, "cat-file", "--batch", stdin=ids.encode()):
            yield f"repository {repository.name}"


def readings(value: Any) -> Iterator[bytes]:
    """What a value may say: as it is, and unpacked."""
    match value:
        case bytes() as data:
            yield data
            if data.startswith(ZSTD):
                yield zstandard.ZstdDecompressor().decompressobj().decompress(data)
            if data.startswith(GZIP):
                yield gzip.decompress(data)
        case str():
            yield value.encode()
        case None | bool() | int() | float():
            return
        case _:
            yield json.dumps(value, default=str, ensure_ascii=False).encode()


def mine(instance: Instance, session_id: int) -> Iterator[str]:
    """The tables that have rows of the session, whatever they say."""
    with psycopg.connect(database_url(instance)) as connection:
        columns = connection.execute(
            "select table_name, column_name from information_schema.columns where table_schema = 'public'"
            " and column_name in ('session_id', 'subject')"
        ).fetchall()
        for table, column in [*columns, ("sessions", "id")]:
            key = f"session:{session_id}" if column == "subject" else session_id
            query = sql.SQL("select 1 from {} where {} = %s limit 1")
            found = connection.execute(query.format(sql.Identifier(table), sql.Identifier(column)), (key,)).fetchone()
            if found and table != "tombstones":
                yield str(table)


def git(repository: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    command = ["git", "-c", "safe.directory=*", *arguments]
    return subprocess.run(command, cwd=repository, input=stdin, capture_output=True, check=True).stdout
