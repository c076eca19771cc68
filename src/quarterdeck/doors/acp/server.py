"""The package's server with what it leaves out: a person for each connection, and the newer methods.

It routes `session/delete` not at all, and `resume`, `close` and `fork` only with a flag that its server can't set; they
reach the agent as extensions instead, under their own names.
"""

import asyncio
import uuid
from typing import Any

from acp.agent.connection import AgentSideConnection
from acp.http.server import AcpServer, AgentFactory, ConnectionRegistry, ConnectionState

CONNECTIONS = 20
"""Of one person; with one more the oldest ends."""
BY_EXTENSION = ("session/delete", "session/resume", "session/close", "session/fork")


class _State(ConnectionState):
    """One connection."""

    def __init__(self, connection_id: str, agent_factory: AgentFactory, *, multiplex: bool = False) -> None:
        self.agent: Any = None

        def kept(client: AgentSideConnection) -> Any:
            self.agent = agent_factory(client)
            return self.agent

        super().__init__(connection_id, kept, multiplex=multiplex)

    async def close(self) -> None:
        """Ends the connection, and what its agent follows."""
        await self.agent.end()
        await super().close()

    async def deliver_to_agent(self, message: dict[str, Any]) -> None:
        """The message, under the name by which the agent is given it."""
        if message.get("method") in BY_EXTENSION:
            message = {**message, "method": f"_{message['method']}"}
        await super().deliver_to_agent(message)


class _Registry(ConnectionRegistry):
    """Makes connections of our kind."""

    def __init__(self) -> None:
        super().__init__()
        self._ending: set[asyncio.Future[None]] = set()

    def create(self, agent_factory: AgentFactory) -> ConnectionState:
        """Over HTTP."""
        return self._begun(agent_factory, multiplex=False)

    def create_multiplex(self, agent_factory: AgentFactory) -> ConnectionState:
        """Over a WebSocket."""
        return self._begun(agent_factory, multiplex=True)

    def _begun(self, agent_factory: AgentFactory, *, multiplex: bool) -> ConnectionState:
        state = _State(uuid.uuid4().hex, agent_factory, multiplex=multiplex)
        state.start()
        self._connections[state.connection_id] = state
        mine = [name for name, one in self._connections.items() if Server.person(one) == Server.person(state)]
        for name in mine[:-CONNECTIONS]:  # over HTTP nobody says that a connection is over
            task = asyncio.ensure_future(self.remove(name))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        return state


class Server(AcpServer):
    """All connections of this process."""

    def __init__(self, agent_factory: AgentFactory) -> None:
        super().__init__(agent_factory)
        self._registry = _Registry()

    @staticmethod
    def person(state: ConnectionState) -> int:
        """Whose connection it is."""
        return state.agent.actor.user_id if isinstance(state, _State) else 0
