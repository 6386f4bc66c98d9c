"""The header Idempotency-Key: the same request again has no second effect, and gets the first answer."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.store import idempotency
from outboxd.store.idempotency import Claim
from tests import seed
from tests.api.served import Served, problem, serving
from tests.clock import Clock

Conn = AsyncConnection[DictRow]
DAY = timedelta(days=1)


async def post(
    served: Served, key: str, body: Any = None, path: str = "/v1/events", **headers: str
) -> httpx.Response:
    given = {"Idempotency-Key": key, **headers}
    return await served.http.post(path, json={"eventType": "a"} if body is None else body, headers=given)


async def stored(conn: Conn, table: str = "events") -> int:
    row = await (await conn.execute(f"select count(*) as n from outbox.{table}".encode())).fetchone()
    assert row is not None
    return int(row["n"])


def told(reply: httpx.Response) -> tuple[int, bool]:
    return reply.status_code, "idempotency-replayed" in reply.headers


async def test_the_same_request_again_gets_the_first_answer(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "a", "work")
    async with serving(db, tenant.key) as served:
        first, again = [await post(served, "k") for _ in range(2)]
    assert [(201, False), (201, True)] == [told(first), told(again)]
    assert first.json()["event"] == again.json()["event"]
    assert first.json()["jobs"] == again.json()["jobs"] != []
    assert "duplicate" not in again.json()
    assert 1 == await stored(conn)


async def test_a_replay_tells_the_jobs_as_they_are_now(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "a", "work")
    async with serving(db, tenant.key) as served:
        job = (await post(served, "k")).json()["jobs"][0]["id"]
        await served.http.post(f"/v1/jobs/{job}/cancel")
        again = await post(served, "k")
    assert [(job, "cancelled")] == [(each["id"], each["status"]) for each in again.json()["jobs"]]


@pytest.mark.parametrize(
    "other",
    [
        {"body": {"eventType": "b"}},
        {"body": {"eventType": "a", "payload": {}}},
        {"Content-Type": "application/vnd.other+json"},
    ],
)
async def test_another_request_under_the_key_is_refused(
    db: Database, conn: Conn, other: dict[str, Any]
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await post(served, "k")
        refused = await post(served, "k", **other)
        same = await post(served, "k", **{"Content-Type": "application/json; charset=utf-8"})
    assert (422, "IdempotencyConflict") == (refused.status_code, problem(refused)["error"])
    assert (201, True) == told(same)
    assert 1 == await stored(conn)


async def test_a_refusal_leaves_the_key_free(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        refused = await post(served, "k", {"eventType": "a", "serverSessionId": "none"})
        archived = {"eventType": "a", "projectId": str(tenant.project)}
        await conn.execute(b"update outbox.projects set archived_at = outbox.clock()")
        closed = await post(served, "k", archived)
        assert 0 == await stored(conn, "idempotency")
        await conn.execute(b"update outbox.projects set archived_at = null")
        corrected = await post(served, "k")
    assert [403, 409] == [refused.status_code, closed.status_code]
    assert (201, False) == told(corrected)


async def test_a_key_in_flight_elsewhere_is_told_so_and_waits_for_nobody(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    claim = Claim(
        team=tenant.team,
        scope=tenant.project,
        route="POST /v1/events",
        key="k",
        fingerprint="00",
        lives=DAY,
    )
    async with serving(db, tenant.key) as served:
        async with db.transaction() as elsewhere:
            assert "fresh" == (await idempotency.claim(elsewhere, [claim]))[0].state
            async with asyncio.timeout(2):
                busy = await post(served, "k")
        free = await post(served, "k")
    assert (409, "Conflict", "1") == (busy.status_code, problem(busy)["error"], busy.headers["retry-after"])
    assert (201, False) == told(free)


async def test_of_equal_keys_in_one_group_one_goes_on(db: Database, conn: Conn) -> None:
    """The lock is re-entrant in one transaction, so the group has to look at itself."""
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served, asyncio.TaskGroup() as group:
        asked = [group.create_task(post(served, f"k{n % 5}")) for n in range(50)]
    replies = [each.result() for each in asked]
    assert {201, 409} >= {reply.status_code for reply in replies}
    assert 5 == sum(told(reply) == (201, False) for reply in replies)
    assert 5 == await stored(conn)


@pytest.mark.proves("M23")
async def test_a_key_is_forgotten_after_its_time(db: Database, conn: Conn, clock: Clock) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, IDEMPOTENCY_HOURS="2") as served:
        await post(served, "k")
        assert 0 == await idempotency.forget(conn)
        clock.forward(timedelta(hours=2))
        assert (201, False) == told(await post(served, "k", {"eventType": "b"}))
        clock.forward(timedelta(hours=2))
        assert 1 == await idempotency.forget(conn)
    assert 2 == await stored(conn)


async def test_a_batch_is_one_request(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    events = [
        {"eventType": "a", "idempotencyKey": "x"},
        {"eventType": "b"},
        {"eventType": "a", "idempotencyKey": "x"},
    ]
    async with serving(db, tenant.key) as served:
        first, again = [await post(served, "k", events, "/v1/events/batch") for _ in range(2)]
        alone = await post(served, "k")
    assert [(201, False), (201, True), (201, False)] == [told(first), told(again), told(alone)]
    assert first.json() == again.json()
    assert [None, None, True] == [each.get("duplicate") for each in again.json()["events"]]
    assert 3 == await stored(conn)


async def test_each_item_of_a_lenient_batch_is_done_once(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    events = [{"eventType": "a"}, {"eventType": "a", "serverSessionId": "none"}, {"eventType": "a"}]
    async with serving(db, tenant.key) as served:
        replies = [
            await post(served, "k", events, "/v1/events/batch", Prefer="handling=lenient") for _ in range(2)
        ]
    first, again = (
        [each["event"]["id"] if "event" in each else each["status"] for each in reply.json()["events"]]
        for reply in replies
    )
    assert first == again
    assert 403 == first[1]
    assert 2 == await stored(conn)


async def test_projects_and_teams_do_not_share_keys(db: Database, conn: Conn) -> None:
    """A scope that is not the team's keeps nothing and shows nothing."""
    tenant, other = await seed.tenant(conn), await seed.tenant(conn, "others")
    _, team_key = await seed.key(conn, other.team, "*")
    body = {"eventType": "a", "projectId": str(tenant.project)}
    async with serving(db, tenant.key) as served:
        assert (201, False) == told(await post(served, "k", body))
        async with served.client(team_key) as client:
            for key in ("k", "new"):
                foreign = await client.post("/v1/events", json=body, headers={"Idempotency-Key": key})
                assert 403 == foreign.status_code
            theirs = {"eventType": "a", "projectId": str(other.project)}
            assert (201, False) == told(
                await client.post("/v1/events", json=theirs, headers={"Idempotency-Key": "k"})
            )
    assert 2 == await stored(conn, "idempotency")


@pytest.mark.parametrize("key", ["", '"', '""', "a b", 'a"', '"a', "é", "x" * 256, '"a\\b"', "a\tb"])
async def test_a_key_that_is_none_is_refused(db: Database, conn: Conn, key: str) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        reply = await served.http.post(
            "/v1/events", json={"eventType": "a"}, headers=[(b"Idempotency-Key", key.encode("latin-1"))]
        )
        twice = await served.http.post(
            "/v1/events",
            json={"eventType": "a"},
            headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "a")],
        )
    assert [(400, "ValidationError")] * 2 == [
        (each.status_code, problem(each)["error"]) for each in (reply, twice)
    ]
    assert 0 == await stored(conn)


@pytest.mark.parametrize(
    ("one", "same"), [("a-1", '"a-1"'), ("a\\b", '"a\\\\b"'), ("x" * 255, '"' + "x" * 255 + '"')]
)
async def test_bare_and_quoted_are_the_same_key(db: Database, conn: Conn, one: str, same: str) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        assert (201, False) == told(await post(served, one))
        assert (201, True) == told(await post(served, same))


async def test_a_creation_is_replayed_without_its_secret(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    body = {"url": "https://example.com/hook", "types": ["a"]}
    secret_key = "k:" + "A" * 43 + "="
    async with serving(db, tenant.key, SECRET_KEYS=secret_key) as served:
        first, again = [await post(served, "k", body, "/v1/endpoints") for _ in range(2)]
        other = await post(served, "k", {**body, "types": ["b"]}, "/v1/endpoints")
    assert [(201, False), (201, True), (422, False)] == [told(first), told(again), told(other)]
    assert first.json()["secret"].startswith("whsec_")
    assert {**first.json(), "secret": None} == again.json()
    assert 1 == await stored(conn, "endpoints")
    kept = await (await conn.execute(b"select reply::text as reply from outbox.idempotency")).fetchone()
    assert kept is not None
    assert "whsec_" not in kept["reply"]


async def test_what_a_key_guards_is_rolled_back_with_it(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    claim = Claim(team=tenant.team, scope=tenant.team, route="r", key="k", fingerprint="aa", lives=DAY)

    async def attempt(*, fails: bool) -> str:
        async with db.connection() as one, one.transaction(force_rollback=fails):
            [claimed] = await idempotency.claim(one, [claim])
            if claimed.state == "fresh":
                await idempotency.keep(one, claim, 201, b'{"id": 1}')
            return claimed.state

    said = [await attempt(fails=True), await attempt(fails=False), await attempt(fails=False)]
    assert ["fresh", "fresh", "done"] == said
    stranger = Claim(team=tenant.team, scope=UUID(int=7), route="r", key="k", fingerprint="aa", lives=DAY)
    async with db.connection() as one:
        assert "stranger" == (await idempotency.claim(one, [stranger]))[0].state
