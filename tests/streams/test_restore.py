"""A dump, restored: what it holds carries over, what it does not is told, and nothing is guessed."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

from outboxd.db.embedded import Embedded
from tests import cluster, seed
from tests.cli.place import runner
from tests.engine import Engine
from tests.proofs import proves
from tests.streams import pods, servers
from tests.streams.pods import Pod, seq

Conn = AsyncConnection[DictRow]
Restore = Callable[[Embedded, bytes], AbstractContextManager[str]]
"""(source, its dump) → the DSN of the database it became."""

DUMPED, LOST = 5, 4


@pytest.fixture(scope="module")
def source() -> Iterator[Embedded]:
    with servers.primary() as server:
        yield server


@contextmanager
def another_cluster(source: Embedded, dump: bytes) -> Iterator[str]:
    roles = servers.run(source, "pg_dumpall", "-d", source.dsn(), "--roles-only", "--no-role-passwords")
    with cluster.private(servers.SETTINGS) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as conn:
            for line in roles.splitlines():
                if line.startswith((b"CREATE ROLE outbox_", b"ALTER ROLE outbox_", b"GRANT outbox_")):
                    conn.execute(line)
        restore(server, dump)
        yield server.dsn()


@contextmanager
def another_database_of_the_server(source: Embedded, dump: bytes) -> Iterator[str]:
    """As after a drop by mistake: identifier and timeline are those of before."""
    servers.ask(source, "drop database if exists again", answers=False)
    servers.ask(source, "create database again", answers=False)
    restore(source, dump, "again")
    yield source.dsn("again")


@contextmanager
def the_database_itself(source: Embedded, dump: bytes) -> Iterator[str]:
    """Over what it was taken from: the database is the one of before, too."""
    servers.ask(source, "drop schema outbox, outbox_test cascade", answers=False)
    restore(source, dump)
    yield source.dsn()


@proves("F6")
@pytest.mark.slow
@pytest.mark.parametrize("into", [another_cluster, another_database_of_the_server, the_database_itself])
async def test_positions_beyond_a_restored_dump_are_told_and_those_within_carry_over(
    into: Restore, source: Embedded
) -> None:
    async with await connected(source.dsn()) as conn:
        tenant = await seed.tenant(conn, into.__name__)
        await grow(conn, tenant, DUMPED)
        dump = servers.run(source, "pg_dump", "-d", source.dsn(), "-Fc", "-Z0")
        await grow(conn, tenant, LOST)
        seen = await all_of(source.dsn(), tenant)
    assert DUMPED + LOST == len(seen)

    with into(source, dump) as dsn:
        async with (
            await connected(dsn) as conn,
            pods.pod(dsn, sequences=False, listens=False) as pod,
        ):
            await check(pod, tenant, seen, DUMPED)
            await grow(conn, tenant, 1)
            await check(pod, tenant, seen, DUMPED + 1)
            await grow(conn, tenant, 2 * LOST)
            await check(pod, tenant, seen, DUMPED + 1 + 2 * LOST)
        now = await all_of(dsn, tenant)
        assert [] == [each for each in now.keys() & seen.keys() if now[each] != seen[each]]


@pytest.mark.slow
def test_what_was_owed_at_the_dump_is_done_again_under_the_same_ids(
    source: Embedded, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Engine(source.dsn())
    tenant = before.tenant()
    before.route(tenant, "thing.done")
    event = before.publish(tenant)
    before.queue("endpoint:x", "deliver")
    before.route(tenant, "thing.sent", "endpoint:x")
    delivery = before.jobs_of(before.publish(tenant, "thing.sent"))[0]
    before.sequence(tenant)
    worker = before.worker()
    [claimed] = before.claim(worker)
    [epoch] = before.rows("select epoch from outbox.streams where project_id = %s", tenant.project)
    dump = servers.run(source, "pg_dump", "-d", source.dsn(), "-Fc", "-Z0")
    assert before.end(worker, claimed)["accepted"]
    before.close()

    with another_database_of_the_server(source, dump) as dsn:
        after = Engine(dsn)
        after.do("delete from outbox_test.clock")
        after.do("insert into outbox_test.clock values (clock_timestamp() + interval '1 hour')")
        cli = runner(dsn, capsys)
        told = {each["subject"]: each for each in cli("check", "--restored", "--json").json()["findings"]}
        assert told["gap"]["finding"].split(", ")[1].startswith("1:0")
        assert "1 deliveries to 1 endpoints" in told["deliveries"]["finding"]
        assert "1 other jobs" in told["jobs"]["finding"]
        assert "ok" == told["streams"]["level"]
        assert "1 of workers of before" in told["leases"]["finding"]

        assert [claimed["job_id"]] == [row["job_id"] for row in after.reap()]
        [again] = after.claim(after.worker())
        assert (claimed["job_id"], event) == (again["job_id"], again["event_id"])
        assert [] == after.rows("select * from outbox.leases where worker_id = %s", worker)
        [waiting] = after.claim(after.worker("deliver"))
        assert delivery == waiting["job_id"]
        after.publish(tenant)
        after.sequence(tenant)
        now = "select epoch from outbox.streams where project_id = %s"
        [anew] = after.rows(now, tenant.project)
        assert epoch != anew
        assert 0 == cli("streams", "reset", "--all", "--yes").exit
        assert anew != after.rows(now, tenant.project)[0]
        after.close()


async def connected(dsn: str) -> Conn:
    return await AsyncConnection.connect(dsn, autocommit=True, row_factory=dict_row)


async def grow(conn: Conn, tenant: seed.Tenant, count: int) -> None:
    """That many events more, with numbers."""
    await pods.publish(conn, tenant.project, count)
    await pods.sequence(conn, tenant.project)


async def all_of(dsn: str, tenant: seed.Tenant) -> dict[str, str]:
    """Position → event, of the whole feed."""
    async with pods.pod(dsn, sequences=False, listens=False) as pod:
        page = await pod.feed(tenant, after="earliest", limit=500)
    return {each["position"]: each["id"] for each in page["events"]}


async def check(pod: Pod, tenant: seed.Tenant, seen: dict[str, str], head: int) -> None:
    """What the dump has leads on exactly; the reader of what it has not is told, and begins anew."""
    for position in seen:
        page = await pod.feed(tenant, after=position, limit=500)
        told = page.get("reset", {}).get("reason")
        exact = seq(position) <= DUMPED
        assert told in ((None,) if exact else ("ahead", "epoch")), f"{position}, head {head}"
        after = seq(position) if exact else 0
        assert list(range(after + 1, head + 1)) == [seq(each["position"]) for each in page["events"]]


def restore(server: Embedded, dump: bytes, database: str = "outboxd") -> None:
    servers.run(server, "pg_restore", "-d", server.dsn(database), "--exit-on-error", "-O", stdin=dump)
