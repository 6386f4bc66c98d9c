"""What jobs of generation are about, and what becomes of what a model said."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.db import rows

Conn = AsyncConnection[dict[str, Any]]

Problem = Literal["expunged", "scope_violation", "revoked_key", "project_archived"]

_WORK = b"select * from outbox.generation_work(%s)"
_SESSION_WORK = b"select * from outbox.session_work(%s)"
_RECORD = b"select * from outbox.record_observations(%s, %s, %s)"
_SUMMARY = b"select * from outbox.record_summary(%s, %s, %s, %s)"
_METER = b"select outbox.meter_call(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
_BEGIN = b"select * from outbox.begin_call(%s, %s, %s, %s, %s)"
_DENIED = b"""
select outbox.audit(row(%s, array[%s]::uuid[], false, %s, 'outboxd', %s)::outbox.caller, %s,
  'observation_generation_job', %s, %s, %s, %s)
"""


class SourceEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a model may be told of."""

    id: UUID
    type: str
    source: str
    occurred_at: datetime
    payload: msgspec.Raw
    private_removed: int = 0


_EVENT = msgspec.json.Decoder(SourceEvent)
_EVENTS = msgspec.json.Decoder(list[SourceEvent])


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A job of generation: whose it is, whether it may be done, and its events in feed order."""

    job_id: UUID
    team_id: UUID
    project_id: UUID
    session_id: UUID | None
    project: str | None
    problem: Problem | None
    found: dict[str, Any]
    """Ids, for the audit of a refusal."""
    provider: str | None
    model: str | None
    max_output_tokens: int | None
    types: list[str]
    """Empty: all that the prompt knows."""
    dedupe: bool
    redact: str
    platform: str | None
    agent_type: str | None
    revoked: int
    """Events left out, since their keys were revoked, while others may be shown."""
    revoked_keys: list[UUID]
    events: msgspec.Raw

    @property
    def sources(self) -> list[SourceEvent]:
        return _EVENTS.decode(self.events)


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """An observation of a session, for its summary."""

    kind: str
    content: str
    created_at: datetime


_OBSERVED = msgspec.json.Decoder(list[Observed])


class SessionWork(msgspec.Struct, frozen=True, kw_only=True):
    """A session that wants its summary."""

    job_id: UUID
    team_id: UUID
    project_id: UUID
    session_id: UUID | None
    project: str | None
    problem: Problem | None
    found: dict[str, Any]
    provider: str | None
    model: str | None
    max_output_tokens: int | None
    redact: str
    platform: str | None
    agent_type: str | None
    quiet: timedelta
    restless: bool
    """Events come in, or it is open again."""
    observing: int
    """Jobs of generation of its events that are not over."""
    waited_restless: int
    waited_observing: timedelta
    read_at: datetime
    event_count: int
    observation_count: int
    previous: str | None
    """The content of the summary that is to be renewed."""
    observations: msgspec.Raw
    events: msgspec.Raw
    first_prompt: msgspec.Raw | None
    last_message: msgspec.Raw | None

    @property
    def observed(self) -> list[Observed]:
        return _OBSERVED.decode(self.observations)

    @property
    def untold(self) -> list[SourceEvent]:
        """The events that no observation tells of."""
        return _EVENTS.decode(self.events)

    @property
    def asked(self) -> SourceEvent | None:
        """Its first prompt."""
        return None if self.first_prompt is None else _EVENT.decode(self.first_prompt)

    @property
    def answered(self) -> SourceEvent | None:
        """The last message of the agent."""
        return None if self.last_message is None else _EVENT.decode(self.last_message)


class NewObservation(msgspec.Struct, frozen=True, kw_only=True):
    """As `outbox.record_observations` takes it."""

    index: int
    key: str
    kind: str
    content: str
    metadata: dict[str, Any]
    sources: Sequence[UUID]
    hash: str
    """Hex."""
    simhash: int | None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    observation_id: UUID
    fresh: bool
    """Not there before, in this form or a similar one."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    observation_id: UUID
    revision: int
    fresh: bool
    """Written now; else it stands there, made from a later reading of the session."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a provider, as it is metered."""

    id: UUID
    job_id: UUID
    """Whose team and project pay: of several jobs in one call the first."""
    provider: str
    model: str
    class_: str
    """`ok`, `cancelled`, or the class of the failure."""
    tokens_in: int
    tokens_out: int
    estimated: bool
    cost_micros: int | None
    ms: int
    observations: int = 0


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a call may be made, and of whom."""

    provider: str | None
    model: str | None
    troubled: bool
    """It failed last: an answer has to be told."""
    held: Literal["budget", "provider"] | None
    wait: timedelta | None


async def work(conn: Conn, jobs: Sequence[UUID]) -> list[Work]:
    """In the order asked; a job whose row is gone is not among them."""
    return await rows.many(await conn.execute(_WORK, [list(jobs)]), Work)


async def session_work(conn: Conn, job: UUID) -> SessionWork | None:
    return await rows.maybe(await conn.execute(_SESSION_WORK, [job]), SessionWork)


async def record(conn: Conn, job: UUID, items: Sequence[NewObservation], *, dedupe: bool) -> list[Recorded]:
    """In the fenced transaction of the job's end. Left out: what tells of deleted events only."""
    document = Jsonb(items, dumps=msgspec.json.encode)
    return await rows.many(await conn.execute(_RECORD, [job, document, dedupe]), Recorded)


async def record_summary(
    conn: Conn, work: SessionWork, content: str, metadata: dict[str, Any]
) -> Summary | None:
    """In the fenced transaction of the job's end. None: the session was deleted meanwhile."""
    given = [work.job_id, content, Jsonb(metadata), work.read_at]
    return await rows.maybe(await conn.execute(_SUMMARY, given), Summary)


async def audit_refusal(
    conn: Conn, work: Work | SessionWork, action: str, key: UUID | str | None, details: dict[str, Any]
) -> None:
    """`generation_job.scope_violation` or `generation_job.revoked_key`, with the job's end."""
    await conn.execute(
        _DENIED,
        [work.team_id, work.project_id, key, None, action, str(work.job_id), work.team_id, work.project_id,
         Jsonb(details)],
    )  # fmt: skip


async def meter(conn: Conn, call: Call) -> None:
    """With the settlement, or alone; the same call again counts once."""
    await conn.execute(_METER, [*msgspec.structs.astuple(call)])


async def begin_call(
    conn: Conn, call: UUID, job: UUID, providers: Sequence[tuple[str, str]], estimate: int
) -> Begun:
    """Asks before a call of about `estimate` tokens, and puts it on record; `providers` are (name, model)."""
    names, models = [name for name, _ in providers], [model for _, model in providers]
    return await rows.one(await conn.execute(_BEGIN, [call, job, names, models, estimate]), Begun)
