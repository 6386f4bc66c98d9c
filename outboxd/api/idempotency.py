"""The header `Idempotency-Key` (IETF draft): a request that is sent again gets the first answer.

Begun and finished in the transaction of the effect, so a refusal or a crash leaves the key free:

    async def write(conn): ...; return x.json(made, 201)
    return await idempotency.once(exchange, write, scope=project, hide={"apiKey"})
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

import msgspec

from outboxd.api.cloudevents.modes import Binary
from outboxd.api.exchange import Exchange, Reply
from outboxd.db.link import Link
from outboxd.errors import Invalid
from outboxd.store import idempotency
from outboxd.store.idempotency import Claim, Claimed

HEADER = b"idempotency-key"

_BARE = re.compile(rb"[!#-~]{1,255}")
_QUOTED = re.compile(rb'"((?:[!#-\[\]-~]|\\[\\"]){1,510})"')
_LONGEST = 255
_MOST_BYTES = 64 * 1024
_SUCCESS = range(200, 300)
_REPLAYED = (b"idempotency-replayed", b"true")
_WRONG = "Idempotency-Key: once, 1 to 255 visible ASCII characters, bare or quoted"


async def once(
    exchange: Exchange,
    effect: Callable[[Link], Awaitable[Reply]],
    *,
    scope: UUID | None = None,
    hide: Collection[str] = (),
) -> Reply:
    """What `effect` replies, in a transaction; or what it replied to the same request before.

    `scope`: the project that the request names, else the key's own, else its team. `hide`: members of the
    reply that are secrets; replayed they are null. Raises Conflict, IdempotencyMismatch, Invalid for a bad
    header.
    """
    claim = claim_of(exchange, scope)
    if claim is None:
        return await exchange.api.db.run(effect)

    async def write(conn: Link) -> Reply:
        [claimed] = await idempotency.claim(conn, [claim])
        refusal = claimed.refusal()
        if refusal is not None:
            raise refusal
        if claimed.state == "done":
            return _replayed(exchange, claimed)
        reply = await effect(conn)
        if claimed.state == "fresh" and reply.status in _SUCCESS and len(reply.body) <= _MOST_BYTES:
            await idempotency.keep(conn, claim, reply.status, _kept(reply.body, hide))
        return reply

    return await exchange.api.db.run(write)


def claim_of(exchange: Exchange, scope: UUID | None = None, part: str = "") -> Claim | None:
    """What the request claims; None without the header. `part`: of a request whose parts stand alone."""
    key = _key(exchange)
    if key is None or exchange.key is None:
        return None
    team = exchange.key.team_id or exchange.key.id
    return Claim(
        team=team,
        scope=scope or exchange.key.project_id or team,
        route=f"{exchange.method} {exchange.template}",
        # A blank stands in no key.
        key=f"{key} {part}" if part else key,
        fingerprint=_fingerprint(exchange),
        lives=exchange.api.config.idempotency,
    )


def tell_replayed(exchange: Exchange) -> None:
    if _REPLAYED not in exchange.extra:
        exchange.extra.append(_REPLAYED)


def _key(exchange: Exchange) -> str | None:
    given = exchange.headers.get(HEADER)
    if given is None or not exchange.template.startswith("/v1/"):
        return None
    given = given.strip(b" \t")
    quoted = _QUOTED.fullmatch(given)
    key = re.sub(rb"\\(.)", rb"\1", quoted[1]) if quoted else given
    repeated = sum(name == HEADER for name, _ in exchange.scope["headers"]) > 1
    if repeated or len(key) > _LONGEST or not (quoted or _BARE.fullmatch(given)):
        raise Invalid(_WRONG)
    return key.decode("ascii")


def _fingerprint(exchange: Exchange) -> str:
    """Of the method, the path, the media type without its parameters, and what was sent: the body, and the
    attributes of a CloudEvent whose body is its data alone."""
    media = exchange.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    head = [exchange.method.encode(), exchange.path.encode(), media]
    if isinstance(exchange.body, Binary):
        head += sorted(b": ".join(each) for each in exchange.scope["headers"] if each[0].startswith(b"ce-"))
    return hashlib.sha256(b"\0".join([*head, exchange.digest])).hexdigest()


def _kept(body: bytes, hide: Collection[str]) -> bytes:
    if not hide:
        return body or b"null"
    shown = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({name: None if name in hide else each for name, each in shown.items()})


def _replayed(exchange: Exchange, claimed: Claimed) -> Reply:
    tell_replayed(exchange)
    body = bytes(claimed.reply) if claimed.reply is not None else b""
    status = claimed.status or 200
    return Reply(status, body) if body != b"null" else Reply(status, headers=())
