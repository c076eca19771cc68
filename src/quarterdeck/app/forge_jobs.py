"""The job of connections to forges: what came is applied, what changed here is written there, what is there is read."""

from quarterdeck.app import forge_deliveries, forge_syncs, forge_writes
from quarterdeck.app.application import App
from quarterdeck.app.outside import ForgeWork


async def work(app: App, work: ForgeWork, connection_id: int) -> None:
    """Does what waits for one connection."""
    match work:
        case "apply":
            await forge_deliveries.apply(app, connection_id)
        case "write":
            await forge_writes.write(app, connection_id)
        case "sync":
            await forge_syncs.sync(app, connection_id)
