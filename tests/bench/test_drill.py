"""The drill in its short form; and its judge, who must be able to say no."""

import asyncio
import itertools
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest

from outboxd.bench.drill import judge as judging
from outboxd.bench.drill import ledger
from outboxd.bench.drill import world as worlds
from outboxd.bench.drill.crew import WORK, Member
from outboxd.bench.drill.faults import Done
from outboxd.bench.drill.ledger import Ledger
from outboxd.bench.drill.pair import Pair
from outboxd.bench.drill.producers import Sql
from outboxd.bench.drill.puller import SqlPuller
from outboxd.bench.drill.receiver import Receiver
from outboxd.bench.drill.stage import folder
from outboxd.bench.drill.world import World

proves = pytest.mark.proves

ROOT = Path(__file__).parents[2]
COPIES = itertools.count(1)

# What somebody did to a finished world, and what the judge says of it.
TAMPERED = {
    "an effect is missing": (
        "delete from drill.effects where job_id = (select min(job_id::text)::uuid from drill.effects)",
        "effects of job",
    ),
    "an effect came twice": (
        "insert into drill.sql_effects select * from drill.sql_effects limit 1",
        "sql of job",
    ),
    "an acknowledged event is gone": (
        "delete from outbox.events where id = (select min(event_id::text)::uuid from outbox.event_keys)",
        "lost: ",
    ),
    "a number is missing": (
        "delete from outbox.feed where seq = 2",
        "feed rows, last number, head, events: ",
    ),
    "a job ended twice": (
        """insert into outbox.attempts select (jsonb_populate_record(a, jsonb_build_object('no', a.no + 1))).*
           from outbox.attempts a where a.outcome = 'completed' limit 1""",
        "two ends for job ",
    ),
    "a job has no end": (
        """delete from outbox.attempts where job_id =
             (select job_id from outbox.attempts where outcome = 'completed' limit 1)""",
        "no end for job ",
    ),
    "what was rolled back is there": (
        """insert into outbox.event_keys
           select (jsonb_populate_record(k, jsonb_build_object('key', 'key:v1:sql-undone'))).*
           from outbox.event_keys k limit 1""",
        "sql-undone was rolled back and is there",
    ),
    "an order lost its event": (
        "delete from drill.orders where key = (select min(key) from drill.orders)",
        "went different ways",
    ),
    "a lane ran backwards": (
        """insert into drill.turns (job_id, lane, n) select distinct on (lane) job_id, lane, n
           from drill.turns order by lane, id""",
        "lane ",
    ),
    "a good job is dead": (
        "update outbox.dead_letters set queue_id = (select id from outbox.queues where name = 'effects')",
        "dead letter in effects",
    ),
    "four ran where three may": (
        """update outbox.attempts set started_at = now() - interval '1 minute', at = now()
           where job_id in (select j.id from outbox.jobs j join outbox.queues q on q.id = j.queue_id
             where q.name = 'narrow')""",
        "four at once in narrow",
    ),
    "poison that did no harm": (
        """update outbox.jobs set queue_id = (select id from outbox.queues where name = 'hang') where id =
             (select job_id from outbox.attempts where outcome = 'completed' limit 1)""",
        "poison in hang completed",
    ),
    "a job stands in two places": (
        """insert into outbox.later (run_at, lane, job_id, queue_id, priority, attempt, no, series)
           select now(), 1, job_id, queue_id, 0, attempt, no, series from outbox.dead_letters limit 1""",
        "in several places: dead_letters, later",
    ),
    "a schedule ticked twice and left one out": (
        """update outbox.events e set type = 'drill.tick', metadata = jsonb_build_object('schedule',
             jsonb_build_object('tickEpoch', t.at)) from (
               select id, 10000 * (array[1, 2, 2, 4])[(row_number() over (order by id))::int] as at
               from outbox.events order by id limit 4) t
           where t.id = e.id""",
        "ticks 4, distinct 3, the first and the last 30 s apart",
    ),
    "a note of a job stays behind": (
        """insert into outbox.checkpoints (job_id, at) select id, now() from outbox.jobs limit 1""",
        "checkpoints holds 1",
    ),
}


@pytest.fixture(scope="module")
def finished() -> Iterator[World]:
    """Sixty events, all worked off, and nobody connected any more."""
    # Not in a folder of pytest's: the server's account cannot pass those.
    with folder(keep=False, tell=print) as here:
        pair = Pair(here, standby=False, settings={"fsync": "off"})
        try:
            pair.start()
            world = asyncio.run(worlds.build(pair.dsn, here / "ledger", pair))
            worker = Member(world, "work-0", WORK)
            try:
                order(world, 60)
                worker.signal(signal.SIGTERM)
                assert worker.wait(20) == 0
                yield world
            finally:
                worker.close()
        finally:
            pair.stop()


def order(world: World, most: int) -> None:
    """About so many events; all of it is worked off when this returns."""
    deadline = time.monotonic() + 60
    producer, puller = Sql(world, "sql", 7, 100), SqlPuller(world, "sql", 7)
    producer.start()
    puller.start()
    with world.connect() as conn:
        while worlds.first(conn, "select count(*) from outbox.events") < most and time.monotonic() < deadline:
            time.sleep(0.05)
    producer.stopping.set()
    producer.join(10)
    undone = Ledger(world.ledger / "producer-undone.jsonl")
    undone.write(key="sql-undone", kind="order", said="rolled back")
    undone.close()
    while judging.waiting(world) and time.monotonic() < deadline:
        time.sleep(0.1)
    puller.stopping.set()
    puller.join(10)
    seen = Ledger(world.ledger / "seen-reader.jsonl")
    with world.connect() as conn:
        for seq, event in conn.execute("select seq, event_id from outbox.feed order by seq"):
            seen.write(position=f"00000000-{seq}", event=str(event))
    seen.close()


@pytest.fixture
def copied(finished: World, tmp_path: Path) -> World:
    """The finished world once more, to be tampered with."""
    name = f"copy_{next(COPIES)}"
    assert finished.pair is not None
    server = finished.pair.primary
    with psycopg.connect(server.dsn("template1"), autocommit=True) as conn:
        conn.execute(f"create database {name} template outboxd strategy file_copy".encode())
    ledger = tmp_path / "ledger"
    shutil.copytree(finished.ledger, ledger)
    return msgspec.structs.replace(finished, dsn=server.dsn(name), ledger=ledger)


def test_a_world_where_all_went_well_is_found_whole(copied: World) -> None:
    found = judging.judge(copied, [])
    assert found.broken == []
    assert found.figures.acknowledged >= 60
    assert found.figures.jobs > found.figures.acknowledged


@pytest.mark.parametrize("what", TAMPERED)
def test_the_judge_sees_that(copied: World, what: str) -> None:
    statement, said = TAMPERED[what]
    with copied.connect() as conn:
        assert conn.execute(statement.encode()).rowcount >= 1
    assert [line for line in judging.judge(copied, []).broken if said in line]


def test_the_judge_sees_a_delivery_that_nobody_owed(copied: World) -> None:
    received = Ledger(copied.ledger / "received.jsonl")
    received.write(id="evt-1", genuine=False)
    received.close()
    assert judging.judge(copied, []).broken == [
        "delivery of evt-1 has a bad signature",
        "evt-1 was delivered and does not exist",
    ]


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ([], "seen-odd got 0 of "),
        ([{"position": "a-2", "event": "x"}, {"position": "a-1", "event": "y"}], "seen-odd got a-1 after 2"),
        ([{"position": "a-1", "event": "x"}, {"reset": "ahead"}], "seen-odd was reset: ahead"),
        (
            [{"position": "a-1", "event": "x"}, {"reset": "ahead"}, {"position": "a-1", "event": "y"}],
            "seen-odd: a-1 means two events",
        ),
    ],
)
def test_the_judge_sees_a_subscriber_who_did_not_get_all_of_it_in_order(
    copied: World, said: list[dict[str, str]], line: str
) -> None:
    odd = Ledger(copied.ledger / "seen-odd.jsonl")
    for entry in said:
        odd.write(**entry)
    odd.close()
    assert [found for found in judging.judge(copied, []).broken if line in found]


def test_after_an_asynchronous_failover_losses_are_counted_and_not_asserted(copied: World) -> None:
    with copied.connect() as conn:
        conn.execute("delete from outbox.event_keys where key like 'key:v1:sql-1_'")
    found = judging.judge(copied, [], lossy=True)
    assert found.lost
    assert not [line for line in found.broken if line.startswith("lost")]


def test_a_failover_after_which_work_stood_is_told(copied: World) -> None:
    """What was published after it begins 15 s late."""
    meant = Ledger(copied.ledger / "producer-late.jsonl")
    meant.write(key="late", kind="order", said="intent", at=9e9 + 1)
    meant.close()
    calls = Ledger(copied.ledger / "calls-0.jsonl")
    calls.write(kind="effect", job="", attempt=1, key="late", at=9e9 + 15.5)
    calls.close()
    blow = Done(name="failover", at=9e9, wall=0, whom="primary", pid=0, lasts=0)
    assert "work stood for 15.5 s after a failover" in judging.judge(copied, [blow]).broken


def test_what_still_waits_is_counted(copied: World) -> None:
    assert judging.waiting(copied) == 0
    with copied.connect() as conn:
        conn.execute("select outbox.publish('drill.order', '{}', p_project => %s)", [copied.project])
    assert judging.waiting(copied) == 3  # its number, and two jobs


def test_a_call_that_was_cut_in_its_middle_was_not_received(tmp_path: Path) -> None:
    receiver = Receiver(tmp_path, seed=1)
    receiver.secret, receiver.failing = "whsec_AAAA", 0
    head = b"POST /hook HTTP/1.1\r\nwebhook-id: e\r\nwebhook-timestamp: 1\r\nwebhook-signature: v1,x\r\n"
    port = int(receiver.url.split(":")[2].split("/")[0])
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as killed:
            killed.sendall(head + b"content-length: 10\r\n\r\nhalf")
            killed.shutdown(socket.SHUT_WR)
            assert b"" == killed.recv(100)
    finally:
        receiver.close()

    assert [] == list(ledger.read(tmp_path, "received.jsonl"))


@pytest.mark.drill
@proves("G1", "L3", "F1", "C2", "C9", "C14", "D2", "R1")
def test_nothing_is_lost_twice_or_stuck_while_everything_is_killed_and_a_standby_promoted() -> None:
    assert "held: " in drilled(8, limit=120, faults="kill,backends,failover,restart,freeze")


@pytest.mark.drill
@pytest.mark.nightly
@pytest.mark.timeout(400)
@proves("G1")
def test_nothing_acknowledged_is_lost_by_failovers_and_work_goes_on_within_15_seconds() -> None:
    """Synchronous standby; each promoted server is failed over again. The drill judges the time."""
    assert "held: " in drilled(60, limit=300, faults="failover")


@pytest.mark.drill
@pytest.mark.nightly
@pytest.mark.timeout(1000)
@proves("G1")
def test_nothing_is_lost_in_ten_minutes_of_faults() -> None:
    assert "held: " in drilled(600, limit=900)


def drilled(seconds: int, limit: float, faults: str = "") -> str:
    """What `outboxd drill` said. Fails with all of it unless the exit status is 0."""
    words = ["drill", "--seconds", str(seconds), "--seed", "7", "--faults", faults]
    ran = subprocess.run(
        [sys.executable, "-m", "outboxd", *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=limit,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
