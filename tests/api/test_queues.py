"""Queues, routes, workers, and jobs without an event: what each tenant sees of them and may do."""

from typing import Any

import httpx
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.store import tenants
from tests import seed
from tests.api.served import Served, problem, serving

Conn = AsyncConnection[DictRow]
HOUR = 3_600_000
UNKNOWN = "0197f1c2-7a00-7000-8000-000000000001"


async def now(conn: Conn) -> int:
    found = await (await conn.execute("select outbox.ms(outbox.clock()) as now")).fetchone()
    assert found
    at: int = found["now"]
    return at


async def made(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    reply = await http.post("/v1/jobs", json={"queue": "thumbs", **body})
    assert 201 == reply.status_code, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def fails(conn: Conn, job: str) -> None:
    """The job is claimed and ends as a dead letter."""
    enlisted = await conn.execute("select worker_id as w from outbox.enlist('w', '{pull:thumbs}')")
    worker = (await enlisted.fetchone() or {})["w"]
    [claimed] = await (await conn.execute("select * from outbox.claim(%s, 1)", [worker])).fetchall()
    assert job == str(claimed["job_id"])
    said = f'[{{"lease":"{claimed["lease_id"]}","job":"{job}","ms":1,"outcome":"failed","final":true}}]'
    await conn.execute("select outbox.settle(%s, %s)", [worker, said])


async def test_a_job_is_made_once_by_its_unique_key(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        options = {
            "payload": {"n": [1, "é"]},
            "priority": 5,
            "maxAttempts": 3,
            "timeoutMs": 9000,
            "runAtEpoch": await now(conn) + HOUR,
            "deadlineEpoch": await now(conn) + 2 * HOUR,
            "uniqueKey": "a",
        }
        first = await made(served.http, **options)
        again = await made(served.http, **options)
        audit = (await served.http.get("/v1/audit", params={"action": "job.enqueued"})).json()["entries"]
    job = first["generationJob"]
    assert ("queued", "thumbs", "pull:thumbs", "direct", 5, 3) == (
        job["status"], job["queue"], job["handler"], job["sourceType"], job["priority"], job["maxAttempts"]
    )  # fmt: skip
    assert (options["runAtEpoch"], options["deadlineEpoch"]) == (job["runAtEpoch"], job["deadlineEpoch"])
    assert "duplicate" not in first
    assert (job["id"], True) == (again["generationJob"]["id"], again["duplicate"])
    assert [(job["id"], {"queue": "thumbs", "uniqueKey": "a"})] == [
        (entry["resourceId"], entry["details"]) for entry in audit
    ]
    stored = await (await conn.execute("select payload from outbox.jobs")).fetchall()
    assert [{"n": [1, "é"]}] == [row["payload"] for row in stored]


async def test_a_request_that_is_sent_again_makes_no_second_job(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        replies = [
            await served.http.post("/v1/jobs", json={"queue": "q"}, headers={"idempotency-key": "a"})
            for _ in range(2)
        ]
    assert replies[0].json() == replies[1].json()
    assert "true" == replies[1].headers["idempotency-replayed"]


BAD_JOBS: list[tuple[dict[str, Any], int, list[str] | None]] = [
    ({"queue": "q", "orderingKey": "a"}, 400, ["orderingKey"]),
    ({}, 400, ["queue"]),
    ({"queue": "Q"}, 400, ["queue"]),
    ({"queue": "q\n"}, 400, ["queue"]),
    ({"queue": "q", "priority": 101}, 400, ["priority"]),
    ({"queue": "q", "runAtEpoch": 253402300799999}, 400, ["runAtEpoch"]),
    ({"queue": "q", "expiresAtEpoch": 1}, 400, ["expiresAtEpoch"]),
    ({"queue": "q", "onDuplicate": "postpone"}, 400, ["onDuplicate"]),
    ({"queue": "q", "handler": "nobody"}, 400, None),
    ({"queue": "q", "payload": "x" * 1_100_000}, 413, ["payload"]),
    ({"queue": "observe"}, 403, None),
    ({"queue": "closed"}, 403, None),
    ({"queue": "endpoint:x"}, 403, None),
    ({"queue": "q", "projectId": UNKNOWN}, 403, None),
]


async def test_a_job_that_cannot_be_is_refused_and_leaves_nothing(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    _, team = await seed.key(conn, tenant.team, "*")
    await seed.queue(conn, "closed", "sql:public.secret")
    await conn.execute(
        "insert into outbox.handlers (name, declared_by, created_at) "
        "values ('sql:public.secret', 'test', outbox.clock())"
    )
    async with serving(db, tenant.key) as served, served.client(team) as wide:
        for body, status, path in BAD_JOBS:
            http = wide if "projectId" in body else served.http
            reply = await http.post("/v1/jobs", json=body)
            assert status == reply.status_code, f"{body}: {reply.text}"
            assert path is None or path == problem(reply)["issues"][0]["path"]
    assert 0 == (await seed.counts(conn))["jobs"]
    assert [] == await (await conn.execute("select from outbox.queues where name = 'q'")).fetchall()


async def test_a_job_is_put_off_and_what_is_not_queued_is_not(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        job = (await made(served.http))["generationJob"]["id"]
        until = await now(conn) + HOUR
        path = f"/v1/jobs/{job}/snooze"
        said = await served.http.post(path, json={"untilEpoch": until, "reason": "lunch"})
        past = await served.http.post(path, json={"untilEpoch": 1})
        late = await served.http.post(path, json={"untilEpoch": until + 100 * 24 * HOUR})
        await served.http.post(f"/v1/jobs/{job}/cancel")
        ended = await served.http.post(path, json={"untilEpoch": until})
        unknown = await served.http.post(f"/v1/jobs/{UNKNOWN}/snooze", json={"untilEpoch": until})
    found = said.json()["generationJob"]
    assert (200, until, "lunch") == (said.status_code, found["runAtEpoch"], found["heldReason"])
    assert [["untilEpoch"]] * 2 == [each.json()["issues"][0]["path"] for each in (past, late)]
    assert [400, 400, 409, 404] == [each.status_code for each in (past, late, ended, unknown)]


async def test_dead_letters_are_let_go_by_an_admin_alone(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    _, writes = await seed.key(conn, tenant.team, "jobs:write", project=tenant.project)
    body = {"filter": {"queue": "thumbs"}}
    async with serving(db, tenant.key) as served:
        job = (await made(served.http))["generationJob"]["id"]
        await fails(conn, job)
        async with served.client(writes) as http:
            refused = await http.post("/v1/jobs/purge", json=body)
        dry = (await served.http.post("/v1/jobs/purge", json={**body, "dryRun": True})).json()
        done = (await served.http.post("/v1/jobs/purge", json=body)).json()
        wrong = await served.http.post("/v1/jobs/purge", json={"filter": {"status": ["queued"]}})
        again = await served.http.post(f"/v1/jobs/{job}/retry")
    assert (403, 400, 409) == (refused.status_code, wrong.status_code, again.status_code)
    assert (True, 1, [job]) == (dry["dryRun"], dry["matched"], dry["sample"])
    assert (False, 1) == (done["dryRun"], done["affected"])


async def test_a_queue_is_counted_for_who_asks(db: Database, conn: Conn) -> None:
    mine, theirs = await seed.tenant(conn), await seed.tenant(conn, "other")
    operator = await seed.key(conn, None, "*")
    await seed.route(conn, "keyed", "thumbs", handler="pull:thumbs")
    async with serving(db, mine.key) as served:
        await fails(conn, (await made(served.http))["generationJob"]["id"])
        for _ in range(3):
            await made(served.http)
        await made(served.http, runAtEpoch=await now(conn) + HOUR)
        await served.http.post("/v1/events", json={"eventType": "keyed", "orderingKey": "k"})
        await conn.execute("select outbox.sequence(%s)", [[mine.project]])
        await conn.execute("select outbox.place(%s)", [mine.project])
        async with served.client(theirs.key) as http:
            await made(http)
            other = (await http.get("/v1/queues/thumbs")).json()["queue"]
            assert ["thumbs"] == [each["name"] for each in (await http.get("/v1/queues")).json()["queues"]]
        own = (await served.http.get("/v1/queues/thumbs")).json()["queue"]
        async with served.client(operator[1]) as http:
            all_ = (await http.get("/v1/queues/thumbs")).json()["queue"]
    counted = ("due", "later", "held", "running", "failed")
    assert [(4, 1, 0, 0, 1), (1, 0, 0, 0, 0), (5, 1, 0, 0, 1)] == [
        tuple(each[name] for name in counted) for each in (own, other, all_)
    ]
    assert ("pull:thumbs", "pull", False) == (own["handler"], own["class"], own["paused"])
    assert own["oldestDueAtEpoch"] <= other["oldestDueAtEpoch"]
    assert {
        "concurrency": None, "perWorker": None, "leaseSize": 50, "rate": None, "attempts": 12,
        "backoff": {"baseMs": 5000, "capMs": 3_600_000}, "timeoutMs": 300_000, "onDead": "advance",
    } == own["settings"]  # fmt: skip


async def test_what_runs_is_counted_and_remembered_for_a_while(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await made(served.http)
        before = (await served.http.get("/v1/queues/thumbs")).json()["queue"]
        worker = await conn.execute("select worker_id as w from outbox.enlist('w', '{pull:thumbs}')")
        await conn.execute("select outbox.claim(%s, 1)", [(await worker.fetchone() or {})["w"]])
        cached = (await served.http.get("/v1/queues/thumbs")).json()["queue"]
        served.app.state.api.depths.forget()
        after = (await served.http.get("/v1/queues/thumbs")).json()["queue"]
    assert [(1, 0), (1, 0), (0, 1)] == [(q["due"], q["running"]) for q in (before, cached, after)]


async def test_queues_come_in_pages_by_name(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        for name in "cab":
            await made(served.http, queue=name)
        first = (await served.http.get("/v1/queues?limit=2")).json()
        rest = (await served.http.get("/v1/queues", params={"cursor": first["nextCursor"]})).json()
    assert ["a", "b", "c"] == [queue["name"] for queue in first["queues"] + rest["queues"]]
    assert rest["nextCursor"] is None


async def test_a_queue_in_which_nothing_of_theirs_was_is_unknown(db: Database, conn: Conn) -> None:
    mine, theirs = await seed.tenant(conn), await seed.tenant(conn, "other")
    sibling = await tenants.make_project(conn, seed.OPERATOR, mine.team, "sibling")
    _, beside = await seed.key(conn, mine.team, "*", project=sibling)
    async with serving(db, mine.key) as served:
        await made(served.http)
        for key in (theirs.key, beside):
            async with served.client(key) as http:
                for method, body in (("GET", None), ("PATCH", {"paused": True})):
                    reply = await http.request(method, "/v1/queues/thumbs", json=body)
                    assert (404, "Queue not found") == (reply.status_code, reply.json()["message"])
                assert [] == (await http.get("/v1/queues")).json()["queues"]
    assert [] == await (await conn.execute("select from outbox.shares")).fetchall()


async def test_a_tenant_pauses_its_own_share_and_nothing_else(db: Database, conn: Conn) -> None:
    mine, theirs = await seed.tenant(conn), await seed.tenant(conn, "other")
    until = await now(conn) + HOUR
    async with serving(db, mine.key) as served:
        await made(served.http)
        async with served.client(theirs.key) as http:
            await made(http)
            patch = {"paused": True, "reason": "a fire", "untilEpoch": until}
            paused = (await served.http.patch("/v1/queues/thumbs", json=patch)).json()["queue"]
            other = (await http.get("/v1/queues/thumbs")).json()["queue"]
        resumed = (await served.http.patch("/v1/queues/thumbs", json={"paused": False})).json()["queue"]
        refused = await served.http.patch("/v1/queues/thumbs", json={"concurrency": 5})
        weighed = await served.http.patch("/v1/queues/thumbs", json={"weight": 100})
        audit = (await served.http.get("/v1/audit", params={"action": "queue.*"})).json()["entries"]
    told = ("paused", "pausedUntilEpoch", "pausedReason", "pausedProjects")
    assert (True, until, "a fire", [str(mine.project)]) == tuple(paused[name] for name in told)
    assert [(False, None, None, [])] * 2 == [tuple(q[name] for name in told) for q in (other, resumed)]
    assert (403, 403) == (refused.status_code, weighed.status_code)
    assert ["queue.resumed", "queue.paused"] == [entry["action"] for entry in audit]


async def test_a_key_of_a_team_says_whose_share(db: Database, conn: Conn) -> None:
    tenant, other = await seed.tenant(conn), await seed.tenant(conn, "other")
    sibling = await tenants.make_project(conn, seed.OPERATOR, tenant.team, "sibling")
    _, key = await seed.key(conn, tenant.team, "*")
    async with serving(db, key) as served:
        await made(served.http, projectId=str(tenant.project))
        path = "/v1/queues/thumbs"
        unnamed = await served.http.patch(path, json={"paused": True})
        foreign = await served.http.patch(path, json={"paused": True, "projectId": str(other.project)})
        one = await served.http.patch(path, json={"paused": True, "projectId": str(tenant.project)})
        both = await served.http.patch(path, json={"paused": True, "projectId": str(sibling)})
    assert (400, ["projectId"]) == (unnamed.status_code, unnamed.json()["issues"][0]["path"])
    assert (403, "project_id must belong to team_id") == (foreign.status_code, foreign.json()["message"])
    assert [(False, 1), (True, 2)] == [
        (each.json()["queue"]["paused"], len(each.json()["queue"]["pausedProjects"])) for each in (one, both)
    ]


async def test_an_operator_key_sets_limits_and_pauses_the_whole_queue(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    _, operator = await seed.key(conn, None, "*")
    wanted = {"concurrency": 8, "rate": {"perSecond": 2.5, "burst": 5}, "attempts": 3, "onDead": "block"}
    async with serving(db, operator) as served:
        async with served.client(tenant.key) as http:
            await made(http)
            path = "/v1/queues/thumbs"
            share = {"projectId": str(tenant.project), "weight": 7}
            settings = (await served.http.patch(path, json={**wanted, **share})).json()["queue"]["settings"]
            await served.http.patch(path, json={"paused": True, "reason": "bill"})
            seen = (await http.get(path)).json()["queue"]
        back = (await served.http.patch(path, json={"rate": None, "concurrency": None})).json()["queue"]
        nothing = await served.http.patch(path, json={"reason": "why"})
        unknown = await served.http.patch("/v1/queues/nothing", json={"concurrency": 1})
        nobody = await served.http.patch(path, json={"weight": 1, "projectId": UNKNOWN})
    assert wanted == {name: settings[name] for name in wanted}
    assert (True, "bill") == (seen["paused"], seen["pausedReason"])
    assert (None, None) == (back["settings"]["rate"], back["settings"]["concurrency"])
    assert [400, 404, 404] == [each.status_code for each in (nothing, unknown, nobody)]
    weight = await (await conn.execute("select weight from outbox.shares")).fetchone()
    assert {"weight": 7} == weight


async def test_a_route_is_made_listed_changed_and_removed(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    body = {
        "pattern": "order.*",
        "queue": "thumbs",
        "contains": {"n": 1},
        "delayMs": 90_000,
        "ordered": False,
    }
    async with serving(db, tenant.key) as served:
        reply = await served.http.post("/v1/routes", json=body)
        route = reply.json()["route"]
        listed = (await served.http.get("/v1/routes")).json()
        asked = {"type": "order.paid", "payload": '{"n":1}'}
        match = (await served.http.get("/v1/routes/match", params=asked)).json()["routes"]
        path = f"/v1/routes/{route['id']}"
        changed = (await served.http.patch(path, json={"enabled": False, "delayMs": None})).json()["route"]
        none = (await served.http.get("/v1/routes/match", params={"type": "order.paid"})).json()["routes"]
        gone = [await served.http.delete(path) for _ in range(2)]
        audit = (await served.http.get("/v1/audit", params={"action": "route.*"})).json()["entries"]
    assert (201, body) == (reply.status_code, {name: route[name] for name in body})
    assert (str(tenant.project), "pull:thumbs", True) == (
        route["projectId"], route["handler"], route["enabled"]
    )  # fmt: skip
    assert {"routes": [route], "nextCursor": None} == listed
    assert [(route["id"], True)] == [(each["routeId"], each["decides"]) for each in match]
    assert [] == none
    assert (False, None) == (changed["enabled"], changed["delayMs"])
    assert [204, 404] == [each.status_code for each in gone]
    assert ["route.removed", "route.changed", "route.added"] == [entry["action"] for entry in audit]


async def test_a_route_has_the_scope_of_its_key(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    sibling = await tenants.make_project(conn, seed.OPERATOR, tenant.team, "sibling")
    keys = {
        "project": tenant.key,
        "sibling": (await seed.key(conn, tenant.team, "*", project=sibling))[1],
        "team": (await seed.key(conn, tenant.team, "*"))[1],
        "operator": (await seed.key(conn, None, "*"))[1],
        "stranger": (await seed.tenant(conn, "other")).key,
    }
    async with serving(db) as served:
        ids = {who: await _routed(served, keys[who]) for who in ("project", "team", "operator")}
        seen = {who: await _visible(served, key) for who, key in keys.items()}
        removing = {
            (who, whose): await _removed(served, keys[who], route)
            for whose, route in ids.items()
            for who in ("stranger", "sibling", "project", "team", "operator")
        }
    project, team, operator = ids["project"], ids["team"], ids["operator"]
    assert {
        "project": [project, team, operator],
        "sibling": [team, operator],
        "team": [project, team, operator],
        "operator": [operator],
        "stranger": [operator],
    } == seen
    assert {
        ("stranger", "project"): 404, ("sibling", "project"): 403, ("project", "project"): 204,
        ("team", "project"): 404, ("operator", "project"): 404,
        ("stranger", "team"): 404, ("sibling", "team"): 403, ("project", "team"): 403, ("team", "team"): 204,
        ("operator", "team"): 404,
        ("stranger", "operator"): 403, ("sibling", "operator"): 403, ("project", "operator"): 403,
        ("team", "operator"): 403, ("operator", "operator"): 204,
    } == removing  # fmt: skip


async def _routed(served: Served, key: str) -> str:
    async with served.client(key) as http:
        reply = await http.post("/v1/routes", json={"pattern": "a", "queue": "thumbs"})
        assert 201 == reply.status_code, reply.text
        route: str = reply.json()["route"]["id"]
        return route


async def _visible(served: Served, key: str) -> list[str]:
    async with served.client(key) as http:
        return [route["id"] for route in (await http.get("/v1/routes")).json()["routes"]]


async def _removed(served: Served, key: str, route: str) -> int:
    async with served.client(key) as http:
        return (await http.delete(f"/v1/routes/{route}")).status_code


BAD_ROUTES: list[tuple[dict[str, Any], int]] = [
    ({"pattern": "a.*.b", "queue": "q"}, 400),
    ({"pattern": "a"}, 400),
    ({"pattern": "a", "queue": "q", "contains": []}, 400),
    ({"pattern": "a", "queue": "q", "contains": {"a": "x" * 5000}}, 400),
    ({"pattern": "a", "queue": "q", "handler": "nobody"}, 400),
    ({"pattern": "a", "queue": "q", "speed": 9}, 400),
    ({"pattern": "a", "queue": "observe"}, 403),
    ({"pattern": "a", "queue": "q", "projectId": UNKNOWN}, 403),
]


async def test_a_route_that_cannot_be_is_refused(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    _, team = await seed.key(conn, tenant.team, "*")
    await seed.queue(conn, "observe", "observe")
    async with serving(db, tenant.key) as served, served.client(team) as wide:
        for body, status in BAD_ROUTES:
            reply = await (wide if "projectId" in body else served.http).post("/v1/routes", json=body)
            assert status == reply.status_code, f"{body}: {reply.text}"
    assert [] == await (await conn.execute("select from outbox.routes")).fetchall()


async def test_what_would_match_is_asked_of_a_project(db: Database, conn: Conn) -> None:
    tenant, other = await seed.tenant(conn), await seed.tenant(conn, "other")
    _, team = await seed.key(conn, tenant.team, "*")
    _, operator = await seed.key(conn, None, "*")
    async with serving(db) as served:
        found: dict[str, int] = {}
        for who, key, query in (
            ("no type", tenant.key, {}),
            ("no json", tenant.key, {"type": "a", "payload": "{"}),
            ("no project", team, {"type": "a"}),
            ("foreign", team, {"type": "a", "projectId": str(other.project)}),
            ("operator", operator, {"type": "a"}),
            ("own", team, {"type": "a", "projectId": str(tenant.project)}),
        ):
            async with served.client(key) as http:
                found[who] = (await http.get("/v1/routes/match", params=query)).status_code
    assert {
        "no type": 400, "no json": 400, "no project": 400, "foreign": 404, "operator": 403, "own": 200
    } == found  # fmt: skip


async def test_workers_are_shown_without_the_machine_they_run_on(db: Database, conn: Conn) -> None:
    mine, theirs = await seed.tenant(conn), await seed.tenant(conn, "other")
    _, operator = await seed.key(conn, None, "*")
    for name in ("daemon", "mine", "theirs"):
        await conn.execute(
            """select outbox.enlist(%s, '{pull:thumbs}', null, '{"host": "box-7", "pid": 4711}')""", [name]
        )
    for name, tenant in (("mine", mine), ("theirs", theirs)):
        await conn.execute(
            "update outbox.workers set kind = 'pull', team_id = %s, project_id = %s where name = %s",
            [tenant.team, tenant.project, name],
        )
    async with serving(db, mine.key) as served:
        own = await served.http.get("/v1/workers")
        async with served.client(operator) as http:
            every = (await http.get("/v1/workers")).json()["workers"]
            page = (await http.get("/v1/workers?limit=2")).json()
            rest = (await http.get("/v1/workers", params={"cursor": page["nextCursor"]})).json()
    assert ["mine"] == [worker["name"] for worker in own.json()["workers"]]
    assert "box-7" not in own.text
    assert "4711" not in own.text
    assert {("box-7", 4711)} == {(worker["host"], worker["pid"]) for worker in every}
    assert ["theirs", "mine", "daemon"] == [each["name"] for each in every]
    assert every == page["workers"] + rest["workers"]
