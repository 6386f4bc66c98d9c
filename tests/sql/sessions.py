"""The session verbs as a test says them, beside the engine's own."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from tests.clock import Clock
from tests.engine import EVERYWHERE, Engine, Tenant

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def start(engine: Engine, tenant: Tenant, **given: Any) -> tuple[UUID, bool]:
    """The session's id, and whether this call made it. Names without their `p_`."""
    named = "".join(f", p_{name} => %s" for name in given)
    values = [Jsonb(value) if isinstance(value, dict) else value for value in given.values()]
    [row] = engine.rows(
        f"select * from outbox.start_session({EVERYWHERE}, %s{named})", tenant.project, *values
    )
    return row["session_id"], row["made"]


def end(engine: Engine, session: UUID) -> tuple[UUID | None, bool]:
    """Its summary job, and whether this call ended it."""
    [row] = engine.rows(f"select * from outbox.end_session({EVERYWHERE}, %s)", session)
    return row["job_id"], row["ended"]


def idle(engine: Engine, limit: int = 500, upto: str = "ffffffff-ffff-ffff-ffff-ffffffffffff") -> list[UUID]:
    """The sessions that one run ended."""
    found = engine.rows(
        "select * from outbox.end_idle_sessions(%s, '00000000-0000-0000-0000-000000000000', %s)", limit, upto
    )
    return [row["session_id"] for row in found]


def session(engine: Engine, id_: UUID) -> DictRow:
    [row] = engine.rows("select * from outbox.sessions where id = %s", id_)
    return row


def event(engine: Engine, clock: Clock, tenant: Tenant, id_: UUID, kind: str = "tool_use") -> UUID:
    """An event of the session, a second later."""
    clock.forward(SECOND)
    return engine.publish(tenant, kind, session=id_)


def setting(engine: Engine, tenant: Tenant, settings: dict[str, Any]) -> None:
    engine.do("update outbox.projects set settings = %s where id = %s", Jsonb(settings), tenant.project)


def audited(engine: Engine, id_: UUID) -> list[str]:
    found = engine.rows(
        "select action from outbox.audit_log where resource_id = %s order by at, id", str(id_)
    )
    return [row["action"] for row in found]
