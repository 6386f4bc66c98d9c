"""/v1/schedules: what is taken, what is shown, what is refused, and to whom."""

from datetime import timedelta
from typing import Any

import httpx
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.loops.scheduler import Scheduler
from outboxd.loops.wakes import Wakes
from tests import seed
from tests.api.served import problem, serving
from tests.clock import Clock
from tests.schedules.oracle import utc
from tests.schedules.rows import events, ms, trail

Conn = AsyncConnection[DictRow]
DAILY = {"name": "report", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "type": "report.due"}
URL = "/v1/schedules"


async def post(http: httpx.AsyncClient, **fields: Any) -> Any:
    reply = await http.post(URL, json=DAILY | fields)
    assert 201 == reply.status_code, reply.text
    return reply.json()["schedule"]


async def test_a_schedule_is_made_shown_with_its_next_ticks_and_fired(
    db: Database, conn: Conn, clock: Clock
) -> None:
    tenant = await seed.tenant(conn)
    clock.set(utc("2026-03-27T12:00"))
    async with serving(db, tenant.key) as served:
        made = await post(served.http, payload={"a": "b<private>c</private>"}, subject="s")
        days = [
            "2026-03-28T01:30",
            "2026-03-29T01:00",
            "2026-03-30T00:30",
            "2026-03-31T00:30",
            "2026-04-01T00:30",
        ]
        assert [ms(utc(day)) for day in days] == made["nextTicksEpoch"]
        assert (made["nextTicksEpoch"][0], "active", {"a": "b"}, "once", 100, 1, str(tenant.key_id)) == tuple(
            made[n] for n in ("nextAtEpoch", "state", "payload", "missed", "missedCap", "revision", "keyId")
        )
        assert made == (await served.http.get(f"{URL}/{made['id']}")).json()["schedule"]
        assert {"schedules": [made], "nextCursor": None} == (await served.http.get(URL)).json()

        clock.set(utc(days[0]))
        assert 1 == await Scheduler(db, Wakes()).once()
        [event] = (await served.http.get("/v1/events", params={"include": "payload"})).json()["events"]
        assert ("schedule", "report.due", {"a": "b"}, "s") == tuple(
            event[n] for n in ("sourceAdapter", "eventType", "payload", "subject")
        )
        fired = (await served.http.get(f"{URL}/{made['id']}")).json()["schedule"]
        assert (ms(utc(days[0])), ms(utc(days[1])), 1) == tuple(
            fired[n] for n in ("lastTickEpoch", "nextAtEpoch", "revision")
        )


async def test_it_is_changed_under_its_revision_switched_and_removed(
    db: Database, conn: Conn, clock: Clock
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        made = await post(served.http)
        path = f"{URL}/{made['id']}"
        served.wakes.poll.take()
        changed = await served.http.patch(path, json={"cron": "every 90s"}, headers={"if-match": '"1"'})
        assert (2, made["createdAtEpoch"] + 90_000) == (
            changed.json()["schedule"]["revision"], changed.json()["schedule"]["nextAtEpoch"]
        )  # fmt: skip
        assert served.wakes.poll.take()
        stale = await served.http.patch(path, json={"cron": "@daily"}, headers={"if-match": '"1"'})
        assert 412 == problem(stale)["status"]
        assert 412 == (await served.http.delete(path, headers={"if-match": '"1"'})).status_code
        off = (await served.http.patch(path, json={"enabled": False})).json()["schedule"]
        assert (False, None, []) == (off["enabled"], off["nextAtEpoch"], off["nextTicksEpoch"])
        clock.forward(timedelta(seconds=100))
        on = (await served.http.patch(path, json={"enabled": None, "payload": None})).json()["schedule"]
        assert (True, made["createdAtEpoch"] + 180_000) == (on["enabled"], on["nextAtEpoch"])
        assert 204 == (await served.http.delete(path, headers={"if-match": '"4"'})).status_code
        assert 404 == (await served.http.get(path)).status_code
    actions = sorted(each.removeprefix("schedule.") for each in await trail(conn))
    assert ["added", *["changed"] * 3, "removed"] == actions
    assert "every 90s" in str(await log(conn))
    assert "payload" not in str([each["details"].get("new", {}) for each in await log(conn)])


async def test_run_publishes_now_and_leaves_the_next_tick(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "report.*", "work", handler="pull:work")
    async with serving(db, tenant.key) as served:
        made = await post(served.http, enabled=False)
        path = f"{URL}/{made['id']}"
        reply = await served.http.post(f"{path}/run", headers={"idempotency-key": "k"})
        again = await served.http.post(f"{path}/run", headers={"idempotency-key": "k"})
        assert (202, "true") == (reply.status_code, again.headers["idempotency-replayed"])
        assert reply.json() == again.json()
        told = reply.json()["event"]["metadata"]["schedule"]
        assert (made["id"], "report", 0) == (told["id"], told["name"], told["missed"])
        assert {"work"} == served.wakes.queues.take()
        assert made == (await served.http.get(path)).json()["schedule"]
    assert [reply.json()["event"]["id"]] == [str(each["id"]) for each in await events(conn)]


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"cron": "61 * * * *"}, 400, "/cron"),
    ({"cron": "0 0 30 2 *"}, 400, "/cron"),
    ({"cron": "every 9s"}, 400, "/cron"),
    ({"cron": ""}, 400, "/cron"),
    ({"cron": None}, 400, "/cron"),
    ({"cron": "* " * 200}, 400, "/cron"),
    ({"timezone": "Mars/Base"}, 400, "/timezone"),
    ({"timezone": "../../etc/passwd"}, 400, "/timezone"),
    ({"name": ""}, 400, "/name"),
    ({"name": "a\nb"}, 400, "/name"),
    ({"name": "x" * 121}, 400, "/name"),
    ({"type": "outboxd.x"}, 400, "/type"),
    ({"type": "a\x01"}, 400, "/type"),
    ({"subject": "x" * 256}, 400, "/subject"),
    ({"orderingKey": ""}, 400, "/orderingKey"),
    ({"enabled": "yes"}, 400, "/enabled"),
    ({"missed": "some"}, 400, "/missed"),
    ({"missedCap": 0}, 400, "/missedCap"),
    ({"missedCap": 1001}, 400, "/missedCap"),
    ({"startsAtEpoch": -1}, 400, "/startsAtEpoch"),
    ({"startsAtEpoch": 253_402_300_799_999}, 400, "/cron"),
    ({"startsAtEpoch": 2, "endsAtEpoch": 1}, 400, "/endsAtEpoch"),
    ({"endsAtEpoch": 1}, 400, "/endsAtEpoch"),
    ({"payload": "x" * 65536}, 413, "/payload"),
    ({"nextAtEpoch": 1}, 400, "/nextAtEpoch"),
    ({"keyId": "x"}, 400, "/keyId"),
]


async def test_bad_input_is_refused_with_a_pointer_and_stores_nothing(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        made = await post(served.http, name="there")
        for fields, status, pointer in BAD:
            for reply in (
                await served.http.post(URL, json=DAILY | fields),
                await served.http.patch(f"{URL}/{made['id']}", json=fields),
            ):
                told = problem(reply)
                assert (fields, status) == (fields, reply.status_code), reply.text
                assert pointer in {"/" + "/".join(map(str, issue["path"])) for issue in told["issues"]}, told
        taken = await served.http.post(URL, json=DAILY | {"name": "there"})
        assert (409, 400) == (
            taken.status_code,
            (
                await served.http.patch(f"{URL}/{made['id']}", json={"projectId": str(tenant.project)})
            ).status_code,
        )
        for missing in ("name", "cron", "type"):
            body = {name: value for name, value in DAILY.items() if name != missing}
            assert 400 == (await served.http.post(URL, json=body)).status_code
        assert made == (await served.http.get(f"{URL}/{made['id']}")).json()["schedule"]
    assert ["schedule.added"] == await trail(conn)


async def test_a_thousand_schedules_are_as_many_as_a_project_has(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    await conn.execute(
        "insert into outbox.schedules"
        " (id, team_id, project_id, name, cron, type, enabled, created_at, updated_at)"
        " select gen_random_uuid(), %s, %s, 'n' || g, '@daily', 'x', false, outbox.clock(), outbox.clock()"
        " from generate_series(1, 1000) g",
        [tenant.team, tenant.project],
    )
    async with serving(db, tenant.key) as served:
        full = await served.http.post(URL, json=DAILY)
        assert (409, "LimitReached") == (full.status_code, problem(full)["error"])
        page = (await served.http.get(URL, params={"limit": 200})).json()
        rest = (await served.http.get(URL, params={"limit": 200, "cursor": page["nextCursor"]})).json()
        assert not {each["id"] for each in page["schedules"]} & {each["id"] for each in rest["schedules"]}


async def test_who_may_see_and_do_what(db: Database, conn: Conn) -> None:
    """endpoints:write sets up and runs, endpoints:read looks, others are refused, strangers find nothing."""
    tenant, stranger = await seed.tenant(conn), await seed.tenant(conn, "other")
    _, writes = await seed.key(conn, tenant.team, "endpoints:write", project=tenant.project)
    _, reads = await seed.key(conn, tenant.team, "endpoints:read", project=tenant.project)
    _, none = await seed.key(conn, tenant.team, "events:write", project=tenant.project)
    async with serving(db) as served:
        async with served.client(writes) as http:
            made = await post(http)
            ran = await http.post(f"{URL}/{made['id']}/run")
            assert (202, True) == (ran.status_code, "report.due" == ran.json()["event"]["eventType"])
        asked = {"POST": [URL, f"{URL}/{made['id']}/run"], "GET": [URL, f"{URL}/{made['id']}"]}
        asked |= {"PATCH": [f"{URL}/{made['id']}"], "DELETE": [f"{URL}/{made['id']}"]}
        for key, wanted in ((reads, {"GET": 200}), (none, {}), (stranger.key, {})):
            async with served.client(key) as http:
                for method, paths in asked.items():
                    for path in paths:
                        body = {"POST": DAILY, "PATCH": {"subject": "x"}}.get(method)
                        reply = await http.request(method, path, json=None if path.endswith("run") else body)
                        if key is stranger.key:
                            found = 404 if made["id"] in path else 201 if method == "POST" else 200
                        else:
                            found = wanted.get(method, 403)
                        assert found == reply.status_code, f"{method} {path}: {reply.text}"
                        assert key is not stranger.key or made["id"] not in reply.text


async def log(conn: Conn) -> list[DictRow]:
    return await (
        await conn.execute("select * from outbox.audit_log where resource_type = 'schedule' order by at, id")
    ).fetchall()
