"""A group of requests of which some came with an Idempotency-Key: one that was answered before is not
stored again, but answered again. The record keeps ids; the reply is made from the rows."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import compress
from uuid import UUID

import msgspec
from msgspec import Raw
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.store import idempotency
from outboxd.store.idempotency import Claim, Claimed
from outboxd.store.ingest import Outcome, ingest

_CREATED = 201
_NEVER = datetime.min.replace(tzinfo=UTC)


class _Event(msgspec.Struct, frozen=True):
    id: UUID
    duplicate: bool
    differs: bool
    at: datetime


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(list[_Event])


class Asked(msgspec.Struct, frozen=True):
    """A request: its events, encoded, and what it claims."""

    events: list[bytes]
    claim: Claim | None


async def ingest_once(
    conn: AsyncConnection[DictRow], units: Sequence[Asked], *, again: bool = False
) -> list[list[Outcome]]:
    """As `ingest`; a claim that cannot go on is an outcome too, and what was done before is told again."""
    claims = [unit.claim for unit in units if unit.claim is not None]
    if not claims:
        return await ingest(conn, [unit.events for unit in units], again=again)
    states = iter(await idempotency.claim(conn, claims))
    claimed = [None if unit.claim is None else next(states) for unit in units]
    goes_on = [each is None or each.state in {"fresh", "stranger"} for each in claimed]
    stored = iter(await ingest(conn, [u.events for u in compress(units, goes_on)], again=again))
    found = []
    for unit, state, fresh in zip(units, claimed, goes_on, strict=True):
        outcomes = next(stored) if fresh else _told(unit, state)
        if unit.claim is not None and state is not None and state.state == "fresh":
            await _keep(conn, unit.claim, outcomes)
        found.append(outcomes)
    return found


async def _keep(conn: AsyncConnection[DictRow], claim: Claim, outcomes: list[Outcome]) -> None:
    """Only of what was stored: a refusal leaves nothing behind."""
    events = [
        _Event(outcome.event_id, outcome.duplicate, outcome.differs, outcome.received_at)
        for outcome in outcomes
        if outcome.status == _CREATED and outcome.event_id is not None
    ]
    if len(events) == len(outcomes):
        await idempotency.keep(conn, claim, _CREATED, _ENCODER.encode(events))


def _told(unit: Asked, state: Claimed | None) -> list[Outcome]:
    assert state is not None  # noqa: S101 - only claims do not go on
    refusal = state.refusal()
    if refusal is not None:
        refused = Outcome(
            refusal.status, None, False, False, refusal.detail, refusal.code, _NEVER, (),
            retry_in=refusal.retry_in,
        )  # fmt: skip
        return [refused] * len(unit.events)
    kept = _DECODER.decode(state.reply if isinstance(state.reply, Raw) else b"[]")
    return [
        Outcome(_CREATED, each.id, each.duplicate, each.differs, None, None, each.at, (), replayed=True)
        for each in kept
    ]
