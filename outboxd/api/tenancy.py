"""What a caller may name: rows and projects of others look as if they did not exist."""

from uuid import UUID

import structlog

from outboxd.api.auth import note
from outboxd.api.exchange import Exchange
from outboxd.api.json_checks import refused
from outboxd.api.queries import ident
from outboxd.api.wire import FOREIGN_PROJECT, SIBLING_PROJECT, uuid_of
from outboxd.db import rows
from outboxd.errors import Forbidden, NotFound
from outboxd.store.callers import ByKey

log = structlog.get_logger()

_OWNERS = {
    "Event": b"""
        select e.team_id from outbox.events e join outbox.projects p on p.id = e.project_id
        where e.id = %s and e.received_at > coalesce(p.purged_at, '-infinity')
    """,
    "Generation job": b"select team_id from outbox.jobs where id = %s",
    "Endpoint": b"select team_id from outbox.endpoints where id = %s",
    "Interaction": b"select team_id from outbox.interactions where id = %s",
    "Memory": b"""
        select o.team_id from outbox.observations o join outbox.projects p on p.id = o.project_id
        where o.id = %s and o.created_at > coalesce(p.purged_at, '-infinity')
    """,
    # A global one is nobody's, and seen by all.
    "Route": b"select team_id from outbox.routes where id = %s and team_id is not null",
    "Project": b"select team_id from outbox.projects where id = %s",
    "Schedule": b"select team_id from outbox.schedules where id = %s",
    "Session": b"""
        select s.team_id from outbox.sessions s join outbox.projects p on p.id = s.project_id
        where s.id = %s and s.created_at > coalesce(p.purged_at, '-infinity')
    """,
    "Team": b"select id as team_id from outbox.teams where id = %s",
    "Key": b"select coalesce(team_id, id) as team_id from outbox.keys where id = %s",
}


async def refuse(
    exchange: Exchange, noun: str, row: UUID | str | None, *, siblings: bool = True
) -> NotFound | Forbidden:
    """The error for a row that the caller does not see, and a line in the audit trail if there is one.

    `siblings`: a row of another project of the same team is refused as such (403).
    """
    unknown = NotFound(f"{noun} not found")
    if row is None:
        return unknown
    async with exchange.api.db.connection() as conn:
        owners = await rows.values(await conn.execute(_OWNERS[noun], (row,)), UUID)
    if not owners:
        return unknown
    if siblings and owners[0] == exchange.caller.team_id:
        return Forbidden(SIBLING_PROJECT)
    await note(exchange, "access.denied", 404, "NotFound", exchange.key)
    return unknown


def by_key(exchange: Exchange, scope: str | None = None) -> ByKey:
    """The caller, whose key is judged again in the statement that acts.

    `scope`: what the key has to open; None: it only has to live.
    """
    assert exchange.key is not None  # noqa: S101 - the auth layer let nobody else in
    return ByKey(
        actor=exchange.caller.actor,
        key_id=exchange.key_id,
        scope=scope or min(exchange.key.effective, default=""),
        request_id=exchange.request_id,
    )


def path_id(exchange: Exchange, name: str = "id") -> UUID | None:
    """None for an id that is not well formed, which nothing has."""
    return uuid_of(exchange.parameter(name))


async def asked_project(exchange: Exchange) -> UUID | None:
    """`projectId` of a list; absent: all that the key sees. Raises NotFound or Forbidden."""
    project = ident(exchange, "projectId")
    own = exchange.key.project_id if exchange.key else None
    if project is None or project == own:
        return project
    if own is not None:
        raise Forbidden(SIBLING_PROJECT)
    await need_project(exchange, project)
    return project


async def written_project(exchange: Exchange, given: str | None) -> UUID:
    """The `projectId` of a body that writes, else the key's own. Raises Invalid or Forbidden."""
    own = exchange.key.project_id if exchange.key else None
    if given is None:
        if own is None:
            raise refused("Required", ("projectId",), "required")
        return own
    project = uuid_of(given)
    if own is not None and project != own:
        raise Forbidden(SIBLING_PROJECT)
    try:
        await need_project(exchange, project)
    except NotFound:
        raise Forbidden(FOREIGN_PROJECT) from None
    assert project is not None  # noqa: S101 - what is no id is nobody's project, and was refused
    return project


async def read_project(exchange: Exchange, given: str | None) -> UUID:
    """The `projectId` of a body that reads, else the key's own. Raises Invalid, Forbidden or NotFound."""
    own = exchange.key.project_id if exchange.key else None
    if given is None:
        if own is None:
            raise refused("Required", ("projectId",), "required")
        return own
    project = uuid_of(given)
    if own is None:
        await need_project(exchange, project)
    elif project != own:
        raise Forbidden(SIBLING_PROJECT)
    assert project is not None  # noqa: S101 - what is no id is nobody's project, and was refused
    return project


async def need_project(exchange: Exchange, project: UUID | None) -> None:
    """Raises NotFound unless it is one of the team's."""
    async with exchange.api.db.connection() as conn:
        cur = await conn.execute(
            b"select team_id from outbox.projects where id = %s and team_id = %s", (project, exchange.team)
        )
        if await cur.fetchone():
            return
    raise await refuse(exchange, "Project", project, siblings=False)
