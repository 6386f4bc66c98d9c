"""POST /v1/events: what is answered 201 is stored, and nothing else is."""

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from tests import seed
from tests.api.served import serving

Conn = AsyncConnection[DictRow]


async def test_a_posted_event_is_stored_with_its_jobs(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "order.*", "orders", handler="ship")
    async with serving(db, tenant.key) as served:
        reply = await served.http.post(
            "/v1/events", json={"eventType": "order.paid", "payload": {"id": 7}, "subject": "order/7"}
        )

    assert reply.status_code == 201
    found = reply.json()
    assert found["event"]["payload"] == {"id": 7}
    assert found["event"]["projectId"] == str(tenant.project)
    assert [("ship", "orders", "queued")] == [
        (job["handler"], job["queue"], job["status"]) for job in found["jobs"]
    ]
    assert "generationJob" not in found
    assert "duplicate" not in found
    stored = await (await conn.execute("select id::text, subject, payload from outbox.events")).fetchone()
    assert {"id": found["event"]["id"], "subject": "order/7", "payload": {"id": 7}} == stored
