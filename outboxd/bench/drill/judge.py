"""What must hold when the faults have stopped and all is quiet, read from outside the engine."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from outboxd.bench.drill import figures, ledger, readers
from outboxd.bench.drill.doors import EVERY
from outboxd.bench.drill.faults import Done
from outboxd.bench.drill.figures import Figures
from outboxd.bench.drill.places import C1
from outboxd.bench.drill.world import DEADLY, SICK, World, first

_WAITING = """
  select (select count(*) from outbox.pending) + (select count(*) from outbox.unplaced)
    + (select count(*) from outbox.ready) + (select count(*) from outbox.later)
    + (select count(*) from outbox.leases)
"""
QUIET = 60.0
"""Seconds that may pass between the last fault and nothing left to do."""
_MOST = 20
"""Lines about one promise: more say nothing more."""
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
  from outbox.dead_letters d join outbox.queues q on q.id = d.queue_id where q.name <> all ('{sick}')
"""
_ALIVE = """
  select 'poison in ' || q.name || ' completed: ' || j.id
  from outbox.jobs j join outbox.queues q on q.id = j.queue_id
  join outbox.attempts a on a.job_id = j.id and a.outcome = 'completed'
  where q.name = any ('{deadly}')
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
_TICKS = """
  select 'ticks ' || count(*) || ', distinct ' || count(distinct t.at) || ', the first and the last '
    || (max(t.at) - min(t.at)) / 1000 || ' s apart'
  from (select (e.metadata -> 'schedule' ->> 'tickEpoch')::bigint as at from outbox.events e
    where e.type = 'drill.tick') t
  having count(*) <> count(distinct t.at) or (max(t.at) - min(t.at)) / {every}000 + 1 <> count(*)
"""
_CROWD = """
  with ran as materialized (
    select a.started_at, a.at from outbox.attempts a join outbox.jobs j on j.id = a.job_id
    where a.started_at is not null and j.queue_id = (select q.id from outbox.queues q where q.name = 'narrow')
  ), turns as (
    select r.started_at as at, 1 as more from ran r union all select r.at, -1 from ran r
  )
  select 'four at once in narrow at ' || x.at from (
    select t.at, t.more, sum(t.more) over (order by t.at, t.more rows unbounded preceding) as crowd
    from turns t) x
  where x.more = 1 and x.crowd > 3
    and not exists (select from unnest('{steps}'::float8[]) s
      where abs(extract(epoch from x.at)::float8 - s) < 12)
"""


class Verdict(msgspec.Struct, kw_only=True):
    """`broken` is empty when everything held. The rest is reported, not judged."""

    broken: list[str] = []
    lost: list[str] = []
    """Acknowledged, and gone with a server that nobody waited for (`--async`)."""
    skipped: dict[str, str] = {}
    """Faults that could not be done here, and why."""
    seed: int = 0
    seconds: float = 0
    done: dict[str, int] = {}
    """Fault → how often."""
    figures: Figures = msgspec.field(default_factory=Figures)


def waiting(world: World) -> int:
    """How much is still to be done."""
    with world.connect() as conn:
        return int(first(conn, _WAITING))


def calm(world: World, more: Callable[[], int], within: float = QUIET) -> float | None:
    """Seconds until nothing waits any more, `more` included; None when it does not come to that."""
    start = time.monotonic()
    while time.monotonic() - start < within:
        with suppress(psycopg.Error):
            if waiting(world) == 0 and more() == 0:
                return time.monotonic() - start
        time.sleep(0.2)
    return None


def judge(world: World, faults: list[Done], *, lossy: bool = False) -> Verdict:
    """Reads ledgers and tables. `lossy`: what a promoted server had not got is counted, not judged."""
    found = Verdict()
    with world.connect() as conn:
        # All of it has come since anybody counted, and what is asked now is asked of whole tables.
        conn.execute("analyze")
        _published(conn, world.ledger, found)
        for query in (
            _TWICE,
            _NOWHERE,
            _dead(),
            _alive(),
            _ORDER,
            _FEED,
            _TICKS.format(every=EVERY),
            _crowd(faults),
            C1,
        ):
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
        _received(conn, world.ledger, found, lossy=lossy)
        found.broken += readers.judge(conn, world.ledger, told=any(f.name == "failover" for f in faults))
        figures.take(conn, world.ledger, faults, found.figures)
    if not lossy:
        found.broken[:0] = found.lost
        found.broken += figures.slow(found.figures)
    return found


def _dead() -> str:
    return _DEAD.format(sick="{" + ",".join(sorted(SICK)) + "}")


def _alive() -> str:
    return _ALIVE.format(deadly="{" + ",".join(sorted(DEADLY)) + "}")


def _crowd(faults: list[Done]) -> str:
    """Around a step of the database's clock, its times say nothing about what ran beside what."""
    steps = [str(fault.wall) for fault in faults if fault.name == "step"]
    return _CROWD.format(steps="{" + ",".join(steps) + "}")


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
                found.figures.acknowledged += 1
                if stored[key] != 1 or entry["event"] not in events:
                    found.lost.append(f"lost: {key}, acknowledged as {entry['event']}")
            case "rolled back":
                found.figures.rolled_back += 1
                if stored[key]:
                    found.broken.append(f"{key} was rolled back and is there")
            case "unknown" | "intent":
                found.figures.unknown += 1
            case said:
                found.broken.append(f"{key}: {said}")
        if key.startswith("sql") and (key in orders) != bool(stored[key]):
            found.broken.append(f"{key}: the order and its event went different ways")


def _received(conn: psycopg.Connection[Any], folder: Path, found: Verdict, *, lossy: bool) -> None:
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
    found.broken += [
        f"delivery of {event} was never received" for event in sorted(wanted - set(received))[:_MOST]
    ]
    if not lossy:
        found.broken += [
            f"{event} was delivered and does not exist" for event in sorted(set(received) - wanted)[:_MOST]
        ]


def _lines(conn: psycopg.Connection[Any], query: str) -> list[str]:
    """Each row is a sentence about something that does not hold; the first of them."""
    return [str(row[0]) for row in conn.execute(query.encode()).fetchmany(_MOST)]
