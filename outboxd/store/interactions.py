"""Interactions: asked, answered once, withdrawn, expired. The verbs are SQL; here they are called."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import Raw
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from outboxd.db import rows
from outboxd.model import Caller
from outboxd.model.interactions import Interaction, Option
from outboxd.store.callers import CALLER, row

Conn = AsyncConnection[dict[str, Any]]

Outcome = Literal["answered", "replayed", "already_answered", "expired", "withdrawn", "changed", "none"]

SWEPT = 1000
"""Of one sweep, at most."""
_ASK = b"""
select interaction_id, duplicate from outbox.ask(%(project)s, %(connection)s, %(actor)s, %(prompt)s, %(id)s,
  %(kind)s, %(options)s, %(free_text)s, %(context)s, %(ttl)s, %(session)s, %(max_uses)s, %(traceparent)s,
  outbox.caller_of(%(caller)s))
"""
_ANSWER = f"select outcome from outbox.answer(%s, %s, %s, %s, %s, %s, {CALLER})".encode()
_USE = f"select use_event_id from outbox.use_suggestion(%s, %s, %s, %s, %s, {CALLER})".encode()
_WITHDRAW = f"select outbox.withdraw(%s, %s, %s, %s, {CALLER})".encode()
_EXPIRE = b"""
select i.id, i.kind from outbox.expire_interactions(%s) e (id)
cross join lateral (select i.id, i.kind from outbox.interactions i where i.id = e.id offset 0) i
"""
_SHOWN = """
i.id, i.project_id, i.team_id, i.connection_id, i.expected_actor, i.kind,
  outbox.interaction_state(i) as state, i.free_text, encode(i.digest, 'hex') as digest, i.session_id,
  outbox.ms(i.created_at) as created_at_epoch, outbox.ms(i.expires_at) as expires_at_epoch,
  outbox.ms(i.answered_at) as answered_at_epoch, i.answered_by, i.answer_event_id, i.ended_reason, i.uses,
  i.max_uses, i.request_id, i.created_at
"""
_BODIES = ", i.prompt, i.options, i.context, i.answer"
_GET = f"""
select {_SHOWN} {_BODIES} from outbox.interactions i
where i.id = %s and outbox.sees_interaction({CALLER}, i)
""".encode()
_LIST = """
select {columns} from (
  select i.* from outbox.projects p
  cross join lateral (
    select i.* from outbox.interactions i
    where i.project_id = p.id and i.created_at > coalesce(p.purged_at, '-infinity')
      and (%(at)s::timestamptz is null or (i.created_at, i.id) < (%(at)s, %(after)s collate "C"))
      and (%(state)s::text is null or outbox.interaction_state(i) = %(state)s)
      and (%(connection)s::text is null or i.connection_id = %(connection)s)
      and (%(actor)s::text is null or i.expected_actor = %(actor)s)
      and (%(session)s::uuid is null or i.session_id = %(session)s)
      and (%(kind)s::text is null or i.kind = %(kind)s)
      and (%(since)s::timestamptz is null or i.created_at >= %(since)s)
      and (%(until)s::timestamptz is null or i.created_at < %(until)s)
    order by i.created_at desc, i.id desc limit %(limit)s) i
  where outbox.sees(outbox.caller_of(%(caller)s), p.team_id, p.id)
    and (%(project)s::uuid is null or p.id = %(project)s)
  order by i.created_at desc, i.id desc limit %(limit)s
) i order by i.created_at desc, i.id desc
"""
# The scope in which it is answered, whoever asks: what is not there for them is not there.
_IN_SCOPE = f"""
select i.project_id, i.kind, i.options, encode(i.digest, 'hex') as digest from outbox.interactions i
where i.id = %s and i.connection_id = %s
  and (i.kind = 'suggestion' or i.expected_actor = %s or i.expected_actor = '*')
  and outbox.sees_interaction({CALLER}, i)
""".encode()
_DENY = f"select outbox.deny_interaction({CALLER}, %s, %s, %s, %s)".encode()
_STILL_OPEN = b"""
select i.id from unnest(%s::text[]) u (id)
cross join lateral (select i.id from outbox.interactions i
  where i.id = u.id and i.state = 'pending' and i.expires_at > (select outbox.clock()) offset 0) i
"""
_RETAIN = b"""
delete from outbox.interactions i where i.ctid = any (array(
  select x.ctid from outbox.interactions x
  where x.state <> 'pending' and x.ended_at < (select outbox.clock()) - %s
  order by x.ended_at limit %s for update skip locked))
"""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What an ask says."""

    project: UUID
    connection: str
    actor: str
    prompt: bytes
    """JSON: a string or an object."""
    id: str | None = None
    kind: str = "question"
    options: bytes | None = None
    """JSON: a list of {value, label}."""
    free_text: bool | None = None
    context: bytes = b"{}"
    ttl: timedelta = timedelta(days=1)
    session: UUID | None = None
    max_uses: int | None = None
    traceparent: str | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    interaction_id: str
    duplicate: bool


class InScope(msgspec.Struct, frozen=True, kw_only=True):
    """A question as whoever answers it sees it."""

    project_id: UUID
    kind: str
    options: list[Option] | None
    digest: str


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    kind: str


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Behind which row a page of a list begins."""

    at: datetime
    id: str


class InteractionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What is not None must hold."""

    project: UUID | None = None
    state: str | None = None
    connection: str | None = None
    actor: str | None = None
    session: UUID | None = None
    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    shown: Interaction
    place: Place


async def ask(conn: Conn, caller: Caller, question: Question) -> Asked:
    """Raises Invalid, Forbidden, Conflict, ProjectArchived, RateLimited when too many wait."""
    values = msgspec.structs.asdict(question) | {
        "caller": row(caller),
        "prompt": _json(question.prompt),
        "options": None if question.options is None else _json(question.options),
        "context": _json(question.context),
    }
    return await rows.one(await conn.execute(_ASK, values), Asked)


async def answer(
    conn: Conn,
    caller: Caller,
    id_: str,
    project: UUID,
    connection: str,
    actor: str,
    said: bytes,
    digest: str | None = None,
) -> Outcome:
    """`said`: JSON. Raises Invalid when the question does not allow it, ProjectArchived."""
    values = (id_, project, connection, actor, _json(said), digest, row(caller))
    return await rows.value(await conn.execute(_ANSWER, values), Outcome)  # type: ignore[arg-type]


async def use(
    conn: Conn, caller: Caller, id_: str, project: UUID, connection: str, actor: str, choice: int
) -> UUID | None:
    """The event that says so; None: it is not there for them, or over. Raises Invalid, ProjectArchived."""
    values = (id_, project, connection, actor, choice, row(caller))
    found = await rows.values(await conn.execute(_USE, values), UUID)
    return found[0] if found else None


async def withdraw(
    conn: Conn, caller: Caller, id_: str, project: UUID, connection: str, reason: str | None
) -> bool:
    """Whether this call ended it. Raises Invalid, ProjectArchived."""
    values = (id_, project, connection, reason, row(caller))
    return await rows.value(await conn.execute(_WITHDRAW, values), bool)


async def get(conn: Conn, caller: Caller, id_: str) -> Interaction | None:
    return await rows.maybe(await conn.execute(_GET, (id_, row(caller))), Interaction)


async def in_scope(conn: Conn, caller: Caller, id_: str, connection: str, actor: str) -> InScope | None:
    """What this person is asked there; None: nothing of that id."""
    values = (id_, connection, actor, row(caller))
    return await rows.maybe(await conn.execute(_IN_SCOPE, values), InScope)


async def deny(
    conn: Conn, caller: Caller, id_: str, project: UUID | None, connection: str, actor: str | None
) -> None:
    """A row of the trail: somebody asked for it in a scope that is not its own."""
    await conn.execute(_DENY, (row(caller), id_, project, connection, actor))


async def listed(
    conn: Conn,
    caller: Caller,
    where: InteractionFilter,
    *,
    after: Place | None,
    bodies: bool,
    limit: int,
) -> list[Listed]:
    """Newest first; prompt, options, context and answer only with `bodies`."""
    values = msgspec.structs.asdict(where) | {
        "caller": row(caller),
        "at": after.at if after else None,
        "after": after.id if after else None,
        "limit": limit,
    }
    query = _LIST.format(columns=_SHOWN + (_BODIES if bodies else ""))
    cur = await conn.execute(query.encode(), values)
    return [
        Listed(shown=rows.struct(found, Interaction), place=Place(at=found["created_at"], id=found["id"]))
        for found in await cur.fetchall()
    ]


async def still_open(conn: Conn, ids: Collection[str]) -> set[str]:
    """Those of them that still wait for an answer."""
    return set(await rows.values(await conn.execute(_STILL_OPEN, [list(ids)]), str))


async def expire(conn: Conn, limit: int = SWEPT) -> list[Expired]:
    """Ends those past their time, the oldest first; nothing while somebody else is at it."""
    return await rows.many(await conn.execute(_EXPIRE, [limit]), Expired)


async def retain(conn: Conn, days: timedelta, limit: int = 1000) -> int:
    """How many went that ended longer ago."""
    return (await conn.execute(_RETAIN, [days, limit])).rowcount


def _json(document: bytes | Raw) -> Jsonb:
    return Jsonb(document, dumps=bytes)
