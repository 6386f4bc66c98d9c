"""Workers with a key: claim, settle, extend, release, report and payload over HTTP, and what nobody may."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from outboxd.api import claims
from outboxd.db.pool import Database
from outboxd.store import tenants
from tests import lasting, seed
from tests.api.served import Served, problem, serving
from tests.clock import Clock
from tests.proofs import proves
from tests.seed import Tenant
from tests.waiting import until

Conn = AsyncConnection[DictRow]

MAIL = "/v1/queues/mail/claim"
ME = {"worker": "w1"}

pytestmark = pytest.mark.asyncio(loop_scope="module")
conn, db, dsn, emptied = lasting.conn, lasting.db, lasting.dsn, lasting.emptied


class Post:
    """A served app, its database, and a queue `mail` in it."""

    def __init__(self, served: Served, conn: Conn, tenant: Tenant) -> None:
        self.served, self.conn, self.tenant = served, conn, tenant

    async def enqueue(
        self, n: Any = 1, queue: str = "mail", project: UUID | None = None, **options: Any
    ) -> str:
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


@pytest_asyncio.fixture(loop_scope="module")
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


async def client(
    post: Post, *scopes: str, team: UUID | None = None, project: UUID | None = None
) -> httpx.AsyncClient:
    """With a key of its own, of the team of the post unless told."""
    _, secret = await seed.key(post.conn, team, *(scopes or ("queues:work",)), project=project)
    return post.served.client(secret)


@proves("T7", "T2")
async def test_a_worker_sees_the_pull_queues_of_its_tenancy(post: Post) -> None:
    """Whose key × whose job, keyed or not: one's own, or nothing."""
    mine = post.tenant.project
    sibling = await tenants.make_project(post.conn, seed.OPERATOR, post.tenant.team, "sibling")
    other = await seed.tenant(post.conn, "other")
    of = {str(await post.enqueue(project=project)): project for project in (mine, sibling, other.project)}
    of[await post.keyed(1)] = mine
    who = {
        "project": (await client(post, team=post.tenant.team, project=mine), {mine}),
        "sibling": (await client(post, team=post.tenant.team, project=sibling), {sibling}),
        "team": (await client(post, team=post.tenant.team), {mine, sibling}),
        "other": (await client(post, team=other.team), {other.project}),
        "operator": (await client(post), {mine, sibling, other.project}),
    }
    for name, (http, projects) in who.items():
        claimed = await post.claim(http)
        assert {job for job, project in of.items() if project in projects} == {
            job["id"] for job in claimed["jobs"]
        }, name
        assert 200 == (await post.say("release", claimed["lease"]["id"], http)).status_code


@proves("T7", "L1")
async def test_a_lease_of_others_one_that_is_over_and_none_look_alike(post: Post) -> None:
    lease, job = await post.one()
    over, ended = await post.one()
    await post.settle(over, ended)
    result = [{"jobId": job, "outcome": "failed"}]
    bodies: dict[str, dict[str, Any]] = {
        "settle": {"results": result},
        "extend": {"leaseSeconds": 60},
        "release": {},
        "report": {"jobId": job},
    }
    same_team = await client(post, team=post.tenant.team)
    same_project = await client(post, team=post.tenant.team, project=post.tenant.project)
    for http in (same_team, same_project, await client(post), post.served.http):
        for which in (lease, over, str(uuid4())):
            if http is post.served.http and which == lease:
                continue
            for verb, body in bodies.items():
                told = lost(await post.say(verb, which, http, **body))
                assert LOST == told, verb
            assert LOST == lost(await http.get(f"/v1/leases/{which}/jobs/{job}/payload"))
    assert "processing" == await post.state(job)
    assert 404 == (await post.say("extend", "not-an-id", leaseSeconds=60)).status_code


LOST = {
    "type": "urn:outboxd:error:LeaseLost",
    "title": "Conflict",
    "status": 409,
    "detail": "the lease is over",
    "error": "LeaseLost",
    "message": "the lease is over",
}


@proves("T7", "T3")
async def test_what_a_key_may_not_is_refused_where_it_acts(post: Post) -> None:
    lease, job = await post.one()
    await seed.queue(post.conn, "mine", "observe")
    unscoped = await client(post, "jobs:write", team=post.tenant.team)
    assert 403 == (await unscoped.post(MAIL, json=ME)).status_code
    for queue, status in {"mine": 403, "endpoint:x": 403, "nobody": 404, "Not a name": 404}.items():
        reply = await post.served.http.post(f"/v1/queues/{queue}/claim", json=ME)
        assert status == reply.status_code, queue
    other = await seed.tenant(post.conn, "other")
    await post.enqueue(queue="theirs", project=other.project)
    unknown = [
        await post.served.http.post(f"/v1/queues/{name}/claim", json=ME) for name in ("theirs", "none")
    ]
    assert [404, 404] == [reply.status_code for reply in unknown]
    assert "nothing" == (await post.claim(await client(post), "mine")).get("paused", "nothing")
    # The cache of the process still knows the key; the statement does not.
    await post.conn.execute("update outbox.keys set revoked_at = now() where id = %s", (post.tenant.key_id,))
    calls = [
        post.served.http.post(MAIL, json=ME),
        post.settle(lease, job),
        post.say("extend", lease, leaseSeconds=60),
        post.say("release", lease),
        post.say("report", lease, jobId=job),
        post.served.http.get(f"/v1/leases/{lease}/jobs/{job}/payload"),
    ]
    for call in calls:
        reply = await call
        assert (403, "Forbidden") == (reply.status_code, problem(reply)["error"])
    assert "processing" == await post.state(job)


@proves("L1", "R1")
async def test_a_lease_that_ran_out_is_rescued_and_its_worker_told(post: Post, clock: Clock) -> None:
    lease, job = await post.one(leaseSeconds=5)
    clock.forward(timedelta(seconds=4))
    moved = await post.say("extend", lease, leaseSeconds=10)
    assert moved.json()["expiresAtEpoch"] == round(clock.now.timestamp() * 1000) + 10_000
    clock.forward(timedelta(seconds=9))
    await post.conn.execute("select * from outbox.reap()")
    assert "processing" == await post.state(job)
    clock.forward(timedelta(seconds=2))
    await post.conn.execute("select * from outbox.reap()")
    again = await post.claim()
    assert (lease, 2) != (again["lease"]["id"], again["jobs"][0]["attempt"])
    assert [job] == [each["id"] for each in again["jobs"]]
    for stale in (
        await post.settle(lease, job),
        await post.say("extend", lease, leaseSeconds=60),
        await post.say("report", lease, jobId=job, checkpoint={"stale": True}),
        await post.say("release", lease),
    ):
        assert LOST == lost(stale)
    assert [(True, "completed", None)] == told(await post.settle(again["lease"]["id"], job))
    assert ["lost", "completed"] == await post.ledger(job)
    assert 0 == await post.value("select count(*) from outbox.checkpoints")


@proves("L4", "L3")
async def test_a_settle_said_again_is_repeated_and_one_stale_result_spoils_no_other(post: Post) -> None:
    lease, first = await post.one()
    assert [(True, "completed", None)] == told(await post.settle(lease, first))
    assert [(True, None, "repeated")] == told(await post.settle(lease, first))
    assert LOST == lost(await post.settle(lease, first, "failed"))
    assert ["completed"] == await post.ledger(first)
    jobs = [await post.enqueue(n) for n in range(3)]
    claimed = await post.claim()
    lease = claimed["lease"]["id"]
    await post.conn.execute("select * from outbox.cancel(outbox.me(), %s)", (jobs[1],))
    results = [{"jobId": job, "outcome": "completed"} for job in [*jobs[:2], "no-id", jobs[2]]]
    said = told(await post.say("settle", lease, results=results))
    assert [True, False, False, True] == [accepted for accepted, _, _ in said]
    assert "cancelled" == await post.state(jobs[1])


async def test_each_outcome_does_what_it_says(post: Post) -> None:
    jobs = [await post.enqueue(n, maxAttempts=3) for n in range(5)]
    claimed = await post.claim()
    results = [
        {"jobId": jobs[0], "outcome": "failed", "error": {"class": "Boom", "message": "no", "status": 500}},
        {"jobId": jobs[1], "outcome": "failed", "final": True, "error": {"class": "Bad"}},
        {"jobId": jobs[2], "outcome": "snoozed", "forMs": 60_000, "reason": "later"},
        {"jobId": jobs[3], "outcome": "timed_out", "retryInMs": 5000},
        {"jobId": jobs[4], "outcome": "completed", "output": {"x": "y" * 20_000}},
    ]
    reply = await post.say("settle", claimed["lease"]["id"], results=results)
    assert ["queued", "failed", "queued", "queued", "completed"] == [state for _, state, _ in told(reply)]
    dues = [each["dueAtEpoch"] for each in reply.json()["results"]]
    assert [False, True, False, False, True] == [due is None for due in dues]
    assert 50_000 < dues[2] - time.time() * 1000 < 61_000
    full = (await post.served.http.get(f"/v1/jobs/{jobs[1]}")).json()["generationJob"]
    assert "Bad" == full["lastError"]["classification"]
    assert "output_too_large" == await post.value(
        "select class from outbox.attempts where job_id = %s", jobs[4]
    )


@proves("C14")
async def test_keyed_and_other_jobs_come_under_one_lease_and_keys_keep_their_order(post: Post) -> None:
    plain, first = await post.enqueue(), await post.keyed(1)
    second = await post.keyed(2)
    claimed = await post.claim(limit=10)
    assert {plain, first} == {job["id"] for job in claimed["jobs"]}
    assert ["k"] == [job["orderingKey"] for job in claimed["jobs"] if job["orderingKey"]]
    results = [{"jobId": job, "outcome": "completed"} for job in (first, plain)]
    told(await post.say("settle", claimed["lease"]["id"], results=results))
    assert [second] == [job["id"] for job in (await post.claim())["jobs"]]


async def test_a_payload_of_any_size_reaches_the_worker(post: Post) -> None:
    job = await post.enqueue("x" * 70_000)
    claimed = await post.claim()
    [got] = claimed["jobs"]
    assert got["payload"] is None
    fetched = await post.served.http.get(got["payloadUrl"])
    assert (200, {"n": "x" * 70_000}) == (fetched.status_code, fetched.json())
    assert f"/v1/leases/{claimed['lease']['id']}/jobs/{job}/payload" == got["payloadUrl"]
    assert (
        404 == (await post.served.http.get(f"/v1/leases/{claimed['lease']['id']}/jobs/x/payload")).status_code
    )
    assert LOST == lost(await post.served.http.get(got["payloadUrl"].replace(job, str(uuid4()))))


async def test_a_running_job_tells_and_its_next_attempt_knows(post: Post) -> None:
    lease, job = await post.one()
    said = await post.say(
        "report", lease, jobId=job, progress={"percent": 40, "note": "n"}, checkpoint={"at": 7}
    )
    assert (204, b"") == (said.status_code, said.content)
    full = (await post.served.http.get(f"/v1/jobs/{job}")).json()["generationJob"]
    assert {"percent": 40, "note": "n"} == full["progress"]
    large = await post.say("report", lease, jobId=job, checkpoint="x" * 66_000)
    assert 413 == large.status_code
    assert {"released": 1} == (await post.say("release", lease, jobIds=[job], reason="restart")).json()
    [again] = (await post.claim())["jobs"]
    assert (1, {"at": 7}) == (again["attempt"], again["checkpoint"])


@proves("L7")
async def test_an_extension_tells_which_jobs_were_cancelled(post: Post) -> None:
    jobs = [await post.enqueue(n) for n in range(3)]
    lease = (await post.claim())["lease"]["id"]
    await post.conn.execute("select * from outbox.cancel(outbox.me(), %s)", (jobs[1],))
    asked: list[dict[str, Any]] = [{}, {"jobIds": jobs[:2]}, {"jobIds": [jobs[1]]}]
    for more in asked:
        said = await post.say("extend", lease, leaseSeconds=600, **more)
        assert [jobs[1]] == said.json()["cancelled"], more
    assert [] == (await post.say("extend", lease, leaseSeconds=600, jobIds=jobs[:1])).json()["cancelled"]
    assert LOST == lost(await post.say("extend", lease, leaseSeconds=600, jobIds=[str(uuid4())]))
    limit = await post.value("select deadline_at - outbox.clock() from outbox.leases where id = %s", lease)
    assert timedelta(seconds=590) < limit <= timedelta(seconds=600)


async def events(post: Post) -> list[dict[str, Any]]:
    cur = await post.conn.execute("select * from outbox.events where type = 'mail.done' order by id")
    return await cur.fetchall()


@proves("L2")
async def test_events_come_with_the_results_or_neither_does(post: Post) -> None:
    lease, job = await post.one()
    stranger = await post.enqueue(2)
    told_of = {"eventType": "mail.done", "payload": {"a": "<private>x</private>"}}
    both = [{"jobId": each, "outcome": "completed"} for each in (job, stranger)]
    refused = await post.say("settle", lease, results=both, events=[told_of])
    assert (409, "Conflict") == (refused.status_code, problem(refused)["error"])
    bad = await post.say(
        "settle", lease, results=both[:1], events=[told_of, {**told_of, "runAtEpoch": 10**14}]
    )
    assert (400, ["events", "1", "runAtEpoch"]) == (bad.status_code, problem(bad)["issues"][0]["path"])
    foreign = await post.say(
        "settle", lease, results=both[:1], events=[{**told_of, "projectId": str(uuid4())}]
    )
    assert 403 == foreign.status_code
    assert ("processing", []) == (await post.state(job), await events(post))
    body: dict[str, Any] = {"results": both[:1], "events": [told_of]}
    assert [(True, "completed", None)] == told(await post.say("settle", lease, **body))
    assert [(True, None, "repeated")] == told(await post.say("settle", lease, **body))
    [made] = await events(post)
    assert (post.tenant.project, post.tenant.key_id, "worker", 1, 1) == (
        made["project_id"], made["key_id"], made["adapter"], made["private_removed"], made["hops"],
    )  # fmt: skip
    # And its jobs: a route leads it back to the queue.
    assert made["id"] in {
        UUID(each["event"]["id"]) for each in (await post.claim())["jobs"] if each["event"] is not None
    }


async def test_events_need_the_scope_and_a_team(post: Post) -> None:
    body: dict[str, Any] = {"events": [{"eventType": "mail.done"}]}
    for http, code in (
        (await client(post, team=post.tenant.team), "InsufficientScope"),
        (await client(post, "queues:work", "events:write"), "Forbidden"),
    ):
        await post.enqueue()
        claimed = await post.claim(http)
        body["results"] = [{"jobId": claimed["jobs"][0]["id"], "outcome": "completed"}]
        reply = await post.say("settle", claimed["lease"]["id"], http, **body)
        assert (403, code) == (reply.status_code, problem(reply)["error"])
        assert 200 == (await post.say("release", claimed["lease"]["id"], http)).status_code


# Waiting


async def waiting(
    post: Post, http: httpx.AsyncClient | None = None, ms: int = 20_000, **more: Any
) -> asyncio.Task[Any]:
    """A claim that waits by now."""
    before = sum(post.served.app.state.api.claims._of_key.values())
    task = asyncio.create_task(post.claim(http, waitMs=ms, **more))
    await until(lambda: sum(post.served.app.state.api.claims._of_key.values()) > before)
    return task


@proves("C6")
async def test_a_claim_that_waits_is_woken_by_what_wakes_workers(post: Post) -> None:
    """An event of this process, a hint of another, and, with neither, the look of each second."""
    event = {"eventType": "mail.sent"}
    task = await waiting(post)
    began = time.monotonic()
    assert 201 == (await post.served.http.post("/v1/events", json=event)).status_code
    claimed = await task
    assert (1, 0) == (len(claimed["jobs"]), claimed["retryAfterMs"])
    assert time.monotonic() - began < 0.5
    task = await waiting(post)
    asleep = "select count(*) from outbox.idle where handler = 'pull:mail'"
    await until_value(post, asleep, 1)
    await post.enqueue()
    post.served.wakes.committed({"mail": "pull:mail"})
    assert 1 == len((await task)["jobs"])
    await until_value(post, asleep, 0)
    task = await waiting(post)
    await post.enqueue()
    assert 1 == len((await task)["jobs"])


async def until_value(post: Post, statement: str, expected: Any) -> None:
    for _ in range(200):
        if await post.value(statement) == expected:
            return
        await asyncio.sleep(0.01)
    assert expected == await post.value(statement)


async def test_one_job_wakes_one_of_many_and_the_next_comes_next(post: Post) -> None:
    """In the order they came; who may not have it costs no claim."""
    other = await seed.tenant(post.conn, "other")
    stranger = await waiting(post, await client(post, team=other.team), ms=1500)
    tasks = [await waiting(post, worker=f"w{n}") for n in range(5)]
    while tasks:
        assert 201 == (await post.served.http.post("/v1/events", json={"eventType": "mail.sent"})).status_code
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert [True, *[False] * (len(tasks) - 1)] == [task.done() for task in tasks]
        assert 1 == len(tasks.pop(0).result()["jobs"])
    assert {"lease": None, "jobs": [], "retryAfterMs": 0} == await stranger


async def test_a_paused_queue_looks_empty_and_says_so(post: Post) -> None:
    await post.enqueue()
    await post.conn.execute("select outbox.pause(outbox.me(), 'mail')")
    assert {"lease": None, "jobs": [], "retryAfterMs": 1000, "paused": True} == await post.claim()
    task = await waiting(post)
    await post.conn.execute("select outbox.resume(outbox.me(), 'mail')")
    assert 1 == len((await task)["jobs"])
    await post.conn.execute("select outbox.pause(outbox.me(), 'mail', %s)", (post.tenant.project,))
    assert (await post.claim())["paused"] is True


@proves("E7")
async def test_a_process_that_drains_answers_those_who_wait_at_once(post: Post) -> None:
    tasks = [await waiting(post, worker=f"w{n}") for n in range(3)]
    began = time.monotonic()
    post.served.ready.draining = True
    assert [[]] * 3 == [claimed["jobs"] for claimed in await asyncio.gather(*tasks)]
    assert time.monotonic() - began < 1


@proves("G3", "F8")
async def test_too_many_that_wait_are_told_so(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 50 of a key, 500 of a process."""
    assert (50, 500) == (claims.MOST_PER_KEY, claims.MOST)
    monkeypatch.setattr(claims, "MOST_PER_KEY", 2)
    monkeypatch.setattr(claims, "MOST", 3)
    team = await client(post, team=post.tenant.team)
    tasks = [await waiting(post), await waiting(post)]
    for http in (post.served.http, team):
        refused = await http.post(MAIL, json={**ME, "waitMs": 20_000})
        assert (429, "1") == (refused.status_code, refused.headers["retry-after"])
        assert "rate_limited" == problem(refused)["error"]
        if http is post.served.http:
            tasks.append(await waiting(post, team))
    post.served.ready.draining = True
    await asyncio.gather(*tasks)


async def asked(post: Post, body: bytes, gone: asyncio.Event) -> None:
    """A claim by hand, whose client leaves when it is told to; nobody reads the reply."""
    sent = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if sent:
            return sent.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pass

    headers = [(b"authorization", f"Bearer {post.tenant.key}".encode()), (b"host", b"x")]
    scope = {
        "type": "http", "method": "POST", "path": MAIL, "raw_path": MAIL.encode(), "query_string": b"",
        "headers": headers, "client": ("127.0.0.1", 1), "server": ("x", 80), "scheme": "http",
        "http_version": "1.1", "root_path": "", "asgi": {"version": "3.0"},
    }  # fmt: skip
    await post.served.app(scope, receive, send)


async def test_a_client_that_left_leaves_its_jobs_to_others(post: Post) -> None:
    """Before the reply: released. While it waited: not claimed."""
    gone = asyncio.Event()
    gone.set()
    job = await post.enqueue()
    await asked(post, b'{"worker":"w"}', gone)
    assert (["released"], "queued") == (await post.ledger(job), await post.state(job))
    [again] = (await post.claim())["jobs"]
    assert (job, 1) == (again["id"], again["attempt"])
    gone = asyncio.Event()
    task = asyncio.create_task(asked(post, b'{"worker":"w","waitMs":30000}', gone))
    await until(lambda: sum(post.served.app.state.api.claims._of_key.values()) == 1)
    gone.set()
    await task
    job = await post.enqueue()
    assert [] == await post.ledger(job)
    assert job == (await post.claim())["jobs"][0]["id"]


# Limits and bad input


@proves("G3")
async def test_a_team_has_at_most_a_thousand_live_workers(post: Post) -> None:
    """Who was here goes on; the rows of those that are gone do not pile up."""
    await post.claim()
    await post.conn.execute(
        "insert into outbox.workers (id, name, kind, handlers, queues, team_id, key_id, lock_no, beat_every,"
        " beats, lease_for, started_at, beat_at)"
        " select gen_random_uuid(), 'n' || n, 'pull', '{pull:mail}', '{mail}', %s, %s, 0, '1 min', false,"
        " '1 min', now(), now() from generate_series(1, 999) n",
        (post.tenant.team, post.tenant.key_id),
    )
    refused = await post.served.http.post(MAIL, json={"worker": "one too many"})
    assert (409, "LimitReached") == (refused.status_code, problem(refused)["error"])
    assert 200 == (await post.served.http.post(MAIL, json=ME)).status_code
    await post.conn.execute(
        "update outbox.workers set beat_at = now() - interval '1 day' where name like 'n%'"
    )
    for n in range(5):
        assert 200 == (await post.served.http.post(MAIL, json={"worker": f"new {n}"})).status_code
    assert 1000 >= await post.value(
        "select count(*) from outbox.workers where beat_at < now() - interval '1 h'"
    )


async def test_workers_with_a_key_are_among_the_live_ones(post: Post) -> None:
    for _ in range(2):
        await post.enqueue()
    await post.claim(limit=2, leaseSeconds=90)
    cur = await post.conn.execute("select * from outbox.live_workers")
    [row] = await cur.fetchall()
    assert ("w1", "pull", "alive", ["mail"], ["pull:mail"], 2, 2) == (
        row["name"], row["kind"], row["state"], row["queues"], row["handlers"], row["slots"], row["running"],
    )  # fmt: skip
    assert 1 == await post.value("select workers from outbox.queue_depth where queue = 'mail'")


BAD: list[tuple[str, Any, str | None]] = [
    ("claim", {}, "/worker"),
    ("claim", {"worker": ""}, "/worker"),
    ("claim", {"worker": "x" * 121}, "/worker"),
    ("claim", {"worker": "a\nb"}, "/worker"),
    ("claim", {"worker": "a\n"}, "/worker"),
    ("claim", {"worker": 1}, "/worker"),
    ("claim", {**ME, "limit": 0}, "/limit"),
    ("claim", {**ME, "limit": 101}, "/limit"),
    ("claim", {**ME, "limit": "1"}, "/limit"),
    ("claim", {**ME, "leaseSeconds": 4}, "/leaseSeconds"),
    ("claim", {**ME, "leaseSeconds": 3601}, "/leaseSeconds"),
    ("claim", {**ME, "waitMs": -1}, "/waitMs"),
    ("claim", {**ME, "waitMs": 30_001}, "/waitMs"),
    ("claim", {**ME, "more": 1}, "/more"),
    ("claim", [], None),
    ("settle", {}, "/results"),
    ("settle", {"results": []}, "/results"),
    ("settle", {"results": [{"jobId": "x", "outcome": "done"}]}, "/results/0/outcome"),
    ("settle", {"results": [{"outcome": "completed"}]}, "/results/0/jobId"),
    ("settle", {"results": [{"jobId": "x", "outcome": "completed", "ms": 1}]}, "/results/0/ms"),
    ("settle", {"results": [{"jobId": "x", "outcome": "snoozed"}]}, "/results/0/forMs"),
    ("settle", {"results": [{"jobId": "x", "outcome": "failed", "retryInMs": -1}]}, "/results/0/retryInMs"),
    ("settle", {"results": [{"jobId": "x", "outcome": "failed", "error": {"a": 1}}]}, "/results/0/error/a"),
    ("settle", {"results": [{"jobId": "x", "outcome": "completed"}] * 2}, "/results/1/jobId"),
    ("settle", {"results": [{"jobId": "x", "outcome": "completed"}] * 101}, "/results"),
    ("settle", {"results": [{"jobId": "x", "outcome": "completed"}], "events": [{}]}, "/events/0/eventType"),
    ("settle", {"results": [{"jobId": "x", "outcome": "completed"}], "events": [{"eventType": "a", "b": 1}]},
     "/events/0/b"),
    ("extend", {}, "/leaseSeconds"),
    ("extend", {"leaseSeconds": 4}, "/leaseSeconds"),
    ("extend", {"leaseSeconds": 60, "jobIds": []}, "/jobIds"),
    ("release", {"jobIds": "all"}, "/jobIds"),
    ("release", {"reason": ""}, "/reason"),
    ("report", {}, "/jobId"),
    ("report", {"jobId": "x", "progress": {"percent": 101}}, "/progress/percent"),
    ("report", {"jobId": "x", "progress": {"note": "x" * 201}}, "/progress/note"),
]  # fmt: skip


@proves("I4")
async def test_bad_input_is_refused_with_a_pointer_and_changes_nothing(post: Post) -> None:
    lease, job = await post.one()
    for verb, body, pointer in BAD:
        path = MAIL if verb == "claim" else f"/v1/leases/{lease}/{verb}"
        reply = await post.served.http.post(path, json=body)
        said = problem(reply)
        assert (400, "ValidationError") == (reply.status_code, said["error"]), (verb, body)
        if pointer is not None:
            assert pointer == said["errors"][0]["pointer"], (verb, body)
    for path in (MAIL, f"/v1/leases/{lease}/settle"):
        assert 400 == (await post.served.http.post(path)).status_code
        assert 400 == (await post.served.http.post(path + "?a=1", json=ME)).status_code
    assert ("processing", []) == (await post.state(job), await post.ledger(job))
