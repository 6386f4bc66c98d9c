"""What clients send about events, and how it becomes what is stored."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from outboxd.api.exchange import Exchange
from outboxd.api.json_checks import Path, refused
from outboxd.errors import Error, Forbidden, Invalid, Issue, LoopDetected, TooLarge
from outboxd.model.raw import AnyJson, ObjectOrNull, no_members
from outboxd.store import event_keys
from outboxd.store.ingest import Incoming

Epoch = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
Named = Annotated[str, Meta(min_length=1, max_length=255)]
Long = Annotated[str, Meta(max_length=512)]

FOREIGN_PROJECT = "project_id must belong to team_id"
SIBLING_PROJECT = "API key is scoped to a different project"
FOREIGN_SESSION = "server_session_id must belong to project_id and team_id"
METADATA_BYTES = 32 * 1024

AHEAD = timedelta(days=366)
"""How far in the future an event's jobs may be due, or expire."""

_MOST_HOPS = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_EMPTY = Raw(b"{}")
_NULL = b"null"
_IN_THREAD = 64 * 1024
"""A payload from here on is hashed in a thread: canonical JSON of a large one takes long."""
_ANYTHING = msgspec.json.Decoder()
_BLANK = "\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_BLANKS = re.compile(f"[{_BLANK}]+")
_ENDS = re.compile(f"^[{_BLANK}]+|[{_BLANK}]+\\Z")
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class EventIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An event as it is posted. Fields that nobody knows are ignored."""

    event_type: Named
    project_id: str | None = None
    source_type: Literal["hook", "worker", "provider", "server", "api", "sdk", "mcp"] | None = None
    occurred_at_epoch: Epoch | None = None
    payload: AnyJson = msgspec.field(default_factory=no_members)
    metadata: ObjectOrNull = msgspec.field(default_factory=no_members)
    server_session_id: str | None = None
    content_session_id: Long | None = None
    memory_session_id: Long | None = None
    platform_source: Annotated[str, Meta(max_length=64)] | UnsetType | None = UNSET
    """Not sent: a session of any platform is meant; null: of none."""
    source_event_id: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    idempotency_key: Named | None = None
    subject: Named | None = None
    ordering_key: Named | None = None
    priority: Annotated[int, Meta(ge=-100, le=100)] | None = None
    run_at_epoch: Epoch | None = None
    expires_at_epoch: Epoch | None = None


ONE = msgspec.json.Decoder(EventIn)
MANY = msgspec.json.Decoder(Annotated[list[EventIn], Meta(min_length=1, max_length=500)])
EACH = msgspec.json.Decoder(Annotated[list[Raw], Meta(min_length=1, max_length=500)])
"""For a batch whose items stand alone."""


async def incoming(
    exchange: Exchange,
    event: EventIn,
    at: Path = (),
    *,
    adapter: str | None = None,
    watched: bool = False,
    generate: bool = True,
) -> Incoming:
    """What is stored of it, private spans taken out. `adapter`: of a door that names itself.

    Raises Invalid with pointers that begin with `at`, TooLarge, Forbidden or Broken.
    """
    _check_texts(event, at)
    payload, metadata = _payload(exchange, event, at), _metadata(event, at)
    missing = refused("Required", (*at, "projectId"), "required")
    project, session = project_of(exchange, event.project_id, missing), _session(event)
    platform = platform_of(None if event.platform_source is UNSET else event.platform_source)
    adapter = adapter or event.source_type or "api"
    key = await _key(exchange, event, project, adapter, platform, payload)
    run_at, expires_at = _times(exchange, event, at)
    # After the key, which tells what was sent, and before anything of it goes on.
    clean = await exchange.api.privacy.clean(project, payload, metadata)
    return Incoming(
        **_as_sent(event),
        **of_request(exchange),
        project_id=project,
        session_id=session,
        adapter=adapter,
        platform_source=platform,
        payload=clean.payload,
        metadata=clean.metadata,
        private_removed=clean.removed,
        run_at=run_at,
        expires_at=expires_at,
        event_key=key,
        watched=watched,
        generate=generate,
    )


def _as_sent(event: EventIn) -> dict[str, Any]:
    return {
        "type": event.event_type,
        "content_session_id": event.content_session_id,
        "platform_given": event.platform_source is not UNSET,
        "source_event_id": event.source_event_id,
        "subject": event.subject,
        "ordering_key": event.ordering_key,
        "occurred_at": _time(event.occurred_at_epoch),
        "priority": event.priority,
        "strict": event.idempotency_key is not None,
    }


def of_request(exchange: Exchange) -> dict[str, Any]:
    """What an event takes from the request that brought it, whatever the form."""
    return {
        "id": exchange.api.ingest.mint(),
        "team_id": exchange.team,
        "request_id": exchange.request_id,
        "traceparent": exchange.traceparent,
        "tracestate": exchange.tracestate,
        "hops": _hops(exchange),
        "key_id": exchange.key_id,
        "actor": exchange.caller.actor,
    }


def project_of(exchange: Exchange, named: str | None, missing: Error) -> UUID:
    """The project named, else the key's. Whether it is the team's is judged where it is written."""
    own = exchange.key.project_id if exchange.key else None
    if named is None:
        if own is None:
            raise missing
        return own
    project = uuid_of(named)
    if own is not None and project != own:
        raise Forbidden(SIBLING_PROJECT)
    if project is None:
        raise Forbidden(FOREIGN_PROJECT)
    return project


def now(exchange: Exchange) -> datetime:
    """By the database's clock."""
    return _EPOCH + timedelta(seconds=exchange.api.ingest.mint.now())


def platform_of(given: str | None) -> str | None:
    """One name for the many that a platform is called by; `outbox.platform_of` says the same."""
    if given is None:
        return None
    name = _BLANKS.sub("-", _ENDS.sub("", given).translate(_LOWER))
    if name == "transcript" or "codex" in name:
        return "codex"
    if "cursor" in name:
        return "cursor"
    return "claude" if "claude" in name or not name else name


def _check_texts(event: EventIn, at: Path) -> None:
    if event.event_type.startswith("outboxd."):
        raise refused("outboxd.* is reserved", (*at, "eventType"), "reserved")
    for name, text in (
        ("eventType", event.event_type),
        ("subject", event.subject),
        ("orderingKey", event.ordering_key),
        ("idempotencyKey", event.idempotency_key),
        ("sourceEventId", event.source_event_id),
        ("contentSessionId", event.content_session_id),
    ):
        if text is not None and _CONTROL.search(text):
            raise refused("control characters", (*at, name), "invalid_string")


def _payload(exchange: Exchange, event: EventIn, at: Path) -> Raw:
    payload = event.payload
    limit = exchange.api.config.max_event_bytes
    if len(payload) > limit:
        issue = Issue(path=(*at, "payload"), code="too_big", message=f"larger than {limit} bytes")
        raise TooLarge(f"the payload is larger than {limit} bytes", issues=(issue,))
    return _EMPTY if bytes(payload) == _NULL else payload


def _metadata(event: EventIn, at: Path) -> Raw | UnsetType:
    metadata = bytes(event.metadata)
    if metadata in {b"{}", _NULL}:
        return UNSET
    if not metadata.startswith(b"{"):
        raise refused("Expected `object`", (*at, "metadata"))
    if len(metadata) > METADATA_BYTES:
        raise refused("larger than 32 KiB", (*at, "metadata"), "too_big")
    return event.metadata


def _session(event: EventIn) -> UUID | None:
    """The session named. Whether it is the project's is judged where it is written."""
    if event.server_session_id is None:
        return None
    session = uuid_of(event.server_session_id)
    if session is None:
        raise Forbidden(FOREIGN_SESSION)
    return session


async def _key(
    exchange: Exchange, event: EventIn, project: UUID, adapter: str, platform: str | None, payload: Raw
) -> str | None:
    if event.idempotency_key is not None:
        return event_keys.of_caller(event.idempotency_key)
    team = exchange.team
    if event.source_event_id is not None:
        return event_keys.of_source(team, project, adapter, platform, event.source_event_id)
    if event.source_type is None or event.occurred_at_epoch is None:
        return None
    session = event.content_session_id or event.server_session_id
    content = (session, event.event_type, event.occurred_at_epoch)

    def derived() -> str:
        return event_keys.of_content(team, project, adapter, platform, *content, _ANYTHING.decode(payload))

    return derived() if len(payload) < _IN_THREAD else await asyncio.to_thread(derived)


def _times(exchange: Exchange, event: EventIn, at: Path) -> tuple[datetime | None, datetime | None]:
    if event.run_at_epoch is None and event.expires_at_epoch is None:
        return None, None
    at_once = now(exchange)
    run_at, expires_at = _time(event.run_at_epoch), _time(event.expires_at_epoch)
    if run_at is not None and run_at > at_once + AHEAD:
        raise refused("at most 366 days ahead", (*at, "runAtEpoch"), "too_big")
    if expires_at is not None and expires_at > at_once + AHEAD:
        raise refused("at most 366 days ahead", (*at, "expiresAtEpoch"), "too_big")
    if expires_at is not None and expires_at <= max(run_at or at_once, at_once):
        raise refused("later than now and runAtEpoch", (*at, "expiresAtEpoch"), "too_small")
    return run_at, expires_at


def _time(epoch: int | None) -> datetime | None:
    return None if epoch is None else _EPOCH + timedelta(milliseconds=epoch)


def uuid_of(text: str) -> UUID | None:
    """An id that is not well formed is one that nothing has."""
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None


def within(at: Path, error: Error) -> Error:
    """The same error about a part of the request: its pointers begin with `at`."""
    if not isinstance(error, Invalid):
        return error
    moved = [msgspec.structs.replace(issue, path=(*at, *issue.path)) for issue in error.issues]
    return Invalid(error.detail, moved, code=error.code)


def _hops(exchange: Exchange) -> int:
    """How many deliveries led here; a webhook into our own ingest ends at the eighth."""
    said = exchange.headers.get(b"outboxd-hops")
    hops = int(said) if said is not None and said.isdigit() and len(said) <= 9 else 0
    if hops > _MOST_HOPS:
        raise LoopDetected(f"this event is the result of more than {_MOST_HOPS} deliveries")
    return hops
