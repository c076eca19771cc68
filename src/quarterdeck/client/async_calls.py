"""The calls of the API, for asyncio. Written by `python3 dev.py client`: change the API instead.

Why this module is long: it has an entry for each part of the API.
"""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from quarterdeck.client import models
from quarterdeck.client.async_connection import AsyncCalls, AsyncTransport, Content, Events
from quarterdeck.client.request import LONG_TIMEOUT, UNSET, Unset, part


class AsyncGroups:
    """All calls, by their noun."""

    def __init__(self, transport: AsyncTransport) -> None:
        self.session_lists = AsyncSessionLists(transport)
        self.sessions = AsyncSessions(transport)
        self.forks = AsyncForks(transport)
        self.log = AsyncLog(transport)
        self.external = AsyncExternal(transport)
        self.exports = AsyncExports(transport)
        self.replays = AsyncReplays(transport)
        self.search = AsyncSearch(transport)
        self.session_records = AsyncSessionRecords(transport)
        self.chats = AsyncChats(transport)
        self.attachments = AsyncAttachments(transport)
        self.agents = AsyncAgents(transport)
        self.mcp_servers = AsyncMcpServers(transport)
        self.projects = AsyncProjects(transport)
        self.connections = AsyncConnections(transport)
        self.repositories = AsyncRepositories(transport)
        self.pipelines = AsyncPipelines(transport)
        self.merge_requests = AsyncMergeRequests(transport)
        self.issues = AsyncIssues(transport)
        self.flows = AsyncFlows(transport)
        self.project_flows = AsyncProjectFlows(transport)
        self.models = AsyncModels(transport)
        self.people = AsyncPeople(transport)
        self.rules = AsyncRules(transport)
        self.retention = AsyncRetention(transport)
        self.network = AsyncNetwork(transport)
        self.runners = AsyncRunners(transport)
        self.editors = AsyncEditors(transport)
        self.webhooks = AsyncWebhooks(transport)
        self.to_dos = AsyncToDos(transport)
        self.triggers = AsyncTriggers(transport)
        self.health = AsyncHealth(transport)
        self.sign_in = AsyncSignIn(transport)


class AsyncSessionLists(AsyncCalls):
    """Calls about session lists."""

    async def find(
        self,
        *,
        project: str | Unset | None = UNSET,
        mine: bool | Unset = UNSET,
        needs_me: bool | Unset = UNSET,
        kind: Literal["chat", "flow", None] | Unset = UNSET,
        status: models.Status | Unset | None = UNSET,
        status_group: models.StatusGroup | Unset | None = UNSET,
        flow: str | Unset | None = UNSET,
        initiator: str | Unset | None = UNSET,
        origin: str | Unset | None = UNSET,
        model: str | Unset | None = UNSET,
        created_after: str | Unset | None = UNSET,
        created_before: str | Unset | None = UNSET,
        updated_after: str | Unset | None = UNSET,
        updated_before: str | Unset | None = UNSET,
        expiring: int | Unset | None = UNSET,
        held: bool | Unset | None = UNSET,
        parent: int | Unset | None = UNSET,
        executor: int | Unset | None = UNSET,
        text: str | Unset | None = UNSET,
        sort: Literal["updated", "created", "expires", "cost", "status", None] | Unset = UNSET,
        order: Literal["asc", "desc", None] | Unset = UNSET,
        cursor: str | Unset | None = UNSET,
        last: bool | Unset = UNSET,
        limit: int | Unset = UNSET,
    ) -> models.SessionPage:
        """List sessions. The sessions that you may see and that fit all filters, the newest activity first."""
        return await self._send(
            "GET",
            "/sessions",
            models.SessionPage,
            query={
                "project": project,
                "mine": mine,
                "needs_me": needs_me,
                "kind": kind,
                "status": status,
                "status_group": status_group,
                "flow": flow,
                "initiator": initiator,
                "origin": origin,
                "model": model,
                "created_after": created_after,
                "created_before": created_before,
                "updated_after": updated_after,
                "updated_before": updated_before,
                "expiring": expiring,
                "held": held,
                "parent": parent,
                "executor": executor,
                "text": text,
                "sort": sort,
                "order": order,
                "cursor": cursor,
                "last": last,
                "limit": limit,
            },
        )

    async def counts(self, *, project: str | Unset | None = UNSET) -> models.SessionCounts:
        """Count sessions.

        How many there are by status group, of a project or in all: that you may see, that are yours, that need you.
        """
        return await self._send("GET", "/sessions/counts", models.SessionCounts, query={"project": project})

    def changes(
        self,
        *,
        project: str | Unset | None = UNSET,
        mine: bool | Unset = UNSET,
        needs_me: bool | Unset = UNSET,
        kind: Literal["chat", "flow", None] | Unset = UNSET,
        status: models.Status | Unset | None = UNSET,
        status_group: models.StatusGroup | Unset | None = UNSET,
        flow: str | Unset | None = UNSET,
        initiator: str | Unset | None = UNSET,
        origin: str | Unset | None = UNSET,
        model: str | Unset | None = UNSET,
        created_after: str | Unset | None = UNSET,
        created_before: str | Unset | None = UNSET,
        updated_after: str | Unset | None = UNSET,
        updated_before: str | Unset | None = UNSET,
        expiring: int | Unset | None = UNSET,
        held: bool | Unset | None = UNSET,
        parent: int | Unset | None = UNSET,
        executor: int | Unset | None = UNSET,
        text: str | Unset | None = UNSET,
        sort: Literal["updated", "created", "expires", "cost", "status", None] | Unset = UNSET,
        order: Literal["asc", "desc", None] | Unset = UNSET,
        cursor: str | Unset | None = UNSET,
        limit: int | Unset = UNSET,
    ) -> Events:
        """Watch a list.

        Server-sent events: the `page`, then each row that is new or `changed`, and each that is `gone` from the
        list. One whose token or role is taken away is sent `error` (401, 403, 404) within 15 seconds.
        """
        return self._events(
            "GET",
            "/sessions/changes",
            query={
                "project": project,
                "mine": mine,
                "needs_me": needs_me,
                "kind": kind,
                "status": status,
                "status_group": status_group,
                "flow": flow,
                "initiator": initiator,
                "origin": origin,
                "model": model,
                "created_after": created_after,
                "created_before": created_before,
                "updated_after": updated_after,
                "updated_before": updated_before,
                "expiring": expiring,
                "held": held,
                "parent": parent,
                "executor": executor,
                "text": text,
                "sort": sort,
                "order": order,
                "cursor": cursor,
                "limit": limit,
            },
        )

    async def preview(
        self, *, action: Literal["cancel", "delete", "hold", "release"], filter: models.SessionFilter | Unset = UNSET
    ) -> models.BulkPreview:
        """Look at what an action on many would do. The sessions that it would be done to; nothing is done."""
        return await self._send(
            "POST", "/sessions/bulk/preview", models.BulkPreview, body={"action": action, "filter": filter}
        )

    async def bulk(
        self,
        *,
        action: Literal["cancel", "delete", "hold", "release"],
        ids: list[int],
        filter: models.SessionFilter | Unset = UNSET,
        reason: str | Unset = UNSET,
    ) -> models.BulkResults:
        """Do something to many sessions.

        Cancels, deletes, holds or releases sessions of a preview, 100 at most, and says of each what came of it.
        """
        return await self._send(
            "POST",
            "/sessions/bulk",
            models.BulkResults,
            body={"action": action, "filter": filter, "ids": ids, "reason": reason},
        )


class AsyncSessions(AsyncCalls):
    """Calls about sessions."""

    async def start(
        self,
        *,
        project: int | str,
        idempotency_key: str | Unset | None = UNSET,
        model: str | Unset | None = UNSET,
        script: str | Unset | None = UNSET,
        title: str | Unset | None = UNSET,
        ref: str | Unset = UNSET,
        privileges: list[models.Privilege] | Unset | None = UNSET,
        may_ask: bool | Unset = UNSET,
        pre_approved: list[models.Privilege] | Unset | None = UNSET,
        pre_approved_patterns: dict[str, list[str]] | Unset = UNSET,
        budget: models.Budget | Unset | None = UNSET,
        additional_context: list[models.Context] | Unset = UNSET,
        attachments: list[int] | Unset = UNSET,
        runner_tags: list[str] | Unset = UNSET,
        executor: int | Unset | None = UNSET,
        flow: str | Unset = UNSET,
        flow_yaml: str | Unset | None = UNSET,
        goal: str | Unset = UNSET,
        pipeline_id: int | Unset | None = UNSET,
        issue_iid: int | Unset | None = UNSET,
        merge_request_iid: int | Unset | None = UNSET,
        inputs: dict[str, JsonValue] | Unset = UNSET,
        origin: Literal["api", "cli", "web"] | Unset = UNSET,
    ) -> models.SessionView:
        """Start a session. Starts a session; the same `Idempotency-Key` again answers the one that it started."""
        return await self._send(
            "POST",
            "/sessions",
            models.SessionView,
            header={"Idempotency-Key": idempotency_key},
            body={
                "model": model,
                "script": script,
                "title": title,
                "ref": ref,
                "privileges": privileges,
                "may_ask": may_ask,
                "pre_approved": pre_approved,
                "pre_approved_patterns": pre_approved_patterns,
                "budget": budget,
                "additional_context": additional_context,
                "attachments": attachments,
                "runner_tags": runner_tags,
                "executor": executor,
                "project": project,
                "flow": flow,
                "flow_yaml": flow_yaml,
                "goal": goal,
                "pipeline_id": pipeline_id,
                "issue_iid": issue_iid,
                "merge_request_iid": merge_request_iid,
                "inputs": inputs,
                "origin": origin,
            },
        )

    async def show(self, session_id: int) -> models.SessionView:
        """Show a session. The session as it stands."""
        return await self._send("GET", f"/sessions/{part(session_id)}", models.SessionView)

    async def remove(self, session_id: int) -> None:
        """Delete a session. Deletes everything of it and leaves a tombstone without content."""
        return await self._do("DELETE", f"/sessions/{part(session_id)}")

    async def change(
        self, session_id: int, *, title: str | Unset | None = UNSET, budget: models.Budget | Unset | None = UNSET
    ) -> models.SessionView:
        """Change a session. Gives it another title or budget; one that is paused still has to be resumed."""
        return await self._send(
            "PATCH", f"/sessions/{part(session_id)}", models.SessionView, body={"title": title, "budget": budget}
        )

    async def reply(self, session_id: int, *, text: str, attachments: list[int] | Unset = UNSET) -> models.SessionView:
        """Say something to a session. Answers its question, or gives it a follow-up."""
        return await self._send(
            "POST",
            f"/sessions/{part(session_id)}/messages",
            models.SessionView,
            body={"text": text, "attachments": attachments},
        )

    async def questions(self, session_id: int) -> list[models.ApprovalView]:
        """List the questions that wait. The approvals that a person is asked for now."""
        return await self._send("GET", f"/sessions/{part(session_id)}/approvals", list[models.ApprovalView])

    async def approve(
        self,
        session_id: int,
        *,
        approval_id: str | Unset | None = UNSET,
        pattern: str | Unset = UNSET,
        for_session: bool | Unset = UNSET,
        args: dict[str, JsonValue] | Unset | None = UNSET,
    ) -> models.SessionView:
        """Approve what waits. Says yes to a tool call or a plan."""
        return await self._send(
            "POST",
            f"/sessions/{part(session_id)}/approve",
            models.SessionView,
            body={"approval_id": approval_id, "pattern": pattern, "for_session": for_session, "args": args},
        )

    async def deny(
        self, session_id: int, *, approval_id: str | Unset | None = UNSET, reason: str | Unset = UNSET
    ) -> models.SessionView:
        """Deny what waits. Says no; the session goes on and is told the reason."""
        return await self._send(
            "POST",
            f"/sessions/{part(session_id)}/deny",
            models.SessionView,
            body={"approval_id": approval_id, "reason": reason},
        )

    async def pause(self, session_id: int) -> models.SessionView:
        """Pause a session. Takes effect after the present call; nothing is killed."""
        return await self._send("POST", f"/sessions/{part(session_id)}/pause", models.SessionView)

    async def resume(self, session_id: int) -> models.SessionView:
        """Resume a session. Goes on with a paused one."""
        return await self._send("POST", f"/sessions/{part(session_id)}/resume", models.SessionView)

    async def interrupt(self, session_id: int) -> models.SessionView:
        """Interrupt a chat's answer. What there is of the answer stays, what runs is killed, and the chat is idle."""
        return await self._send("POST", f"/sessions/{part(session_id)}/interrupt", models.SessionView)

    async def cancel(self, session_id: int, *, reason: str | Unset = UNSET) -> models.SessionView:
        """Stop a session for good.

        Final at once; the proof that nothing runs any more follows in the log as `workspace.torn_down`.
        """
        return await self._send(
            "POST", f"/sessions/{part(session_id)}/cancel", models.SessionView, body={"reason": reason}
        )

    async def hand_over(self, session_id: int, *, executor: int | None) -> models.SessionView:
        """Hand a session over. To an editor of yours, or to a runner; it goes on there from its last snapshot."""
        return await self._send(
            "POST", f"/sessions/{part(session_id)}/executor", models.SessionView, body={"executor": executor}
        )

    async def hold(self, session_id: int, *, reason: str | Unset = UNSET) -> models.SessionView:
        """Keep a session. It is not deleted by age."""
        return await self._send(
            "POST", f"/sessions/{part(session_id)}/hold", models.SessionView, body={"reason": reason}
        )

    async def release(self, session_id: int) -> models.SessionView:
        """Stop keeping a session. The retention clock counts again."""
        return await self._send("POST", f"/sessions/{part(session_id)}/release", models.SessionView)


class AsyncForks(AsyncCalls):
    """Calls about forks."""

    async def fork(
        self,
        session_id: int,
        *,
        idempotency_key: str | Unset | None = UNSET,
        seq: int | Unset | None = UNSET,
        message: str | Unset = UNSET,
        title: str | Unset | None = UNSET,
        model: str | Unset | None = UNSET,
        script: str | Unset | None = UNSET,
        budget: models.Budget | Unset | None = UNSET,
        origin: Literal["api", "cli", "web"] | Unset = UNSET,
    ) -> models.SessionView:
        """Fork a session.

        A new session goes on from an event of this one, which stays as it is; the same `Idempotency-Key`: no other.
        """
        return await self._send(
            "POST",
            f"/sessions/{part(session_id)}/fork",
            models.SessionView,
            header={"Idempotency-Key": idempotency_key},
            body={
                "seq": seq,
                "message": message,
                "title": title,
                "model": model,
                "script": script,
                "budget": budget,
                "origin": origin,
            },
            timeout=LONG_TIMEOUT,
        )


class AsyncLog(AsyncCalls):
    """Calls about log."""

    async def events(
        self,
        session_id: int,
        *,
        after: int | Unset = UNSET,
        before: int | Unset | None = UNSET,
        limit: int | Unset = UNSET,
        level: models.Level | Unset = UNSET,
        kind: list[str] | Unset | None = UNSET,
        text: str | Unset = UNSET,
        order: Literal["asc", "desc"] | Unset = UNSET,
    ) -> models.EventPage:
        """Read the log. Events between `after` and `before`, oldest or newest first."""
        return await self._send(
            "GET",
            f"/sessions/{part(session_id)}/events",
            models.EventPage,
            query={
                "after": after,
                "before": before,
                "limit": limit,
                "level": level,
                "kind": kind,
                "text": text,
                "order": order,
            },
        )

    async def event(self, session_id: int, seq: int) -> models.Event:
        """Read one event. The event with this number."""
        return await self._send("GET", f"/sessions/{part(session_id)}/events/{part(seq)}", models.Event)

    def follow(
        self,
        session_id: int,
        *,
        after: int | Unset = UNSET,
        last_event_id: int | Unset | None = UNSET,
        form: Literal["events", "entries"] | Unset = UNSET,
    ) -> Events:
        """Watch a session.

        Server-sent events: each event of the log under its kind with `id: seq`, `partial` answers, and `output`. As
        `entries` each event comes under the name `entry`, as a text with its head, its words and what is verbatim
        in it. `output` has `call_id`, `offset` and `data` (base64). The stream ends with `end` when the session has
        ended and was torn down, with `closing` when the server stops; after anything else connect again with `Last-
        Event-ID`. One who reads so slowly that 256 KiB wait is sent `error` (503, `watcher_behind`), and connects
        again. One whose token or role is taken away is sent `error` (401, 404) within 15 seconds.
        """
        return self._events(
            "GET",
            f"/sessions/{part(session_id)}/stream",
            query={"after": after, "form": form},
            header={"Last-Event-ID": last_event_id},
        )

    async def output(
        self,
        session_id: int,
        call_id: str,
        *,
        offset: int | Unset = UNSET,
        limit: int | Unset = UNSET,
        range: str | Unset | None = UNSET,
    ) -> bytes:
        """Read the output of a call.

        Raw bytes as the command wrote them, from `offset`; nothing when there is no more. With `Range` the answer
        is 206, and `Content-Range` says how many bytes there are by now.
        """
        return await self._read(
            "GET",
            f"/sessions/{part(session_id)}/calls/{part(call_id)}/output",
            query={"offset": offset, "limit": limit},
            header={"Range": range},
        )

    async def diff(
        self, session_id: int, *, step: int | Unset | None = UNSET, file: str | Unset | None = UNSET
    ) -> bytes:
        """Show what a session changed.

        The whole diff from the base commit, or that of one step or file, as git prints it.
        """
        return await self._read("GET", f"/sessions/{part(session_id)}/diff", query={"step": step, "file": file})

    async def changes(self, session_id: int, *, after: int | Unset = UNSET) -> models.Changes:
        """List what a session changed. The files with lines added and removed, in all and by steps, without a diff."""
        return await self._send("GET", f"/sessions/{part(session_id)}/changes", models.Changes, query={"after": after})


class AsyncExternal(AsyncCalls):
    """Calls about external."""

    async def append(
        self,
        session_id: int,
        *,
        events: list[
            models.SourceMessage
            | models.SourceAnswer
            | models.SourceToolCall
            | models.SourceResult
            | models.SourceStatus
            | models.SourcePlan
            | models.SourceArtifact
            | models.SourceUsage
            | models.SourceCheck
            | models.SourceLink
        ],
    ) -> models.Appended:
        """Append to a session from elsewhere.

        Stores events that their source numbers from 1: all of a batch or none, each once however often it is sent.
        The answer comes when they are committed. A batch that begins behind the next number is a 409 whose
        `expected` is that number, an event that doesn't fit is a 422 whose `index` is its place, and a session that
        was stopped or has ended answers 409, `session_ended`.
        """
        return await self._send(
            "POST", f"/sessions/{part(session_id)}/events", models.Appended, body={"events": events}
        )

    async def start(
        self,
        *,
        title: str,
        agent: str,
        idempotency_key: str | Unset | None = UNSET,
        project: int | str | Unset | None = UNSET,
        goal: str | Unset = UNSET,
        model: str | Unset = UNSET,
        ref: str | Unset | None = UNSET,
    ) -> models.SessionView:
        """Record a session from elsewhere.

        Makes a session that nobody here works on; its events come by `POST /sessions/{id}/events`.
        """
        return await self._send(
            "POST",
            "/sessions/external",
            models.SessionView,
            header={"Idempotency-Key": idempotency_key},
            body={"title": title, "agent": agent, "project": project, "goal": goal, "model": model, "ref": ref},
        )


class AsyncExports(AsyncCalls):
    """Calls about exports."""

    async def export(
        self,
        session_id: int,
        *,
        format: Literal["ndjson", "markdown", "html"] | Unset = UNSET,
        redacted: bool | Unset = UNSET,
        files: bool | Unset = UNSET,
        level: models.Level | Unset = UNSET,
    ) -> bytes:
        """Export a session.

        The log up to now with output and diffs: as NDJSON, as Markdown, or as one page that plays it offline.
        """
        return await self._read(
            "GET",
            f"/sessions/{part(session_id)}/export",
            query={"format": format, "redacted": redacted, "files": files, "level": level},
        )

    async def import_(
        self, content: Content, *, project: str | Unset | None = UNSET, idempotency_key: str | Unset | None = UNSET
    ) -> models.SessionView:
        """Import a session.

        The body is an export as NDJSON; a new session of yours has its log, and nothing of it runs. With the same
        `Idempotency-Key` again it answers the session that it made.
        """
        return await self._send(
            "POST",
            "/sessions/import",
            models.SessionView,
            query={"project": project},
            header={"Idempotency-Key": idempotency_key},
            content=content,
            content_type="application/x-ndjson",
            timeout=LONG_TIMEOUT,
        )


class AsyncReplays(AsyncCalls):
    """Calls about replays."""

    def replay(
        self,
        session_id: int,
        *,
        speed: float | Unset = UNSET,
        max_gap: float | Unset = UNSET,
        after: int | Unset = UNSET,
        last_event_id: int | Unset | None = UNSET,
    ) -> Events:
        """Replay a session.

        The same messages as the stream's, but for `partial`, at the times of the log; `end` comes behind its last
        event. What a call printed comes before its end. Connect again with `Last-Event-ID` to go on from there.
        """
        return self._events(
            "GET",
            f"/sessions/{part(session_id)}/replay",
            query={"speed": speed, "max_gap": max_gap, "after": after},
            header={"Last-Event-ID": last_event_id},
        )


class AsyncSearch(AsyncCalls):
    """Calls about search."""

    async def find(
        self,
        *,
        q: str,
        project: str | Unset | None = UNSET,
        mine: bool | Unset = UNSET,
        flow: str | Unset | None = UNSET,
        status: models.Status | Unset | None = UNSET,
        status_group: models.StatusGroup | Unset | None = UNSET,
        before: str | Unset | None = UNSET,
        limit: int | Unset = UNSET,
    ) -> models.HitPage:
        """Search sessions.

        What was said, asked for, printed or went wrong, in all sessions that you may see, newest first.
        """
        return await self._send(
            "GET",
            "/search/sessions",
            models.HitPage,
            query={
                "q": q,
                "project": project,
                "mine": mine,
                "flow": flow,
                "status": status,
                "status_group": status_group,
                "before": before,
                "limit": limit,
            },
        )

    async def find_within(
        self, session_id: int, *, q: str, after: str | Unset | None = UNSET, limit: int | Unset = UNSET
    ) -> models.HitPage:
        """Search a session. The same in one session, in the order of its events."""
        return await self._send(
            "GET",
            f"/sessions/{part(session_id)}/search",
            models.HitPage,
            query={"q": q, "after": after, "limit": limit},
        )


class AsyncSessionRecords(AsyncCalls):
    """Calls about session records."""

    async def used(
        self, session_id: int, *, after: int | Unset = UNSET, limit: int | Unset = UNSET
    ) -> models.UsageView:
        """Show what a session used.

        Tokens and cost in all, by model, and of each model call; a cost is null where a price is not known.
        """
        return await self._send(
            "GET", f"/sessions/{part(session_id)}/usage", models.UsageView, query={"after": after, "limit": limit}
        )

    async def made(
        self, session_id: int, *, after: int | Unset = UNSET, limit: int | Unset = UNSET
    ) -> models.Artifacts:
        """List what a session made. Branches, commits, merge requests and others, in the order of their events."""
        return await self._send(
            "GET", f"/sessions/{part(session_id)}/artifacts", models.Artifacts, query={"after": after, "limit": limit}
        )

    async def decisions(self, session_id: int) -> list[models.DecisionView]:
        """List who decided what. The questions that people were asked, newest first, and their answers."""
        return await self._send("GET", f"/sessions/{part(session_id)}/decisions", list[models.DecisionView])

    async def children(self, session_id: int) -> list[models.ChildView]:
        """List the sessions that a session started. Those that you may see."""
        return await self._send("GET", f"/sessions/{part(session_id)}/children", list[models.ChildView])

    async def context(self, session_id: int) -> models.ContextView:
        """Show what a session was started with.

        Its inputs and the facts that its flow may read; files are under `attachments`.
        """
        return await self._send("GET", f"/sessions/{part(session_id)}/context", models.ContextView)


class AsyncChats(AsyncCalls):
    """Calls about chats."""

    async def start(
        self,
        *,
        message: str,
        idempotency_key: str | Unset | None = UNSET,
        model: str | Unset | None = UNSET,
        script: str | Unset | None = UNSET,
        title: str | Unset | None = UNSET,
        ref: str | Unset = UNSET,
        privileges: list[models.Privilege] | Unset | None = UNSET,
        may_ask: bool | Unset = UNSET,
        pre_approved: list[models.Privilege] | Unset | None = UNSET,
        pre_approved_patterns: dict[str, list[str]] | Unset = UNSET,
        budget: models.Budget | Unset | None = UNSET,
        additional_context: list[models.Context] | Unset = UNSET,
        attachments: list[int] | Unset = UNSET,
        runner_tags: list[str] | Unset = UNSET,
        executor: int | Unset | None = UNSET,
        project: int | str | Unset | None = UNSET,
        agent: str | Unset = UNSET,
    ) -> models.SessionView:
        """Start a chat. A session that is yours alone; all else is done with it as with any session."""
        return await self._send(
            "POST",
            "/chats",
            models.SessionView,
            header={"Idempotency-Key": idempotency_key},
            body={
                "model": model,
                "script": script,
                "title": title,
                "ref": ref,
                "privileges": privileges,
                "may_ask": may_ask,
                "pre_approved": pre_approved,
                "pre_approved_patterns": pre_approved_patterns,
                "budget": budget,
                "additional_context": additional_context,
                "attachments": attachments,
                "runner_tags": runner_tags,
                "executor": executor,
                "message": message,
                "project": project,
                "agent": agent,
            },
        )

    async def ask(
        self,
        *,
        question: str,
        project: int | str | Unset | None = UNSET,
        model: str | Unset | None = UNSET,
        script: str | Unset | None = UNSET,
    ) -> models.Answer:
        """Ask a question. Answered without tools; no session and no log is made, but what it cost is counted."""
        return await self._send(
            "POST",
            "/ask",
            models.Answer,
            body={"question": question, "project": project, "model": model, "script": script},
        )


class AsyncAttachments(AsyncCalls):
    """Calls about attachments."""

    async def upload(self, *, name: str) -> models.AttachmentView:
        """Upload a file for a session.

        Raw bytes: text, or an image (PNG, JPEG, GIF, WebP). Name its number to a start or message within a day.
        """
        return await self._send("POST", "/attachments", models.AttachmentView, query={"name": name})

    async def of_session(self, session_id: int) -> list[models.AttachmentView]:
        """List the files of a session. What it was started with, and what came with messages."""
        return await self._send("GET", f"/sessions/{part(session_id)}/attachments", list[models.AttachmentView])

    async def read(self, session_id: int, attachment_id: int) -> bytes:
        """Fetch a file of a session. Its bytes; of a text without the secrets that it held."""
        return await self._read("GET", f"/sessions/{part(session_id)}/attachments/{part(attachment_id)}")


class AsyncAgents(AsyncCalls):
    """Calls about agents."""

    async def find(self, *, project: str | Unset | None = UNSET) -> list[models.AgentView]:
        """List agents. Yours, and those of the project when one is named."""
        return await self._send("GET", "/agents", list[models.AgentView], query={"project": project})

    async def add(
        self,
        *,
        name: str,
        prompt: str,
        project: int | str | Unset | None = UNSET,
        description: str | Unset = UNSET,
        tools: list[str] | Unset = UNSET,
        model: str | Unset | None = UNSET,
    ) -> models.AgentView:
        """Add an agent. Yours, or a project's."""
        return await self._send(
            "POST",
            "/agents",
            models.AgentView,
            body={
                "name": name,
                "project": project,
                "description": description,
                "prompt": prompt,
                "tools": tools,
                "model": model,
            },
        )

    async def show(self, agent_id: int) -> models.AgentView:
        """Show an agent. With its prompt and tools."""
        return await self._send("GET", f"/agents/{part(agent_id)}", models.AgentView)

    async def remove(self, agent_id: int) -> None:
        """Delete an agent. Its chats go on with what they began with."""
        return await self._do("DELETE", f"/agents/{part(agent_id)}")

    async def edit(
        self,
        agent_id: int,
        *,
        name: str | Unset | None = UNSET,
        description: str | Unset | None = UNSET,
        prompt: str | Unset | None = UNSET,
        tools: list[str] | Unset | None = UNSET,
        model: str | Unset | None = UNSET,
    ) -> models.AgentView:
        """Change an agent. What is left out stays; chats that have begun keep what they began with."""
        return await self._send(
            "PATCH",
            f"/agents/{part(agent_id)}",
            models.AgentView,
            body={"name": name, "description": description, "prompt": prompt, "tools": tools, "model": model},
        )


class AsyncMcpServers(AsyncCalls):
    """Calls about mcp servers."""

    async def find(self, project: int | str) -> models.McpServersView:
        """List a project's MCP servers. By name; of their secrets the names only."""
        return await self._send("GET", f"/projects/{part(project)}/mcp_servers", models.McpServersView)

    async def add(
        self,
        project: int | str,
        *,
        name: str,
        url: str | Unset = UNSET,
        headers: dict[str, str] | Unset = UNSET,
        command: list[str] | Unset = UNSET,
        env: dict[str, str] | Unset = UNSET,
        allow: list[str] | Unset = UNSET,
        enabled: bool | Unset = UNSET,
    ) -> models.McpServerView:
        """Add an MCP server to a project.

        Its sessions may use it from now on; values of headers and variables are never shown again.
        """
        return await self._send(
            "POST",
            f"/projects/{part(project)}/mcp_servers",
            models.McpServerView,
            body={
                "name": name,
                "url": url,
                "headers": headers,
                "command": command,
                "env": env,
                "allow": allow,
                "enabled": enabled,
            },
        )

    async def show(self, project: int | str, name: str) -> models.McpServerView:
        """Show an MCP server of a project. Without its secrets."""
        return await self._send("GET", f"/projects/{part(project)}/mcp_servers/{part(name)}", models.McpServerView)

    async def remove(self, project: int | str, name: str) -> None:
        """Remove an MCP server from a project. With its secrets."""
        return await self._do("DELETE", f"/projects/{part(project)}/mcp_servers/{part(name)}")

    async def switch(self, project: int | str, name: str, *, enabled: bool) -> models.McpServerView:
        """Turn an MCP server of a project on or off. A session that has its tools is refused at its next call."""
        return await self._send(
            "PATCH",
            f"/projects/{part(project)}/mcp_servers/{part(name)}",
            models.McpServerView,
            body={"enabled": enabled},
        )

    async def ask(self, project: int | str, name: str) -> models.McpTest:
        """Ask a project's MCP server. For its tools, now; one with a command is asked in sessions only."""
        return await self._send("POST", f"/projects/{part(project)}/mcp_servers/{part(name)}/test", models.McpTest)

    async def block(self, project: int | str, *, blocked: bool) -> models.McpServersView:
        """Block MCP servers in a project. All of them in all of its sessions, at every call, or not any more."""
        return await self._send(
            "PATCH", f"/projects/{part(project)}/mcp_block", models.McpServersView, body={"blocked": blocked}
        )

    async def find_own(self) -> models.McpServersView:
        """List your MCP servers. Those that your own sessions may use, in any project that doesn't block them."""
        return await self._send("GET", "/mcp_servers", models.McpServersView)

    async def add_own(
        self,
        *,
        name: str,
        url: str | Unset = UNSET,
        headers: dict[str, str] | Unset = UNSET,
        command: list[str] | Unset = UNSET,
        env: dict[str, str] | Unset = UNSET,
        allow: list[str] | Unset = UNSET,
        enabled: bool | Unset = UNSET,
    ) -> models.McpServerView:
        """Add an MCP server of yours. Your own sessions may use it from now on."""
        return await self._send(
            "POST",
            "/mcp_servers",
            models.McpServerView,
            body={
                "name": name,
                "url": url,
                "headers": headers,
                "command": command,
                "env": env,
                "allow": allow,
                "enabled": enabled,
            },
        )

    async def show_own(self, name: str) -> models.McpServerView:
        """Show an MCP server of yours. Without its secrets."""
        return await self._send("GET", f"/mcp_servers/{part(name)}", models.McpServerView)

    async def remove_own(self, name: str) -> None:
        """Remove an MCP server of yours. With its secrets."""
        return await self._do("DELETE", f"/mcp_servers/{part(name)}")

    async def switch_own(self, name: str, *, enabled: bool) -> models.McpServerView:
        """Turn an MCP server of yours on or off. A session that has its tools is refused at its next call."""
        return await self._send("PATCH", f"/mcp_servers/{part(name)}", models.McpServerView, body={"enabled": enabled})

    async def ask_own(self, name: str) -> models.McpTest:
        """Ask an MCP server of yours. For its tools, now; one with a command is asked in sessions only."""
        return await self._send("POST", f"/mcp_servers/{part(name)}/test", models.McpTest)


class AsyncProjects(AsyncCalls):
    """Calls about projects."""

    async def find(self) -> list[models.ProjectView]:
        """List projects. Those that you may see, by path."""
        return await self._send("GET", "/projects", list[models.ProjectView])

    async def add(
        self,
        *,
        path: str,
        name: str | Unset | None = UNSET,
        description: str | Unset = UNSET,
        source: str | Unset | None = UNSET,
        sample: bool | Unset = UNSET,
    ) -> models.ProjectView:
        """Add a project. Empty, or with a copy of a repository; you become its owner."""
        return await self._send(
            "POST",
            "/projects",
            models.ProjectView,
            body={"path": path, "name": name, "description": description, "source": source, "sample": sample},
        )

    async def show(self, project: int | str) -> models.ProjectView:
        """Show a project. By number or path; a slash in a path is written `%2F`."""
        return await self._send("GET", f"/projects/{part(project)}", models.ProjectView)

    async def remove(self, project: int | str) -> None:
        """Delete a project.

        With its repository, pipelines and merge requests; its sessions have to be deleted before.
        """
        return await self._do("DELETE", f"/projects/{part(project)}")

    async def edit(
        self,
        project: int | str,
        *,
        name: str | Unset | None = UNSET,
        description: str | Unset | None = UNSET,
        retention_days: int | Unset | None = UNSET,
        runner_tags: list[str] | Unset | None = UNSET,
        limits: models.ProjectLimits | Unset | None = UNSET,
        always_ask: list[models.Privilege] | Unset | None = UNSET,
    ) -> models.ProjectView:
        """Change a project. What is absent stays; another time for its sessions goes for those that there are, too."""
        return await self._send(
            "PATCH",
            f"/projects/{part(project)}",
            models.ProjectView,
            body={
                "name": name,
                "description": description,
                "retention_days": retention_days,
                "runner_tags": runner_tags,
                "limits": limits,
                "always_ask": always_ask,
            },
        )

    async def members(self, project: int | str) -> list[models.MemberView]:
        """List members. The highest roles first."""
        return await self._send("GET", f"/projects/{part(project)}/members", list[models.MemberView])

    async def set_member(self, project: int | str, username: str, *, role: str) -> list[models.MemberView]:
        """Give somebody a role. Makes a member, or changes the role of one."""
        return await self._send(
            "PUT", f"/projects/{part(project)}/members/{part(username)}", list[models.MemberView], body={"role": role}
        )

    async def remove_member(self, project: int | str, username: str) -> list[models.MemberView]:
        """End a membership. Yours, or with the role for it somebody else's."""
        return await self._send(
            "DELETE", f"/projects/{part(project)}/members/{part(username)}", list[models.MemberView]
        )


class AsyncConnections(AsyncCalls):
    """Calls about connections."""

    async def show(self, project: int | str) -> models.ConnectionView:
        """Show a project's connection.

        With the newest deliveries of its webhook, and what waits to be written there.
        """
        return await self._send("GET", f"/projects/{part(project)}/connection", models.ConnectionView)

    async def connect(
        self,
        project: int | str,
        *,
        forge: Literal["github", "gitlab"],
        repository: str,
        token: str,
        api_url: str | Unset = UNSET,
        git_url: str | Unset = UNSET,
        run_pipelines: bool | Unset | None = UNSET,
    ) -> models.ConnectionView:
        """Connect a project to a forge.

        Its repository, issues, merge requests and pipelines come from there; the answer has the webhook's secret.
        """
        return await self._send(
            "POST",
            f"/projects/{part(project)}/connection",
            models.ConnectionView,
            body={
                "forge": forge,
                "repository": repository,
                "token": token,
                "api_url": api_url,
                "git_url": git_url,
                "run_pipelines": run_pipelines,
            },
        )

    async def disconnect(self, project: int | str) -> None:
        """Disconnect a project. With its secrets; what came from the forge stays, and all that is there."""
        return await self._do("DELETE", f"/projects/{part(project)}/connection")

    async def sync(self, project: int | str) -> models.ConnectionView:
        """Read what webhooks have not told. By a job; what the forge refused to take is tried once more, too."""
        return await self._send("POST", f"/projects/{part(project)}/connection/sync", models.ConnectionView)

    async def link(self, project: int | str, *, login: str) -> models.ConnectionView:
        """Say who you are at the forge. What that name does there is then yours."""
        return await self._send(
            "POST", f"/projects/{part(project)}/connection/people", models.ConnectionView, body={"login": login}
        )

    async def unlink(self, project: int | str, login: str) -> models.ConnectionView:
        """Unlink a name at the forge. Yours, or with the role for it anybody's."""
        return await self._send(
            "DELETE", f"/projects/{part(project)}/connection/people/{part(login)}", models.ConnectionView
        )


class AsyncRepositories(AsyncCalls):
    """Calls about repositories."""

    async def branches(self, project: int | str) -> list[models.BranchView]:
        """List branches. The default one first."""
        return await self._send("GET", f"/projects/{part(project)}/branches", list[models.BranchView])

    async def commits(
        self,
        project: int | str,
        *,
        ref: str | Unset | None = UNSET,
        limit: int | Unset = UNSET,
        skip: int | Unset = UNSET,
    ) -> list[models.CommitView]:
        """List commits. The newest first."""
        return await self._send(
            "GET",
            f"/projects/{part(project)}/commits",
            list[models.CommitView],
            query={"ref": ref, "limit": limit, "skip": skip},
        )

    async def commit(self, project: int | str, sha: str) -> models.CommitDetailsView:
        """Show a commit. With its message and the beginning of its diff."""
        return await self._send("GET", f"/projects/{part(project)}/commits/{part(sha)}", models.CommitDetailsView)

    async def tree(
        self,
        project: int | str,
        *,
        path: str | Unset = UNSET,
        ref: str | Unset | None = UNSET,
        recursive: bool | Unset = UNSET,
    ) -> list[models.EntryView]:
        """List a folder. Files, folders and submodules, 500 at most."""
        return await self._send(
            "GET",
            f"/projects/{part(project)}/tree",
            list[models.EntryView],
            query={"path": path, "ref": ref, "recursive": recursive},
        )

    async def search(
        self, project: int | str, *, text: str, path: str | Unset = UNSET, ref: str | Unset | None = UNSET
    ) -> list[models.MatchView]:
        """Search in files. Lines that hold the text in upper or lower case, 100 at most and 20 of each file."""
        return await self._send(
            "GET",
            f"/projects/{part(project)}/search",
            list[models.MatchView],
            query={"text": text, "path": path, "ref": ref},
        )

    async def file(self, project: int | str, *, path: str, ref: str | Unset | None = UNSET) -> bytes:
        """Read a file. Its bytes."""
        return await self._read("GET", f"/projects/{part(project)}/file", query={"path": path, "ref": ref})


class AsyncPipelines(AsyncCalls):
    """Calls about pipelines."""

    async def find(
        self,
        project: int | str,
        *,
        ref: str | Unset | None = UNSET,
        status: models.PipelineStatus | Unset | None = UNSET,
        before: int | Unset | None = UNSET,
        limit: int | Unset = UNSET,
    ) -> list[models.PipelineView]:
        """List pipelines. The newest first, without their jobs."""
        return await self._send(
            "GET",
            f"/projects/{part(project)}/pipelines",
            list[models.PipelineView],
            query={"ref": ref, "status": status, "before": before, "limit": limit},
        )

    async def start(self, project: int | str, *, ref: str | Unset | None = UNSET) -> models.PipelineView:
        """Start a pipeline. Runs the `.gitlab-ci.yml` of the branch's newest commit."""
        return await self._send("POST", f"/projects/{part(project)}/pipelines", models.PipelineView, body={"ref": ref})

    async def lint(self, project: int | str, *, text: str, ref: str | Unset | None = UNSET) -> models.LintView:
        """Check a pipeline file.

        All that is wrong with it, each with its line; or the jobs that a push of it would run.
        """
        return await self._send(
            "POST", f"/projects/{part(project)}/ci/lint", models.LintView, body={"text": text, "ref": ref}
        )

    async def show(self, pipeline_id: int) -> models.PipelineView:
        """Show a pipeline. With its jobs."""
        return await self._send("GET", f"/pipelines/{part(pipeline_id)}", models.PipelineView)

    async def retry(self, pipeline_id: int) -> models.PipelineView:
        """Try failed jobs again. Those that failed or were cancelled, and what waits for them."""
        return await self._send("POST", f"/pipelines/{part(pipeline_id)}/retry", models.PipelineView)

    async def cancel(self, pipeline_id: int) -> models.PipelineView:
        """Cancel a pipeline. Stops all its jobs."""
        return await self._send("POST", f"/pipelines/{part(pipeline_id)}/cancel", models.PipelineView)

    async def show_job(self, job_id: int) -> models.JobView:
        """Show a job. One attempt at it."""
        return await self._send("GET", f"/jobs/{part(job_id)}", models.JobView)

    async def log(self, job_id: int, *, offset: int | Unset = UNSET, limit: int | Unset = UNSET) -> bytes:
        """Read a job's log. Raw bytes from `offset`; none when there are no more yet."""
        return await self._read("GET", f"/jobs/{part(job_id)}/log", query={"offset": offset, "limit": limit})

    async def retry_job(self, job_id: int) -> models.PipelineView:
        """Try a job again. An ended one, or start a manual one; answers its pipeline."""
        return await self._send("POST", f"/jobs/{part(job_id)}/retry", models.PipelineView)


class AsyncMergeRequests(AsyncCalls):
    """Calls about merge requests."""

    async def find(
        self,
        project: int | str,
        *,
        status: Literal["opened", "merged", "closed", None] | Unset = UNSET,
        before: int | Unset | None = UNSET,
        limit: int | Unset = UNSET,
    ) -> list[models.MergeRequestView]:
        """List merge requests. The newest first."""
        return await self._send(
            "GET",
            f"/projects/{part(project)}/merge_requests",
            list[models.MergeRequestView],
            query={"status": status, "before": before, "limit": limit},
        )

    async def create(
        self,
        project: int | str,
        *,
        source_branch: str,
        title: str,
        target_branch: str | Unset | None = UNSET,
        description: str | Unset = UNSET,
        assignees: list[str] | Unset = UNSET,
        reviewers: list[str] | Unset = UNSET,
    ) -> models.MergeRequestView:
        """Create a merge request. From a branch into another."""
        return await self._send(
            "POST",
            f"/projects/{part(project)}/merge_requests",
            models.MergeRequestView,
            body={
                "source_branch": source_branch,
                "target_branch": target_branch,
                "title": title,
                "description": description,
                "assignees": assignees,
                "reviewers": reviewers,
            },
        )

    async def show(self, project: int | str, iid: int) -> models.MergeRequestView:
        """Show a merge request. With its comments and the newest pipeline of its branch."""
        return await self._send("GET", f"/projects/{part(project)}/merge_requests/{part(iid)}", models.MergeRequestView)

    async def change(
        self,
        project: int | str,
        iid: int,
        *,
        title: str | Unset | None = UNSET,
        description: str | Unset | None = UNSET,
        assignees: list[str] | Unset | None = UNSET,
        reviewers: list[str] | Unset | None = UNSET,
    ) -> models.MergeRequestView:
        """Change a merge request. Title, description, assignees, reviewers; what is absent stays."""
        return await self._send(
            "PATCH",
            f"/projects/{part(project)}/merge_requests/{part(iid)}",
            models.MergeRequestView,
            body={"title": title, "description": description, "assignees": assignees, "reviewers": reviewers},
        )

    async def diff(self, project: int | str, iid: int) -> bytes:
        """Show what it changes. As git prints it."""
        return await self._read("GET", f"/projects/{part(project)}/merge_requests/{part(iid)}/diff")

    async def merge(self, project: int | str, iid: int, *, head: str | Unset = UNSET) -> models.MergeRequestView:
        """Merge it. Finishes the session that made it."""
        return await self._send(
            "POST",
            f"/projects/{part(project)}/merge_requests/{part(iid)}/merge",
            models.MergeRequestView,
            query={"head": head},
        )

    async def close(self, project: int | str, iid: int) -> models.MergeRequestView:
        """Close it. Without merging."""
        return await self._send(
            "POST", f"/projects/{part(project)}/merge_requests/{part(iid)}/close", models.MergeRequestView
        )

    async def reopen(self, project: int | str, iid: int) -> models.MergeRequestView:
        """Open it again. A closed one, if its branches still bring something."""
        return await self._send(
            "POST", f"/projects/{part(project)}/merge_requests/{part(iid)}/reopen", models.MergeRequestView
        )

    async def comment(
        self, project: int | str, iid: int, *, text: str, position: models.Line | Unset | None = UNSET
    ) -> models.MergeRequestView:
        """Say something.

        Answers the merge request with all that was said; a line that isn't in its diff is refused.
        """
        return await self._send(
            "POST",
            f"/projects/{part(project)}/merge_requests/{part(iid)}/comments",
            models.MergeRequestView,
            body={"text": text, "position": position},
        )

    async def review(
        self,
        project: int | str,
        iid: int,
        *,
        summary: str | Unset = UNSET,
        comments: list[models.LineComment] | Unset = UNSET,
        head: str | Unset = UNSET,
        verdict: Literal["approved", "changes_requested"] | Unset | None = UNSET,
    ) -> models.MergeRequestView:
        """Submit a review. Comments on lines, a summary and a verdict, all of it or nothing."""
        return await self._send(
            "POST",
            f"/projects/{part(project)}/merge_requests/{part(iid)}/reviews",
            models.MergeRequestView,
            body={"summary": summary, "comments": comments, "head": head, "verdict": verdict},
        )


class AsyncIssues(AsyncCalls):
    """Calls about issues."""

    async def find(
        self,
        project: int | str,
        *,
        status: Literal["opened", "closed", None] | Unset = UNSET,
        label: str | Unset | None = UNSET,
        assignee: str | Unset | None = UNSET,
        search: str | Unset | None = UNSET,
        before: int | Unset | None = UNSET,
        limit: int | Unset = UNSET,
    ) -> list[models.IssueView]:
        """List issues. The newest first."""
        return await self._send(
            "GET",
            f"/projects/{part(project)}/issues",
            list[models.IssueView],
            query={
                "status": status,
                "label": label,
                "assignee": assignee,
                "search": search,
                "before": before,
                "limit": limit,
            },
        )

    async def create(
        self,
        project: int | str,
        *,
        title: str,
        description: str | Unset = UNSET,
        labels: list[str] | Unset = UNSET,
        assignees: list[str] | Unset = UNSET,
    ) -> models.IssueView:
        """Create an issue. With labels and assignees."""
        return await self._send(
            "POST",
            f"/projects/{part(project)}/issues",
            models.IssueView,
            body={"title": title, "description": description, "labels": labels, "assignees": assignees},
        )

    async def show(self, project: int | str, iid: int) -> models.IssueView:
        """Show an issue. With its comments, and the sessions on it that you may see."""
        return await self._send("GET", f"/projects/{part(project)}/issues/{part(iid)}", models.IssueView)

    async def change(
        self,
        project: int | str,
        iid: int,
        *,
        title: str | Unset | None = UNSET,
        description: str | Unset | None = UNSET,
        status: Literal["opened", "closed"] | Unset | None = UNSET,
        labels: list[str] | Unset | None = UNSET,
        add_labels: list[str] | Unset = UNSET,
        remove_labels: list[str] | Unset = UNSET,
        assignees: list[str] | Unset | None = UNSET,
    ) -> models.IssueView:
        """Change an issue. What is absent stays as it is."""
        return await self._send(
            "PATCH",
            f"/projects/{part(project)}/issues/{part(iid)}",
            models.IssueView,
            body={
                "title": title,
                "description": description,
                "status": status,
                "labels": labels,
                "add_labels": add_labels,
                "remove_labels": remove_labels,
                "assignees": assignees,
            },
        )

    async def close(self, project: int | str, iid: int) -> models.IssueView:
        """Close an issue. Its author may, and whoever may change it."""
        return await self._send("POST", f"/projects/{part(project)}/issues/{part(iid)}/close", models.IssueView)

    async def reopen(self, project: int | str, iid: int) -> models.IssueView:
        """Open an issue again. A closed one."""
        return await self._send("POST", f"/projects/{part(project)}/issues/{part(iid)}/reopen", models.IssueView)

    async def comment(self, project: int | str, iid: int, *, text: str) -> models.IssueView:
        """Comment on an issue. Answers the issue with all that was said."""
        return await self._send(
            "POST", f"/projects/{part(project)}/issues/{part(iid)}/comments", models.IssueView, body={"text": text}
        )


class AsyncFlows(AsyncCalls):
    """Calls about flows."""

    async def find(self) -> list[models.FlowEntry]:
        """List flows. All of them, by name."""
        return await self._send("GET", "/flows", list[models.FlowEntry])

    async def schema(self) -> dict[str, JsonValue]:
        """The JSON Schema of flow files. For editors; of draft 7, with the names of the tools that there are."""
        return await self._send("GET", "/flows/schema", dict[str, JsonValue])

    async def show(self, name: str, *, version: str | Unset = UNSET) -> models.ShippedText:
        """Read a flow that ships. Its YAML."""
        return await self._send("GET", f"/flows/{part(name)}", models.ShippedText, query={"version": version})


class AsyncProjectFlows(AsyncCalls):
    """Calls about project flows."""

    async def find(self, project: int | str) -> models.ProjectFlows:
        """List a project's flows.

        Those that ship, those that it stores, and the files of its default branch with their faults.
        """
        return await self._send("GET", f"/projects/{part(project)}/flows", models.ProjectFlows)

    async def store(self, project: int | str, *, text: str, name: str | Unset | None = UNSET) -> models.FlowView:
        """Store a flow. A new one, or a new version of one; the same text again changes nothing."""
        return await self._send(
            "POST", f"/projects/{part(project)}/flows", models.FlowView, body={"text": text, "name": name}
        )

    async def show(self, project: int | str, name: str, *, version: str | Unset = UNSET) -> models.FlowText:
        """Read a flow. The YAML that a session would be started with."""
        return await self._send(
            "GET", f"/projects/{part(project)}/flows/{part(name)}", models.FlowText, query={"version": version}
        )

    async def remove(self, project: int | str, name: str) -> None:
        """Delete a stored flow. With all its versions; sessions that were started with it go on."""
        return await self._do("DELETE", f"/projects/{part(project)}/flows/{part(name)}")


class AsyncModels(AsyncCalls):
    """Calls about models."""

    async def show(self) -> models.ModelsView:
        """List providers and rules. Which providers can be asked, and which model is asked where."""
        return await self._send("GET", "/models", models.ModelsView)

    async def change_rules(
        self,
        *,
        project: int | str | Unset | None = UNSET,
        flow: str | Unset = UNSET,
        default: str | Unset | None = UNSET,
        allowed: list[str] | Unset | None = UNSET,
        tags: dict[str, str | None] | Unset = UNSET,
        fallbacks: dict[str, list[str]] | Unset = UNSET,
    ) -> models.RulesView:
        """Change which model is asked.

        Of the instance, a flow, a project, or a flow in a project; what is left out stays.
        """
        return await self._send(
            "PATCH",
            "/models/rules",
            models.RulesView,
            body={
                "project": project,
                "flow": flow,
                "default": default,
                "allowed": allowed,
                "tags": tags,
                "fallbacks": fallbacks,
            },
        )

    async def keys(self) -> list[models.KeyView]:
        """List keys. Where each comes from and who stored it; no key is ever shown."""
        return await self._send("GET", "/models/keys", list[models.KeyView])

    async def set_key(
        self,
        provider: str,
        *,
        key: str | Unset | None = UNSET,
        base_url: str | Unset | None = UNSET,
        model: str | Unset | None = UNSET,
        test: bool | Unset = UNSET,
    ) -> models.KeyView:
        """Store a key. Tried with one short question first; stored encrypted."""
        return await self._send(
            "PUT",
            f"/models/keys/{part(provider)}",
            models.KeyView,
            body={"key": key, "base_url": base_url, "model": model, "test": test},
        )

    async def delete_key(self, provider: str) -> None:
        """Delete a stored key. Sessions that need it are paused when they next ask."""
        return await self._do("DELETE", f"/models/keys/{part(provider)}")

    async def try_key(self, provider: str) -> models.KeyView:
        """Test a stored key.

        One short question, of the model that answered before; a key that is refused stays stored.
        """
        return await self._send("POST", f"/models/keys/{part(provider)}/test", models.KeyView)


class AsyncPeople(AsyncCalls):
    """Calls about people."""

    async def whoami(self) -> models.PersonView:
        """Show who you are. The person behind the token."""
        return await self._send("GET", "/whoami", models.PersonView)

    async def sign_in_link(self) -> models.SignInLink:
        """Make a sign-in link. A link for your browser."""
        return await self._send("POST", "/sign-in-links", models.SignInLink)

    async def list_tokens(self) -> list[models.TokenView]:
        """List your tokens. Those that are good still, the newest first, and when each was last used."""
        return await self._send("GET", "/me/tokens", list[models.TokenView])

    async def add_token(self, *, name: str, days: int | Unset | None = UNSET) -> models.NewToken:
        """Make a token. It does whatever you may; its secret is shown here alone."""
        return await self._send("POST", "/me/tokens", models.NewToken, body={"name": name, "days": days})

    async def revoke(self, token_id: int) -> None:
        """Revoke a token. One of yours; whoever has it is let in no more."""
        return await self._do("DELETE", f"/me/tokens/{part(token_id)}")

    async def find(self) -> list[models.AccountView]:
        """List people. By username; administrators only."""
        return await self._send("GET", "/people", list[models.AccountView])

    async def add(
        self, *, username: str, name: str | Unset = UNSET, email: str | Unset = UNSET, admin: bool | Unset = UNSET
    ) -> models.Invitation:
        """Add a person. With a link that lets them in, once, within an hour; administrators only."""
        return await self._send(
            "POST",
            "/people",
            models.Invitation,
            body={"username": username, "name": name, "email": email, "admin": admin},
        )

    async def invite(self, username: str) -> models.Invitation:
        """Make a sign-in link for somebody. For who can't get in any more; administrators only."""
        return await self._send("POST", f"/people/{part(username)}/sign-in-links", models.Invitation)

    async def shut_out(self, username: str) -> models.ShutOut:
        """Shut somebody out.

        Ends their tokens, browsers and links; what their sessions do goes on. Administrators only.
        """
        return await self._send("DELETE", f"/people/{part(username)}/access", models.ShutOut)


class AsyncRules(AsyncCalls):
    """Calls about rules."""

    async def show(self) -> models.RulesText:
        """Show your rules. Nobody else sees them, but whoever may see a session that you started with them."""
        return await self._send("GET", "/me/rules", models.RulesText)

    async def change(self, *, text: str) -> models.RulesText:
        """Change your rules. In place of those that there were; sessions that start from now on are given them."""
        return await self._send("PUT", "/me/rules", models.RulesText, body={"text": text})


class AsyncRetention(AsyncCalls):
    """Calls about retention."""

    async def of_project(
        self, project: int | str, *, retention_days: int | Unset | None = UNSET
    ) -> models.RetentionView:
        """Show what the next sweep deletes of a project.

        How many sessions, and the first of those that you may see.
        """
        return await self._send(
            "GET",
            f"/projects/{part(project)}/retention/preview",
            models.RetentionView,
            query={"retention_days": retention_days},
        )

    async def everywhere(self) -> models.RetentionView:
        """Show what the next sweep deletes. Of all projects; administrators only."""
        return await self._send("GET", "/retention/preview", models.RetentionView)


class AsyncNetwork(AsyncCalls):
    """Calls about network."""

    async def show(self) -> models.NetworkView:
        """Show what sessions may reach.

        What an `agent-config.yml` may ask for here, and what each group of package registries stands for.
        """
        return await self._send("GET", "/network", models.NetworkView)

    async def of_project(self, project: int | str) -> models.ProjectNetworkView:
        """Show what a project's sessions may reach. What the project allows of what the server does."""
        return await self._send("GET", f"/projects/{part(project)}/network", models.ProjectNetworkView)

    async def edit(self, project: int | str, *, hosts: list[str]) -> models.ProjectNetworkView:
        """Say what a project's sessions may reach.

        For those that start from now on, and never more than the server allows.
        """
        return await self._send(
            "PUT", f"/projects/{part(project)}/network", models.ProjectNetworkView, body={"hosts": hosts}
        )


class AsyncRunners(AsyncCalls):
    """Calls about runners."""

    async def find(self) -> list[models.RunnerView]:
        """List runners. Those of the instance, and of the projects whose sessions you may see, by name."""
        return await self._send("GET", "/runners", list[models.RunnerView])

    async def show(self, runner_id: int) -> models.RunnerDetailView:
        """Show a runner. With what it does now, as far as you may see it."""
        return await self._send("GET", f"/runners/{part(runner_id)}", models.RunnerDetailView)

    async def remove(self, runner_id: int) -> None:
        """Remove a runner. Its token dies at once, and what it was carrying out is interrupted."""
        return await self._do("DELETE", f"/runners/{part(runner_id)}")

    async def invite(
        self,
        *,
        project: str | Unset | None = UNSET,
        tags: list[str] | Unset | None = UNSET,
        description: str | Unset = UNSET,
    ) -> models.RegistrationView:
        """Make a registration token. It registers one runner within an hour, and is shown here alone."""
        return await self._send(
            "POST",
            "/runners/registrations",
            models.RegistrationView,
            body={"project": project, "tags": tags, "description": description},
        )

    async def pause(self, runner_id: int) -> models.RunnerView:
        """Pause a runner. It finishes what it has, and gets nothing new."""
        return await self._send("POST", f"/runners/{part(runner_id)}/pause", models.RunnerView)

    async def resume(self, runner_id: int) -> models.RunnerView:
        """Resume a runner. It gets new work again."""
        return await self._send("POST", f"/runners/{part(runner_id)}/resume", models.RunnerView)

    async def drain(self, runner_id: int) -> models.RunnerView:
        """Drain a runner.

        It finishes the calls and jobs that it has, its sessions go on elsewhere, and it ends; then it is paused.
        """
        return await self._send("POST", f"/runners/{part(runner_id)}/drain", models.RunnerView)


class AsyncEditors(AsyncCalls):
    """Calls about editors."""

    async def find(self) -> list[models.EditorView]:
        """List your editors. Each is a folder in a window; the one that was heard of last comes first."""
        return await self._send("GET", "/executors", list[models.EditorView])

    async def attach(
        self, *, kind: Literal["ide", "client"], name: str, instance: str, folder: str
    ) -> models.AttachedEditor:
        """Attach an editor.

        The answer has the token for the executor protocol; the one that its instance had before ends.
        """
        return await self._send(
            "POST",
            "/executors",
            models.AttachedEditor,
            body={"kind": kind, "name": name, "instance": instance, "folder": folder},
        )

    async def forget(self, executor_id: int) -> None:
        """Forget an editor. What it was carrying out is interrupted; its sessions wait until they are handed over."""
        return await self._do("DELETE", f"/executors/{part(executor_id)}")


class AsyncWebhooks(AsyncCalls):
    """Calls about webhooks."""

    async def find(self, project: int | str) -> list[models.WebhookView]:
        """List a project's webhooks. Without their secrets; for its maintainers."""
        return await self._send("GET", f"/projects/{part(project)}/webhooks", list[models.WebhookView])

    async def add(
        self,
        project: int | str,
        *,
        url: str,
        description: str | Unset = UNSET,
        events: list[models.WebhookEvent] | Unset = UNSET,
        enabled: bool | Unset = UNSET,
    ) -> models.NewWebhook:
        """Add a webhook. It is told of what happens from now on; `secret` is shown here alone."""
        return await self._send(
            "POST",
            f"/projects/{part(project)}/webhooks",
            models.NewWebhook,
            body={"url": url, "description": description, "events": events, "enabled": enabled},
        )

    async def show(self, project: int | str, webhook_id: int) -> models.WebhookView:
        """Show a webhook. Without its secret."""
        return await self._send("GET", f"/projects/{part(project)}/webhooks/{part(webhook_id)}", models.WebhookView)

    async def remove(self, project: int | str, webhook_id: int) -> None:
        """Remove a webhook. With its deliveries."""
        return await self._do("DELETE", f"/projects/{part(project)}/webhooks/{part(webhook_id)}")

    async def edit(
        self,
        project: int | str,
        webhook_id: int,
        *,
        url: str | Unset | None = UNSET,
        description: str | Unset | None = UNSET,
        events: list[models.WebhookEvent] | Unset | None = UNSET,
        enabled: bool | Unset | None = UNSET,
    ) -> models.WebhookView:
        """Change a webhook. What is absent stays; `enabled` true also ends that it is disabled by itself."""
        return await self._send(
            "PATCH",
            f"/projects/{part(project)}/webhooks/{part(webhook_id)}",
            models.WebhookView,
            body={"url": url, "description": description, "events": events, "enabled": enabled},
        )

    async def rotate(self, project: int | str, webhook_id: int, *, hours: int | Unset = UNSET) -> models.NewWebhook:
        """Give a webhook another key.

        For `hours` both sign, a day if nothing is said; `secret` is shown here alone.
        """
        return await self._send(
            "POST",
            f"/projects/{part(project)}/webhooks/{part(webhook_id)}/rotate",
            models.NewWebhook,
            body={"hours": hours},
        )

    async def attempt(self, project: int | str, webhook_id: int) -> models.WebhookDelivery:
        """Send a webhook something to try it.

        Of the type `webhook.test`; what came of it is in its deliveries a moment later.
        """
        return await self._send(
            "POST", f"/projects/{part(project)}/webhooks/{part(webhook_id)}/test", models.WebhookDelivery
        )

    async def deliveries(
        self, project: int | str, webhook_id: int, *, before: int | Unset | None = UNSET
    ) -> list[models.WebhookDeliveryRow]:
        """List a webhook's deliveries.

        The newest first, 50 of them, with what came of each try; they are kept for 30 days.
        """
        return await self._send(
            "GET",
            f"/projects/{part(project)}/webhooks/{part(webhook_id)}/deliveries",
            list[models.WebhookDeliveryRow],
            query={"before": before},
        )

    async def delivery(self, project: int | str, webhook_id: int, delivery_id: int) -> models.WebhookDelivery:
        """Show a delivery. With the body that is sent."""
        return await self._send(
            "GET",
            f"/projects/{part(project)}/webhooks/{part(webhook_id)}/deliveries/{part(delivery_id)}",
            models.WebhookDelivery,
        )

    async def redeliver(self, project: int | str, webhook_id: int, delivery_id: int) -> models.WebhookDelivery:
        """Send a delivery again.

        Under the same `webhook-id`, so that a receiver knows what it has already; one that waits is tried now.
        """
        return await self._send(
            "POST",
            f"/projects/{part(project)}/webhooks/{part(webhook_id)}/deliveries/{part(delivery_id)}/redeliver",
            models.WebhookDelivery,
        )


class AsyncToDos(AsyncCalls):
    """Calls about to dos."""

    async def find(
        self, *, limit: int | Unset = UNSET, done: bool | Unset = UNSET, before: int | Unset | None = UNSET
    ) -> models.ToDosView:
        """List your to-dos. What waits for you, or what is `done`, the newest first; that is kept for 30 days."""
        return await self._send(
            "GET", "/to_dos", models.ToDosView, query={"limit": limit, "done": done, "before": before}
        )

    async def finish(self, to_do: int) -> models.Done:
        """Mark a to-do as done. Nothing else comes of it: a question still waits for its answer."""
        return await self._send("POST", f"/to_dos/{part(to_do)}/done", models.Done)

    async def finish_all(self) -> models.Done:
        """Mark all your to-dos as done. All that are open."""
        return await self._send("POST", "/to_dos/done", models.Done)

    async def rules(self) -> models.NoticeRulesView:
        """Show what you are told of.

        And by which channels, beside the to-do list; of a Slack address its host only.
        """
        return await self._send("GET", "/me/notifications", models.NoticeRulesView)

    async def change(
        self,
        *,
        rules: models.Rules | Unset | None = UNSET,
        slack_url: str | Unset | None = UNSET,
        email: bool | Unset | None = UNSET,
    ) -> models.NoticeRulesView:
        """Change what you are told of. What is absent stays as it is."""
        return await self._send(
            "PATCH",
            "/me/notifications",
            models.NoticeRulesView,
            body={"rules": rules, "slack_url": slack_url, "email": email},
        )

    async def attempt(self) -> models.Tried:
        """Try your channels. Sends a message by each now, and says what came of it."""
        return await self._send("POST", "/me/notifications/test", models.Tried)


class AsyncTriggers(AsyncCalls):
    """Calls about triggers."""

    async def find(self, project: int | str) -> list[models.TriggerView]:
        """List triggers. The oldest first."""
        return await self._send("GET", f"/projects/{part(project)}/triggers", list[models.TriggerView])

    async def add(
        self,
        project: int | str,
        *,
        account: str,
        flow: str,
        events: dict[str, list[str]],
        description: str | Unset = UNSET,
        model: str | Unset | None = UNSET,
        goal: str | Unset = UNSET,
        filter: str | Unset = UNSET,
        cron: str | Unset = UNSET,
        timezone: str | Unset = UNSET,
        enabled: bool | Unset = UNSET,
    ) -> models.MadeTrigger:
        """Create a trigger. The secret of its webhook is shown here alone."""
        return await self._send(
            "POST",
            f"/projects/{part(project)}/triggers",
            models.MadeTrigger,
            body={
                "description": description,
                "account": account,
                "flow": flow,
                "model": model,
                "goal": goal,
                "events": events,
                "filter": filter,
                "cron": cron,
                "timezone": timezone,
                "enabled": enabled,
            },
        )

    async def show(self, project: int | str, trigger_id: int) -> models.TriggerView:
        """Show a trigger. With the next five runs of its schedule."""
        return await self._send("GET", f"/projects/{part(project)}/triggers/{part(trigger_id)}", models.TriggerView)

    async def change(
        self,
        project: int | str,
        trigger_id: int,
        *,
        account: str,
        flow: str,
        events: dict[str, list[str]],
        description: str | Unset = UNSET,
        model: str | Unset | None = UNSET,
        goal: str | Unset = UNSET,
        filter: str | Unset = UNSET,
        cron: str | Unset = UNSET,
        timezone: str | Unset = UNSET,
        enabled: bool | Unset = UNSET,
    ) -> models.MadeTrigger:
        """Change a trigger. As a whole; its deliveries stay."""
        return await self._send(
            "PUT",
            f"/projects/{part(project)}/triggers/{part(trigger_id)}",
            models.MadeTrigger,
            body={
                "description": description,
                "account": account,
                "flow": flow,
                "model": model,
                "goal": goal,
                "events": events,
                "filter": filter,
                "cron": cron,
                "timezone": timezone,
                "enabled": enabled,
            },
        )

    async def remove(self, project: int | str, trigger_id: int) -> None:
        """Delete a trigger. With its deliveries; its sessions stay."""
        return await self._do("DELETE", f"/projects/{part(project)}/triggers/{part(trigger_id)}")

    async def switch(self, project: int | str, trigger_id: int, *, enabled: bool) -> models.TriggerView:
        """Enable or disable a trigger. What it had not started yet when it was disabled it starts no more."""
        return await self._send(
            "PATCH",
            f"/projects/{part(project)}/triggers/{part(trigger_id)}",
            models.TriggerView,
            body={"enabled": enabled},
        )

    async def renew_secret(self, project: int | str, trigger_id: int) -> models.MadeTrigger:
        """Renew the secret of a trigger's webhook. The one of before opens nothing any more."""
        return await self._send(
            "POST", f"/projects/{part(project)}/triggers/{part(trigger_id)}/secret", models.MadeTrigger
        )

    async def fire(
        self, project: int | str, trigger_id: int, *, payload: dict[str, JsonValue] | Unset = UNSET
    ) -> models.DeliveryView:
        """Fire a trigger by hand. In your name, whatever its filter says."""
        return await self._send(
            "POST",
            f"/projects/{part(project)}/triggers/{part(trigger_id)}/fire",
            models.DeliveryView,
            body={"payload": payload},
        )

    async def find_deliveries(
        self,
        project: int | str,
        *,
        trigger: int | Unset | None = UNSET,
        before: int | Unset | None = UNSET,
        limit: int | Unset = UNSET,
    ) -> list[models.DeliveryView]:
        """List deliveries. The firings of a project's triggers, newest first."""
        return await self._send(
            "GET",
            f"/projects/{part(project)}/deliveries",
            list[models.DeliveryView],
            query={"trigger": trigger, "before": before, "limit": limit},
        )

    async def show_delivery(self, project: int | str, delivery_id: int) -> models.DeliveryDetails:
        """Show a delivery. With its payload."""
        return await self._send(
            "GET", f"/projects/{part(project)}/deliveries/{part(delivery_id)}", models.DeliveryDetails
        )

    async def again(self, project: int | str, delivery_id: int) -> models.DeliveryView:
        """Fire a delivery again. With the same payload, in your name, as another delivery."""
        return await self._send(
            "POST", f"/projects/{part(project)}/deliveries/{part(delivery_id)}/again", models.DeliveryView
        )

    async def find_accounts(self, project: int | str) -> list[models.ServiceAccountView]:
        """List service accounts. Whom to mention, assign, or ask for a review, so that a trigger starts a session."""
        return await self._send("GET", f"/projects/{part(project)}/service_accounts", list[models.ServiceAccountView])

    async def add_account(
        self, project: int | str, *, username: str, name: str | Unset = UNSET
    ) -> models.ServiceAccountView:
        """Create a service account. A Developer of this project that nobody signs in as."""
        return await self._send(
            "POST",
            f"/projects/{part(project)}/service_accounts",
            models.ServiceAccountView,
            body={"username": username, "name": name},
        )

    async def remove_account(self, project: int | str, username: str) -> None:
        """Remove a service account. What it wrote stays."""
        return await self._do("DELETE", f"/projects/{part(project)}/service_accounts/{part(username)}")


class AsyncHealth(AsyncCalls):
    """Calls about health."""

    async def show(self) -> models.HealthView:
        """Show the state of the server. Version, database, workers, runners with their isolation, and models."""
        return await self._send("GET", "/health", models.HealthView)


class AsyncSignIn(AsyncCalls):
    """Calls about sign in."""

    async def redeem(self, *, code: str, code_verifier: str) -> models.SignedIn:
        """Redeem an editor's code.

        No token is needed: the code, and the verifier that it was made for, are what is shown.
        """
        return await self._send(
            "POST", "/sign-in/codes", models.SignedIn, body={"code": code, "code_verifier": code_verifier}
        )
