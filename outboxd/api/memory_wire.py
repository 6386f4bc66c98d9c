"""What clients send about memories, and how it becomes what is stored or asked."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from outboxd.api.exchange import Exchange
from outboxd.api.json_checks import refused
from outboxd.api.queries import moment
from outboxd.api.wire import Epoch, Long, platform_of, uuid_of
from outboxd.errors import Broken, Forbidden, Invalid
from outboxd.handlers.memory import privacy
from outboxd.model.raw import Object, ObjectOrNull, no_members
from outboxd.store.observations import Given, MemoryFilter

FOREIGN_SESSION = "server_session_id must belong to project_id and team_id"
NOTHING_LEFT = "content is empty after privacy stripping"
CONTENT_BYTES = 256 * 1024
METADATA_BYTES = 64 * 1024
SEARCH_LIMIT, CONTEXT_LIMIT, FORGET_LIMIT, TOKEN_BUDGET = 20, 10, 1000, 8000
"""Where they are left out, or null."""
NOBODYS = UUID(int=0)
"""In place of an id that is not well formed: nothing has either."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_IN_THREAD = 64 * 1024
_Kind = Annotated[str, Meta(min_length=1, max_length=64)]
_Kinds = _Kind | Annotated[list[_Kind], Meta(max_length=20)]
_Platform = Annotated[str, Meta(max_length=64)]
_File = Annotated[str, Meta(min_length=1, max_length=512)]
_Concept = Annotated[str, Meta(min_length=1, max_length=100)]
_Key = Annotated[str, Meta(min_length=1, max_length=255)]


class MemoryIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A memory as it is posted. Fields that nobody knows are ignored."""

    project_id: str | None = None
    content: str | None = None
    narrative: str | None = None
    """In the place of `content`: the shipped client sends that."""
    kind: Annotated[str, Meta(max_length=64)] | None = None
    type: Annotated[str, Meta(max_length=64)] | None = None
    """In the place of `kind`."""
    title: Annotated[str, Meta(max_length=300)] | None = None
    server_session_id: str | None = None
    content_session_id: Long | None = None
    platform_source: _Platform | UnsetType | None = UNSET
    metadata: ObjectOrNull = msgspec.field(default_factory=no_members)
    idempotency_key: _Key | None = None


class PatchIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """At least one of them; each replaces the whole."""

    content: str | UnsetType = UNSET
    kind: _Kind | UnsetType = UNSET
    metadata: Object | UnsetType = UNSET


class _Filters(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    kind: _Kinds | None = None
    since: Epoch | str | None = None
    until: Epoch | str | None = None
    session_id: str | None = None
    platform_source: _Platform | None = None
    file: _File | None = None
    concept: _Concept | None = None


class ContextIn(_Filters, frozen=True, kw_only=True, rename="camel"):
    project_id: str | None = None
    query: Annotated[str, Meta(max_length=4000)] | None = None
    """Absent or blank: what is newest."""
    limit: Annotated[int, Meta(ge=1, le=50)] | None = CONTEXT_LIMIT
    min_score: Annotated[float, Meta(ge=0, le=1)] | None = 0
    token_budget: Annotated[int, Meta(ge=100, le=200_000)] | None = TOKEN_BUDGET


class SearchIn(_Filters, frozen=True, kw_only=True, rename="camel"):
    query: Annotated[str, Meta(min_length=1, max_length=4000)]
    project_id: str | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] | None = SEARCH_LIMIT
    min_score: Annotated[float, Meta(ge=0, le=1)] | None = 0
    cursor: Annotated[str, Meta(max_length=1000)] | None = None


class ForgetFilter(_Filters, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    ids: Annotated[list[str], Meta(min_length=1, max_length=1000)] | None = None
    query: Annotated[str, Meta(min_length=1, max_length=4000)] | None = None


class ForgetIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    filter: ForgetFilter
    project_id: str | None = None
    expunge_events: bool | None = False
    dry_run: bool | None = False
    limit: Annotated[int, Meta(ge=1, le=10_000)] | None = FORGET_LIMIT


MEMORY = msgspec.json.Decoder(MemoryIn)
PATCH = msgspec.json.Decoder(PatchIn)
SEARCH = msgspec.json.Decoder(SearchIn)
CONTEXT = msgspec.json.Decoder(ContextIn)
FORGET = msgspec.json.Decoder(ForgetIn)


async def given(exchange: Exchange, memory: MemoryIn, project: UUID) -> Given:
    """What is stored of it. Raises Invalid with pointers, Forbidden for a session that cannot be."""
    named = "content" if memory.content is not None or memory.narrative is None else "narrative"
    content = memory.content if named == "content" else memory.narrative
    if content is None:
        raise refused("Required", ("content",), "required")
    _check_content(content, named)
    _check_names(memory)
    metadata = _metadata(_titled(memory))
    session = None if memory.server_session_id is None else uuid_of(memory.server_session_id)
    if session is None and memory.server_session_id is not None:
        raise Forbidden(FOREIGN_SESSION)
    text, metadata = await clean(exchange, project, content, metadata)
    platform = None if memory.platform_source is UNSET else memory.platform_source
    return Given(
        project=project,
        content=text,
        kind=memory.kind or memory.type or "manual",
        metadata=metadata,
        session=session,
        content_session=memory.content_session_id,
        platform=platform_of(platform),
        platform_given=memory.platform_source is not UNSET,
        idempotency_key=memory.idempotency_key,
    )


async def changes(exchange: Exchange, project: UUID, patch: PatchIn) -> dict[str, Any]:
    """What a patch says, as the store takes it. Raises Invalid."""
    made: dict[str, Any] = {}
    content = "" if patch.content is UNSET else patch.content
    if patch.content is not UNSET:
        _check_content(content, "content")
    if patch.kind is not UNSET:
        made["kind"] = _kind(patch.kind, "kind")
    if patch.metadata is not UNSET and bytes(patch.metadata) == b"null":
        raise refused("Expected `object`, got `null`", ("metadata",))
    metadata = b"{}" if patch.metadata is UNSET else _metadata(patch.metadata)
    text, metadata = await clean(exchange, project, content, metadata, empty=patch.content is UNSET)
    if patch.content is not UNSET:
        made["content"] = text
    if patch.metadata is not UNSET:
        made["metadata"] = Raw(metadata)
    if not made:
        raise Invalid("at least one of content, kind, metadata")
    return made


async def clean(
    exchange: Exchange, project: UUID, content: str, metadata: bytes, *, empty: bool = False
) -> tuple[str, bytes]:
    """Without private spans and tags of tools. Raises Invalid when nothing is left of the text."""
    redactor = exchange.api.privacy.redactor if await exchange.api.privacy.redacts(project) else None

    def cleaned() -> tuple[str, bytes]:
        text, _ = privacy.strip_text(content, privacy.ALL)
        document, _ = privacy.strip_raw(metadata, privacy.ALL)
        if redactor is not None:
            return redactor.text(text), redactor.raw(document)
        return text, document

    try:
        large = len(content) + len(metadata) > _IN_THREAD
        text, document = await asyncio.to_thread(cleaned) if large else cleaned()
    except Exception as failed:
        raise Broken("private spans could not be taken out: nothing was stored") from failed
    if not text.strip() and not empty:
        raise Invalid(NOTHING_LEFT)
    return text, document


def where(asked: _Filters, ids: list[UUID] | None = None) -> MemoryFilter:
    """Raises Invalid for a time that is none."""
    return MemoryFilter(
        kinds=[asked.kind] if isinstance(asked.kind, str) else asked.kind,
        since=_time(asked.since, "since"),
        until=_time(asked.until, "until"),
        session=None if asked.session_id is None else uuid_of(asked.session_id) or NOBODYS,
        platform=platform_of(asked.platform_source),
        file=asked.file,
        concept=asked.concept,
        ids=ids,
    )


def _check_content(content: str, name: str) -> None:
    if not content.strip():
        raise refused("not only whitespace", (name,), "too_small")
    if len(content.encode()) > CONTENT_BYTES:
        raise refused("larger than 256 KiB", (name,), "too_big")


def _check_names(memory: MemoryIn) -> None:
    for name, text in (
        ("kind", memory.kind),
        ("type", memory.type),
        ("contentSessionId", memory.content_session_id),
        ("idempotencyKey", memory.idempotency_key),
    ):
        if text is not None:
            _kind(text, name)


def _kind(text: str, name: str) -> str:
    if _CONTROL.search(text):
        raise refused("control characters", (name,), "invalid_string")
    return text


def _titled(memory: MemoryIn) -> Raw:
    if memory.title is None:
        return memory.metadata
    try:
        members = msgspec.json.decode(memory.metadata, type=dict[str, Raw] | None) or {}
    except msgspec.ValidationError:
        return memory.metadata
    return Raw(msgspec.json.encode({**members, "title": memory.title}))


def _metadata(metadata: Raw) -> bytes:
    document = bytes(metadata)
    if document == b"null":
        return b"{}"
    if not document.startswith(b"{"):
        raise refused("Expected `object`", ("metadata",))
    if len(document) > METADATA_BYTES:
        raise refused("larger than 64 KiB", ("metadata",), "too_big")
    return document


def _time(said: int | str | None, name: str) -> datetime | None:
    if said is None:
        return None
    at = _EPOCH + timedelta(milliseconds=said) if isinstance(said, int) else moment(said)
    if at is None:
        raise refused("milliseconds since 1970, or ISO 8601 from 1970 on", (name,), "invalid_value")
    return at
