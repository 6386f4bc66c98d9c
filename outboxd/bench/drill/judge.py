"""What must hold when the faults have stopped and all is quiet, read from outside the engine."""

import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from outboxd.bench.drill import ledger
from outboxd.bench.drill.world import World, first

_WAITING = """
  select (select count(*) from outbox.pending) + (select count(*) from outbox.unplaced)
    + (select count(*) from outbox.ready) + (select count(*) from outbox.later)
    + (select count(*) from outbox.leases)
"""
_EMPTY = ("leases", "lanes", "checkpoints", "ready", "later", "pending", "unplaced", "job_keys")
_TWICE = """
  select 'two ends for job ' || job_id from outbox.attempts
  where outcome in ('completed', 'cancelled') group by job_id having count(*) > 1
"""
_NOWHERE = """
  select 'no end for job ' || j.id || ': ' || coalesce(
    (select w.reason || ' ' || w.detail from outbox.why(j.id) w order by w.rank limit 1), '?')
  from outbox.jobs j
  where not exists (
      select from outbox.attempts a where a.job_id = j.id and a.outcome in ('completed', 'cancelled'))
    and not exists (select from outbox.dead_letters d where d.job_id = j.id)
"""
_DEAD = """
  select 'dead letter in ' || q.name || ' (' || coalesce(d.class, '?') || '): ' || d.job_id
  from outbox.dead_letters d join outbox.queues q on q.id = d.queue_id where q.name <> 'poison'
"""
_EFFECTS = """
  select x.name || ' of job ' || x.job || ': ' || x.n || ' effects, completed: ' || x.done from (
    select q.name, j.id as job, (select count(*) from {table} e where e.job_id = j.id) as n,
      exists (select from outbox.attempts a where a.job_id = j.id and a.outcome = 'completed') as done
    from outbox.jobs j join outbox.queues q on q.id = j.queue_id where q.name = '{queue}') x
  where x.n <> x.done::int
"""
_ORDER = """
  select 'lane ' || t.lane || ' ran ' || t.seq || ' after ' || t.before from (
    select t.lane, f.seq, lag(f.seq) over (partition by t.lane order by t.id) as before
    from drill.turns t join outbox.jobs j on j.id = t.job_id join outbox.feed f on f.event_id = j.event_id) t
  where t.before > t.seq
"""
_FEED = """
  select 'feed rows, last number, head, events: ' || concat_ws(', ', x.rows, x.last, x.head, x.events) from (
    select count(*) as rows, max(f.seq) as last, max(s.head) as head,
      (select count(*) from outbox.events) as events
    from outbox.feed f join outbox.streams s on s.project_id = f.project_id) x
  where x.rows <> x.last or x.last <> x.head or x.rows <> x.events
"""
_CROWD = """
  select 'four at once in narrow at ' || a.started_at from outbox.attempts a
  join outbox.jobs j on j.id = a.job_id join outbox.queues q on q.id = j.queue_id
  where q.name = 'narrow' and a.started_at is not null and (
    select count(*) from outbox.attempts b join outbox.jobs k on k.id = b.job_id
    where k.queue_id = j.queue_id and b.started_at <= a.started_at and b.at > a.started_at) > 3
"""
_LOST = """
  select max(extract(epoch from a.at)::float8)
  from outbox.attempts a join outbox.workers w on w.id = a.worker_id
  where a.outcome = 'lost' and extract(epoch from a.at) >= %s and w.pid = %s
  having count(*) > 0
"""


class Verdict(msgspec.Struct, kw_only=True):
    """`broken` is empty when everything held. The rest is reported, not judged."""

    broken: list[str] = []
    acknowledged: int = 0
    unknown: int = 0
    rolled_back: int = 0
    jobs: int = 0
    calls: int = 0
    retried: dict[str, int] = {}
    rescued_after_kill: list[float] = []
    rescued_after_freeze: list[float] = []


def waiting(world: World) -> int:
    """How much is still to be done."""
    with world.connect() as conn:
        return int(first(conn, _WAITING))


def judge(world: World, faults: list[tuple[str, float, str, int]]) -> Verdict:
    """Reads ledgers and tables."""
    found = Verdict()
    with world.connect() as conn:
        _published(conn, world.ledger, found)
        for query in (_TWICE, _NOWHERE, _DEAD, _ORDER, _FEED, _CROWD):
            found.broken += _lines(conn, query)
        for table, queue in (
            ("drill.effects", "effects"),
            ("drill.sql_effects", "sql"),
            ("drill.turns", "turns"),
        ):
            found.broken += _lines(conn, _EFFECTS.format(table=table, queue=queue))
        for table in _EMPTY:
            found.broken += _lines(
                conn, f"select '{table} holds ' || count(*) from outbox.{table} having count(*) > 0"
            )
        _received(conn, world.ledger, found)
        _told(conn, world.ledger, faults, found)
    return found


def _published(conn: psycopg.Connection[Any], folder: Path, found: Verdict) -> None:
    """Acknowledged: stored once. Rolled back: not there. Unknown: at most once, and as the order says."""
    last = {entry["key"]: entry for entry in ledger.read(folder, "producer-*.jsonl")}
    stored = Counter(
        str(row[0]).removeprefix("key:v1:") for row in conn.execute("select key from outbox.event_keys")
    )
    events = {str(row[0]) for row in conn.execute("select id from outbox.events")}
    orders = {str(row[0]) for row in conn.execute("select key from drill.orders")}
    for key, entry in last.items():
        match entry["said"]:
            case "acknowledged":
                found.acknowledged += 1
                if stored[key] != 1 or entry["event"] not in events:
                    found.broken.append(f"lost: {key}, acknowledged as {entry['event']}")
            case "rolled back":
                found.rolled_back += 1
                if stored[key]:
                    found.broken.append(f"{key} was rolled back and is there")
            case "unknown" | "intent":
                found.unknown += 1
            case said:
                found.broken.append(f"{key}: {said}")
        if key.startswith("sql") and (key in orders) != bool(stored[key]):
            found.broken.append(f"{key}: the order and its event went different ways")


def _received(conn: psycopg.Connection[Any], folder: Path, found: Verdict) -> None:
    """Every completed delivery reached the receiver under its event's id, genuinely signed."""
    received: dict[str, bool] = {}
    for entry in ledger.read(folder, "received.jsonl"):
        received[entry["id"]] = received.get(entry["id"], True) and entry["genuine"]
    found.broken += [
        f"delivery of {event} has a bad signature" for event, genuine in received.items() if not genuine
    ]
    owed = conn.execute(
        "select j.event_id from outbox.jobs j join outbox.queues q on q.id = j.queue_id"
        " where q.class = 'endpoint'"
    )
    wanted = {str(row[0]) for row in owed}
    found.broken += [f"delivery of {event} was never received" for event in sorted(wanted - set(received))]
    found.broken += [f"{event} was delivered and does not exist" for event in sorted(set(received) - wanted)]


def _told(
    conn: psycopg.Connection[Any], folder: Path, faults: list[tuple[str, float, str, int]], found: Verdict
) -> None:
    """Figures: calls above one a job are the price of at-least-once."""
    found.jobs = first(conn, "select count(*) from outbox.jobs")
    found.calls = sum(1 for _ in ledger.read(folder, "calls-*.jsonl"))
    found.retried = {
        str(r[0]): int(r[1])
        for r in conn.execute("select outcome, count(*) from outbox.attempts group by 1 order by 1")
    }
    for name, at, whom, pid in faults:
        if name in {"kill", "freeze"} and whom.startswith("work"):
            row = conn.execute(_LOST, [at, pid]).fetchone()
            if row is not None:
                times = found.rescued_after_kill if name == "kill" else found.rescued_after_freeze
                times.append(round(float(row[0]) - at, 2))


def summary(found: Verdict) -> str:
    """For people: what was acknowledged, what it cost, how long rescues took."""

    def times(values: list[float]) -> str:
        return (
            f"median {statistics.median(values):.1f} s, worst {max(values):.1f} s of {len(values)}"
            if values
            else "none needed"
        )

    told = f"acknowledged {found.acknowledged}, rolled back {found.rolled_back}, unknown {found.unknown}"
    return "\n".join(
        (
            told,
            f"jobs {found.jobs}, Python handler calls {found.calls}, ledger {found.retried}",
            f"back after SIGKILL: {times(found.rescued_after_kill)}",
            f"back after SIGSTOP: {times(found.rescued_after_freeze)}",
        )
    )


def _lines(conn: psycopg.Connection[Any], query: str) -> list[str]:
    """Each row is a sentence about something that does not hold; the first twenty of them."""
    return [str(row[0]) for row in conn.execute(query.encode()).fetchmany(20)]
