"""The one way in: `outbox.ingest`, given a group of events as one JSON document.

A unit is what stands or falls together (a request, a batch). Each event is encoded when its unit
is made, so the committer only puts bytes together; adapting dozens of columns as arrays was slower
than everything else of a commit.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Raw, UnsetType
from psycopg import AsyncConnection
from psycopg.rows import DictRow, tuple_row
from psycopg.types.json import Jsonb

from outboxd.errors import Error, of_status


class Incoming(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One event on its way in: `outbox.incoming`, without the two numbers a group gives it."""

    id: UUID
    team_id: UUID
    project_id: UUID
    type: str
    adapter: str
    payload: Raw
    session_id: UUID | None = None
    content_session_id: str | None = None
    platform_source: str | None = None
    platform_given: bool = False
    """It was said, if only to be none: a session of another platform is not meant."""
    source: str | None = None
    source_event_id: str | None = None
    subject: str | None = None
    encoding: str | None = None
    content_type: str | None = None
    metadata: Raw | UnsetType = UNSET
    attributes: Raw | UnsetType = UNSET
    ordering_key: str | None = None
    occurred_at: datetime | None = None
    run_at: datetime | None = None
    expires_at: datetime | None = None
    priority: int | None = None
    request_id: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    key_id: UUID | None = None
    """Read again where it is written: scope, tenancy and revocation are judged there."""
    actor: str | None = None
    hops: int = 0
    private_removed: int = 0
    event_key: str | None = None
    strict: bool = False
    """Other content under the same event key is a conflict, not a duplicate."""
    watched: bool = False
    """Somebody waits for the end of its jobs."""
    generate: bool = True
    """False: no job of generation, whatever the project's policy."""


class MadeJob(msgspec.Struct, frozen=True):
    id: UUID
    queue: str
    handler: str
    due: bool


class Outcome(msgspec.Struct, frozen=True):
    """What became of one event."""

    status: int
    """201, a refusal 4xx, or 0: its key belonged to a unit that was refused, run it again."""
    event_id: UUID | None
    duplicate: bool
    differs: bool
    """A duplicate whose content was another."""
    error: str | None
    code: str | None
    received_at: datetime
    jobs: tuple[MadeJob, ...]
    session_id: UUID | None = None
    """That it was linked to; of a new event."""
    deferred: bool = False
    """A job of generation will be made, or joined, when it is numbered."""
    replayed: bool = False
    """Stored by an earlier request with the same Idempotency-Key."""
    retry_in: timedelta | None = None

    @property
    def known(self) -> bool:
        """It was stored before."""
        return self.duplicate or self.replayed

    def refusal(self) -> Error:
        """The error it stands for; only when `status` is 4xx."""
        error = of_status(self.status, self.error or "refused", self.code)
        error.retry_in = self.retry_in or error.retry_in
        if self.event_id is not None:
            error.members["event_id"] = str(self.event_id)
        return error


_ENCODER = msgspec.json.Encoder()
_JOBS = msgspec.json.Decoder(tuple[MadeJob, ...])
_INGEST = b"""
select ord, status, event_id, duplicate, differs, error, code, received_at, jobs::text, session_id,
  deferred
from outbox.ingest(array(select r from jsonb_populate_recordset(null::outbox.incoming, %s) r), %s)
order by ord
"""


def encoded(event: Incoming) -> bytes:
    """As `ingest` takes it. Its length is what it weighs in the queue."""
    return _ENCODER.encode(event)


async def ingest(
    conn: AsyncConnection[DictRow], units: Iterable[list[bytes]], *, again: bool = False
) -> list[list[Outcome]]:
    """Stores the units that may be stored; a refused one leaves nothing and hurts no other.

    `again`: an earlier call with the same ids may have been committed; what it stored is answered
    as stored. Raises for what nobody could foresee, and then nothing is stored.
    """
    sizes: list[int] = []
    parts: list[bytes] = []
    for number, unit in enumerate(units):
        sizes.append(len(unit))
        for event in unit:
            parts.append(b'{"ord":%d,"unit":%d,%b' % (len(parts), number, event[1:]))
    document = Jsonb(b"[" + b",".join(parts) + b"]", dumps=_as_it_is)
    async with conn.cursor(row_factory=tuple_row) as cur:
        await cur.execute(_INGEST, (document, again))
        found = [_outcome(row) for row in await cur.fetchall()]
    return _split(found, sizes)


def _outcome(row: tuple[Any, ...]) -> Outcome:
    _, status, event_id, duplicate, differs, error, code, received_at, jobs, session, deferred = row
    made = () if jobs == "[]" else _JOBS.decode(jobs)
    return Outcome(status, event_id, duplicate, differs, error, code, received_at, made, session, deferred)


def _split(found: list[Outcome], sizes: list[int]) -> list[list[Outcome]]:
    return [found[end - size : end] for end, size in zip(accumulate(sizes), sizes, strict=True)]


def _as_it_is(document: object) -> bytes:
    assert isinstance(document, bytes)  # noqa: S101 - what Jsonb was given two lines above
    return document
