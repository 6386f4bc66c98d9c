"""`outboxd import --from-claude-mem`: what another server's Postgres holds, read in one snapshot.

Rows are read whole, as JSON, and by the names of their columns: one that an older or newer release of
that server does not have is simply not there. Teams, projects, keys, sessions and observations keep
their ids; an event gets an id that says when it was received, the same one each time, so that the
import may be repeated.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import msgspec
import psycopg
from msgspec import Raw
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

from outboxd.cli import tenancy
from outboxd.cli.tally import Tally
from outboxd.errors import DatabaseUnavailable, Refused

if TYPE_CHECKING:
    from outboxd.db.pool import Database
    from outboxd.model import Caller

Row = dict[str, Any]
Foreign = AsyncConnection[DictRow]

_TABLES = ("teams", "projects", "api_keys", "server_sessions", "agent_events", "observations")
_BATCH = 200
_NAMESPACE = UUID("6f7a2d1e-0f6c-5c8e-9a40-3b0a6f1c2d4e")
_VARIANT = 0b10 << 62
_TIMEOUT = 10

_SESSIONS = """
select to_jsonb(s) || jsonb_build_object('events', n.events, 'newest', n.newest) as row
from server_sessions s
cross join lateral (select count(*) as events, (array_agg(jsonb_build_object('id', e.id, 'received_at',
  e.received_at) order by e.received_at desc, e.id desc))[1] as newest
  from agent_events e where e.server_session_id = s.id) n
where s.project_id = %s order by s.created_at, s.id
"""
_EVENTS = """
select to_jsonb(e) || jsonb_build_object('content_session_id', s.content_session_id) as row
from agent_events e left join server_sessions s on s.id = e.server_session_id
where e.project_id = %s order by e.received_at, e.id
"""
_OBSERVATIONS = """
select to_jsonb(o) - '{content_search,embedding}'::text[] || jsonb_build_object(
  'platform_source', s.platform_source, 'sources', coalesce((
    select jsonb_agg(to_jsonb(r) || jsonb_build_object('received_at', e.received_at)
      order by r.created_at, r.id)
    from observation_sources r left join agent_events e on e.id = r.agent_event_id
    where r.observation_id = o.id and r.source_type in ('agent_event', 'session_summary')), '[]')) as row
from observations o left join server_sessions s on s.id = o.server_session_id
where o.project_id = %s order by o.created_at, o.id
"""


async def take_all(url: str, db: "Database", *, dry_run: bool) -> dict[str, Any]:
    """Raises Refused for a database that is no such server's, DatabaseUnavailable."""
    async with _opened(url) as foreign:
        await _check(foreign)
        async with db.connection() as conn:
            who = await tenancy.caller(conn)
        return await _Taking(foreign, db, who, dry_run).run()


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Foreign]:
    """A read-only snapshot of the other server."""
    try:
        conn: Foreign = await AsyncConnection.connect(
            url, autocommit=True, row_factory=dict_row, connect_timeout=_TIMEOUT
        )
    except psycopg.Error:
        # libpq's words may name what stands in the URL.
        raise DatabaseUnavailable("the database of the claude-mem server cannot be reached") from None
    try:
        await conn.execute("begin isolation level repeatable read, read only")
        yield conn
    except psycopg.Error as failed:
        raise DatabaseUnavailable("the claude-mem server could not be read to its end") from failed
    finally:
        await conn.close()


async def _check(foreign: Foreign) -> None:
    for table in _TABLES:
        cur = await foreign.execute("select to_regclass(%s) is not null as there", (table,))
        if not (await cur.fetchone() or {}).get("there"):
            raise Refused(f"this is not the database of a claude-mem server: it has no table {table}")


class _Taking:
    def __init__(self, foreign: Foreign, db: "Database", who: "Caller", dry_run: bool) -> None:
        self._foreign, self._db, self._who, self._dry_run = foreign, db, who, dry_run
        self._tally = Tally()
        self._without_team = 0

    async def run(self) -> dict[str, Any]:
        teams = [row async for row in self._rows("select to_jsonb(t) as row from teams t order by t.id")]
        by_id = {row["id"]: _team(row) for row in teams}
        await self._teams(list(by_id.values()))
        query = "select to_jsonb(p) as row from projects p order by p.created_at, p.id"
        for row in [row async for row in self._rows(query)]:
            await self._project(by_id[row["team_id"]], row)
        await self._keys()
        told = {**self._tally.fields(), "keysWithoutTeam": self._without_team}
        return {"dryRun": self._dry_run, **told}

    async def _teams(self, teams: Sequence[Row]) -> None:
        from outboxd.store import importing

        async with self._db.transaction() as conn:
            here = await importing.here(conn, "teams", [UUID(team["id"]) for team in teams])
            self._count("team", len(teams), here)
            if not self._dry_run:
                for team in teams:
                    await importing.team(conn, self._who, team)

    async def _project(self, team: Row, row: Row) -> None:
        from outboxd.store import importing

        project = _project(row)
        found = UUID(project["id"])
        async with self._db.transaction() as conn:
            self._count("project", 1, await importing.here(conn, "projects", [found]))
            if not self._dry_run:
                await importing.foreign_project(conn, self._who, team, project)
            since = await importing.kept_since(conn, found, {})
        await self._all(found, "session", _SESSIONS, row["id"], _session)
        await self._all(found, "event", _EVENTS, row["id"], _event, since)
        await self._all(found, "observation", _OBSERVATIONS, row["id"], _observation)
        if not self._dry_run:
            async with self._db.transaction() as conn:
                await importing.audit(conn, self._who, found, {"from": "claude-mem"})

    async def _all(
        self, project: UUID, kind: Any, query: str, of: str, made: Callable[[Row], Row], since: Any = None
    ) -> None:
        """Every row of a kind, a batch at a time."""
        batch: list[Row] = []
        async for row in self._rows(query, of):
            if since is not None and _time(row["received_at"]) < since:
                self._tally.too_old += 1
                continue
            batch.append(made(row))
            if len(batch) == _BATCH:
                await self._batch(project, kind, batch)
                batch = []
        if batch:
            await self._batch(project, kind, batch)

    async def _batch(self, project: UUID, kind: Any, batch: list[Row]) -> None:
        from outboxd.store import importing

        if self._dry_run:
            async with self._db.connection() as conn:
                here = await importing.known(conn, kind, [UUID(row["id"]) for row in batch])
        else:
            if kind == "event":
                async with self._db.transaction() as conn:
                    await importing.open_past(conn, _time(batch[0]["received_at"]))
            rows = [Raw(msgspec.json.encode(row)) for row in batch]
            here = len(batch) - await self._db.run(
                lambda conn: importing.take(conn, self._who, project, kind, rows)
            )
        self._count(kind, len(batch), here)

    async def _keys(self) -> None:
        from outboxd.store import importing

        query = "select to_jsonb(k) as row from api_keys k order by k.created_at, k.id"
        found = [row async for row in self._rows(query)]
        keys = [_key(row) for row in found if row.get("team_id")]
        self._without_team = len(found) - len(keys)
        async with self._db.transaction() as conn:
            hashes = [bytes.fromhex(key["hash"].removeprefix("\\x")) for key in keys]
            here = await importing.known_keys(conn, hashes)
            if not self._dry_run:
                here = len(keys) - await importing.keys(conn, self._who, keys)
        self._count("key", len(keys), here)

    async def _rows(self, query: str, *values: object) -> AsyncIterator[Row]:
        async with self._foreign.cursor(name="import") as cur:
            cur.itersize = 50
            await cur.execute(query.encode(), values or None)
            async for found in cur:
                yield found["row"]

    def _count(self, kind: str, all_: int, here: int) -> None:
        self._tally.here[kind] += here
        self._tally.taken[kind] += all_ - here


def _team(row: Row) -> Row:
    return {"id": str(_id(row["id"])), **_some(row, "name", "metadata", "created_at")}


def _project(row: Row) -> Row:
    return {"id": str(_id(row["id"])), **_some(row, "name", "metadata", "created_at", "updated_at")}


def _session(row: Row) -> Row:
    newest = row.get("newest")
    kept = ("content_session_id", "agent_id", "agent_type", "platform_source", "metadata", "started_at")
    return {
        "id": str(_id(row["id"])),
        "external_id": row.get("external_session_id"),
        "events": row["events"],
        "newest": newest and str(_event_id(newest)),
        **_some(row, *kept, "ended_at", "created_at", "updated_at"),
    }


def _event(row: Row) -> Row:
    session = row.get("server_session_id")
    return {
        "id": str(_event_id(row)),
        "session_id": session and str(_id(session)),
        "adapter": row["source_adapter"],
        "type": row["event_type"],
        "event_key": row.get("idempotency_key"),
        "metadata": {**(row.get("metadata") or {}), "importedId": row["id"]},
        **_some(row, "source_event_id", "content_session_id", "platform_source", "payload", "occurred_at"),
        "received_at": row["received_at"],
    }


def _observation(row: Row) -> Row:
    session, job = row.get("server_session_id"), row.get("created_by_job_id")
    made = "generated" if job or row.get("generation_key") else "manual"
    return {
        "id": str(_id(row["id"])),
        "session_id": session and str(_id(session)),
        "job_id": job and str(_id(job)),
        "origin": "summary" if made == "generated" and row["kind"] == "summary" else made,
        "observation_kind": row["kind"][:64],
        "sources": [_source(each) for each in row["sources"]],
        **_some(row, "content", "metadata", "platform_source", "generation_key", "created_at", "updated_at"),
    }


def _source(row: Row) -> Row:
    of_event = row["source_type"] == "agent_event"
    about = {"id": row["source_id"], "received_at": row.get("received_at")}
    job = row.get("generation_job_id")
    return {
        "id": str(_id(row["id"])),
        "source_type": row["source_type"],
        "source_id": str(_event_id(about) if of_event else _id(row["source_id"])),
        "job_id": job and str(_id(job)),
        "created_at": row["created_at"],
    }


def _key(row: Row) -> Row:
    project = row.get("project_id")
    return {
        "id": str(_id(row["id"])),
        "hash": f"\\x{row['key_hash'].lower()}",
        "team_id": str(_id(row["team_id"])),
        "project_id": project and str(_id(project)),
        "scopes": [str(scope) for scope in row.get("scopes") or []],
        "actor": row.get("actor_id") or "imported",
        **_some(row, "created_at", "expires_at", "revoked_at"),
    }


def _some(row: Row, *names: str) -> Row:
    return {name: row[name] for name in names if row.get(name) is not None}


def _id(text: str) -> UUID:
    """As it is, where it is one of ours; else the same one each time."""
    try:
        return UUID(text)
    except ValueError:
        return uuid5(_NAMESPACE, text)


def _event_id(row: Row) -> UUID:
    """RFC 9562, version 7: when it was received, to 1/4096 ms, and then what its own id makes."""
    at = _time(row["received_at"])
    micros = round(at.timestamp() * 1_000_000)
    high = (micros // 1000) << 16 | 0x7000 | (micros % 1000) * 4096 // 1000
    low = int.from_bytes(hashlib.sha256(row["id"].encode()).digest()[:8]) & ((1 << 62) - 1)
    return UUID(int=high << 64 | _VARIANT | low)


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
