"""What `outboxd check` looks at: one function a question, in the order they are told.

Each gives what it found and, where that is not as it should be, the cure. One that cannot be
answered is a failed finding and stops no other.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow, dict_row

from outboxd.cli import database
from outboxd.cli.finding import Finding
from outboxd.config import Config
from outboxd.db import migrate
from outboxd.db.link import reachable
from outboxd.errors import Error
from outboxd.store import restored

Conn = AsyncConnection[DictRow]

_OLDEST_SERVER = 140_000
_SKEW = timedelta(seconds=2)
_OLD_TRANSACTION = timedelta(minutes=10)
_LATE = timedelta(hours=1)
_CHANNEL = "outbox_check"
_SAFE = {"fsync": "on", "full_page_writes": "on"}
_SURE_COMMITS = ("on", "remote_apply", "remote_write", "local")


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at."""

    config: Config
    conn: Conn
    """To the database, as the daemon's pool has it."""
    direct: Conn
    """As the daemon's LISTEN connection."""
    direct_dsn: str


Question = Callable[[Site], Awaitable[Finding]]


async def all_of(config: Config) -> list[Finding]:
    """Raises ConfigError without a database, DatabaseUnavailable when it cannot be reached."""
    found = [Finding(level="warn", subject="configuration", finding=said) for said in config.warnings]
    found = found or [Finding(level="ok", subject="configuration", finding="every setting can be used")]
    dsn, direct = database.needed(config), database.direct(config)
    for each in {dsn, direct}:
        await database.reach(each, config)
    async with _connected(dsn, config) as conn, _connected(direct, config) as listening:
        site = Site(config=config, conn=conn, direct=listening, direct_dsn=direct)
        return [*found, *[await _answered(subject, ask, site) for subject, ask in QUESTIONS]]


@asynccontextmanager
async def _connected(dsn: str, config: Config) -> AsyncIterator[Conn]:
    conn = await AsyncConnection.connect(
        reachable(dsn, config.net_timeout, "outboxd check"),
        autocommit=True,
        prepare_threshold=None,
        row_factory=dict_row,
    )
    try:
        yield conn
    finally:
        await conn.close()


async def _answered(subject: str, ask: Question, site: Site) -> Finding:
    try:
        async with asyncio.timeout(site.config.net_timeout.total_seconds()):
            return await ask(site)
    except TimeoutError:
        said = "the database did not answer in time"
    except Error as failed:
        said = failed.detail
    except psycopg.Error as failed:
        said = f"could not be asked ({failed.sqlstate or type(failed).__name__})"
    return Finding(level="fail", subject=subject, finding=said)


async def _one(conn: Conn, query: str, *values: object) -> dict[str, Any]:
    cur = await conn.execute(query.encode(), values)
    return await cur.fetchone() or {}


async def _server(site: Site) -> Finding:
    row = await _one(site.conn, "select current_setting('server_version_num')::int as no")
    name = f"PostgreSQL {row['no'] // 10_000}.{row['no'] % 10_000}"
    if row["no"] >= _OLDEST_SERVER:
        return Finding(level="ok", subject="server", finding=name)
    return Finding(level="fail", subject="server", finding=name, cure="upgrade to PostgreSQL 14 or newer")


async def _schema(site: Site) -> Finding:
    state = await migrate.check(site.direct_dsn)
    if state.current:
        newer = f", with {len(state.newer)} migrations newer than this release" if state.newer else ""
        return Finding(level="ok", subject="schema", finding=f"current{newer}")
    said = f"pending: {', '.join(state.pending)}"
    return Finding(level="fail", subject="schema", finding=said, cure="outboxd migrate")


async def _ownership(site: Site) -> Finding:
    row = await _one(
        site.conn,
        """
        select current_user as login, pg_get_userbyid(n.nspowner) as owner,
          pg_has_role(n.nspowner, 'member') as ours,
          (select count(*) from pg_class c
            where c.relnamespace = n.oid and c.relkind in ('r', 'p') and not pg_has_role(c.relowner, 'member')
          ) as foreign_tables
        from pg_namespace n where n.nspname = 'outbox'
        """,
    )
    if not row:
        return Finding(level="fail", subject="rights", finding="no schema outbox", cure="outboxd migrate")
    if row["ours"] and not row["foreign_tables"]:
        return Finding(level="ok", subject="rights", finding=f"{row['login']} owns the schema")
    said = f"{row['login']} does not own the schema; {row['owner']} does"
    cure = f"connect as {row['owner']}: upkeep makes and drops partitions, which only the owner may"
    return Finding(level="fail", subject="rights", finding=said, cure=cure)


async def _listen(site: Site) -> Finding:
    token = str(time.monotonic_ns())
    await site.direct.execute(sql.SQL("listen {}").format(sql.Identifier(_CHANNEL)))
    await site.conn.execute("select pg_notify(%s, %s)", (_CHANNEL, token))
    async for hint in site.direct.notifies(timeout=2):
        if hint.payload == token:
            return Finding(level="ok", subject="listen", finding="notifications arrive")
    return Finding(
        level="warn",
        subject="listen",
        finding="a notification did not arrive within 2 s: work is found by polling",
        cure="set OUTBOXD_LISTEN_URL to a connection without a pooler in between",
    )


async def _pooler(site: Site) -> Finding:
    """A pooler makes up the process id that it greets with, and may change servers between statements."""
    for name, conn in (("OUTBOXD_LISTEN_URL", site.direct), ("OUTBOXD_DATABASE_URL", site.conn)):
        row = await _one(conn, "select pg_backend_pid() as pid")
        if row["pid"] == conn.info.backend_pid:
            continue
        if conn is site.direct:
            said, cure = f"{name} goes through a pooler", "LISTEN and session locks need a direct connection"
            return Finding(level="warn", subject="pooler", finding=said, cure=cure)
        if site.config.prepare == "off":
            return Finding(
                level="ok", subject="pooler", finding=f"{name} goes through one, as OUTBOXD_PREPARE says"
            )
        cure = "OUTBOXD_PREPARE=off, unless the pooler keeps prepared statements"
        return Finding(level="warn", subject="pooler", finding=f"{name} goes through one", cure=cure)
    return Finding(level="ok", subject="pooler", finding="no sign of one")


async def _clock(site: Site) -> Finding:
    before = time.time()
    row = await _one(site.conn, "select extract(epoch from clock_timestamp())::float8 as at")
    skew = timedelta(seconds=abs(row["at"] - (before + time.time()) / 2))
    said = f"{skew.total_seconds():.1f} s apart from the database's"
    if skew <= _SKEW:
        return Finding(level="ok", subject="clock", finding=said)
    return Finding(level="warn", subject="clock", finding=said, cure="synchronise both machines' clocks")


async def _durability(site: Site) -> Finding:
    row = await _one(
        site.conn,
        """
        select current_setting('fsync') as fsync, current_setting('full_page_writes') as full_page_writes,
          current_setting('synchronous_commit') as synchronous_commit
        """,
    )
    loose = [f"{name} = {row[name]}" for name, wanted in _SAFE.items() if row[name] != wanted]
    if row["synchronous_commit"] not in _SURE_COMMITS:
        loose.append(f"synchronous_commit = {row['synchronous_commit']}")
    if not loose:
        return Finding(level="ok", subject="disk", finding="what is committed is on disk")
    said = f"{', '.join(loose)}: what was acknowledged may be lost"
    return Finding(level="warn", subject="disk", finding=said, cure="switch it on in postgresql.conf")


async def _vacuum(site: Site) -> Finding:
    row = await _one(
        site.conn,
        """
        select current_setting('autovacuum') as autovacuum,
          (select max(clock_timestamp() - xact_start) from pg_stat_activity
            where datname = current_database() and backend_type = 'client backend') as oldest,
          (select count(*) from pg_prepared_xacts) as prepared
        """,
    )
    if row["autovacuum"] != "on":
        return Finding(level="fail", subject="vacuum", finding="autovacuum is off", cure="autovacuum = on")
    if row["prepared"]:
        said, cure = f"{row['prepared']} prepared transactions", "commit or roll them back: pg_prepared_xacts"
        return Finding(level="warn", subject="vacuum", finding=said, cure=cure)
    if row["oldest"] and row["oldest"] > _OLD_TRANSACTION:
        said, cure = f"a transaction is open for {row['oldest']}", "end it: select * from outbox.vacuum_pins"
        return Finding(level="warn", subject="vacuum", finding=said, cure=cure)
    return Finding(level="ok", subject="vacuum", finding="on, and nothing holds it back for long")


async def _connections(site: Site) -> Finding:
    row = await _one(site.conn, "select current_setting('max_connections')::int as most")
    ours = site.config.pool_max + 3
    said = f"{ours} of {row['most']} for one process"
    if ours <= 0.8 * row["most"]:
        return Finding(level="ok", subject="connections", finding=said)
    cure = "a smaller OUTBOXD_POOL_MAX, a larger max_connections, or a pooler"
    return Finding(level="warn", subject="connections", finding=said, cure=cure)


async def _extensions(site: Site) -> Finding:
    return Finding(level="ok", subject="extensions", finding="none is needed")


async def _chores(site: Site) -> Finding:
    cur = await site.conn.execute(
        """
        select name from outbox.chores
        where last_error_at > coalesce(last_success_at, '-infinity')
          or last_success_at < clock_timestamp() - %s
        order by name
        """,
        (_LATE,),
    )
    late = [row["name"] for row in await cur.fetchall()]
    if not late:
        return Finding(level="ok", subject="chores", finding="none fails or is late")
    cure = "start a daemon, or look into its log: select * from outbox.chores"
    return Finding(level="warn", subject="chores", finding=f"failing or late: {', '.join(late)}", cure=cure)


async def _secrets(site: Site) -> Finding:
    lost, count = await restored.lost_secrets(site.conn, database.seal_keys(site.config))
    if not lost:
        return Finding(level="ok", subject="secrets", finding=f"{count} of endpoints, and each opens")
    said = f"{lost} of {count} sealed secrets and headers of endpoints open with no key that is set"
    cure = "put their key into OUTBOXD_SECRET_KEYS; where it is lost: outboxd endpoints rotate"
    return Finding(level="fail", subject="secrets", finding=said, cure=cure)


QUESTIONS: tuple[tuple[str, Question], ...] = (
    ("server", _server),
    ("rights", _ownership),
    ("schema", _schema),
    ("listen", _listen),
    ("pooler", _pooler),
    ("clock", _clock),
    ("extensions", _extensions),
    ("disk", _durability),
    ("connections", _connections),
    ("vacuum", _vacuum),
    ("chores", _chores),
    ("secrets", _secrets),
)
