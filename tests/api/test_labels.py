"""However odd the requests, queues and reasons: metrics stay few, they parse, and name no caller's words."""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from outboxd import telemetry
from outboxd.daemon.figures import Cost, Figures
from outboxd.db.pool import Database
from outboxd.store.measures import Spent
from tests import seed
from tests.api.served import serving
from tests.proofs import proves

Conn = AsyncConnection[DictRow]
ODD = 'h0stile"}\n{x='
"""Would end a label's value, were it not escaped, and is not one of ours anyway."""
MOST = {"queue": 51, "handler": 51, "route": 250}
"""Values of a label; of all others there are at most 40."""


async def odd_requests(http: Any, tenant: seed.Tenant) -> None:
    name = ODD.strip().replace("\n", "")
    asked = [
        http.request(method, f"/v1/{name}/{n}") for n, method in enumerate(["GET", "h0stile", "PATCH"] * 20)
    ]
    asked += [
        http.get("/v1/events", headers={"x-h0stile": str(n), "x-request-id": f"h0stile-{n}"})
        for n in range(20)
    ]
    asked += [
        http.post(
            "/v1/events", json={"projectId": str(tenant.project), "eventType": f"h0stile.{n}", "payload": {}}
        )
        for n in range(60)
    ]
    asked += [http.get("/v1/events", headers={"authorization": f"Bearer h0stile{n}"}) for n in range(20)]
    await asyncio.gather(*asked)


async def odd_rows(conn: Conn, tenant: seed.Tenant) -> None:
    """Queues, handlers and reasons of a hundred names each."""
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for n in range(100):
        options = Jsonb({"handler": f"h0stile_{n}", "runAt": later})
        cur = await conn.execute(
            "select job_id from outbox.enqueue(outbox.me(), %s, '{}', %s, %s)",
            (f"h0stile.{n}", tenant.project, options),
        )
        made = await cur.fetchone()
        assert made is not None
        await conn.execute(
            "select outbox.snooze(outbox.me(), %s, %s, %s)", (made["job_id"], later, f"{ODD} {n}")
        )


def seen() -> dict[str, dict[str, set[str]]]:
    """Metric → label → values. The client library parses all of it."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for family in text_string_to_metric_families(telemetry.render().decode()):
        for sample in family.samples:
            for label, value in sample.labels.items():
                found[family.name][label].add(value)
    return found


@proves("G9", "T4")
async def test_labels_are_closed_sets_whatever_callers_name(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await odd_rows(conn, tenant)
    async with serving(db, tenant.key) as served:
        await odd_requests(served.http, tenant)
    await Figures(db).refresh()

    found = seen()
    many = {
        (metric, label, len(values))
        for metric, labels in found.items()
        for label, values in labels.items()
        if label != "le" and len(values) > MOST.get(label, 40)
    }
    assert set() == many
    free = {"queue", "handler"}
    told = {
        value
        for labels in found.values()
        for label, values in labels.items()
        if label not in free
        for value in values
    }
    assert [] == [value for value in told if "h0stile" in value or "acme" in value]
    assert {"other"} <= found["outboxd_jobs_held"]["reason"] <= {"other", "snoozed"}
    assert "other" in found["outboxd_http_requests"]["method"]
    assert "unknown" in found["outboxd_http_requests"]["route"]
    assert str(tenant.project) not in telemetry.render().decode()


@proves("G9")
def test_states_of_errors_that_users_invent_are_other() -> None:
    assert ["22", "OX", "other", "client"] == [
        telemetry.sqlstate_label(state) for state in ("22P02", "OX409", "ZZ001", None)
    ]


def test_the_cost_of_a_job_is_of_the_last_minute() -> None:
    cost = Cost()

    def at(second: float, jobs: float, wal: float) -> tuple[float, float]:
        return cost.per_job(second, Spent(wal_bytes=wal, dead_rows=2 * jobs, attempts=jobs))

    assert (0.0, 0.0) == at(0, 1000, 1_000_000)
    assert (500.0, 2.0) == at(30, 1010, 1_005_000)
    # The first minute is over: what was spent in it is not counted any more.
    assert (100.0, 2.0) == at(91, 1020, 1_006_000)
    assert (0.0, 0.0) == at(200, 1020, 1_007_000)
    # Statistics were reset, or a partition of the ledger is gone.
    assert (0.0, 0.0) == at(210, 5, 1_008_000)
    assert (1000.0, 2.0) == at(220, 6, 1_009_000)
