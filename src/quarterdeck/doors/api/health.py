"""Whether the server works, and what there is behind it."""

from litestar import Router, get

from quarterdeck.app import health
from quarterdeck.app.health import HealthView
from quarterdeck.doors.api.parameters import TheApp


@get("/healthz", media_type="text/plain", include_in_schema=False)
async def alive() -> str:
    """Answers without a token, as long as the process answers at all; it asks nothing of the database."""
    return "ok\n"


@get("/health", summary="Show the state of the server")
async def show(app: TheApp) -> HealthView:
    """Version, database, workers, runners with their isolation, and models."""
    return await health.health(app)


ROUTES = Router("/", route_handlers=[show], tags=["server"])
