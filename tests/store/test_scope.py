"""Whose rows: every signature asks for it, and the database refuses nobody's word."""

import importlib
import inspect
import pkgutil
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from outboxd import store

proves = pytest.mark.proves

SCOPES = {"caller", "worker", "project", "projects", "team"}
ROLES = ("outbox_producer", "outbox_worker", "outbox_operator", "outbox_reader")

# Functions of the store without a scope, and why each may be so. A new one has to be put here, and explained.
UPKEEP = {
    "chores.dirty", "chores.failed", "chores.forget_event_keys", "chores.forget_workers", "chores.pinned",
    "chores.outlived", "consoles.forget",
    "deletion.retain", "deletion.unfinished", "deliveries.end", "outboxevents.drain", "stream_tokens.forget",
    "chores.purge_dead", "chores.queues_of", "chores.remember_settings", "chores.succeeded",
    "gatherings.forget", "interactions.expire", "interactions.retain", "holds.answered", "holds.every",
    "holds.failed", "holds.keys", "idempotency.forget",
    "jobs.expire",
    "endpoint_keys.forget", "endpoint_keys.reseal",
    "jobs.reap", "measures.read", "partitions.alive", "partitions.attach", "partitions.detach",
    "partitions.drop", "partitions.finish", "partitions.listed", "partitions.longest_kept",
    "partitions.make_partitions",
    "partitions.now", "partitions.raise_floor", "pulse.read", "queues.stage", "rates.forget",
    "schedules.due", "schedules.now", "schedules.owed", "schedules.suspend", "schedules.tick",
    "sessions.end_idle", "usage.add_requests", "usage.roll_up", "settings.write", "streams.pending",
    "streams.unplaced",
}  # fmt: skip
"""The engine's own work, which knows no tenants and shows nothing to anybody."""
BEFORE_ANYBODY = {
    "rates.take", "stream_tokens.find", "stream_tokens.opening",
    "keys.find", "keys.notice", "keys.own", "logins.caller", "ingest.ingest", "ingest_once.ingest_once",
    "idempotency.claim", "idempotency.keep", "consoles.find", "consoles.touch", "consoles.via",
}  # fmt: skip
"""They find out who asks, and how often. `ingest` reads the key of each event where it is stored; a claim
names its team."""
OF_A_WORKER = {
    "declared.listed", "workers.enlist", "workers.open_queue", "workers.sql_handlers", "deliveries.hold",
    "deliveries.note", "deliveries.read",
    "endpoint_keys.add", "endpoints.hold",
    "gatherings.close", "gatherings.members",
    "generation.audit_refusal", "generation.begin_call", "generation.meter", "generation.record",
    "generation.record_summary", "generation.session_work", "generation.work",
    "recoveries.owed", "recoveries.take",
}  # fmt: skip
"""What a process of ours offers, and what it does for the job whose lease it has."""
FOUND_BEFORE = {
    "events.team_of", "events.timeline", "history.extras", "history.last_attempts",
    "history.of_events", "history.payloads",
    "history.running", "history.still_open", "history.why", "interactions.still_open",
    "consoles.still_open", "depths.settings",
}  # fmt: skip
"""More about ids that a read with a caller, or the publish of this request, has just given."""
FOR_OPERATORS = {
    "views.rows", "endpoint_keys.to_reseal", "importing.here", "importing.known", "importing.known_keys",
    "importing.open_past", "overview.standstill", "restored.again", "restored.gap", "restored.leases",
    "restored.lost_secrets", "restored.unaware_streams",
}  # fmt: skip
"""The command line, whose login has to have been granted the views or owns the schema, and an operator's
console: they count, over all tenants."""


def unscoped() -> set[str]:
    """Functions of the store that can be called without saying for whom."""
    found = set()
    for each in pkgutil.iter_modules(store.__path__):
        module = importlib.import_module(f"outboxd.store.{each.name}")
        for name, function in inspect.getmembers(module, inspect.iscoroutinefunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                given = inspect.signature(function).parameters.values()
                required = {each.name for each in given if each.default is each.empty}
                if required.isdisjoint(SCOPES):
                    found.add(f"{each.name}.{name}")
    return found


@proves("T1")
def test_every_function_of_the_store_is_told_for_whom() -> None:
    assert unscoped() == UPKEEP | BEFORE_ANYBODY | OF_A_WORKER | FOUND_BEFORE | FOR_OPERATORS


@proves("T1")
async def test_a_verb_that_takes_a_caller_requires_it(conn: AsyncConnection[dict[str, Any]]) -> None:
    verbs = await callers(conn)
    assert {"cancel", "enqueue", "pause", "redrive"} <= {verb["name"] for verb in verbs if verb["granted"]}
    assert [verb["name"] for verb in verbs if not verb["required"]] == []


@proves("T1")
@pytest.mark.parametrize(
    "said", ["null::outbox.caller", "row(null, null, null, null, null, null)::outbox.caller"]
)
async def test_nobody_is_refused(conn: AsyncConnection[dict[str, Any]], said: str) -> None:
    """By every granted verb, before it looks at anything else; and by those that only the daemon may call."""
    for verb in await callers(conn):
        words = ", ".join([f"{said}::outbox.caller", *(f"null::{kind}" for kind in verb["others"])])
        with pytest.raises(psycopg.Error) as refused:
            await conn.execute(f"select outbox.{verb['name']}({words})".encode())
        assert (verb["name"], "OX400") == (verb["name"], refused.value.sqlstate)
        assert "a caller is required" in str(refused.value), verb["name"]


async def callers(conn: AsyncConnection[dict[str, Any]]) -> list[dict[str, Any]]:
    """Verbs whose first argument is a caller: those that a role may call, and those that only we do."""
    cur = await conn.execute(
        """
        select p.proname as name, p.pronargs > p.pronargdefaults as required,
          exists (select from unnest(%s::text[]) r
                  where has_function_privilege(r, p.oid, 'execute')) as granted,
          (select coalesce(array_agg(format_type(t.type, null) order by t.ord), '{}')
           from unnest(p.proargtypes) with ordinality t(type, ord) where t.ord > 1) as others
        from pg_proc p
        where p.pronamespace = 'outbox'::regnamespace and p.pronargs > 0
          and p.proargtypes[0] = 'outbox.caller'::regtype and p.prosecdef
        order by 1
        """,
        [list(ROLES)],
    )
    return await cur.fetchall()
