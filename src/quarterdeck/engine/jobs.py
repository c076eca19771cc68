"""The jobs of the workers, on Procrastinate: turns, and tool calls that the server carries out."""

from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncConnection

from quarterdeck.app.outside import ForgeWork
from quarterdeck.core.errors import UnavailableError

if TYPE_CHECKING:
    from procrastinate import App as JobApp
    from procrastinate import PsycopgConnector
    from procrastinate.types import JSONDict
    from psycopg import AsyncConnection as Connection

TURN = "turn"
SERVER_CALL = "server_call"
NOTIFICATION = "notification"
DELIVERIES = "deliveries"
SCHEDULE = "schedule"
THREAD_ANSWER = "thread_answer"
SWEEP = "sweep"
RETENTION = "retention"
SEALING = "sealing"
FORGE = "forge"
QUEUE = "sessions"


def connector(url: str) -> "PsycopgConnector":
    """Procrastinate's own small pool; a database that is away longer than its patience ends the worker."""
    from procrastinate import PsycopgConnector

    return PsycopgConnector(
        conninfo=url, min_size=1, max_size=8, timeout=10.0, kwargs={"connect_timeout": 10}, configure=_alone
    )


async def _alone(connection: "Connection[tuple[object, ...]]") -> None:
    # Each of its statements stands alone, so none needs a transaction around it: two round trips less.
    await connection.set_autocommit(True)


class JobDispatch:
    """Enqueues jobs in the caller's transaction, on the caller's connection. Implements `app.outside.Dispatch`."""

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _app(self) -> "JobApp":
        # Imported by the first job: a process that only answers requests starts without it.
        from procrastinate import App

        return App(connector=connector(self._url))

    async def turn(self, connection: AsyncConnection, session_id: int, turn_no: int, at: datetime | None) -> None:
        """A turn of the session, now or at `at`."""
        await self._defer(connection, TURN, {"session_id": session_id, "turn_no": turn_no}, at)

    async def server_call(self, connection: AsyncConnection, session_id: int, call_id: str) -> None:
        """A tool call that the server itself carries out."""
        await self._defer(connection, SERVER_CALL, {"session_id": session_id, "call_id": call_id}, None)

    async def notification(self, connection: AsyncConnection, notification_id: int, at: datetime | None) -> None:
        """A message that a session wanted to be sent, now or at `at`."""
        await self._defer(connection, NOTIFICATION, {"notification_id": notification_id}, at)

    async def deliveries(self, connection: AsyncConnection, project_id: int, at: datetime | None) -> None:
        """The starting of what triggers of the project want to be started, now or at `at`."""
        if at is None or not await self._planned(connection, DELIVERIES, "project_id", project_id):
            await self._defer(connection, DELIVERIES, {"project_id": project_id}, at)

    async def schedule(self, connection: AsyncConnection, trigger_id: int, at: datetime) -> None:
        """The run of a trigger's schedule at `at`."""
        await self._defer(connection, SCHEDULE, {"trigger_id": trigger_id}, at)

    async def thread_answer(self, connection: AsyncConnection, session_id: int) -> None:
        """What a triggered session that came to rest says where it was called."""
        await self._defer(connection, THREAD_ANSWER, {"session_id": session_id}, None)

    async def sweep(self, connection: AsyncConnection) -> None:
        """A look for sessions whose time is over."""
        await self._defer(connection, SWEEP, {}, None)

    async def sweeping(self, connection: AsyncConnection) -> bool:
        """Whether a sweep is enqueued or at work."""
        rows = await connection.exec_driver_sql(
            "select exists (select from procrastinate_jobs where task_name = %s and status in ('todo', 'doing'))",
            (SWEEP,),
        )
        return rows.scalar_one()

    async def retention(self, connection: AsyncConnection, project_id: int) -> None:
        """The project keeps its sessions for another time: all of them are to have it."""
        await self._defer(connection, RETENTION, {"project_id": project_id}, None)

    async def sealing(self, connection: AsyncConnection, session_id: int, at: datetime) -> None:
        """The merging of a quiet session's rows, at `at`."""
        await self._defer(connection, SEALING, {"session_id": session_id}, at)

    async def forge(
        self, connection: AsyncConnection, work: ForgeWork, connection_id: int, at: datetime | None
    ) -> None:
        """Work for a connection to a forge, now or at `at`."""
        await self._defer(connection, FORGE, {"work": work, "connection_id": connection_id}, at)

    async def with_turns(self, connection: AsyncConnection) -> set[int]:
        """The sessions that have a turn enqueued or running."""
        rows = await connection.exec_driver_sql(
            "select (args->>'session_id')::bigint from procrastinate_jobs"
            " where task_name = %s and status in ('todo', 'doing')",
            (TURN,),
        )
        return set(rows.scalars())

    async def with_server_calls(self, connection: AsyncConnection) -> set[str]:
        """The calls of the server's side that are enqueued or being carried out."""
        rows = await connection.exec_driver_sql(
            "select args->>'call_id' from procrastinate_jobs where task_name = %s and status in ('todo', 'doing')",
            (SERVER_CALL,),
        )
        return set(rows.scalars())

    async def workers(self, connection: AsyncConnection) -> int:
        """How many workers are alive."""
        rows = await connection.exec_driver_sql(
            "select count(*) from procrastinate_workers where last_heartbeat > now() - interval '5 seconds'"
        )
        return rows.scalar_one()

    async def _planned(self, connection: AsyncConnection, task: str, name: str, number: int) -> bool:
        """Whether one is to come later: else each of many that find nothing to do would plan the next of its own."""
        rows = await connection.exec_driver_sql(
            "select exists (select from procrastinate_jobs where status = 'todo' and queue_name = %s"
            " and task_name = %s and scheduled_at > now() and args = jsonb_build_object(%s::text, %s::bigint))",
            (QUEUE, task, name, number),
        )
        return rows.scalar_one()

    async def _defer(self, connection: AsyncConnection, task: str, args: "JSONDict", at: datetime | None) -> None:
        from procrastinate.exceptions import ConnectorException

        raw = await connection.get_raw_connection()
        deferrer = self._app.configure_task(
            task, allow_unknown=True, queue=QUEUE, schedule_at=at, connection=raw.driver_connection
        )
        try:
            await deferrer.defer_async(**args)
        except ConnectorException as error:
            raise UnavailableError(f"The job could not be enqueued: {error}") from error
