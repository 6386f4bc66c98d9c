"""What retention, expunging and purging leave of a feed."""

from datetime import timedelta

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.store import deletion
from tests import seed
from tests.clock import Clock
from tests.proofs import proves
from tests.seed import OPERATOR
from tests.streams import pods
from tests.streams.pods import Pod, seq

Conn = AsyncConnection[DictRow]


async def test_an_expunged_event_is_a_tombstone_here_and_on_other_processes(
    dsn: str, conn: Conn, tenant: seed.Tenant
) -> None:
    async with pods.pod(dsn) as first, pods.pod(dsn) as second, second.stream(tenant) as stream:
        event = await first.publish(tenant, "secret", payload={"pin": 1234}, metadata={"m": 1}, subject="s")
        assert {"pin": 1234} == (await stream.event()).json["payload"]
        gone = await first.http.delete(
            f"/v1/events/{event}", headers={"authorization": f"Bearer {tenant.key}"}
        )
        assert gone.is_success, gone.text
        told = await stream.event()
        assert ("event.expunged", [event]) == (told.json["eventType"], told.json["payload"]["ids"])
        for pod in (first, second):
            async with pod.stream(tenant, "last_event_id=earliest") as again:
                shell, announced = await again.events(2)
            assert [1, 2] == [seq(shell.id), seq(announced.id)]
            assert ({}, {}, event, "secret") == tuple(
                shell.json[name] for name in ("payload", "metadata", "id", "eventType")
            )
            assert shell.json["expungedAtEpoch"] is not None
            assert "1234" not in shell.data


@proves("F6")
async def test_a_reader_below_a_floor_that_rises_is_told_and_goes_on(
    pod: Pod, conn: Conn, tenant: seed.Tenant
) -> None:
    """As when its partition is dropped in the middle of a replay."""
    await pods.publish(conn, tenant.project, 6000)
    await pods.sequence(conn, tenant.project)
    async with pod.stream(tenant, "last_event_id=earliest") as stream:
        assert [1, 2, 3] == await pods.taken(stream, 3)
        async with conn.transaction():
            await conn.execute("update outbox.streams set floor = 5500")
            await conn.execute("delete from outbox.feed where seq <= 5500")
        seen = 3
        while (got := await stream.event()).event == "":
            seen += 1
            assert seen == seq(got.id)
        assert "expired" == got.json["reason"]
        assert seen == seq(got.json["asked"])
        assert list(range(5501, 6001)) == await pods.taken(stream, 500)


async def test_a_purge_ends_what_can_be_read_in_its_own_transaction(
    pod: Pod, conn: Conn, tenant: seed.Tenant
) -> None:
    await pods.publish(conn, tenant.project, 3)
    await pods.sequence(conn, tenant.project)
    epoch = (await pod.feed(tenant))["position"].split("-")[0]
    await pods.publish(conn, tenant.project, 1, "late")
    await deletion.begin_purge(conn, OPERATOR, tenant.project)
    cur = await conn.execute("select floor from outbox.streams")
    assert (await cur.fetchone() or {})["floor"] in {3, 4}
    page = await pod.feed(tenant, after=f"{epoch}-0", wait=5)
    assert "expired" == page["reset"]["reason"]
    # What was published before the mark and numbered behind it keeps its number, and nothing else.
    found = await pod.feed(tenant, after="earliest", wait=5)
    for each in found["events"]:
        assert ({}, True) == (each["payload"], each["expungedAtEpoch"] is not None)


async def test_a_project_that_keeps_less_moves_its_floor(
    clock: Clock, db: Database, conn: Conn, tenant: seed.Tenant
) -> None:
    await conn.execute('update outbox.projects set settings = \'{"retention": {"eventDays": 2}}\'')
    await pods.publish(conn, tenant.project, 5)
    await pods.sequence(conn, tenant.project)
    clock.forward(timedelta(days=3))
    await pods.publish(conn, tenant.project, 2)
    await pods.sequence(conn, tenant.project)
    for _ in range(6):
        await db.run(lambda found: deletion.retain(found, 2))
    cur = await conn.execute(
        "select floor, (select array_agg(seq order by seq) from outbox.feed) as left from outbox.streams"
    )
    assert {"floor": 5, "left": [6, 7]} == await cur.fetchone()
