"""What deliveries are signed with: made with an endpoint, shown once, replaced with an overlap."""

from datetime import timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from outboxd.api import endpoint_signing, idempotency
from outboxd.api import exchange as x
from outboxd.api.endpoints import asked, by
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.json_checks import refused
from outboxd.db.link import Link
from outboxd.errors import Invalid
from outboxd.handlers import signing
from outboxd.handlers.signing import Ed25519Key, SigningKey
from outboxd.model.endpoints import EndpointSecrets, SecretRotated
from outboxd.model.times import epoch
from outboxd.store import audit, endpoint_keys

_OVERLAP = 86_400


class RotateIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    overlap_seconds: Annotated[int, Meta(ge=0, le=604_800)] | None = _OVERLAP
    """How long the old ones sign too."""
    secret: Annotated[str, Meta(max_length=200)] | None = None
    """`whsec_…` or `whsk_…`; made where it is left out."""
    kind: Literal["hmac", "ed25519"] | None = None


ROTATE = msgspec.json.Decoder(RotateIn)


async def shown(exchange: Exchange) -> Reply:
    """GET /v1/endpoints/{id}/secret: those in force, newest first. Audited."""
    seen = await asked(exchange)
    keys, id_ = exchange.api.config.secret_keys, seen.endpoint.id
    async with exchange.api.db.transaction() as conn:
        found = await endpoint_keys.live(conn, by(exchange), id_, keys)
        await audit.record(
            conn,
            exchange.caller,
            "endpoint.secret_read",
            "endpoint",
            str(id_),
            project=seen.endpoint.project_id,
        )
    newest = found.secrets[0] if found.secrets else None
    return x.json(EndpointSecrets(secret=newest, secrets=found.secrets, public_keys=found.public_keys))


async def rotate(exchange: Exchange) -> Reply:
    """POST /v1/endpoints/{id}/secret/rotate: a new key; the old ones of its kind sign too for a while"""
    given: RotateIn = exchange.body or RotateIn()
    key = _wanted(given)
    endpoint = (await asked(exchange)).endpoint
    keys = exchange.api.config.secret_keys
    made = endpoint_signing.sealed([key], endpoint.id, keys)
    [sealed] = made.sealed
    overlap = timedelta(seconds=_OVERLAP if given.overlap_seconds is None else given.overlap_seconds)

    async def write(conn: Link) -> Reply:
        if given.secret is not None:
            await endpoint_keys.check_unused(conn, endpoint.project_id, sealed.kind, key.text(), keys)
        until = await endpoint_keys.rotate(conn, by(exchange), endpoint.id, sealed, overlap)
        return x.json(
            SecretRotated(
                kind=sealed.kind,
                secret=made.secret,
                public_key=made.public_key,
                old_until_epoch=epoch(until),
            )
        )

    return await idempotency.once(exchange, write, scope=endpoint.project_id, hide={"secret"})


def _wanted(given: RotateIn) -> SigningKey:
    """Raises Invalid."""
    if given.secret is None:
        return signing.make(given.kind or "hmac")
    try:
        key = signing.parse(given.secret)
    except Invalid as wrong:
        raise refused(str(wrong), ("secret",), "invalid_value") from None
    if given.kind not in {None, "ed25519" if isinstance(key, Ed25519Key) else "hmac"}:
        raise refused("not a secret of that kind", ("secret",), "invalid_value")
    return key
