"""Somebody else's old snapshot: everything goes on, and the view says whose it is."""

from uuid import UUID

import psycopg

from tests.engine import Engine, Tenant
from tests.proofs import proves

ROUNDS = 30


@proves("G6")
def test_an_old_snapshot_stops_nothing_and_is_named(
    engine: Engine, tenant: Tenant, worker: UUID, dsn: str
) -> None:
    with psycopg.connect(dsn, application_name="report") as old:
        old.execute("set transaction isolation level repeatable read")
        old.execute("select count(*) from outbox.ready")
        for _ in range(ROUNDS):
            job = engine.enqueue(tenant)
            (claimed,) = engine.claim(worker)
            engine.end(worker, claimed)
            assert ["completed"] == [row["outcome"] for row in engine.ledger(job)]
        pins = engine.rows("select pid, xmin_age from outbox.vacuum_pins where application = 'report'")
        seen = old.execute("select count(*) from outbox.attempts").fetchone()
        mine = old.info.backend_pid

    assert (0,) == seen, "the snapshot was not old"
    assert [mine] == [pin["pid"] for pin in pins]
    assert pins[0]["xmin_age"] >= 2 * ROUNDS
