"""Nothing of one tenant reaches another, by whatever door, error, metric or log line."""

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.api.routes import ROUTES
from outboxd.db.pool import Database
from tests import seed
from tests.api.served import Served, serving
from tests.contract.table import ENDLESS

Conn = AsyncConnection[DictRow]
MARK = "only-for-a"
SEAL = {"SECRET_KEYS": "k1:" + "A" * 43 + "="}
BODIES = {
    "/v1/jobs/retry": {"filter": {"status": ["failed", "queued", "cancelled"]}, "dryRun": True},
    "/v1/jobs/cancel": {"filter": {"status": ["failed", "queued"]}},
}


async def everything_of(tenant: seed.Tenant, served: Served) -> dict[str, str]:
    """A tenant with some of each thing, marked wherever a tenant can write; ids by their name."""
    made = await served.http.post(
        "/v1/events",
        json={"eventType": MARK, "subject": MARK, "payload": {MARK: MARK}, "idempotencyKey": MARK},
    )
    target = await served.http.post(
        "/v1/endpoints", json={"url": f"https://x.test/{MARK}", "uid": MARK, "description": MARK}
    )
    return {
        "event": made.json()["event"]["id"],
        "job": made.json()["jobs"][0]["id"],
        "endpoint": target.json()["endpoint"]["id"],
        "project": str(tenant.project),
        "team": str(tenant.team),
        "key": str(tenant.key_id),
    }


@pytest.mark.parametrize("binding", ["project", "team"])
@pytest.mark.proves("T4", "T5")
async def test_every_door_is_shut_to_another_tenant(
    binding: str, db: Database, conn: Conn, capfd: pytest.CaptureFixture[str]
) -> None:
    a, b = await seed.tenant(conn, "a"), await seed.tenant(conn, "b")
    await seed.route(conn, "*", "q", handler="h")
    _, whole_team = await seed.key(conn, b.team, "*")
    async with serving(db, a.key, **SEAL, LOG_ACCESS="all") as served:
        theirs = await everything_of(a, served)
        before = await counted(conn)
        told = ""
        async with served.client(b.key if binding == "project" else whole_team) as stranger:
            for template, operations in ROUTES.items():
                for method in operations:
                    if (method, template) in ENDLESS:
                        continue
                    for id_ in (*theirs.values(), f"uid:{MARK}") if "{id}" in template else ("",):
                        path = template.replace("{id}", id_)
                        reply = await stranger.request(method, path, json=BODIES.get(template, {}))
                        assert reply.status_code < 500, reply.text
                        told += reply.text.replace(id_, "") if id_ else reply.text
            for name in ("projectId", "eventId", "sessionId"):
                for path in ("/v1/events", "/v1/jobs", "/v1/endpoints"):
                    for id_ in theirs.values():
                        reply = await stranger.get(path, params={name: id_})
                        told += reply.text
        after = await counted(conn)

    logged = "".join(capfd.readouterr())
    for secret in (MARK, *theirs.values()):
        assert secret not in told
    for secret in (MARK, a.key, b.key):
        assert secret not in logged
    assert before == after


async def counted(conn: Conn) -> dict[str, object]:
    """What of a's there is, and in which state."""
    found = await (
        await conn.execute(
            """
            select (select count(*) from outbox.ready) as ready,
              (select count(*) from outbox.endpoints) as endpoints,
              (select sum(revision) from outbox.endpoints) as revisions,
              (select count(*) from outbox.events) as events
            """
        )
    ).fetchone()
    assert found
    return found
