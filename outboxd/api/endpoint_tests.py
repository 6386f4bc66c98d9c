"""A test-send: one attempt now, in the request, signed and guarded like any other; nothing is stored."""

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw

from outboxd.api import endpoints
from outboxd.api import exchange as x
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.json_checks import refused
from outboxd.errors import NotFound, RateLimited
from outboxd.handlers import probing
from outboxd.handlers.probing import Probe, Probed
from outboxd.model.deliveries import Tested
from outboxd.model.raw import AnyJson
from outboxd.store import audit, deliveries, rates

_A_MINUTE = 10
_MOST_PAYLOAD = 64 * 1024
_MOST_BODY = 4 * 1024
_PAYLOAD = Raw(b'{"test":true}')


class TestIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: Annotated[str, Meta(pattern=r"^[^*\x00-\x1f\x7f-\x9f]{1,255}$(?!\n)")] | None = None
    payload: AnyJson = msgspec.field(default_factory=lambda: _PAYLOAD)


TEST = msgspec.json.Decoder(TestIn)


async def test(exchange: Exchange) -> Reply:
    """POST /v1/endpoints/{id}/test: one attempt now; 200 whatever the target said"""
    given: TestIn = exchange.body or TestIn()
    if len(given.payload) > _MOST_PAYLOAD:
        raise refused(f"larger than {_MOST_PAYLOAD} bytes", ("payload",), "too_big")
    seen = (await endpoints.asked(exchange)).endpoint
    async with exchange.api.db.transaction() as conn:
        window = await rates.take(conn, seen.id, "test", 1)
        if window.used > _A_MINUTE:
            raise RateLimited(
                f"at most {_A_MINUTE} tests of an endpoint a minute",
                retry_in=timedelta(seconds=max(1, window.seconds)),
            )
        # Before it is sent, since this is where the key is judged.
        await audit.record(
            conn,
            msgspec.structs.replace(endpoints.by(exchange), team_id=seen.team_id),
            "endpoint.tested",
            "endpoint",
            str(seen.id),
            project=seen.project_id,
        )
        target = await deliveries.read(conn, f"endpoint:{seen.id}", None, 1)
    if target is None:
        raise NotFound("Endpoint not found")
    api = exchange.api
    probe = Probe(type=given.type or "test.ping", payload=given.payload)
    return _told(await probing.send(api.egress, api.config, target, probe))


def _told(found: Probed) -> Reply:
    text = UNSET if found.body is None else found.body.encode()[:_MOST_BODY].decode(errors="ignore")
    return x.json(
        Tested(
            outcome="completed" if found.ok else "failed",
            class_=found.class_,
            status=found.status,
            duration_ms=found.duration_ms,
            body=text,
        )
    )
