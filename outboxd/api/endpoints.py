"""Webhook targets: POST, GET, PATCH, DELETE /v1/endpoints."""

from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from outboxd.api import cursors, endpoint_signing, endpoint_wire, idempotency, queries, tenancy
from outboxd.api import exchange as x
from outboxd.api.endpoint_signing import Made
from outboxd.api.endpoint_wire import EndpointIn
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.json_checks import refused
from outboxd.api.wire import uuid_of
from outboxd.db.faults import Clash
from outboxd.db.link import Link
from outboxd.errors import Blocked, Conflict, Invalid, Issue, NotFound, PreconditionFailed
from outboxd.model.endpoints import EndpointPage, EndpointReply
from outboxd.store import endpoint_keys, endpoints, secrets
from outboxd.store.callers import ByKey
from outboxd.store.endpoint_keys import Kind
from outboxd.store.endpoints import Plan, Stored

LIST_QUERY = frozenset({"projectId", "state", "type", "limit", "cursor"})


async def make(exchange: Exchange) -> Reply:
    """POST /v1/endpoints: a new target; its secret is in the reply"""
    given: EndpointIn = exchange.body
    named = given.project_id if isinstance(given.project_id, str) else None
    project = await tenancy.written_project(exchange, named)
    values = endpoint_wire.whole(given)
    extra = endpoint_wire.headers(given)
    keys, made = exchange.api.config.secret_keys, exchange.api.ingest.mint()
    signs = endpoint_signing.missing(values["signing"], (), made, keys)
    await _check_url(exchange, values["url"], project)
    plan = _plan(exchange, made, values, extra or None)

    async def write(conn: Link) -> Reply:
        await endpoints.open_one(conn, by(exchange), made, project, plan, signs.sealed)
        stored = await endpoints.get(conn, exchange.caller, str(made), keys)
        return x.json(endpoint_signing.said(stored.endpoint if stored else None, signs), 201)

    return await idempotency.once(exchange, write, scope=project, hide={"secret"})


async def listed(exchange: Exchange) -> Reply:
    """GET /v1/endpoints: the targets, newest first"""
    project = await tenancy.asked_project(exchange)
    limit, after = queries.limit(exchange), cursors.read(exchange)
    state = queries.choice(exchange, "state", {"enabled", "paused", "disabled"})
    event_type = queries.text(exchange, "type", 255)
    async with exchange.api.db.connection() as conn:
        found = await endpoints.listed(
            conn,
            exchange.caller,
            exchange.api.config.secret_keys,
            project=project,
            state=state,
            event_type=event_type,
            after=after,
            limit=limit + 1,
        )
    more = found[limit - 1].id if len(found) > limit else None
    return x.json(EndpointPage(endpoints=found[:limit], next_cursor=cursors.write(exchange, more)))


async def one(exchange: Exchange) -> Reply:
    """GET /v1/endpoints/{id}: one target, by its id or by `uid:<uid>`"""
    return x.json(EndpointReply(endpoint=(await asked(exchange)).endpoint))


async def change(exchange: Exchange) -> Reply:
    """PATCH /v1/endpoints/{id}: a merge patch, under If-Match where it is sent."""
    given: EndpointIn = exchange.body
    if given.project_id is not UNSET:
        raise refused("cannot be changed", ("projectId",), "invalid_value")
    extra = endpoint_wire.headers(given)
    seen = await asked(exchange)
    if isinstance(given.url, str):
        await _check_url(exchange, given.url, seen.endpoint.project_id)
    keys, id_ = exchange.api.config.secret_keys, seen.endpoint.id

    async def write(conn: Link) -> Reply:
        await endpoints.hold(conn, id_)
        known = await endpoints.get(conn, exchange.caller, str(id_), keys)
        if known is None:
            raise NotFound("Endpoint not found")
        _check_revision(exchange, known.endpoint.revision)
        values = endpoint_wire.whole(given, known.endpoint)
        plan = _plan(exchange, id_, values, extra if extra is not UNSET else None)
        if extra is UNSET:
            plan = msgspec.structs.replace(plan, headers=known.sealed_headers)
        await endpoints.change(conn, by(exchange), id_, plan)
        signs = await _signs(exchange, conn, id_, values["signing"])
        stored = await endpoints.get(conn, exchange.caller, str(id_), keys)
        return x.json(endpoint_signing.said(stored.endpoint if stored else None, signs))

    try:
        return await exchange.api.db.run(write)
    except Clash:
        raise Conflict("another endpoint of this project has this uid") from None


async def remove(exchange: Exchange) -> Reply:
    """DELETE /v1/endpoints/{id}: nothing is sent there any more"""
    seen = await asked(exchange)
    async with exchange.api.db.transaction() as conn:
        await endpoints.remove(conn, by(exchange), seen.endpoint.id)
    return Reply(204, headers=())


async def asked(exchange: Exchange) -> Stored:
    """The endpoint of the path, by id or `uid:<uid>`. Raises NotFound, Forbidden."""
    named = exchange.parameter("id")
    own = exchange.key.project_id if exchange.key else None
    async with exchange.api.db.connection() as conn:
        found = await endpoints.get(
            conn, exchange.caller, named, exchange.api.config.secret_keys, project=own
        )
    if found is None:
        raise await tenancy.refuse(exchange, "Endpoint", uuid_of(named))
    return found


async def _signs(exchange: Exchange, conn: Link, endpoint: UUID, wanted: Any) -> Made:
    """What it signs with and has no key for yet is made."""
    keys = exchange.api.config.secret_keys
    live = await endpoint_keys.live(conn, by(exchange), endpoint, keys)
    known: dict[Kind, list[str]] = {"hmac": live.secrets, "ed25519": live.public_keys}
    there = [kind for kind, those in known.items() if those]
    made = endpoint_signing.missing(wanted, there, endpoint, keys)
    for each in made.sealed:
        await endpoint_keys.add(conn, endpoint, each)
    return made


async def _check_url(exchange: Exchange, url: str, project: UUID) -> None:
    """Quick words to whoever enters it; the judgement that counts is made when it is dialled."""
    async with exchange.api.db.connection() as conn:
        trusted = await endpoints.trusted(conn, project)
    try:
        await exchange.api.egress.check(url, trusted=trusted)
    except Blocked as blocked:
        raise Invalid(
            blocked.detail, (Issue(path=("url",), code="blocked", message=blocked.detail),)
        ) from None


def _plan(exchange: Exchange, owner: UUID, values: dict[str, Any], extra: dict[str, str] | None) -> Plan:
    keys = exchange.api.config.secret_keys
    clear = msgspec.json.encode(extra)
    sealed = secrets.seal(keys, clear, owner=owner, column=endpoint_keys.HEADERS_AS) if extra else None
    return Plan(fields=endpoint_wire.columns(values), queue=endpoint_wire.queue(values), headers=sealed)


def _check_revision(exchange: Exchange, revision: int) -> None:
    wanted = exchange.headers.get(b"if-match")
    if wanted is not None and wanted.strip() not in {b"*", b'"%d"' % revision}:
        raise PreconditionFailed("the endpoint was changed meanwhile")


def by(exchange: Exchange) -> ByKey:
    """Whoever holds the key, which is judged again in the statement that acts."""
    return ByKey(
        actor=exchange.caller.actor,
        key_id=exchange.key_id,
        scope="endpoints:write",
        request_id=exchange.request_id,
    )
