"""Retry and cancel: the table of states, many at once, and whose jobs they are."""

from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from tests import seed
from tests.api.served import Served, problem, serving

Conn = AsyncConnection[DictRow]

STATES: list[tuple[str, str, int, dict[str, Any]]] = [
    ("queued", "retry", 200, {"alreadyQueued": True, "retriedCount": 0}),
    ("queued", "cancel", 200, {"alreadyCancelled": False}),
    ("processing", "retry", 409, {"message": "Generation job is currently processing; "
        "cancel or wait for completion before retrying"}),
    ("processing", "cancel", 200, {"alreadyCancelled": False}),
    ("completed", "retry", 409, {}),
    ("completed", "cancel", 409, {"message": "Generation job already completed; cannot cancel"}),
    ("failed", "retry", 200, {"alreadyQueued": False, "retriedCount": 1}),
    ("failed", "cancel", 200, {"alreadyCancelled": False}),
    ("cancelled", "retry", 200, {"alreadyQueued": False, "retriedCount": 1}),
    ("cancelled", "cancel", 200, {"alreadyCancelled": True}),
]  # fmt: skip


async def job_in(state: str, served: Served, conn: Conn) -> str:
    made = await served.http.post("/v1/events", json={"eventType": "a"})
    job: str = made.json()["jobs"][0]["id"]
    if state == "cancelled":
        await conn.execute("select outbox.cancel(outbox.me(), %s)", [job])
    elif state != "queued":
        worker = await (await conn.execute("select worker_id as w from outbox.enlist('w', '{h}')")).fetchone()
        assert worker
        lease = await (
            await conn.execute("select lease_id as l from outbox.claim(%s, 1)", [worker["w"]])
        ).fetchone()
        assert lease
        failed = '"failed","class":"x","error":"no"'
        outcome = {"completed": '"completed"', "failed": f'{failed},"final":true', "backoff": failed}
        if state in outcome:
            result = f'[{{"lease":"{lease["l"]}","job":"{job}","ms":1,"outcome":{outcome[state]}}}]'
            await conn.execute("select outbox.settle(%s, %s)", [worker["w"], result])
    return job


@pytest.mark.parametrize(("state", "verb", "status", "told"), STATES)
@pytest.mark.proves("L17")
async def test_what_a_verb_does_in_each_state(
    state: str, verb: str, status: int, told: dict[str, Any], db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "q", handler="h")
    async with serving(db, tenant.key) as served:
        job = await job_in(state, served, conn)
        before = (await served.http.get(f"/v1/jobs/{job}")).json()["generationJob"]["status"]
        reply = await served.http.post(f"/v1/jobs/{job}/{verb}")
        after = (await served.http.get(f"/v1/jobs/{job}")).json()["generationJob"]

    assert state == before
    assert status == reply.status_code, reply.text
    found = reply.json()
    assert told == {name: found[name] for name in told}
    if status == 200:
        assert after == found["generationJob"]
        assert found["requestId"] == reply.headers["x-request-id"]
        assert ("queued" if verb == "retry" else "cancelled") == after["status"]
    else:
        assert state == after["status"]


@pytest.mark.parametrize(
    ("state", "outcome"),
    [("queued", None), ("processing", None), ("backoff", None)]
    + [(ended, ended) for ended in ("completed", "failed", "cancelled")],
)
async def test_only_what_has_ended_has_an_outcome(
    state: str, outcome: str | None, db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "q", handler="h")
    async with serving(db, tenant.key) as served:
        job = await job_in(state, served, conn)
        shown = (await served.http.get(f"/v1/jobs/{job}")).json()["generationJob"]
        tried = (await served.http.get(f"/v1/jobs/{job}/attempts")).json()["attempts"]
        again = (await served.http.post(f"/v1/jobs/{job}/retry")).json()

    assert outcome == shown["outcome"]
    if state == "backoff":
        assert ("queued", ["failed"]) == (shown["status"], [each["outcome"] for each in tried])
    if state in ("backoff", "failed"):
        assert ("queued", None) == (again["generationJob"]["status"], again["generationJob"]["outcome"])


@pytest.mark.proves("T2")
async def test_anothers_job_is_unknown(db: Database, conn: Conn) -> None:
    tenant, other = await seed.tenant(conn), await seed.tenant(conn, "other")
    await seed.route(conn, "*", "q", handler="h")
    async with serving(db, other.key) as served:
        foreign = await job_in("failed", served, conn)
        async with served.client(tenant.key) as client:
            told = [
                problem(await client.request(method, f"/v1/jobs/{job}{path}"))
                for job in (foreign, "0192f0f0-0000-7000-8000-000000000000", "x")
                for method, path in (
                    ("GET", ""), ("GET", "/attempts"), ("GET", "/why"), ("POST", "/retry"),
                    ("POST", "/cancel"),
                )
            ]  # fmt: skip
            lists = [
                problem(await client.get(f"/v1/teams/{other.team}/jobs")),
                problem(await client.get(f"/v1/projects/{other.project}/jobs")),
            ]
            mine = (await client.get("/v1/jobs")).json()
        still = (await served.http.get(f"/v1/jobs/{foreign}")).json()["generationJob"]["status"]

    assert 1 == len({repr({**each, "requestId": ""}) for each in told})
    assert ["Team not found", "Project not found"] == [each["message"] for each in lists]
    assert ([], "failed") == (mine["jobs"], still)


async def test_many_are_retried_at_a_rate(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "q", handler="h")
    async with serving(db, tenant.key) as served:
        jobs = [await job_in("failed", served, conn) for _ in range(3)]
        ask = {"filter": {"projectId": str(tenant.project)}, "ratePerSecond": 1}
        dry = (await served.http.post("/v1/jobs/retry", json={**ask, "dryRun": True})).json()
        done = (await served.http.post("/v1/jobs/retry", json=ask)).json()
        cancelled = (await served.http.post("/v1/jobs/cancel", json={"filter": {"ids": jobs}})).json()

    assert (True, 3, 3) == (dry["dryRun"], dry["matched"], dry["affected"])
    assert (3, jobs) == (done["affected"], done["sample"])
    assert 2000 == done["lastDueAtEpoch"] - done["firstDueAtEpoch"]
    assert 3 == cancelled["affected"]


BULKS: list[tuple[str, Any]] = [
    ("retry", {}),
    ("retry", {"filter": {}}),
    ("retry", {"filter": {"nonsense": 1}}),
    ("retry", {"filter": {"ids": ["x"]}}),
    ("retry", {"filter": {"ids": []}}),
    ("retry", {"filter": {"status": ["completed"]}}),
    ("retry", {"filter": {"status": ["processing"]}}),
    ("retry", {"filter": {"queue": "q"}, "limit": 0}),
    ("retry", {"filter": {"queue": "q"}, "ratePerSecond": 1001}),
    ("retry", {"filter": {"queue": "q"}, "nonsense": 1}),
    ("cancel", {"filter": {"status": ["completed"]}}),
    ("cancel", {"filter": {"queue": "q"}, "ratePerSecond": 1}),
    ("cancel", {"filter": {"queue": "q"}, "reason": "x" * 501}),
    ("cancel", {"filter": {"queue": "q"}, "dryRun": "yes"}),
    ("cancel", {"filter": {"since": "yesterday"}}),
    ("cancel", {"filter": {"projectId": "x"}}),
]


@pytest.mark.parametrize(("verb", "body"), BULKS, ids=range(len(BULKS)))
@pytest.mark.proves("I4")
async def test_a_wrong_bulk_order_is_400_and_does_nothing(
    verb: str, body: Any, db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "q", handler="h")
    async with serving(db, tenant.key) as served:
        job = await job_in("failed", served, conn)
        reply = await served.http.post(f"/v1/jobs/{verb}", json=body)
        state = (await served.http.get(f"/v1/jobs/{job}")).json()["generationJob"]["status"]

    assert (400, "failed") == (reply.status_code, state), reply.text
    assert "outbox." not in problem(reply)["message"]
