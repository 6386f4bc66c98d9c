"""Each line of the table of positions: in SQL, over SSE, by header and by query, and in the JSON feed."""

import asyncio
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from tests import seed
from tests.proofs import proves
from tests.streams import pods
from tests.streams.pods import Pod, seq

Conn = AsyncConnection[DictRow]

FLOOR, HEAD, CARRIED = 3, 9, 6
OLD, UNKNOWN = "0123abcd", "ffffffff"

# given → the reason of the reset (None: exact) and the number behind which the reader goes on
CASES: dict[str, tuple[str | None, int]] = {
    "{epoch}-3": (None, 3),
    "{epoch}-5": (None, 5),
    "{epoch}-9": (None, 9),
    "earliest": (None, FLOOR),
    "latest": (None, HEAD),
    OLD + "-3": (None, 3),
    OLD + "-6": (None, 6),
    "{epoch}-2": ("expired", FLOOR),
    "{epoch}-0": ("expired", FLOOR),
    OLD + "-2": ("expired", FLOOR),
    "{epoch}-10": ("ahead", FLOOR),
    "{epoch}-9999999999999999999": ("ahead", FLOOR),
    OLD + "-7": ("ahead", FLOOR),
    UNKNOWN + "-5": ("epoch", FLOOR),
}
MALFORMED = (
    "",
    "5",
    "{epoch}-05",
    "{epoch}--1",
    "{epoch}-",
    "{epoch}-1\n",
    "ABCDEF01-1",
    "x" * 300,
    "{epoch}-1é",
)


@pytest.fixture
async def epoch(conn: Conn, tenant: seed.Tenant) -> str:
    """Of a feed with numbers 4 to 9, whose earlier epoch agrees with it up to 6."""
    await pods.publish(conn, tenant.project, HEAD, first=1)
    await pods.sequence(conn, tenant.project)
    await conn.execute("delete from outbox.feed where seq <= %s", (FLOOR,))
    await conn.execute("update outbox.streams set floor = %s", (FLOOR,))
    await conn.execute(
        "insert into outbox.stream_epochs values (%s, %s, %s, now())", (tenant.project, OLD, CARRIED)
    )
    cur = await conn.execute("select epoch from outbox.streams where project_id = %s", (tenant.project,))
    return str((await cur.fetchone() or {})["epoch"])


@proves("F6")
@pytest.mark.parametrize("given", CASES)
async def test_a_position_is_resolved_as_the_table_says(
    given: str, conn: Conn, tenant: seed.Tenant, epoch: str
) -> None:
    reason, at = CASES[given]
    for on_gap, behind in (("earliest", at), ("latest", at if reason is None else HEAD)):
        cur = await conn.execute(
            "select * from outbox.resolve_position(%s, %s, %s)",
            (tenant.project, given.format(epoch=epoch), on_gap),
        )
        found = await cur.fetchone()
        assert found is not None
        assert (reason, behind, epoch) == (found["reason"], found["seq"], found["epoch"])


@pytest.mark.parametrize("given", MALFORMED)
async def test_a_malformed_position_is_invalid_in_sql(
    given: str, conn: Conn, tenant: seed.Tenant, epoch: str
) -> None:
    cur = await conn.execute(
        "select reason from outbox.resolve_position(%s, %s)", (tenant.project, given.format(epoch=epoch))
    )
    assert [{"reason": "invalid"}] == await cur.fetchall()


@proves("F6")
async def test_every_position_is_served_or_refused_aloud_over_http(
    pod: Pod, tenant: seed.Tenant, epoch: str
) -> None:
    for given, (reason, at) in CASES.items():
        position = given.format(epoch=epoch)
        for how in ({"query": f"last_event_id={position}"}, {"last_event_id": position}):
            async with pod.stream(tenant, **how) as stream:
                await check_stream(stream, reason, at, position)
        page = await pod.feed(tenant, after=position)
        told = page.get("reset", {}).get("reason")
        assert (reason, list(range(at + 1, HEAD + 1))) == (told, numbers(page)), given
        if reason is not None:
            assert position == page["reset"]["asked"]
            latest = await pod.feed(tenant, after=position, on_gap="latest")
            assert [] == numbers(latest)


async def check_stream(stream: Any, reason: str | None, at: int, position: str) -> None:
    if reason is not None:
        told = await stream.message()
        assert ("outboxd.reset", None) == (told.event, told.id)
        assert {"reason": reason, "asked": position} == {
            name: told.json[name] for name in ("reason", "asked")
        }
        assert (FLOOR, HEAD) == (seq(told.json["earliest"]), seq(told.json["latest"]))
    opening = await stream.message()
    assert ("outboxd.checkpoint", at) == (opening.event, seq(opening.id))
    assert list(range(at + 1, HEAD + 1)) == await pods.taken(stream, HEAD - at)


async def test_a_malformed_position_is_400_in_a_query_and_a_reset_in_the_header(
    pod: Pod, tenant: seed.Tenant, epoch: str
) -> None:
    async with pod.stream(tenant, "last_event_id=nonsense") as stream:
        refused = msgspec.json.decode(await stream.body())
        assert (400, "InvalidCursor") == (stream.status, refused["error"])
    page = await pod.get(f"/v1/projects/{tenant.project}/feed", tenant.key, after=f"{epoch}-05")
    assert (400, "InvalidCursor") == (page.status_code, page.json()["error"])
    async with pod.stream(tenant, last_event_id="nonsense") as stream:
        told = await stream.event()
        assert "invalid" == told.json["reason"]
        assert [4, 5] == await pods.taken(stream, 2)
    async with pod.stream(tenant, "last_event_id=nonsense", last_event_id=f"{epoch}-8") as stream:
        assert 400 == stream.status


async def test_the_header_wins_over_the_query(pod: Pod, tenant: seed.Tenant, epoch: str) -> None:
    async with pod.stream(tenant, f"last_event_id={epoch}-4", last_event_id=f"{epoch}-7") as stream:
        assert [8, 9] == await pods.taken(stream, 2)


async def test_where_a_feed_stands_is_told(pod: Pod, conn: Conn, tenant: seed.Tenant, epoch: str) -> None:
    found = (await pod.get(f"/v1/projects/{tenant.project}/position", tenant.key)).json()
    assert {
        "position": f"{epoch}-{HEAD}",
        "earliest": f"{epoch}-{FLOOR}",
        "head": HEAD,
        "floor": FLOOR,
        "pending": 0,
    } == found


@proves("F6")
async def test_after_a_reset_by_an_operator_no_earlier_position_leads_on(
    pod: Pod, conn: Conn, tenant: seed.Tenant, epoch: str
) -> None:
    async with pod.stream(tenant) as stream:
        await stream.message()
        cur = await conn.execute("select outbox.reset_stream(outbox.me(), %s) as position", (tenant.project,))
        position = (await cur.fetchone() or {})["position"]
        told = await stream.event()
        at = await stream.message()

    assert "epoch" == told.json["reason"]
    assert at is not None
    assert (FLOOR, position[:8]) == (seq(at.id), (at.id or "")[:8])
    for earlier in (f"{epoch}-5", f"{OLD}-5"):
        assert "epoch" == (await pod.feed(tenant, after=earlier))["reset"]["reason"]
    assert [8, 9] == numbers(await pod.feed(tenant, after=f"{position[:8]}-7"))


@proves("F6")
async def test_another_history_carries_over_who_saw_what_survived_and_tells_the_others(
    pod: Pod, conn: Conn, tenant: seed.Tenant, epoch: str
) -> None:
    """As after a failover that lost 8 and 9: the server says another cluster, and the rows are not there."""
    async with (
        pod.stream(tenant) as ahead,
        pod.stream(tenant, f"last_event_id={epoch}-6&type=none") as behind,
    ):
        await ahead.message()
        await behind.message()
        await conn.execute("delete from outbox.feed where seq > 7")
        await conn.execute("update outbox.streams set head = 7, cluster = 'another'")
        await pods.publish(conn, tenant.project, 2, first=100)
        told = await ahead.event()
        assert ("ahead", f"{epoch}-9") == (told.json["reason"], told.json["asked"])
        assert [*range(4, 10)] == await pods.taken(ahead, 6)
        assert ahead.last_id[:8] != epoch
    page = await pod.feed(tenant, after=f"{epoch}-7")
    assert ("reset" not in page, [8, 9]) == (True, numbers(page))
    assert [{"n": 100}, {"n": 101}] == [each["payload"] for each in page["events"]]
    assert "ahead" == (await pod.feed(tenant, after=f"{epoch}-8"))["reset"]["reason"]


async def test_state_and_position_of_one_snapshot_leave_nothing_out(
    pod: Pod, dsn: str, conn: Conn, tenant: seed.Tenant
) -> None:
    """Each transaction raises a counter and publishes its value; whoever reads both goes on from there."""
    await conn.execute("create table counter (n int)")
    await conn.execute("insert into counter values (0)")
    writing = [write(dsn, tenant) for _ in range(3)]
    tasks = [asyncio.create_task(each) for each in writing]
    while not all(task.done() for task in tasks):
        async with await psycopg.AsyncConnection.connect(dsn) as reading:
            await reading.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
            cur = await reading.execute("select n, outbox.position(%s) from counter", (tenant.project,))
            value, position = await cur.fetchone() or (0, "")
        later = [
            each["payload"]["n"] for each in (await pod.feed(tenant, after=position, limit=500))["events"]
        ]
        # What follows begins at the latest with the next value: none between is missing.
        assert not later or later[0] <= value + 1
        assert later == list(range(later[0], later[0] + len(later))) if later else True
        await asyncio.sleep(0.02)
    await asyncio.gather(*tasks)


async def write(dsn: str, tenant: seed.Tenant) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as conn:
        for _ in range(30):
            cur = await conn.execute("update counter set n = n + 1 returning n")
            row = await cur.fetchone()
            assert row is not None
            await conn.execute(
                "select outbox.publish('counted', jsonb_build_object('n', %s::int), %s)",
                (row[0], tenant.project),
            )
            await conn.commit()


def numbers(page: dict[str, Any]) -> list[int]:
    return [seq(each["position"]) for each in page["events"]]
