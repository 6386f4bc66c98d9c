"""Interactions: ask, answer, withdraw, list, and one that waits for its answer."""

from datetime import timedelta
from uuid import UUID

import msgspec
from msgspec import UNSET, Raw, UnsetType

from outboxd import telemetry
from outboxd.api import cursors, idempotency, interaction_wire, queries, tenancy
from outboxd.api import exchange as x
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.interaction_wire import AnswerIn, AskIn, WithdrawIn
from outboxd.api.queries import refused
from outboxd.db.link import Link
from outboxd.errors import Conflict
from outboxd.model.interactions import (
    Interaction,
    InteractionAnswered,
    InteractionAsked,
    InteractionPage,
    InteractionReply,
)
from outboxd.store import interactions
from outboxd.store.interactions import InScope, InteractionFilter, Listed, Place

LIST_QUERY = frozenset(
    [
        "projectId",
        "state",
        "connectionId",
        "expectedActor",
        "sessionId",
        "kind",
        "since",
        "until",
        "include",
        "limit",
        "cursor",
    ]
)
WRITE = "interactions:write"
LONGEST_WAIT = 60
_STATES = ("pending", "answered", "withdrawn", "expired")
_KINDS = ("question", "approval", "suggestion")
_MOST_BYTES = 4 * 1024 * 1024


async def ask(exchange: Exchange) -> Reply:
    """Asks a question; the same again is the first one, as it is."""
    asked: AskIn = exchange.body
    project = await tenancy.written_project(exchange, asked.project_id)
    question = await interaction_wire.question(exchange, asked, project)
    fresh = False

    async def write(conn: Link) -> Reply:
        nonlocal fresh
        made = await interactions.ask(conn, tenancy.by_key(exchange, WRITE), question)
        fresh = not made.duplicate
        shown = await _read(conn, exchange, made.interaction_id)
        reply = InteractionAsked(interaction=shown, duplicate=UNSET if fresh else True)
        return x.json(reply, 201 if fresh else 200)

    with interaction_wire.pointed(actor="expectedActor", ttl="ttlSeconds"):
        reply = await idempotency.once(exchange, write, scope=project)
    if fresh:
        telemetry.INTERACTIONS_TOTAL.labels(question.kind, "asked").inc()
        exchange.api.wakes.committed({}, projects=[project])
    return reply


async def one(exchange: Exchange) -> Reply:
    """One question; `wait` holds the reply until it is over, or so many seconds."""
    id_ = interaction_wire.path_id(exchange)
    wait = timedelta(seconds=queries.number(exchange, "wait", 0, LONGEST_WAIT, 0))

    async def read() -> Interaction:
        async with exchange.api.db.connection() as conn:
            found = await interactions.get(conn, exchange.caller, id_)
        if found is None:
            raise await tenancy.refuse(exchange, "Interaction", id_, siblings=False)
        return found

    return x.json(InteractionReply(interaction=await exchange.api.answers.hold(exchange, id_, wait, read)))


async def answer(exchange: Exchange) -> Reply:
    """Answers a question, which happens once, or uses a suggestion. The key vouches for `actor`."""
    given: AnswerIn = exchange.body
    interaction_wire.need_one(given)
    id_ = interaction_wire.path_id(exchange)
    async with exchange.api.db.connection() as conn:
        scope = await interactions.in_scope(conn, exchange.caller, id_, given.connection_id, given.actor)
    if scope is None:
        await _deny(exchange, id_, given.connection_id, given.actor)
        raise interaction_wire.unknown()
    if scope.kind == "suggestion":
        return await _used(exchange, id_, given, scope)
    return await _answered(exchange, id_, given, scope)


async def withdraw(exchange: Exchange) -> Reply:
    """The asker ends a question: nobody shall answer it any more."""
    given: WithdrawIn | None = exchange.body
    connection = queries.text(exchange, "connectionId", 255)
    if connection is None:
        raise refused("connectionId", "Required", "required")
    id_ = interaction_wire.path_id(exchange)
    async with exchange.api.db.connection() as conn:
        found = await interactions.get(conn, exchange.caller, id_)
    if found is None or found.connection_id != connection:
        await _deny(exchange, id_, connection)
        raise interaction_wire.unknown()
    reason, project, ended = given.reason if given else None, found.project_id, False

    async def write(conn: Link) -> Interaction:
        nonlocal ended
        by = tenancy.by_key(exchange, WRITE)
        ended = await interactions.withdraw(conn, by, id_, project, connection, reason)
        shown = await _read(conn, exchange, id_)
        if shown.state != "withdrawn":
            raise interaction_wire.over(shown)
        return shown

    shown = await exchange.api.db.run(write)
    if ended:
        telemetry.INTERACTIONS_TOTAL.labels(found.kind, "withdrawn").inc()
        exchange.api.wakes.committed({}, projects=[project], interactions=[id_])
    return x.json(InteractionReply(interaction=shown))


async def listed(exchange: Exchange) -> Reply:
    """Questions, newest first; what was asked and answered only where it is asked for."""
    where = InteractionFilter(
        project=await tenancy.asked_project(exchange),
        state=queries.choice(exchange, "state", _STATES),
        connection=queries.text(exchange, "connectionId", 255),
        actor=queries.text(exchange, "expectedActor", 255),
        session=queries.ident(exchange, "sessionId"),
        kind=queries.choice(exchange, "kind", _KINDS),
        since=queries.time(exchange, "since"),
        until=queries.time(exchange, "until"),
    )
    limit, after = queries.limit(exchange), _place(exchange)
    bodies = queries.choice(exchange, "include", {"payload"}) is not None
    async with exchange.api.db.connection() as conn:
        found = await interactions.listed(
            conn, exchange.caller, where, after=after, bodies=bodies, limit=limit + 1
        )
    page = _cut(found[:limit])
    more = None
    if len(found) > len(page):
        more = cursors.write_bytes(exchange, msgspec.json.encode(page[-1].place))
    return x.json(InteractionPage(interactions=[each.shown for each in page], next_cursor=more))


async def _answered(exchange: Exchange, id_: str, given: AnswerIn, scope: InScope) -> Reply:
    said = await interaction_wire.said(exchange, given, scope)
    outcome = ""

    async def write(conn: Link) -> Reply:
        nonlocal outcome
        by = tenancy.by_key(exchange, WRITE)
        told = (id_, scope.project_id, given.connection_id, given.actor, said, given.digest)
        outcome = await interactions.answer(conn, by, *told)
        if outcome == "changed":
            raise Conflict("that is not the question as it stands", code="Changed")
        shown = await _read(conn, exchange, id_)
        if outcome not in {"answered", "replayed"}:
            raise interaction_wire.over(shown)
        if outcome == "answered":
            waited = (shown.answered_at_epoch or 0) - shown.created_at_epoch
            telemetry.INTERACTIONS_WAIT_SECONDS.observe(waited / 1000)
        return x.json(InteractionAnswered(interaction=shown, replayed=outcome == "replayed"))

    try:
        with interaction_wire.pointed():
            reply = await idempotency.once(exchange, write, scope=scope.project_id)
    finally:
        if outcome:
            telemetry.INTERACTIONS_TOTAL.labels(scope.kind, outcome).inc()
    if outcome == "answered":
        exchange.api.wakes.committed({}, projects=[scope.project_id], interactions=[id_])
    return reply


async def _used(exchange: Exchange, id_: str, given: AnswerIn, scope: InScope) -> Reply:
    choice = await interaction_wire.choice(exchange, given, scope)
    if given.digest is not None and given.digest.lower() != scope.digest:
        raise Conflict("that is not the suggestion as it stands", code="Changed")
    event: UUID | None = None

    async def write(conn: Link) -> Reply:
        nonlocal event
        by = tenancy.by_key(exchange, WRITE)
        pressed = (id_, scope.project_id, given.connection_id, given.actor, choice)
        event = await interactions.use(conn, by, *pressed)
        shown = await _read(conn, exchange, id_)
        if event is None:
            raise interaction_wire.over(shown)
        return x.json(InteractionAnswered(interaction=shown, use_event_id=event))

    with interaction_wire.pointed():
        reply = await idempotency.once(exchange, write, scope=scope.project_id)
    if event is not None:
        telemetry.INTERACTIONS_TOTAL.labels("suggestion", "used").inc()
        exchange.api.wakes.committed({}, projects=[scope.project_id])
    return reply


async def _read(conn: Link, exchange: Exchange, id_: str) -> Interaction:
    found = await interactions.get(conn, exchange.caller, id_)
    if found is None:
        raise interaction_wire.unknown()
    return interaction_wire.shown(exchange, found)


async def _deny(exchange: Exchange, id_: str, connection: str, actor: str | None = None) -> None:
    """A row of the trail, for an unknown id as well: it must not take longer to be a stranger."""
    telemetry.INTERACTIONS_DENIED_TOTAL.inc()
    own = exchange.key.project_id if exchange.key else None
    by = tenancy.by_key(exchange, WRITE)
    await exchange.api.db.run(lambda conn: interactions.deny(conn, by, id_, own, connection, actor))


def _place(exchange: Exchange) -> Place | None:
    raw = cursors.read_bytes(exchange)
    return None if raw is None else msgspec.json.decode(raw, type=Place)


def _cut(page: list[Listed]) -> list[Listed]:
    """As many as 4 MiB hold, one at least."""
    room = _MOST_BYTES
    for n, each in enumerate(page):
        shown = each.shown
        room -= sum(_size(part) for part in (shown.prompt, shown.context, shown.answer))
        room -= len(msgspec.json.encode(shown.options)) if shown.options else 0
        if room < 0 and n:
            return page[:n]
    return page


def _size(part: Raw | UnsetType | None) -> int:
    return len(part) if isinstance(part, Raw) else 0
