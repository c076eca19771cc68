"""Watching a session: its events, the answer being written, the output of its running calls, as they come."""

from collections.abc import AsyncIterator

from quarterdeck.app.actor import Actor
from quarterdeck.app.application import App
from quarterdeck.app.session_access import may
from quarterdeck.app.signals import Cursor, look, printing
from quarterdeck.app.tails import Moment, Tail
from quarterdeck.core.access import Ability


async def session(
    app: App, actor: Actor, session_id: int, *, after: int, most_output: int | None = None
) -> AsyncIterator[Moment]:
    """What is new since event `after`, then whatever comes; an empty moment keeps alive.

    Of what calls have printed by now only the last `most_output` bytes each are told, if it is given.

    Ends when the session has ended and its teardown, if it had an executor, is in the log; or when it is deleted.

    Raises:
        NotFoundError: there is no such session for the actor; said before anything is asked of what comes.
        WatcherBehindError: (later) the session goes on faster than the moments are taken.
    """
    cursor = Cursor(after, most_output=most_output)
    async with app.database.reading() as connection:
        await may(connection, actor, session_id, Ability.READ_SESSION)
        if after:
            cursor.running = await printing(connection, session_id)
    return _from(app, session_id, cursor)


async def _from(app: App, session_id: int, cursor: Cursor) -> AsyncIterator[Moment]:
    """The watcher reads by itself until it has caught up; from there on all of the session share one reader."""
    with app.tails.of(app.database, app.doorbell, session_id) as tail:
        number, more = tail.number, True
        while more:
            # What the tail tells from this number on is not older than what is read now: nothing is left out.
            number, reading, printed = tail.number, tail.reads, set(cursor.running)
            async with app.database.reading() as connection:
                found = await look(connection, session_id, cursor)
            if found:
                yield Moment(tuple(found), cursor.seq)
            # Of a call whose start was among these events the output is still to be read; and a tail that another
            # watcher began meanwhile began behind what that one had read, which may be more.
            behind = cursor.behind or not cursor.running.keys() <= printed or tail.reads != reading
            more = behind and not cursor.ended
        if cursor.ended:
            return
        tail.begin(cursor)
        async for moment in _moments(tail, number, cursor):
            yield moment


async def _moments(tail: Tail, number: int, cursor: Cursor) -> AsyncIterator[Moment]:
    """The tail's moments from `number` on, the first ones without what is behind the cursor already."""
    # The tail may have read for these two before this watcher did; what it reads later begins behind both.
    overlapping, joined = tail.number + 1, cursor.seq
    while (moment := await tail.take(number)) is not None:
        if moment.through <= joined:  # a tail that was further behind has more to come that is known here
            overlapping = max(overlapping, number + 2)
        if number <= overlapping:
            unseen = cursor.unseen(moment.signals, moment.through)
            if unseen is not moment.signals:
                moment = Moment(unseen, moment.through)
        number += 1
        yield moment
