"""What is done with an endpoint over HTTP: switched, tried, its deliveries looked at and sent again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.handlers import deliver, recover, signing
from outboxd.handlers.signing import HmacKey
from tests import seed
from tests.api.served import Served, problem, serving
from tests.egress.scripted import serving as listening
from tests.handlers.desk import Target, says
from tests.loops.crew import Crew
from tests.proofs import proves
from tests.waiting import until

Conn = AsyncConnection[DictRow]
SEAL = {"SECRET_KEYS": "k1:" + "A" * 43 + "="}
NEAR = {**SEAL, "EGRESS_ALLOW": "127.0.0.1/32"}
UNKNOWN = "00000000-0000-0000-0000-000000000001"


class Shop:
    """A project with an endpoint on loopback, served; `work` lets deliveries go."""

    def __init__(self, served: Served, tenant: seed.Tenant, crew: Crew, target: Target) -> None:
        self.served = served
        self.tenant = tenant
        self.crew = crew
        self.target = target
        self.id = ""
        self.secret = ""

    async def endpoint(self, **fields: Any) -> str:
        reply = await self.served.http.post("/v1/endpoints", json={"url": self.target.url, **fields})
        assert reply.status_code == 201, reply.text
        self.id, self.secret = reply.json()["endpoint"]["id"], reply.json()["secret"]
        return self.id

    async def publish(self, n: int = 1, **more: Any) -> list[str]:
        """The jobs that were made."""
        jobs = []
        for each in range(n):
            body = {"eventType": "order.paid", "payload": {"n": each}, **more}
            reply = await self.served.http.post("/v1/events", json=body)
            jobs += [job["id"] for job in reply.json()["jobs"]]
        return jobs

    async def post(self, path: str, body: Any = None, status: int = 200, **headers: str) -> dict[str, Any]:
        reply = await self.served.http.post(f"/v1/endpoints/{path}", json=body, headers=headers)
        assert reply.status_code == status, reply.text
        found: dict[str, Any] = reply.json()
        return found

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        reply = await self.served.http.get(f"/v1/endpoints/{path}", params=query)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    @asynccontextmanager
    async def work(self) -> AsyncIterator[None]:
        config, egress = self.served.config, self.served.egress
        async with self.crew.at_work(
            [deliver.handler(self.crew.db, egress, config), recover.handler(self.crew.db)]
        ):
            yield

    async def number(self) -> None:
        for _ in range(5):
            await self.crew.value("select count(*) from outbox.sequence(array[%s::uuid])", self.crew.project)
            await self.crew.rows("select outbox.place(%s)", self.crew.project)


@asynccontextmanager
async def open_shop(dsn: str, db: Database, conn: Conn, **settings: str) -> AsyncIterator[Shop]:
    tenant = await seed.tenant(conn)
    await conn.execute("update outbox.projects set egress = true where id = %s", [tenant.project])
    crew = Crew(dsn, db, conn)
    crew.project, crew.team = tenant.project, tenant.team
    target = Target()
    async with (
        listening(target.act) as target.server,
        serving(db, tenant.key, **{**NEAR, **settings}) as served,
    ):
        yield Shop(served, tenant, crew, target)


@pytest.fixture
async def shop(dsn: str, db: Database, conn: Conn) -> AsyncIterator[Shop]:
    async with open_shop(dsn, db, conn) as opened:
        yield opened


# On and off ----------------------------------------------------------------------------------------------


async def test_disabling_and_enabling_is_told_audited_and_forgets_failures(shop: Shop) -> None:
    await shop.endpoint(uid="u")
    await shop.crew.conn.execute(
        "update outbox.endpoints set consecutive_failures = 7, first_failure_at = outbox.clock(), trips = 2"
    )
    off = (await shop.post("uid:u/disable"))["endpoint"]
    again = (await shop.post(f"{shop.id}/disable"))["endpoint"]
    none = await shop.publish()
    on = (await shop.post("uid:u/enable"))["endpoint"]
    some = await shop.publish()
    row = (await shop.crew.rows("select * from outbox.endpoints"))[0]

    assert ("disabled", "operator", "operator") == (
        off["state"],
        off["disabledReason"],
        again["disabledReason"],
    )
    assert ("enabled", None) == (on["state"], on["disabledReason"])
    assert (0, 1) == (len(none), len(some))
    assert (0, None, 0) == (row["consecutive_failures"], row["first_failure_at"], row["trips"])
    trail = await shop.crew.rows(
        "select action, key_id, details ->> 'outcome' as outcome from outbox.audit_log"
        " where action in ('endpoint.enabled', 'endpoint.disabled') order by id"
    )
    assert [("endpoint.disabled", None), ("endpoint.disabled", "noop"), ("endpoint.enabled", None)] == [
        (each["action"], each["outcome"]) for each in trail
    ]
    assert {shop.tenant.key_id} == {each["key_id"] for each in trail}


async def test_enabling_ends_a_pause_and_a_cool_down(shop: Shop) -> None:
    await shop.endpoint(state="paused")
    await shop.crew.conn.execute(
        "update outbox.queues set closed_reason = 'endpoint', closed_until = outbox.clock() + interval '1 h'"
        " where name like 'endpoint:%'"
    )
    assert "enabled" == (await shop.post(f"{shop.id}/enable"))["endpoint"]["state"]
    await shop.publish()
    async with shop.work():
        await until(lambda: len(shop.target.got) == 1)


async def test_health_tells_what_waits_and_how_it_goes(shop: Shop) -> None:
    await shop.endpoint()
    await shop.publish(3)
    health = (await shop.get(shop.id))["endpoint"]["health"]

    assert {
        "state",
        "closedUntilEpoch",
        "consecutiveFailures",
        "firstFailureAtEpoch",
        "lastSuccessAtEpoch",
        "queued",
        "oldestQueuedAtEpoch",
    } <= health.keys()
    assert (3, 0, None) == (health["queued"], health["consecutiveFailures"], health["firstFailureAtEpoch"])


async def test_a_project_has_at_most_100_endpoints(shop: Shop) -> None:
    await shop.endpoint()
    await shop.crew.conn.execute(
        """
        with q as (insert into outbox.queues (name, handler, class, created_at)
          select 'endpoint:x' || n, 'deliver', 'endpoint', outbox.clock() from generate_series(1, 99) n
          returning id)
        insert into outbox.endpoints (id, team_id, project_id, queue_id, url, created_at, updated_at)
        select gen_random_uuid(), %s, %s, q.id, 'https://x.test', outbox.clock(), outbox.clock() from q
        """,
        [shop.tenant.team, shop.tenant.project],
    )
    refused = problem(await shop.served.http.post("/v1/endpoints", json={"url": shop.target.url}))

    assert (409, "LimitReached") == (refused["status"], refused["error"])


# Deliveries ----------------------------------------------------------------------------------------------


async def test_deliveries_are_listed_newest_first_with_their_last_attempt(shop: Shop) -> None:
    await shop.endpoint(terminal4xx=True)
    other = await shop.served.http.post("/v1/endpoints", json={"url": shop.target.url, "types": ["no"]})
    shop.target.answers = [says(200, body=b"thanks"), says(404, "Content-Type: text/plain", body=b"nope")]
    first = await shop.publish()
    async with shop.work():
        await shop.crew.attempt(UUID(first[0]), "completed")
        second = await shop.publish()
        await shop.crew.attempt(UUID(second[0]), "failed")
    third = await shop.publish()
    found = (await shop.get(f"{shop.id}/deliveries"))["deliveries"]
    page = await shop.get(f"{shop.id}/deliveries", limit=2)
    rest = await shop.get(f"{shop.id}/deliveries", limit=2, cursor=page["nextCursor"])

    assert [*third, *second, *first] == [each["id"] for each in found]
    assert ["queued", "failed", "completed"] == [each["status"] for each in found]
    assert found[0]["lastAttempt"] is None
    last = found[1]["lastAttempt"]
    assert ("failed", "client_error", 404) == (last["outcome"], last["class"], last["status"])
    assert ("nope", "text/plain", "127.0.0.1") == (
        last["delivery"]["body"],
        last["delivery"]["contentType"],
        last["delivery"]["address"],
    )
    assert (2, first) == (len(page["deliveries"]), [each["id"] for each in rest["deliveries"]])
    assert rest["nextCursor"] is None
    assert [] == (await shop.get(f"{other.json()['endpoint']['id']}/deliveries"))["deliveries"]

    event = found[1]["sourceId"]
    for query, wanted in (
        ({"status": "failed"}, second),
        ({"status": "queued,completed"}, [*third, *first]),
        ({"class": "ok"}, first),
        ({"class": "client_error"}, second),
        ({"eventId": event}, second),
        ({"eventId": UNKNOWN}, []),
        ({"since": found[1]["createdAtEpoch"] + 1_000_000}, []),
        ({"until": found[2]["createdAtEpoch"]}, []),
    ):
        told = await shop.get(f"{shop.id}/deliveries", **query)
        assert wanted == [each["id"] for each in told["deliveries"]], query
    for wrong in ({"status": "odd"}, {"since": "x"}, {"nonsense": "1"}):
        reply = await shop.served.http.get(f"/v1/endpoints/{shop.id}/deliveries", params=wrong)
        assert 400 == reply.status_code, wrong


async def test_a_redelivery_is_a_fresh_delivery_of_the_same_event_and_a_live_one_is_itself(
    shop: Shop,
) -> None:
    await shop.endpoint()
    (job,) = await shop.publish()
    live = (await shop.post(f"{shop.id}/deliveries/{job}/redeliver"))["generationJob"]
    async with shop.work():
        await shop.crew.attempt(UUID(job), "completed")
        fresh = await shop.post(f"{shop.id}/deliveries/{job}/redeliver", status=202)
        await until(lambda: len(shop.target.got) == 2)
    made = fresh["generationJob"]

    assert job == live["id"] != made["id"]
    assert (live["sourceId"], f"endpoint:{shop.id}") == (made["sourceId"], made["queue"])
    ids, attempts, times = zip(
        *(
            (each.headers["webhook-id"], each.headers["outboxd-attempt"], each.headers["webhook-signature"])
            for each in shop.target.got
        ),
        strict=True,
    )
    assert ({live["sourceId"]}, {"1"}, 2) == (set(ids), set(attempts), len(times))


async def test_a_redelivery_waits_at_the_end_of_its_lane(shop: Shop) -> None:
    await shop.endpoint(ordering="key")
    (first,) = await shop.publish(orderingKey="k")
    await shop.number()
    async with shop.work():
        await shop.crew.attempt(UUID(first), "completed")
    (newer,) = await shop.publish(orderingKey="k")
    await shop.number()
    again = (await shop.post(f"{shop.id}/deliveries/{first}/redeliver", status=202))["generationJob"]["id"]
    await shop.served.http.post("/v1/events", json={"eventType": "a", "orderingKey": "other"})
    async with shop.work():
        await shop.crew.attempt(UUID(again), "completed")

    assert ["completed"] == await shop.crew.outcomes(UUID(newer))
    order = [each.headers["webhook-id"] for each in shop.target.got]
    assert order[0] == order[2] != order[1]


async def test_what_cannot_be_redelivered_is_refused(shop: Shop) -> None:
    first = await shop.endpoint()
    (job,) = await shop.publish()
    await shop.crew.conn.execute("select outbox.cancel(outbox.me(), %s)", [job])
    second = await shop.endpoint(types=["none"])
    for path in (f"{second}/deliveries/{job}", f"{first}/deliveries/{UNKNOWN}", f"{first}/deliveries/x"):
        await shop.post(f"{path}/redeliver", status=404)
    await shop.post(f"{first}/disable")
    await shop.post(f"{first}/deliveries/{job}/redeliver", status=409)
    await shop.post(f"{first}/enable")
    await shop.crew.conn.execute("update outbox.events set expunged_at = outbox.clock(), payload = '{}'")
    await shop.post(f"{first}/deliveries/{job}/redeliver", status=409)


async def test_a_redelivery_that_is_asked_for_twice_with_one_key_is_made_once(shop: Shop) -> None:
    await shop.endpoint()
    (job,) = await shop.publish()
    await shop.crew.conn.execute("select outbox.cancel(outbox.me(), %s)", [job])
    path, key = f"{shop.id}/deliveries/{job}/redeliver", {"idempotency-key": "once"}
    replies = [await shop.post(path, status=202, **key) for _ in range(2)]

    assert replies[0] == replies[1]
    assert 2 == await shop.crew.value("select count(*) from outbox.jobs")


# Deleting ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordering", ["none", "key"])
async def test_after_a_delete_nothing_is_sent_and_what_waits_is_cancelled_in_batches(
    shop: Shop, ordering: str
) -> None:
    await shop.endpoint(ordering=ordering, state="paused")
    jobs = await shop.publish(5, orderingKey="k")
    await shop.number()
    await shop.publish(1, runAt="2100-01-01T00:00:00Z")
    assert 204 == (await shop.served.http.delete(f"/v1/endpoints/{shop.id}")).status_code
    async with shop.work():
        await asyncio.sleep(0.3)
    ended = [await shop.crew.value("select outbox.end_deliveries(2)") for _ in range(4)]

    assert ([], [2, 2, 2, 0]) == (shop.target.got, ended)
    assert {("cancelled", "endpoint_deleted")} == {
        (each["outcome"], each["class"]) for job in jobs for each in await shop.crew.attempts(UUID(job))
    }
    for table in ("ready", "later", "lanes", "endpoints", "endpoint_secrets"):
        assert [] == await shop.crew.rows(f"select from outbox.{table}")


async def test_a_day_after_a_delete_its_queue_is_as_any_other(shop: Shop) -> None:
    await shop.endpoint()
    await shop.served.http.delete(f"/v1/endpoints/{shop.id}")
    await shop.crew.conn.execute("update outbox.endpoint_ends set ended_at = ended_at - interval '25 hours'")
    assert 0 == await shop.crew.value("select outbox.end_deliveries(100)")
    assert [] == await shop.crew.rows("select from outbox.endpoint_ends")
    assert [{"closed_until": None}] == await shop.crew.rows(
        "select closed_until from outbox.queues where name like 'endpoint:%'"
    )


# Test-send -----------------------------------------------------------------------------------------------


async def test_a_test_send_is_one_signed_attempt_that_leaves_no_rows_but_audit(shop: Shop) -> None:
    await shop.endpoint(headers={"x-own": "mine"}, state="disabled")
    before = await _counts(shop)
    shop.target.answers = [says(500, body=b"sorry")]
    told = await shop.post(f"{shop.id}/test", {"type": "a.b", "payload": {"é": 1}})

    assert ("failed", "server_error", 500) == (told["outcome"], told["class"], told["status"])
    # The target is one that only the deployment's allow-list opens.
    assert "body" not in told
    (got,) = shop.target.got
    assert got.headers["webhook-id"].startswith("test_")
    assert "mine" == got.headers["x-own"]
    assert ("a.b", {"é": 1}) == (msgspec.json.decode(got.body)["type"], msgspec.json.decode(got.body)["data"])
    key = signing.parse(shop.secret)
    assert isinstance(key, HmacKey)
    stamp = int(got.headers["webhook-timestamp"])
    signed = signing.headers(got.headers["webhook-id"], stamp, got.body, [key])
    assert signed["webhook-signature"] == got.headers["webhook-signature"]
    after = await _counts(shop)
    assert {"audit_log": before["audit_log"] + 1} == {
        table: n for table, n in after.items() if before[table] != n and table != "rate_windows"
    }
    state = (await shop.crew.rows("select consecutive_failures, last_class from outbox.endpoints"))[0]
    assert {"consecutive_failures": 0, "last_class": None} == state


async def test_a_test_send_defaults_to_a_ping_and_tells_how_it_failed(shop: Shop) -> None:
    await shop.endpoint()
    done = await shop.post(f"{shop.id}/test")
    await shop.crew.conn.execute("update outbox.endpoints set url = 'http://127.0.0.1:1/'")
    refused = await shop.post(f"{shop.id}/test", {})
    await shop.crew.conn.execute("update outbox.projects set egress = false")
    blocked = await shop.post(f"{shop.id}/test", {})

    assert ("completed", "ok", 204) == (done["outcome"], done["class"], done["status"])
    assert "test.ping" == msgspec.json.decode(shop.target.got[0].body)["type"]
    assert ("connect", None, "blocked") == (refused["class"], refused["status"], blocked["class"])


async def test_test_sends_are_limited_to_ten_a_minute_of_an_endpoint(shop: Shop) -> None:
    first = await shop.endpoint()
    second = await shop.endpoint()
    replies = [await shop.served.http.post(f"/v1/endpoints/{first}/test") for _ in range(11)]

    assert [200] * 10 + [429] == [each.status_code for each in replies]
    assert 1 <= int(replies[-1].headers["retry-after"]) <= 60
    assert 10 == len(shop.target.got)
    await shop.post(f"{second}/test")


async def test_a_test_send_of_too_much_is_refused_and_not_sent(shop: Shop) -> None:
    await shop.endpoint()
    for body in ({"payload": "x" * 65_536}, {"type": "a*"}, {"type": ""}, {"nonsense": 1}):
        await shop.post(f"{shop.id}/test", body, status=400)
    assert [] == shop.target.got


# Recover -------------------------------------------------------------------------------------------------


async def test_recover_counts_dry_and_then_makes_as_much_once_at_a_time(shop: Shop) -> None:
    await shop.endpoint()
    for job in await shop.publish(3):
        await shop.crew.conn.execute("select outbox.cancel(outbox.me(), %s)", [job])
    await shop.number()
    dry = await shop.post(f"{shop.id}/recover", {"sinceEpoch": 0, "dryRun": True})
    order = {"sinceEpoch": 0, "ratePerSecond": 1000}
    begun = (await shop.post(f"{shop.id}/recover", order, status=202))["generationJob"]
    second = await shop.post(f"{shop.id}/recover", order, status=409)
    async with shop.work():
        await until(lambda: len(shop.target.got) == 3)
        await shop.crew.attempt(UUID(begun["id"]), "completed")
    job = (await shop.served.http.get(f"/v1/jobs/{begun['id']}")).json()["generationJob"]

    assert (3, True) == (dry["matched"], dry["exact"])
    assert dry["oldestEpoch"] <= dry["newestEpoch"]
    assert ("recover", "queued", "direct") == (begun["handler"], begun["status"], begun["sourceType"])
    assert begun["id"] in second["detail"]
    assert {"made": 3, "scanned": 3} == job["output"]
    actions = await shop.crew.rows("select details from outbox.audit_log where action = 'endpoint.recovered'")
    assert [begun["id"]] == [each["details"]["jobId"] for each in actions]


async def test_a_recovery_that_makes_no_sense_is_refused(shop: Shop) -> None:
    await shop.endpoint()
    for body in (
        {},
        {"sinceEpoch": 5, "untilEpoch": 5},
        {"sinceEpoch": 4_102_444_800_000},
        {"sinceEpoch": 0, "only": "some"},
        {"sinceEpoch": 0, "ratePerSecond": 0.5},
        {"sinceEpoch": 0, "types": []},
        {"sinceEpoch": 0, "types": ["*.a"]},
        {"sinceEpoch": 0, "nonsense": 1},
    ):
        await shop.post(f"{shop.id}/recover", body, status=400)
    await shop.post(f"{shop.id}/disable")
    await shop.post(f"{shop.id}/recover", {"sinceEpoch": 0}, status=409)


# Tenancy -------------------------------------------------------------------------------------------------


@proves("T4")
async def test_orders_of_strangers_find_nothing_and_of_readers_are_refused(shop: Shop, conn: Conn) -> None:
    await shop.endpoint(uid="u")
    (job,) = await shop.publish()
    other = await seed.tenant(conn, "other")
    _, reads = await seed.key(conn, shop.tenant.team, "endpoints:read", project=shop.tenant.project)
    paths: tuple[tuple[str, Any], ...] = (
        ("enable", None),
        ("disable", None),
        ("test", {}),
        ("recover", {"sinceEpoch": 0}),
        (f"deliveries/{job}/redeliver", None),
    )
    async with shop.served.client(other.key) as stranger, shop.served.client(reads) as reader:
        for named in (shop.id, "uid:u"):
            for path, body in paths:
                url = f"/v1/endpoints/{named}/{path}"
                assert 404 == (await stranger.post(url, json=body)).status_code, path
                assert 403 == (await reader.post(url, json=body)).status_code, path
            listed = f"/v1/endpoints/{named}/deliveries"
            assert 404 == (await stranger.get(listed)).status_code
            assert 200 == (await reader.get(listed)).status_code
    assert [] == shop.target.got
    assert "enabled" == await shop.crew.value("select state from outbox.endpoints")


@proves("T4")
async def test_no_event_of_another_project_is_ever_sent(shop: Shop, conn: Conn) -> None:
    """Neither when it is published, nor by a recovery of everything that all projects have."""
    await shop.endpoint()
    other = await seed.tenant(conn, "other")
    async with shop.served.client(other.key) as stranger:
        for _ in range(3):
            reply = await stranger.post(
                "/v1/events", json={"eventType": "order.paid", "payload": {"theirs": 1}}
            )
            assert 201 == reply.status_code
    (mine,) = await shop.publish()
    await conn.execute("select outbox.sequence(array[%s, %s]::uuid[])", [shop.tenant.project, other.project])
    async with shop.work():
        await shop.crew.attempt(UUID(mine), "completed")
        order = {"sinceEpoch": 0, "only": "all", "ratePerSecond": 1000}
        begun = (await shop.post(f"{shop.id}/recover", order, status=202))["generationJob"]["id"]
        told = await shop.crew.attempt(UUID(begun), "completed")
        await until(lambda: len(shop.target.got) == 2)

    assert 1 == told["output"]["made"]
    assert not any(b"theirs" in each.body for each in shop.target.got)


@proves("D7")
async def test_a_webhook_into_our_own_ingest_ends_at_eight_hops(shop: Shop) -> None:
    """By way of a relay that publishes whatever it gets, and is as honest as to pass the hops on."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await server.request(reader)
            hops = server.heads[-1].lower().split(b"outboxd-hops: ")[1].split(b"\r")[0].decode()
            reply = await shop.served.http.post(
                "/v1/events", json={"eventType": "echo"}, headers={"outboxd-hops": hops}
            )
            writer.write(says(reply.status_code))
            await writer.drain()

    async with listening(relay) as server:
        url = f"http://127.0.0.1:{server.port}/"
        made = await shop.served.http.post("/v1/endpoints", json={"url": url, "terminal4xx": True})
        assert 201 == made.status_code
        await shop.publish()
        async with shop.work():
            await until(lambda: _dead(shop))

    events = await shop.crew.rows("select hops from outbox.events where adapter <> 'outboxd' order by hops")
    assert [*range(9)] == [each["hops"] for each in events]
    (last,) = await shop.crew.rows("select class, status from outbox.dead_letters")
    assert {"class": "client_error", "status": 400} == last


async def _dead(shop: Shop) -> bool:
    return bool(await shop.crew.rows("select from outbox.dead_letters"))


async def _counts(shop: Shop) -> dict[str, int]:
    tables = await shop.crew.rows(
        "select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = 'outbox' and c.relkind in ('r', 'p') and not c.relispartition"
    )
    return {
        each["name"]: await shop.crew.value(f"select count(*) from outbox.{each['name']}") for each in tables
    }
