"""A delivery that is none: one attempt of something made up, to see how a target takes it."""

import time
from datetime import timedelta
from uuid import uuid4

import msgspec
from msgspec import Raw

from outboxd.config import Config
from outboxd.egress import Egress, Request
from outboxd.errors import Blocked, NotConfigured, Unreachable
from outboxd.handlers import envelope, signing, verdicts
from outboxd.store import deliveries
from outboxd.store.deliveries import Target

_LEAST_SECRET = 8


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    payload: Raw


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    class_: str
    ok: bool = False
    status: int | None = None
    duration_ms: int
    body: str | None = None
    """None: nobody answered, or what did is not to be told."""


async def send(egress: Egress, config: Config, target: Target, probe: Probe) -> Probed:
    """How it went, whatever the target said. Raises NotConfigured without a key that sealed its secrets."""
    shown = msgspec.structs.replace(
        target, type=probe.type, payload=probe.payload, occurred_at=target.now, hops=0, position=None
    )
    own = deliveries.headers_of(target, config.secret_keys)
    request = _request(shown, config, own)
    begun = time.monotonic()
    try:
        answer = await egress.send(request, timeout=target.timeout, trusted=target.trusted)
    except (Unreachable, Blocked) as failed:
        took = timedelta(seconds=time.monotonic() - begun)
        return Probed(class_=verdicts.of_failure(failed).class_, duration_ms=_ms(took))
    verdict = verdicts.of_answer(
        answer.status, answer.headers, now=target.now, terminal_4xx=target.terminal_4xx
    )
    hidden = egress.is_exempt(answer.address)
    return Probed(
        class_=verdict.class_,
        ok=verdict.ok,
        status=answer.status,
        duration_ms=_ms(answer.took),
        body=None if hidden else _without(answer.body.decode(errors="replace"), own),
    )


def _request(target: Target, config: Config, own: dict[str, str]) -> Request:
    keys = [signing.parse(each) for each in deliveries.secrets_of(target, config.secret_keys)]
    if not keys:
        raise NotConfigured("the endpoint has no secret to sign with")
    named = uuid4()
    sent = envelope.message(target, named, config.public_url)
    headers = envelope.headers(target, named, 1, sent, keys, own)
    signed = signing.headers(f"test_{named}", int(target.now.timestamp()), sent.body, keys)
    return Request(url=target.url, headers={**headers, **signed}, body=sent.body)


def _without(text: str, own: dict[str, str]) -> str:
    """A target may echo what it was sent."""
    for value in own.values():
        if len(value) >= _LEAST_SECRET:
            text = text.replace(value, "***")
    return text


def _ms(took: timedelta) -> int:
    return round(took / timedelta(milliseconds=1))
