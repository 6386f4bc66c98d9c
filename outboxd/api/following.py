"""What requests that follow a feed have in common: whose it is, what of it, and in which form."""

import re
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec

from outboxd.api import queries, tenancy
from outboxd.api.exchange import Exchange
from outboxd.api.wire import SIBLING_PROJECT, uuid_of
from outboxd.errors import Forbidden, InvalidCursor, NotFound
from outboxd.loops.hub.filters import Filter
from outboxd.loops.hub.frames import Format
from outboxd.loops.hub.subscribers import OnGap
from outboxd.model import positions
from outboxd.store.feed import Start

FILTERS = frozenset({"type", "session", "subject", "on_gap", "format"})

MOST_TYPES = 20
_PATTERN = re.compile(r"\*|[^*]{1,253}\.\*|[^*]{1,255}")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks for."""

    project: UUID
    where: Filter
    on_gap: OnGap
    form: Format


async def wanted(exchange: Exchange) -> Wanted:
    """Judges the whole query. Raises Invalid, NotFound, Forbidden."""
    where = Filter()
    types = every(exchange, "type")
    if types:
        where = where.narrowed(types=checked(types, "type"))
    where = where.narrowed(session=_session(exchange), subject=queries.text(exchange, "subject", 255))
    token = exchange.token
    if token is not None:
        where = where.narrowed(token.types, token.session, token.subject)
    return Wanted(
        where=where,
        on_gap="latest"
        if queries.choice(exchange, "on_gap", {"earliest", "latest"}) == "latest"
        else "earliest",
        form="cloudevents" if _form(exchange) == "cloudevents" else "json",
        project=await project(exchange),
    )


async def project(exchange: Exchange) -> UUID:
    """Of the path. Raises NotFound for one of another team, Forbidden for a sibling of the key's own."""
    found = tenancy.path_id(exchange)
    own = exchange.token.project if exchange.token else exchange.key.project_id if exchange.key else None
    if found is not None and found == own:
        return found
    await tenancy.need_project(exchange, found)
    if own is not None or found is None:
        raise Forbidden(SIBLING_PROJECT)
    return found


async def start(exchange: Exchange, asked: Wanted, position: str | None) -> Start:
    """Where it begins. Raises NotFound, DatabaseUnavailable."""
    found = await exchange.api.hub.resolve(asked.project, position, asked.on_gap)
    if found is None:
        raise NotFound("Project not found")
    return found


def position(exchange: Exchange, name: str) -> str | None:
    """Of the query. Raises InvalidCursor."""
    given = exchange.query.get(name)
    if given is not None and not positions.well_formed(given):
        raise InvalidCursor(f"{name}: a position, earliest or latest")
    return given


def every(exchange: Exchange, name: str) -> list[str]:
    """All values of a parameter that may be repeated."""
    text = exchange.scope["query_string"].decode()
    return [value for each, value in parse_qsl(text, keep_blank_values=True) if each == name]


def checked(types: list[str], name: str) -> list[str]:
    if len(types) > MOST_TYPES or not all(_PATTERN.fullmatch(each) for each in types):
        raise queries.refused(name, f"at most {MOST_TYPES}, each a type, a prefix as a.*, or *")
    return types


def _session(exchange: Exchange) -> UUID | None:
    given = exchange.query.get("session")
    found = None if given is None else uuid_of(given)
    if given is not None and found is None:
        raise queries.refused("session", "the id of a session")
    return found


def _form(exchange: Exchange) -> str | None:
    return queries.choice(exchange, "format", {"json", "cloudevents"})
