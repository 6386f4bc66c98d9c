"""`recover`: what an endpoint was owed in a time of the feed is delivered once more, at a rate.

    read endpoint ─┬ gone, disabled, recovered by another job ─▶ cancelled
                   ├ walked to the end ─────────────────────────▶ completed: how much was looked at and made
                   └ choose from the next 500 numbers ──────────▶ their deliveries and the place are written,
                                     and it is snoozed until a minute before the last of them is due

A step's deliveries, its place in the feed and the end of its lease are one transaction, so a worker that
dies loses nothing and doubles nothing: whoever takes the job next goes on from the checkpoint. The rate
stands in the due times of the deliveries, so nobody has to keep it. Weakness: events that were published
with a key meanwhile wait behind those of their lane that a step put there.
"""

from datetime import timedelta
from typing import Literal
from uuid import UUID

import msgspec

from outboxd.db.pool import Database
from outboxd.errors import DatabaseUnavailable, Overloaded
from outboxd.model import Done, Job, Snooze
from outboxd.model.contract import Ended, Handler, Run
from outboxd.store import recoveries
from outboxd.store.recoveries import State, Step

_AT_ONCE = 500
"""Numbers of the feed a step."""
_AHEAD = 60.0
"""So long before the last of its deliveries is due the next step begins, in seconds."""
_BUSY = timedelta(seconds=5)
_WAITS = "recovering"


class Order(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The job's payload, as `outbox.recover` writes it."""

    endpoint_id: UUID
    after: int
    """The number of the feed behind which it begins."""
    upto: int
    only: Literal["undelivered", "all"]
    types: list[str] | None
    rate: float


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The checkpoint."""

    position: int
    """The last number that was looked at."""
    scanned: int = 0
    made: int = 0
    due: float = 0.0
    """When the next delivery may be due, in seconds since 1970."""


def handler(db: Database) -> Handler:
    return Handler(name="recover", call=Recover(db).__call__, writes=True)


class Recover:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def __call__(self, job: Job, run: Run) -> Done | Snooze | Ended:
        order = msgspec.convert(job.payload, Order)
        place = msgspec.convert(job.checkpoint or {"position": order.after}, Place)
        try:
            return await self._step(job, order, place, run)
        except (DatabaseUnavailable, Overloaded):
            return Snooze(_BUSY, "overloaded")

    async def _step(self, job: Job, order: Order, place: Place, run: Run) -> Done | Snooze | Ended:
        async with self._db.connection() as conn:
            found = await recoveries.state(conn, order.endpoint_id, job.project_id)
            over = _over(found, job.id)
            if over is not None or found is None:
                return over or _GONE
            if place.position >= order.upto:
                run.log.info("endpoint recovered", endpoint=str(order.endpoint_id), made=place.made)
                return Done(output={"scanned": place.scanned, "made": place.made})
            upto = min(place.position + _AT_ONCE, order.upto)
            events = await recoveries.owed(
                conn, order.endpoint_id, place.position, upto, order.only, order.types
            )
        step = _next(order, place, upto)
        last = max(place.due, found.now) + len(events) / order.rate
        return Snooze(
            timedelta(seconds=max(0.0, last - _AHEAD - found.now)) if upto < order.upto else timedelta(),
            _WAITS,
            write=lambda conn: _written(conn, job.id, order.endpoint_id, events, step),
        )


_GONE = Ended(outcome="cancelled", class_="endpoint_deleted", error="the endpoint was deleted")


def _over(found: State | None, job: UUID) -> Ended | None:
    """Why nothing is made any more."""
    if found is None:
        return _GONE
    if found.recovery_job != job:
        return Ended(outcome="cancelled", class_="replaced", error="another recovery was begun")
    if found.state == "disabled":
        return Ended(outcome="cancelled", class_="endpoint_disabled", error="the endpoint is disabled")
    return None


def _next(order: Order, place: Place, upto: int) -> Step:
    whole = max(1, order.upto - order.after)
    return Step(
        only=order.only,
        rate=order.rate,
        from_=place.due,
        position=upto,
        scanned=place.scanned + upto - place.position,
        percent=round(100 * (upto - order.after) / whole, 1),
    )


async def _written(conn: recoveries.Conn, job: UUID, endpoint: UUID, events: list[UUID], step: Step) -> None:
    await recoveries.take(conn, job, endpoint, events, step)
