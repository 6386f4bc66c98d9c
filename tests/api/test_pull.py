"""Workers with a key: claim, settle, extend, release, report and payload over HTTP, and what nobody may."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from outboxd.db.pool import Database
from outboxd.store import keys, tenants
from tests import seed
from tests.api.served import Served, problem, serving
from tests.clock import Clock
from tests.proofs import proves
from tests.seed import Tenant
from tests.waiting import until

Conn = AsyncConnection[DictRow]

MAIL = "/v1/queues/mail/claim"
ME = {"worker": "w1"}


class Post:
    """A served app, its database, and a queue `mail` in it."""

    def __init__(self, served: Served, conn: Conn, tenant: Tenant) -> None:
        self.served, self.conn, self.tenant = served, conn, tenant

    async def enqueue(self, n: Any = 1, queue: str = "mail", project: UUID | None = None, **options: Any) -> str:
        cur = await self.conn.execute(
            "select job_id from outbox.enqueue(outbox.me(), %s, %s, %s, %s)",
            (queue, Jsonb({"n": n}), project or self.tenant.project, Jsonb(options)),
        )
        row = await cur.fetchone()
        assert row
        return str(row["job_id"])

    async def keyed(self, n: int, key: str = "k") -> str:
        cur = await self.conn.execute(
            "select outbox.publish('mail.sent', %s, p_project => %s, p_ordering_key => %s) as id",
            (Jsonb({"n": n}), self.tenant.project, key),
        )
        event = await cur.fetchone()
        assert event
        await self.conn.execute("select outbox.sequence(array[%s::uuid])", (self.tenant.project,))
        await self.conn.execute("select outbox.place(%s)", (self.tenant.project,))
        return str(await self.value("select id from outbox.jobs where event_id = %s", event["id"]))

    async def value(self, statement: str, *given: Any) -> Any:
        row = await (await self.conn.execute(statement.encode(), given)).fetchone()
        return next(iter(row.values())) if row else None

    async def state(self, job: str) -> str:
        return str(await self.value("select state from outbox.job_state(%s)", job))

    async def ledger(self, job: str) -> list[str]:
        cur = await self.conn.execute(
            "select outcome from outbox.attempts where job_id = %s order by no", (job,)
        )
        return [row["outcome"] for row in await cur.fetchall()]

    async def claim(self, http: httpx.AsyncClient | None = None, queue: str = "mail", **more: Any) -> Any:
        reply = await (http or self.served.http).post(f"/v1/queues/{queue}/claim", json={**ME, **more})
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def one(self, **more: Any) -> tuple[str, str]:
        """A job enqueued and claimed: its lease and its id."""
        job = await self.enqueue()
        claimed = await self.claim(**more)
        assert [job] == [each["id"] for each in claimed["jobs"]]
        return claimed["lease"]["id"], job

    async def say(
        self, verb: str, lease: str, http: httpx.AsyncClient | None = None, **body: Any
    ) -> httpx.Response:
        return await (http or self.served.http).post(f"/v1/leases/{lease}/{verb}", json=body)

    async def settle(self, lease: str, job: str, outcome: str = "completed", **more: Any) -> httpx.Response:
        return await self.say("settle", lease, results=[{"jobId": job, "outcome": outcome, **more}])


@pytest.fixture
async def post(db: Database, conn: Conn) -> AsyncIterator[Post]:
    tenant = await seed.tenant(conn)
    await seed.queue(conn, "mail")
    await seed.route(conn, "mail.*", "mail", team=tenant.team, project=tenant.project)
    async with serving(db, tenant.key) as served:
        yield Post(served, conn, tenant)


def told(reply: httpx.Response) -> list[tuple[bool, str | None, str | None]]:
    assert reply.status_code == 200, reply.text
    return [(each["accepted"], each["state"], each["note"]) for each in reply.json()["results"]]


def lost(reply: httpx.Response) -> dict[str, Any]:
    """The problem that a lease that is over is, less what names the request."""
    said = problem(reply)
    assert (409, "LeaseLost") == (reply.status_code, said["error"])
    return {name: value for name, value in said.items() if name != "requestId"}


async def test_a_job_is_claimed_and_settled(post: Post) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    event = await post.served.http.post(
        "/v1/events",
        json={"eventType": "mail.sent", "payload": {"to": "ann"}, "priority": 3, "subject": "s"},
        headers={"traceparent": trace, "x-request-id": "req-7"},
    )
    claimed = await post.claim(limit=5, leaseSeconds=30)
    [job] = claimed["jobs"]
    made = event.json()["event"]
    assert {"lease", "jobs", "retryAfterMs"} == claimed.keys()
    assert 0 == claimed["retryAfterMs"]
    assert abs(claimed["lease"]["expiresAtEpoch"] / 1000 - time.time() - 30) < 5
    assert made["id"] == job["event"]["id"]
    assert "payload" not in job["event"]
    assert {
        "id": event.json()["jobs"][0]["id"], "attempt": 1, "maxAttempts": 12, "queue": "mail",
        "handler": "pull:mail", "priority": 3, "payload": {"to": "ann"}, "orderingKey": None,
        "timeoutMs": 300_000, "requestId": "req-7", "traceparent": trace, "checkpoint": None,
        "event": job["event"], "deadlineEpoch": job["deadlineEpoch"],
    } == job  # fmt: skip
    settled = await post.settle(claimed["lease"]["id"], job["id"], output={"sent": True})
    assert [(True, "completed", None)] == told(settled)
    full = (await post.served.http.get(f"/v1/jobs/{job['id']}")).json()["generationJob"]
    assert ("completed", {"sent": True}) == (full["status"], full["output"])
    assert {"lease": None, "jobs": [], "retryAfterMs": 1000} == await post.claim()
