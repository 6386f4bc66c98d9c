"""API keys: POST, GET, DELETE /v1/keys, their rotation, and how an agent is connected with one."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from outboxd.api import clients, cursors, idempotency, queries, tenancy
from outboxd.api import exchange as x
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.json_checks import refused
from outboxd.api.wire import FOREIGN_PROJECT, SIBLING_PROJECT, uuid_of
from outboxd.db.link import Link
from outboxd.errors import Forbidden, NotFound
from outboxd.model import Key
from outboxd.model.keys import Connect, KeyMade, KeyPage, KeyReply, KeyRevoked
from outboxd.store import keys

SCOPE = "keys:write"
LIST_QUERY = frozenset({"active", "projectId", "limit", "cursor"})
_FULL = frozenset({"keys:write", "admin", "memories:admin", "*"})
"""Without one of these a key deals with what it minted, and nothing else is there."""
_DEFAULT = ("memories:read",)
_SECRETS = frozenset({"apiKey", "connectCommand"})
"""Not in a reply that is replayed."""
_PLACEHOLDER = "<YOUR_API_KEY>"
_HINT = "Mint a key with POST /v1/keys, or `outboxd keys create`, and put it in place of <YOUR_API_KEY>."


class KeyIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A key as it is asked for. Fields that nobody knows are ignored."""

    label: Annotated[str, Meta(max_length=120)] | None = None
    expires_in_days: Annotated[int, Meta(ge=1, le=365)] | None = None
    scopes: Annotated[list[str], Meta(max_length=50)] | None = None
    project_id: str | None = None
    team_id: str | None = None


class RotationIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    overlap_seconds: Annotated[int, Meta(ge=0, le=604_800)] | None = None


BODY = msgspec.json.Decoder(KeyIn)
ROTATION = msgspec.json.Decoder(RotationIn)


async def make(exchange: Exchange) -> Reply:
    """POST /v1/keys: 201 with the secret, which nobody shows again."""
    given: KeyIn = exchange.body
    team, project = await _tenant(exchange, given)
    days = given.expires_in_days

    async def write(conn: Link) -> Reply:
        key, secret = await keys.mint(
            conn,
            tenancy.by_key(exchange, SCOPE),
            team=team,
            project=project,
            scopes=_DEFAULT if given.scopes is None else given.scopes,
            name=given.label,
            expires_at=None if days is None else datetime.now(UTC) + timedelta(days=days),
        )
        return x.json(shown(exchange, key, secret), 201)

    return await idempotency.once(exchange, write, scope=project, hide=_SECRETS)


async def listed(exchange: Exchange) -> Reply:
    """GET /v1/keys: newest first; of a project key its project's"""
    project = await _asked_project(exchange)
    active = queries.choice(exchange, "active", {"true", "false"})
    limit, after = queries.limit(exchange), cursors.read(exchange)
    async with exchange.api.db.connection() as conn:
        found = await keys.page(
            conn,
            tenancy.by_key(exchange, SCOPE),
            project=project,
            active=None if active is None else active == "true",
            after=after,
            limit=limit + 1,
        )
    more = found[limit - 1].id if len(found) > limit else None
    return x.json(KeyPage(keys=found[:limit], next_cursor=cursors.write(exchange, more)))


async def one(exchange: Exchange) -> Reply:
    """GET /v1/keys/{id}: one key, never its secret"""
    return x.json(KeyReply(key=await _seen(exchange)))


async def rotate(exchange: Exchange) -> Reply:
    """POST /v1/keys/{id}/rotate: a new secret; the old one goes on for the overlap."""
    given: RotationIn = exchange.body or RotationIn()
    overlap = timedelta(seconds=86_400 if given.overlap_seconds is None else given.overlap_seconds)
    old = await _seen(exchange)
    caller = tenancy.by_key(exchange, SCOPE)

    async def write(conn: Link) -> Reply:
        key, secret = await keys.rotate(conn, caller, old.id, overlap)
        previous = await keys.own(conn, old.id)
        return x.json(shown(exchange, key, secret, previous), 201)

    return await idempotency.once(exchange, write, hide=_SECRETS)


async def revoke(exchange: Exchange) -> Reply:
    """DELETE /v1/keys/{id}: ends at once; a key may end itself"""
    seen = await _seen(exchange)
    async with exchange.api.db.transaction() as conn:
        key = await keys.revoke(conn, tenancy.by_key(exchange, SCOPE), seen.id)
    exchange.api.keys.drop(key.id)
    return x.json(KeyRevoked(revoked=True, id=key.id, revoked_at_epoch=key.revoked_at_epoch))


async def connect(exchange: Exchange) -> Reply:
    """GET /v1/connect: how an agent reaches the memory; mints nothing"""
    url, command = _connection(exchange, _PLACEHOLDER)
    return x.json(Connect(mcp_url=url, connect_command=command, hint=_HINT))


def shown(exchange: Exchange, key: Key, secret: str, previous: Key | UnsetType = UNSET) -> KeyMade:
    """A key that was just made."""
    url, command = _connection(exchange, secret)
    return KeyMade(
        id=key.id,
        api_key=secret,
        scopes=key.scopes,
        expires_at=_iso(key.expires_at_epoch),
        mcp_url=url,
        connect_command=command,
        key=key,
        previous=previous,
    )


async def _tenant(exchange: Exchange, given: KeyIn) -> tuple[UUID | None, UUID | None]:
    """Whose the new key is. Raises Invalid, Forbidden."""
    own = exchange.caller.team_id
    if own is None:
        if given.team_id is None:
            raise refused("Required with an operator key", ("teamId",), "required")
        # The statement judges both: an operator sees every team.
        nobody = UUID(int=0)
        named = None if given.project_id is None else uuid_of(given.project_id) or nobody
        return uuid_of(given.team_id) or nobody, named
    if given.team_id is not None and uuid_of(given.team_id) != own:
        raise refused("only an operator key names another team", ("teamId",), "invalid_value")
    return own, await _project(exchange, given)


async def _project(exchange: Exchange, given: KeyIn) -> UUID | None:
    own = exchange.key.project_id if exchange.key else None
    if given.project_id is None:
        return own
    project = uuid_of(given.project_id)
    if own is not None and project != own:
        raise Forbidden(SIBLING_PROJECT)
    try:
        await tenancy.need_project(exchange, project)
    except NotFound:
        raise Forbidden(FOREIGN_PROJECT) from None
    return project


async def _asked_project(exchange: Exchange) -> UUID | None:
    if exchange.caller.team_id is None:
        return queries.ident(exchange, "projectId")
    return await tenancy.asked_project(exchange)


async def _seen(exchange: Exchange) -> Key:
    """Raises NotFound, or Forbidden for a key of a sibling project."""
    named = tenancy.path_id(exchange)
    if named is not None:
        async with exchange.api.db.connection() as conn:
            found = await keys.get(conn, tenancy.by_key(exchange, SCOPE), named)
        if found is not None:
            return found
    key = exchange.key
    siblings = key is not None and key.project_id is not None and not _FULL.isdisjoint(key.scopes)
    raise await tenancy.refuse(exchange, "Key", named, siblings=siblings)


def _connection(exchange: Exchange, secret: str) -> tuple[str, str]:
    url = f"{clients.origin(exchange)}/v1/mcp"
    header = f'--header "Authorization: Bearer {secret}"'
    return url, f"claude mcp add --transport http outboxd {url} {header}"


def _iso(epoch: int | None) -> str | None:
    """As JavaScript writes it."""
    if epoch is None:
        return None
    at = datetime.fromtimestamp(epoch / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
