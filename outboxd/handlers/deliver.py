"""Webhooks: one attempt to deliver one event to one endpoint.

    read endpoint, event ──▶ sign ──▶ send ──▶ verdict ──▶ settled, with what it means for the endpoint
       │ deleted, expunged, disabled for long: cancelled
       └ disabled: held, and its queue is closed

The claim was committed before, so a worker that dies while it sends leaves an attempt on record, its
outcome unknown: delivery is at least once, and receivers tell repeats by `webhook-id`. Where the
endpoint has changed since the publish, what counts is what it says now.
"""

import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from outboxd import telemetry
from outboxd.config import Config
from outboxd.config.kinds import SealKey
from outboxd.db.pool import Database
from outboxd.egress import Answer, Egress, Request
from outboxd.errors import Blocked, DatabaseUnavailable, NotConfigured, Overloaded, Unreachable
from outboxd.handlers import envelope, signing, verdicts
from outboxd.handlers.verdicts import Verdict
from outboxd.model import Job, Snooze
from outboxd.model.contract import Ended, Handler, Run
from outboxd.store import deliveries
from outboxd.store.deliveries import Note, Target
from outboxd.telemetry import spans

_MARGIN = timedelta(milliseconds=100)
"""The attempt's end is told by whoever waits for the target, not by the worker, who knows less."""
_LEAST = timedelta(milliseconds=50)
_HELD = timedelta(minutes=1)
_BUSY = timedelta(seconds=5)
_MOST_BODY = 16 * 1024
# As JSON, where some characters take six bytes: the ledger's entry holds 32 KiB in all.
_MOST_ENCODED = 24 * 1024
_MOST_HEADER = 256
_LEAST_SECRET = 8
_DOUBT = 10.0
"""Seconds after a failure in which a success is news, whatever was read of the endpoint before."""
_MOST_DOUBTED = 1000

_encode = msgspec.json.Encoder().encode


class Facts(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the ledger keeps of an attempt."""

    status: int | None = None
    duration_ms: int
    address: str | None = None
    """Who answered."""
    content_type: str | None = None
    retry_after: str | None = None
    webhook_delivery: str | None = None
    body: str | UnsetType = UNSET


def handler(db: Database, egress: Egress, config: Config) -> Handler:
    return Handler(name="deliver", call=Deliver(db, egress, config).__call__)


class Deliver:
    def __init__(self, db: Database, egress: Egress, config: Config) -> None:
        self._db = db
        self._egress = egress
        self._keys: tuple[SealKey, ...] = config.secret_keys
        self._public_url = config.public_url
        self._keeps_bodies = config.delivery_bodies
        self._failed: dict[UUID, float] = {}
        """Endpoint → when it last failed here; the latest of them."""

    async def __call__(self, job: Job, run: Run) -> Ended | Snooze:
        begun = time.monotonic()
        try:
            async with self._db.connection() as conn:
                target = await deliveries.read(conn, job.queue, job.event_id, job.attempt)
            if target is None:
                return _cancelled("endpoint_deleted", "the endpoint was deleted")
            if job.event_id is None or target.type is None:
                return _cancelled("expunged", "the event is gone")
            if target.state == "disabled":
                return _put_off(target)
            return await self._attempt(target, job.event_id, job, run, begun)
        except (DatabaseUnavailable, Overloaded):
            # Nothing was sent, so nothing is spent.
            return Snooze(_BUSY, "overloaded")

    async def _attempt(self, target: Target, event: UUID, job: Job, run: Run, begun: float) -> Ended:
        with spans.span("delivery", target.traceparent, target.tracestate, queue=job.queue) as span:
            span.note(job=job.id, event=event, endpoint=target.id, project=target.project_id)
            ended = await self._sent(target, event, job, run, begun, span.traceparent)
            span.ended(ended.class_ or ended.outcome, failed=ended.outcome == "failed")
        return ended

    async def _sent(
        self, target: Target, event: UUID, job: Job, run: Run, begun: float, recorded: str | None
    ) -> Ended:
        own = deliveries.headers_of(target, self._keys)
        request = self._request(target, event, job.attempt, own, recorded)
        if target.timeout > job.timeout:
            await run.extend(target.timeout)
        left = target.timeout - _MARGIN - timedelta(seconds=time.monotonic() - begun)
        sent = time.monotonic()
        try:
            answer = await self._egress.send(request, timeout=max(left, _LEAST), trusted=target.trusted)
        except (Unreachable, Blocked) as failed:
            verdict = verdicts.of_failure(failed)
            facts = Facts(duration_ms=round((time.monotonic() - sent) * 1000))
            return _ended(self._known(target, verdict), event, verdict, facts, failed.detail, run)
        verdict = verdicts.of_answer(
            answer.status, answer.headers, now=target.now, terminal_4xx=target.terminal_4xx
        )
        told = f"the target answered {answer.status}"
        facts = self._facts(answer, own.values())
        return _ended(self._known(target, verdict), event, verdict, facts, told, run)

    def _known(self, target: Target, verdict: Verdict) -> Target:
        """With what was seen since it was read.

        Many are under way at a time. Would those that were sent before the first failure tell no success,
        five failures among them were five in a row, and an endpoint that is well would rest.
        """
        now, id_ = time.monotonic(), target.id
        if verdict.failure:
            self._failed.pop(id_, None)
            self._failed[id_] = now
            if len(self._failed) > _MOST_DOUBTED:
                del self._failed[next(iter(self._failed))]
        elif verdict.ok and now - self._failed.get(id_, -_DOUBT) < _DOUBT:
            return msgspec.structs.replace(target, failing=True)
        return target

    def _request(
        self, target: Target, event: UUID, attempt: int, own: dict[str, str], recorded: str | None
    ) -> Request:
        keys = [signing.parse(each) for each in deliveries.secrets_of(target, self._keys)]
        if not keys:
            raise NotConfigured("the endpoint has no secret to sign with")
        sent = envelope.message(target, event, self._public_url)
        return Request(
            url=target.url,
            headers=envelope.headers(target, event, attempt, sent, keys, own, recorded),
            body=sent.body,
        )

    def _facts(self, answer: Answer, kept_secret: Iterable[str]) -> Facts:
        headers = answer.headers
        return Facts(
            status=answer.status,
            duration_ms=round(answer.took.total_seconds() * 1000),
            address=answer.address,
            content_type=_header(headers.get("content-type")),
            retry_after=_header(headers.get("retry-after")),
            webhook_delivery=_header(headers.get("webhook-delivery")),
            body=_body(answer.body, kept_secret) if self._keeps_bodies else UNSET,
        )


def _cancelled(class_: str, why: str) -> Ended:
    return Ended(outcome="cancelled", class_=class_, error=why)


def _put_off(target: Target) -> Ended | Snooze:
    """For a disabled endpoint: held for a while, in case it is enabled again."""
    if target.given_up:
        return _cancelled("endpoint_disabled", "the endpoint has been disabled for 7 days")
    return Snooze(_HELD, "endpoint", write=lambda conn: deliveries.hold(conn, target.id))


def _ended(target: Target, event: UUID, verdict: Verdict, facts: Facts, told: str, run: Run) -> Ended:
    telemetry.DELIVERIES_TOTAL.labels(verdict.class_).inc()
    telemetry.DELIVERY_SECONDS.labels(verdict.class_).observe(facts.duration_ms / 1000)
    if verdict.disabled or verdict.closed:
        run.log.warning(
            "endpoint disabled" if verdict.disabled else "endpoint rests",
            endpoint=str(target.id),
            reason=verdict.disabled or verdict.class_,
        )
    asked = verdict.retry_after
    noting = _noting(target, event, verdict, facts.status)
    return Ended(
        outcome="completed" if verdict.ok else "failed",
        class_=verdict.class_,
        status=facts.status,
        error=None if verdict.ok else told,
        detail={"delivery": facts},
        final=verdict.final,
        # What the target asks for, but never sooner than by the schedule.
        retry_in=None if asked is None else max(asked, target.wait),
        write=None if noting is None else noting.write,
        written=None if noting is None else noting.count,
    )


def _noting(target: Target, event: UUID, verdict: Verdict, status: int | None) -> "_Noting | None":
    """What the endpoint remembers. Nothing if it does already, so healthy endpoints write nothing."""
    news = verdict.noted and (verdict.class_ != target.last_class or (verdict.ok and target.failing))
    if not news and not verdict.failure and verdict.closed is None and verdict.disabled is None:
        return None
    note = Note(
        class_=verdict.class_ if verdict.noted else None,
        status=status,
        result="success" if verdict.ok else "failure" if verdict.failure else None,
        closed=verdict.closed,
        disabled=verdict.disabled,
    )
    return _Noting(target.id, event, note)


class _Noting:
    """What an endpoint remembers of an attempt, and what is counted of it once that is committed."""

    def __init__(self, endpoint: UUID, event: UUID, note: Note) -> None:
        self._about = (endpoint, event, note)
        self._opened = False

    async def write(self, conn: Any) -> None:
        self._opened = await deliveries.note(conn, *self._about)

    def count(self) -> None:
        if self._opened:
            telemetry.BREAKER_OPENED_TOTAL.inc()


def _header(text: str | None) -> str | None:
    return None if text is None else text[:_MOST_HEADER].replace("\0", "\ufffd")


def _body(body: bytes, kept_secret: Iterable[str]) -> str:
    """As text that Postgres holds, without what is secret: a target may echo what it was sent."""
    text = body.decode(errors="replace").replace("\0", "\ufffd")
    for value in kept_secret:
        if len(value) >= _LEAST_SECRET:
            text = text.replace(value, "***")
    text = text.encode()[:_MOST_BODY].decode(errors="ignore")
    while len(_encode(text)) > _MOST_ENCODED:
        text = text[: len(text) * 3 // 4]
    return text
