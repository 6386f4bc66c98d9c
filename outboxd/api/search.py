"""POST /v1/search and POST /v1/context: what is remembered about a question, or lately."""

import base64
import binascii
import hashlib
from uuid import UUID

import msgspec

from outboxd.api import exchange as x
from outboxd.api import memory_wire, tenancy
from outboxd.api.exchange import Exchange, Reply
from outboxd.api.json_checks import refused
from outboxd.api.memory_wire import ContextIn, SearchIn
from outboxd.api.reads import note_read
from outboxd.errors import InvalidCursor
from outboxd.model.observations import SearchReply
from outboxd.store import search as store
from outboxd.store.search import DEEPEST, Place, SearchQuery

_MARK = 12
_PLACE = msgspec.msgpack.Decoder(Place)
_ENCODER = msgspec.msgpack.Encoder()


async def search(exchange: Exchange) -> Reply:
    """Memories by what they say, best first."""
    asked: SearchIn = exchange.body
    if not asked.query.strip():
        raise refused("not only whitespace", ("query",), "too_small")
    query = SearchQuery(
        project=await tenancy.read_project(exchange, asked.project_id),
        query=asked.query,
        where=memory_wire.where(asked),
        min_score=asked.min_score or 0,
        limit=asked.limit or memory_wire.SEARCH_LIMIT,
    )
    if asked.cursor is not None:
        query = msgspec.structs.replace(query, after=_read(exchange, query, asked.cursor))
    async with exchange.api.db.connection() as conn:
        found = await store.search(conn, exchange.caller, query)
    await note_read(exchange, "search", found.observations, asked=query)
    place = None if found.next is None else _written(exchange, query, found.next)
    return x.json(SearchReply(observations=found.observations, next_cursor=place))


async def context(exchange: Exchange) -> Reply:
    """What an agent may want to be told, as memories and as one text within a budget."""
    asked: ContextIn = exchange.body
    blank = asked.query is None or not asked.query.strip()
    query = SearchQuery(
        project=await tenancy.read_project(exchange, asked.project_id),
        query=None if blank else asked.query,
        where=memory_wire.where(asked),
        min_score=asked.min_score or 0,
        limit=asked.limit or memory_wire.CONTEXT_LIMIT,
    )
    async with exchange.api.db.connection() as conn:
        budget = asked.token_budget or memory_wire.TOKEN_BUDGET
        found = await store.context(conn, exchange.caller, query, budget)
    await note_read(exchange, "context", found.observations, asked=query)
    return x.json(found)


def _written(exchange: Exchange, query: SearchQuery, place: Place) -> str:
    raw = _ENCODER.encode(place)
    return base64.urlsafe_b64encode(_mark(exchange, query, raw) + raw).decode()


def _read(exchange: Exchange, query: SearchQuery, cursor: str) -> Place:
    """Raises InvalidCursor for one that is altered, of another question, or too deep."""
    try:
        raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        mark, rest = raw[:_MARK], raw[_MARK:]
        place = _PLACE.decode(rest)
    except (UnicodeEncodeError, binascii.Error, ValueError, msgspec.MsgspecError):
        raise InvalidCursor("the cursor is not one of this search") from None
    if mark != _mark(exchange, query, rest) or not 0 < place.depth < DEEPEST or place.at.tzinfo is None:
        raise InvalidCursor("the cursor is not one of this search")
    return place


def _mark(exchange: Exchange, query: SearchQuery, place: bytes) -> bytes:
    bound = msgspec.structs.replace(query, limit=0, after=None)
    whose: list[UUID | None] = [exchange.caller.team_id, *(exchange.caller.project_ids or ())]
    return hashlib.sha256(repr((bound, whose)).encode() + place).digest()[:_MARK]
