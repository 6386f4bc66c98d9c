"""POST /v1/events and /v1/events/batch: from the request to the commit, and back."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from outboxd.api import batches, idempotency, limits, problems, wire
from outboxd.api import exchange as x
from outboxd.api.cloudevents import mapping
from outboxd.api.cloudevents.modes import Batch, Binary, Structured
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.json_checks import Path, invalid
from outboxd.api.published import Item, Published, PublishedBatch, published
from outboxd.api.queries import flag
from outboxd.errors import Error, Invalid, Issue
from outboxd.store.ingest import Incoming, Outcome

_LENIENT = re.compile(rb"(?:^|[,;\s])handling\s*=\s*\"?lenient\"?(?:$|[,;\s])", re.IGNORECASE)


class _Flags(msgspec.Struct, frozen=True):
    """Of the query."""

    generate: bool
    wait: bool


_Read = Callable[[Exchange, Raw, Path, _Flags], Awaitable[Incoming]]
"""One of a batch, in our form or another."""


async def one(exchange: Exchange) -> Reply:
    """POST /v1/events: one event as JSON, or CloudEvents 1.0; 201 after COMMIT, also for a duplicate."""
    flags = _flags(exchange)
    match exchange.body:
        case Batch(items):
            return await _several(exchange, items, _cloud_event, flags)
        case Binary() | Structured() as sent:
            incoming = mapping.single(exchange, sent, watched=flags.wait, generate=flags.generate)
        case event:
            incoming = await wire.incoming(exchange, event, watched=flags.wait, generate=flags.generate)
    return x.json(await accepted(exchange, incoming, wait=flags.wait), 201)


async def accepted(exchange: Exchange, incoming: Incoming, *, wait: bool = False) -> Published:
    """Stores one event and tells, after COMMIT, what became of it. Raises what refuses it."""
    [outcome] = await _stored(exchange, [incoming])
    if outcome.status != 201:
        raise outcome.refusal()
    [told] = await published(exchange, [Item(incoming, outcome)], wait=wait)
    return told


async def batch(exchange: Exchange) -> Reply:
    """POST /v1/events/batch: all or nothing, or each for itself where the client prefers that."""
    return await _several(exchange, exchange.body, _event, _flags(exchange))


async def _several(exchange: Exchange, sent: Sequence[Raw], read: _Read, flags: _Flags) -> Reply:
    if not sent:
        return x.json(PublishedBatch(events=()), 201)
    if _LENIENT.search(exchange.headers.get(b"prefer", b"")):
        return await _lenient(exchange, sent, read, flags)
    made = [await read(exchange, item, (str(n),), flags) for n, item in enumerate(sent)]
    outcomes = await _stored(exchange, made)
    for outcome in outcomes:
        if outcome.status != 201:
            raise outcome.refusal()
    items = [Item(*pair) for pair in zip(made, outcomes, strict=True)]
    await batches.note(exchange, items)
    told = await published(exchange, items, wait=flags.wait)
    late = any(each.wait_timed_out is True for each in told)
    return x.json(PublishedBatch(events=told, wait_timed_out=late or UNSET), 201)


async def _lenient(exchange: Exchange, sent: Sequence[Raw], read: _Read, flags: _Flags) -> Reply:
    """Every item is a unit of its own; not one accepted is a refusal of the whole."""
    found = await asyncio.gather(*(_alone(exchange, item, n, read, flags) for n, item in enumerate(sent)))
    items = [each for each in found if isinstance(each, Item)]
    if not items:
        raise _none_accepted([each for each in found if isinstance(each, Error)])
    await batches.note(exchange, items)
    told = iter(await published(exchange, items, wait=flags.wait))
    exchange.extra.append((b"preference-applied", b"handling=lenient"))
    return x.json({"events": [_shown(exchange, each, told) for each in found]}, 201)


async def _alone(exchange: Exchange, sent: Raw, n: int, read: _Read, flags: _Flags) -> Item | Error:
    try:
        incoming = await read(exchange, sent, (str(n),), flags)
        [outcome] = await _stored(exchange, [incoming], part=str(n))
    except Error as refused:
        return refused
    return Item(incoming, outcome) if outcome.status == 201 else outcome.refusal()


async def _event(exchange: Exchange, sent: Raw, at: Path, flags: _Flags) -> Incoming:
    try:
        event = wire.ONE.decode(sent)
    except msgspec.ValidationError as wrong:
        raise invalid(wrong, at) from None
    return await wire.incoming(exchange, event, at, watched=flags.wait, generate=flags.generate)


async def _cloud_event(exchange: Exchange, sent: Raw, at: Path, flags: _Flags) -> Incoming:
    return mapping.item(exchange, sent, at, watched=flags.wait, generate=flags.generate)


async def _stored(exchange: Exchange, unit: list[Incoming], part: str = "") -> list[Outcome]:
    costs = Counter(event.project_id for event in unit)
    await limits.take_events(exchange, costs)
    await exchange.api.backlogs.admit(set(costs))
    claim = idempotency.claim_of(exchange, next(iter(costs)) if len(costs) == 1 else exchange.team, part)
    outcomes = await exchange.api.ingest.publish(unit, claim)
    if any(outcome.replayed for outcome in outcomes):
        idempotency.tell_replayed(exchange)
    return outcomes


def _shown(exchange: Exchange, each: Item | Error, told: Iterator[Published]) -> Any:
    if isinstance(each, Item):
        return msgspec.structs.replace(next(told), status=201)
    problem = msgspec.json.decode(problems.reply(exchange.request_id, each).body)
    kept = ("status", "error", "message", "issues", "errors", "eventId", "requiredScopes")
    return {name: problem[name] for name in kept if name in problem}


def _none_accepted(refusals: list[Error]) -> Error:
    issues = [issue for refusal in refusals if isinstance(refusal, Invalid) for issue in refusal.issues]
    whole = [
        Issue(path=(str(n),), code=refusal.code, message=refusal.detail)
        for n, refusal in enumerate(refusals)
        if not isinstance(refusal, Invalid)
    ]
    if refusals and all(refusal.status >= 500 for refusal in refusals):
        return refusals[0]
    return Invalid("not one event of the batch was accepted", [*issues, *whole])


def _flags(exchange: Exchange) -> _Flags:
    return _Flags(flag(exchange, "generate", default=True), flag(exchange, "wait", default=False))
