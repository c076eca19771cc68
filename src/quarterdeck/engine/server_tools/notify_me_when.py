"""Be woken at a time, or at the end of a session or pipeline."""

from datetime import UTC, datetime, timedelta

from quarterdeck.app import notifications
from quarterdeck.app.notifications import Wish
from quarterdeck.core.errors import InvalidInputError
from quarterdeck.engine.desk import Case, Done
from quarterdeck.tools.notify_me_when import Args


async def run(case: Case, args: Args) -> Done:
    """Notes the wish, and answers at once."""
    wish = _wish(args)
    at = await notifications.want(case.app, case.actor, case.session_id, case.call_id, wish)
    if wish.target == "time" and at is not None:
        return Done(f"You are sent a message at {at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC.")
    return Done(f"You are sent a message when {wish.target} #{wish.target_id} has ended.")


def _wish(args: Args) -> Wish:
    if sum(map(bool, (args.in_seconds, args.at, args.session, args.pipeline))) != 1:
        raise InvalidInputError("Give exactly one of in_seconds, at, session and pipeline.")
    if args.session:
        return Wish("session", args.session, note=args.note)
    if args.pipeline:
        return Wish("pipeline", args.pipeline, note=args.note)
    at = _time(args.at) if args.at else timedelta(seconds=args.in_seconds)
    return Wish("time", at=at, note=args.note)


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInputError(f"{text!r} is no time; write it like 2027-01-31T09:00:00Z.") from None
    if at.tzinfo is None:
        raise InvalidInputError(f"{text!r} says no zone; write it like 2027-01-31T09:00:00Z, or with +01:00.")
    return at
