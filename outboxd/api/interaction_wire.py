"""What clients send about questions, and what of a question is shown to whom."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Raw

from outboxd.api.exchange import Exchange
from outboxd.api.json_checks import named, refused
from outboxd.api.wire import FOREIGN_SESSION, Named, uuid_of
from outboxd.errors import Conflict, Error, Forbidden, NotFound, RateLimited, of_status
from outboxd.model.interactions import Interaction, Kind, Option, Prompt
from outboxd.model.raw import AnyJson, ObjectOrNull, no_members
from outboxd.store.interactions import InScope, Question

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_NULL = b"null"
_FULL = timedelta(seconds=60)


def _absent() -> Raw:
    return Raw()


class AskIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A question. Whatever is not here of its limits is judged where it is stored."""

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,128}$(?!\n)")] | None = None
    project_id: str | None = None
    connection_id: Named
    expected_actor: Named
    prompt: Prompt
    kind: Kind | None = None
    options: Annotated[list[Option], Meta(min_length=1, max_length=25)] | None = None
    free_text: bool | None = None
    context: ObjectOrNull = msgspec.field(default_factory=no_members)
    ttl_seconds: Annotated[int, Meta(ge=10, le=604_800)] | None = None
    session_id: str | None = None
    max_uses: Annotated[int, Meta(ge=1, le=100_000)] | None = None


class AnswerIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """`answer`, or `choice`: an index into the options."""

    connection_id: Named
    actor: Named
    answer: AnyJson = msgspec.field(default_factory=_absent)
    choice: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    digest: Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{64}$(?!\n)")] | None = None


class WithdrawIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Annotated[str, Meta(max_length=500)] | None = None


ASK = msgspec.json.Decoder(AskIn)
ANSWER = msgspec.json.Decoder(AnswerIn)
WITHDRAW = msgspec.json.Decoder(WithdrawIn)


def path_id(exchange: Exchange) -> str:
    """Raises NotFound for what is no id, which nothing has."""
    given = exchange.parameter("id")
    if not _ID.fullmatch(given):
        raise unknown()
    return given


def unknown() -> NotFound:
    return NotFound("Interaction not found")


async def question(exchange: Exchange, asked: AskIn, project: UUID) -> Question:
    """What is stored of it, private spans taken out. Raises Forbidden for a session that is no id."""
    session = None if asked.session_id is None else uuid_of(asked.session_id)
    if asked.session_id is not None and session is None:
        raise Forbidden(FOREIGN_SESSION)
    options = None if asked.options is None else Raw(msgspec.json.encode(asked.options))
    context = no_members() if bytes(asked.context) == _NULL else asked.context
    ttl = asked.ttl_seconds
    return Question(
        project=project,
        connection=asked.connection_id,
        actor=asked.expected_actor,
        prompt=await clean(exchange, project, asked.prompt),
        id=asked.id,
        kind=asked.kind or "question",
        options=None if options is None else await clean(exchange, project, options),
        free_text=asked.free_text,
        context=await clean(exchange, project, context),
        ttl=timedelta(days=1) if ttl is None else timedelta(seconds=ttl),
        session=session,
        max_uses=asked.max_uses,
        traceparent=exchange.traceparent,
    )


async def said(exchange: Exchange, given: AnswerIn, scope: InScope) -> bytes:
    """The answer as JSON, private spans taken out; a choice is the value of that option. Raises Invalid."""
    if given.choice is None:
        return await clean(exchange, scope.project_id, given.answer)
    options = scope.options or []
    if given.choice >= len(options):
        raise refused("no such option", ("choice",), "invalid_value")
    return msgspec.json.encode(options[given.choice].value)


async def choice(exchange: Exchange, given: AnswerIn, scope: InScope) -> int:
    """The index of the option that is meant. Raises Invalid."""
    if given.choice is not None:
        return given.choice
    meant = await said(exchange, given, scope)
    values = [msgspec.json.encode(option.value) for option in scope.options or ()]
    if meant not in values:
        raise refused("not among the options", ("answer",), "invalid_value")
    return values.index(meant)


def need_one(given: AnswerIn) -> None:
    """Raises Invalid unless there is an answer or a choice, and not both."""
    answered = bytes(given.answer) not in {b"", _NULL}
    if answered == (given.choice is not None):
        raise refused("an answer or a choice", ("answer",), "required")


async def clean(exchange: Exchange, project: UUID, document: Raw) -> bytes:
    return bytes((await exchange.api.privacy.clean(project, document, UNSET)).payload)


def shown(exchange: Exchange, found: Interaction) -> Interaction:
    """What was asked, only for who may read; a key that only writes knows it, or has no business to."""
    if exchange.key is not None and "interactions:read" in exchange.key.effective:
        return found
    return msgspec.structs.replace(found, prompt=UNSET, options=UNSET, context=UNSET)


@contextmanager
def pointed(**names: str) -> Iterator[None]:
    """What a verb says of its arguments, said of the members of the body; `names`: where those differ."""
    try:
        with named(connection="connectionId", **names):
            yield
    except RateLimited as full:
        raise RateLimited(full.detail, retry_in=_FULL) from None


def over(found: Interaction) -> Error:
    """Why one that has ended, or can be used no more, does nothing more."""
    match found.state:
        case "answered":
            answered = found.answered_at_epoch
            return Conflict("it was answered before", code="AlreadyAnswered", answered_at_epoch=answered)
        case "withdrawn":
            return of_status(410, "the question was withdrawn", "Withdrawn")
        case _:
            return of_status(410, "the question has expired", "Expired")
