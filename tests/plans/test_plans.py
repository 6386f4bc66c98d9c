"""Hot statements keep their plans: whatever the statistics say, however the plans are cached."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from tests.engine import EVERYWHERE, Engine, Tenant, result
from tests.plans import data
from tests.plans.explain import Explained, faults
from tests.proofs import proves
from tests.sql import memory

ASKED = 20
"""How many things each call is about."""
PARTITIONS = 24
MANY = 200_000
"""Of everything; six times as many jobs, twice as many in `ready`."""


class Busy:
    """The database in use, and what the calls are about."""

    def __init__(self, engine: Engine, rows: int, statistics: str) -> None:
        self.engine = engine
        data.prepare(engine)
        if statistics == "stale":
            engine.do("analyze")
        data.fill(engine, rows)
        self.tenant = self._tenant()
        self.hire()
        engine.route(self.tenant, "thing.done", "mine")
        if statistics == "fresh":
            engine.do("analyze")

    def _tenant(self) -> Tenant:
        row = self.engine.rows("select id, team_id, number from outbox.projects order by number limit 1")[0]
        return Tenant(team=row["team_id"], project=row["id"], lane=row["number"])

    def hire(self) -> None:
        """Another worker takes over, so that nobody holds what earlier calls have left."""
        self.worker = self.engine.worker("pull:work", "pull:mine")
        self.engine.do("update outbox.workers set beat_at = 'infinity', fenced_at = null")

    def claimed(self) -> list[dict[str, Any]]:
        """A lease of so many jobs."""
        self.hire()
        for _ in range(ASKED):
            self.engine.enqueue(self.tenant, "mine")
        spot = f"({self.engine.queue('mine')},{self.tenant.lane},0,-infinity,{ASKED})"
        return self.engine.claim(self.worker, ASKED, [spot])

    def forget_unplaced(self) -> None:
        """What earlier calls, rolled back, have left to number and to place."""
        for table in ("pending", "unplaced"):
            self.engine.do(f"delete from outbox.{table} where project_id = %s", self.tenant.project)

    def keyed(self) -> list[UUID]:
        events = [self.engine.publish(self.tenant, ordering_key=str(uuid4())) for _ in range(ASKED)]
        return [self.engine.jobs_of(event)[0] for event in events]


Call = Callable[[Busy], tuple[Any, ...]]


def settling(outcome: str, part: int = ASKED, **more: Any) -> Call:
    def call(b: Busy) -> tuple[Any, ...]:
        words = [{k: str(v) for k, v in result(row, outcome).items()} | more for row in b.claimed()[:part]]
        return "select * from outbox.settle(%s, %s)", b.worker, Jsonb(words)

    return call


def settling_again(b: Busy) -> tuple[Any, ...]:
    rows = b.claimed()
    words = [{k: str(v) for k, v in result(row).items()} for row in rows]
    b.engine.settle(b.worker, *map(result, rows))
    return "select * from outbox.settle(%s, %s)", b.worker, Jsonb(words)


def settling_keyed(b: Busy) -> tuple[Any, ...]:
    placing(b)
    b.engine.place(b.tenant)
    rows = b.engine.claim(b.worker, ASKED, [f"({b.engine.queue('mine')},0,0,-infinity,{ASKED})"])
    assert rows
    words = [{k: str(v) for k, v in result(row).items()} for row in rows]
    return "select * from outbox.settle(%s, %s)", b.worker, Jsonb(words)


def placing(b: Busy) -> tuple[Any, ...]:
    b.engine.do("delete from outbox.pending where project_id = %s", b.tenant.project)
    b.keyed()
    b.engine.sequence(b.tenant)
    return "select * from outbox.place(%s)", b.tenant.project


def gathering(policy: str) -> Call:
    """Half of the events join what others have opened."""

    def call(b: Busy) -> tuple[Any, ...]:
        memory.policy(b.engine, b.tenant, policy)
        b.forget_unplaced()
        sessions = [memory.session(b.engine, b.tenant, str(uuid4())) for _ in range(ASKED // 2)]
        for each in sessions:
            b.engine.publish(b.tenant, session=each)
        memory.place(b.engine, b.tenant)
        for _ in range(2):
            for each in sessions:
                b.engine.publish(b.tenant, session=each)
        b.engine.sequence(b.tenant)
        memory.policy(b.engine, b.tenant, "off")
        return "select * from outbox.place(%s)", b.tenant.project

    return call


def gathered(statement: str) -> Call:
    """About the gathering of a session; %s: its job, or else the session."""

    def call(b: Busy) -> tuple[Any, ...]:
        memory.policy(b.engine, b.tenant, "end-of-session")
        b.forget_unplaced()
        mine = memory.session(b.engine, b.tenant)
        b.engine.publish(b.tenant, session=mine)
        memory.place(b.engine, b.tenant)
        memory.policy(b.engine, b.tenant, "off")
        job = b.engine.one("select job_id from outbox.gatherings where session_id = %s", mine)
        return statement, mine if "hasten" in statement else job

    return call


def linking(b: Busy) -> tuple[Any, ...]:
    content = str(uuid4())
    memory.session(b.engine, b.tenant, content)
    event = Jsonb({"eventType": "thing.done", "contentSessionId": content})
    return "select * from outbox.publish_many(%s::jsonb[], %s)", [event] * ASKED, b.tenant.project


def generating(b: Busy) -> tuple[Any, ...]:
    """In a project of its own, as the policy stays."""
    other = b.engine.rows("select id, team_id, number from outbox.projects order by number limit 1 offset 1")[
        0
    ]
    tenant = Tenant(team=other["team_id"], project=other["id"], lane=other["number"])
    memory.policy(b.engine, tenant, "per-event", skipTools=["none"])
    return (
        "select * from outbox.publish_many(%s::jsonb[], %s)",
        [Jsonb({"eventType": "a"})] * ASKED,
        tenant.project,
    )


def reaping(b: Busy) -> tuple[Any, ...]:
    b.claimed()
    b.engine.do("update outbox.workers set beat_at = outbox.clock() - interval '1 h' where id = %s", b.worker)
    return ("select * from outbox.reap(5)",)


def expiring(b: Busy) -> tuple[Any, ...]:
    for _ in range(ASKED):
        b.engine.enqueue(b.tenant, "mine", expiresAt=b.engine.one("select outbox.clock() + interval '1 s'"))
    b.engine.do("update outbox.expiries set at = outbox.clock() where at < outbox.clock() + interval '2 s'")
    b.engine.do("update outbox.jobs set expires_at = outbox.clock() where expires_at is not null")
    return "select outbox.expire(%s)", ASKED


def staging(b: Busy) -> tuple[Any, ...]:
    for n in range(ASKED):
        b.engine.enqueue(
            b.tenant, "mine", runAt=b.engine.one(f"select outbox.clock() + interval '{n + 1} ms'")
        )
    b.engine.do("update outbox_test.clock set at = at + interval '50 ms'")
    return "select * from outbox.stage(%s)", ASKED


def publishing(**args: Any) -> Call:
    def call(b: Busy) -> tuple[Any, ...]:
        named = "".join(f", p_{name} => %s" for name in args)
        return (
            f"select outbox.publish('thing.done', p_project => %s{named})",
            b.tenant.project,
            *args.values(),
        )

    return call


def publishing_many(b: Busy) -> tuple[Any, ...]:
    events = [Jsonb({"eventType": "thing.done", "idempotencyKey": str(n)}) for n in range(ASKED)]
    return "select * from outbox.publish_many(%s::jsonb[], %s)", events, b.tenant.project


def in_hand(sql: str) -> Call:
    def call(b: Busy) -> tuple[Any, ...]:
        row = b.claimed()[0]
        return sql, *(b.worker, row["lease_id"], row["job_id"])[: sql.count("%s")]

    return call


def of_job(verb: str, table: str) -> Call:
    def call(b: Busy) -> tuple[Any, ...]:
        if table == "leases":
            job = b.claimed()[0]["job_id"]
        else:
            job = b.engine.one(f"select job_id from outbox.{table} limit 1") or b.engine.enqueue(
                b.tenant, "mine"
            )
        return f"select * from outbox.{verb}({EVERYWHERE}, %s)", job

    return call


def endpoint(b: Busy) -> UUID:
    """Of the project, with ASKED deliveries that wait, of events that were just numbered."""
    made = uuid4()
    queue = b.engine.queue(f"endpoint:{made}", "deliver")
    b.engine.do(
        "insert into outbox.endpoints (id, team_id, project_id, queue_id, url, types, ordering, created_at,"
        " updated_at) values (%s, %s, %s, %s, 'https://x.test', '{mine.*}', 'none', outbox.clock(),"
        " outbox.clock())",
        *(made, b.tenant.team, b.tenant.project, queue),
    )
    b.forget_unplaced()
    for _ in range(ASKED):
        b.engine.rows("select outbox.publish('mine.now', p_project => %s)", b.tenant.project)
    b.engine.sequence(b.tenant)
    return made


def owed(statement: str) -> Call:
    """About an endpoint that was owed what was numbered last; %s: the endpoint, a job, its events."""

    def call(b: Busy) -> tuple[Any, ...]:
        made = endpoint(b)
        jobs = b.engine.rows(
            "select j.id, j.event_id from outbox.jobs j join outbox.endpoints e on e.queue_id = j.queue_id"
            " where e.id = %s",
            made,
        )
        if "end_deliveries" in statement:
            b.engine.do(f"select outbox.remove_endpoint({EVERYWHERE}, %s)", made)
            return (statement,)
        for job in jobs:
            b.engine.rows(f"select * from outbox.cancel({EVERYWHERE}, %s)", job["id"])
        b.engine.do("update outbox.endpoints set recovery_job = %s where id = %s", jobs[0]["id"], made)
        if "recover_step" in statement:
            step = {"only": "undelivered", "rate": 5, "from": 0, "position": 1, "scanned": 1, "percent": 1}
            return statement, jobs[0]["id"], made, [job["event_id"] for job in jobs], Jsonb(step)
        return (statement, made, jobs[0]["id"]) if "redeliver" in statement else (statement, made)

    return call


OWED = """
select o.* from outbox.endpoints e
join outbox.streams s on s.project_id = e.project_id
cross join lateral outbox.owed_events(e, s.head - 20, s.head, 'undelivered') o where e.id = %s
"""
CLAIM_HINTED = """
select * from outbox.claim(%s, %s, array[row(1, %s, 0, outbox.clock() - interval '1 s', %s)::outbox.spot])
"""


def bound(sql: str) -> Call:
    """By a worker that gets the jobs of one project only; %s: the worker, and how many."""

    def call(b: Busy) -> tuple[Any, ...]:
        b.hire()
        b.engine.do("update outbox.workers set project_ids = %s where id = %s", [b.tenant.project], b.worker)
        return sql, *(b.worker, ASKED)[: sql.count("%s")]

    return call


def over_http(sql: str, *, settled: bool = False) -> Call:
    """By a worker with a key; %s: its lease, and the jobs in it."""

    def call(b: Busy) -> tuple[Any, ...]:
        rows = b.claimed()
        if settled:
            b.engine.settle(b.worker, *map(result, rows))
        key = uuid4()
        b.engine.do("update outbox.workers set key_id = %s where id = %s", key, b.worker)
        caller = f"row(null, null, true, '{key}', 'test', 'r')::outbox.caller"
        given = (rows[0]["lease_id"], [row["job_id"] for row in rows])
        return sql.format(caller=caller), *given[: sql.count("%s")]

    return call


HOT: dict[str, Call] = {
    "publish": publishing(),
    "publish keyed": publishing(key="k", ordering_key="o"),
    "publish native": publishing(source_event_id="k"),
    "publish_many": publishing_many,
    "enqueue": lambda b: (f"select outbox.enqueue({EVERYWHERE}, 'mine', '{{}}', %s)", b.tenant.project),
    "enqueue unique": lambda b: (
        f"select outbox.enqueue({EVERYWHERE}, 'mine', '{{}}', %s, '{{\"uniqueKey\":\"u\"}}')",
        b.tenant.project,
    ),
    "sequence": lambda b: ("select * from outbox.sequence(%s, %s)", [b.tenant.project], ASKED),
    "place": placing,
    "place gathered": gathering("debounce"),
    "place held": gathering("end-of-session"),
    "close_gathering": gathered("select outbox.close_gathering(%s)"),
    "hasten_gathering": gathered("select outbox.hasten_gathering(%s)"),
    "publish linked": linking,
    "publish generating": generating,
    "look": lambda b: ("select * from outbox.look(%s, null, null, %s)", b.worker, ASKED),
    "claim": lambda b: ("select * from outbox.claim(%s, %s)", b.worker, ASKED),
    "claim hinted": lambda b: (
        CLAIM_HINTED,
        *(b.worker, ASKED, b.tenant.lane, ASKED),
    ),
    "claim lanes": lambda b: (
        "select * from outbox.claim(%s, %s, array[row(1, 0, 0, '-infinity', %s)::outbox.spot])",
        *(b.worker, ASKED, ASKED),
    ),
    "look bound": bound("select * from outbox.look(%s, null, null, %s)"),
    "claim bound": bound("select * from outbox.claim(%s, %s)"),
    "due_for": bound("select outbox.due_for(array[%s::uuid], array[1])"),
    "hire": over_http("select * from outbox.hire({caller}, 'w', 'mine', 10, '1 min')"),
    "holder": over_http("select outbox.holder({caller}, %s)"),
    "holder of what is over": over_http("select outbox.holder({caller}, %s, %s)", settled=True),
    "prolong": over_http("select * from outbox.prolong({caller}, %s, '1 min', %s)"),
    "settle whole": settling("completed"),
    "settle part": settling("completed", ASKED // 2),
    "settle failed": settling("failed"),
    "settle dead": settling("failed", final=True),
    "settle snoozed": settling("snoozed", forMs=1000),
    "settle repeated": settling_again,
    "settle keyed": settling_keyed,
    "release": in_hand("select outbox.release(%s, %s)"),
    "extend": in_hand("select outbox.extend(%s, %s, '1 min')"),
    "report": in_hand("select outbox.report(%s, %s, %s, null, '1')"),
    "payload": in_hand("select outbox.payload(%s, %s, %s)"),
    "fence": in_hand("select outbox.fence(%s, %s, %s)"),
    "beat": lambda b: ("select * from outbox.beat(%s)", b.worker),
    "poll": lambda b: ("select * from outbox.poll(%s)", b.worker),
    "reap": reaping,
    "stage": staging,
    "expire": expiring,
    "retire": lambda b: (b.claimed() and "select outbox.retire(%s)", b.worker),
    "cancel ready": of_job("cancel", "ready"),
    "cancel later": of_job("cancel", "later"),
    "cancel running": of_job("cancel", "leases"),
    "retry dead": of_job("retry", "dead_letters"),
    "owed_events": owed(OWED),
    "redeliver": owed(f"select * from outbox.redeliver({EVERYWHERE}, %s, %s)"),
    "recover": owed(f"select * from outbox.recover({EVERYWHERE}, %s, outbox.clock() - interval '1 ms')"),
    "recover_step": owed("select outbox.recover_step(%s, %s, %s, %s)"),
    "end_deliveries": owed(f"select outbox.end_deliveries({ASKED})"),
}


def check(engine: Engine, dsn: str, rows: int, statistics: str, dead: int = 0) -> None:
    busy = Busy(engine, rows, statistics)
    if dead:
        data.leave_dead_rows(engine, dead)
    explained = Explained(Engine(dsn))
    found: list[str] = []
    for mode in ("auto", "force_generic_plan"):
        explained.engine.do(f"set plan_cache_mode = {mode}")
        for name, call in HOT.items():
            statement, *args = call(busy)
            nodes = explained.nodes(statement, *args)
            found += [f"{name} ({mode}): {fault}" for fault in faults(nodes, ASKED, PARTITIONS)]
    explained.engine.close()
    assert found == [], "\n".join(dict.fromkeys(found))


@proves("G5")
@pytest.mark.parametrize("statistics", ["none", "stale", "fresh"])
@pytest.mark.parametrize("rows", [0, 1000])
def test_hot_statements_keep_their_plans(engine: Engine, dsn: str, rows: int, statistics: str) -> None:
    check(engine, dsn, rows, statistics)


@proves("G5", "G6")
@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("statistics", ["none", "stale", "fresh"])
def test_hot_statements_keep_their_plans_at_a_million_rows(engine: Engine, dsn: str, statistics: str) -> None:
    check(engine, dsn, MANY, statistics, dead=200_000)
