"""Be woken at a time, or at the end of a session or pipeline."""

from datetime import UTC, datetime, timedelta

from quarterdeck.app import notifications
from quarterdeck.app.notifications import Wish
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.notify_me_when import LONGEST, Args


async def run(case: Case, args: Args) -> Done:
    """Notes the wish, and answers at once."""
    wish = _wish(args)
    await notifications.want(case.app, case.actor, case.session_id, case.call_id, wish)
    if wish.at is not None:
        return Done(f"You are sent a message at {wish.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC.")
    return Done(f"You are sent a message when {wish.target} #{wish.target_id} has ended.")


def _wish(args: Args) -> Wish:
    given = [value for value in (args.in_seconds, args.at, args.session, args.pipeline) if value is not None]
    if len(given) != 1:
        raise InvalidInputError("Give exactly one of in_seconds, at, session and pipeline.")
    now = datetime.now(UTC)
    if args.session is not None:
        return Wish("session", args.session, note=args.note)
    if args.pipeline is not None:
        return Wish("pipeline", args.pipeline, note=args.note)
    at = args.at or now + timedelta(seconds=args.in_seconds or 0)
    if at > now + LONGEST:
        raise InvalidInputError(f"That is more than {LONGEST.days} days from now, by when this session may be deleted.")
    return Wish("time", at=at, note=args.note)
