"""Workers over SQL: whose jobs a login gets, and that nobody speaks for another's worker."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.clock import Clock
from tests.engine import Engine, Tenant
from tests.interleavings.sessions import Session
from tests.proofs import proves

MINUTE = timedelta(minutes=1)


class Logins:
    """`as_(login)` makes the session that login's; None: the owner's again."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.made: list[str] = []

    def add(self, *projects: UUID) -> str:
        login = f"t_{uuid4().hex[:12]}"
        self.engine.do(f"create role {login} login")
        self.engine.do(f"grant outbox_worker to {login}")
        for project in projects:
            self.engine.do("insert into outbox.producers values (%s, %s)", login, project)
        self.made.append(login)
        return login

    def as_(self, login: str | None) -> None:
        self.engine.do("reset session authorization")
        if login is not None:
            self.engine.do(f"set session authorization {login}")

    def refused(self, statement: str, *given: Any) -> str | None:
        with pytest.raises(psycopg.Error) as failed:
            self.engine.do(statement, *given)
        return failed.value.sqlstate


@pytest.fixture
def logins(engine: Engine) -> Iterator[Logins]:
    made = Logins(engine)
    yield made
    made.as_(None)
    for login in made.made:
        engine.do(f"drop owned by {login}")
        engine.do(f"drop role {login}")


@proves("T7", "T4")
def test_a_login_gets_the_jobs_of_the_projects_that_bind_it(engine: Engine, logins: Logins) -> None:
    """Keyed or not, by whatever spots, whoever else waits in front; bound to nothing it gets all."""
    first, other = engine.tenant(), engine.tenant()
    second, third = engine.tenant(first.team), engine.tenant(first.team)
    plain, keyed = {}, {}
    for each in (other, first, second, third):
        engine.route(each, "thing.done")
        plain[engine.enqueue(each)] = each.project
        keyed[engine.keyed(each)] = each.project
    queue = engine.queue()
    named = [other, first, third]
    spots = [f"({queue},{lane},0,-infinity,9)" for lane in (0, *(each.lane for each in named))]
    bound = {
        logins.add(first.project): {first.project},
        logins.add(first.project, second.project): {first.project, second.project},
        logins.add(): {each.project for each in (first, second, third, other)},
    }
    for login, projects in bound.items():
        logins.as_(login)
        worker = engine.worker()
        assert {of_lane(engine, logins, row["lane"]) for row in engine.look(worker)} - {None} == projects
        assert engine.poll(worker)["due_queues"] == [queue]
        mine = {job for job, project in (plain | keyed).items() if project in projects}
        some = mine - {job for job, project in plain.items() if project == second.project}
        for given, wanted in ((None, mine), (spots, some)):
            rows = engine.claim(worker, 100, given)
            assert {row["job_id"] for row in rows} == wanted
            for lease in {row["lease_id"] for row in rows}:
                engine.release(worker, lease)


def of_lane(engine: Engine, logins: Logins, lane: int) -> UUID | None:
    found: UUID | None = as_owner(engine, logins, "select id from outbox.projects where number = %s", lane)
    return found


def as_owner(engine: Engine, logins: Logins, statement: str, *given: Any) -> Any:
    login = engine.one("select session_user::text")
    logins.as_(None)
    found = engine.one(statement, *given)
    logins.as_(login)
    return found


CALLS = {
    "claim": "select * from outbox.claim(%(worker)s, 1)",
    "look": "select * from outbox.look(%(worker)s)",
    "poll": "select * from outbox.poll(%(worker)s)",
    "extend": "select outbox.extend(%(worker)s, %(lease)s, '1 min')",
    "report": "select outbox.report(%(worker)s, %(lease)s, %(job)s)",
    "payload": "select outbox.payload(%(worker)s, %(lease)s, %(job)s)",
}
SAID = {
    "settle": ("select (outbox.settle(%(worker)s, %(results)s)).note", "lease_over"),
    "release": ("select outbox.release(%(worker)s, %(lease)s)", 0),
    "beat": ("select (outbox.beat(%(worker)s)).alive", False),
    "retire": ("select outbox.retire(%(worker)s)", 0),
}


@proves("T7", "L1")
def test_nobody_speaks_for_the_worker_of_another_login(
    engine: Engine, tenant: Tenant, logins: Logins
) -> None:
    """Nor for the daemon's own: whatever the verb, it is as unknown as one that never was."""
    mine, stranger = logins.add(tenant.project), logins.add()
    engine.enqueue(tenant)
    engine.enqueue(tenant)
    owners: dict[str | None, dict[str, Any]] = {}
    for login in (mine, None):
        logins.as_(login)
        worker = engine.worker()
        row = engine.claim(worker, 1)[0]
        result = {"lease": str(row["lease_id"]), "job": str(row["job_id"]), "outcome": "completed"}
        owners[login] = {
            "worker": worker,
            "lease": row["lease_id"],
            "job": row["job_id"],
            "results": Jsonb([result]),
        }
    verbs = {name for name in granted(engine) if name not in {"enlist", "me"}}
    assert CALLS.keys() | SAID.keys() == verbs
    logins.as_(stranger)
    for given in [*owners.values(), {**owners[mine], "worker": uuid4()}]:
        for name, statement in CALLS.items():
            with pytest.raises(psycopg.Error) as refused:
                engine.conn.execute(statement.encode(), given)
            assert ("OX409", name) == (refused.value.sqlstate, name)
        for statement, said in SAID.values():
            answer = engine.conn.execute(statement.encode(), given).fetchone()
            assert answer is not None
            assert said == next(iter(answer.values())), statement
    logins.as_(None)
    assert engine.one("select count(*) from outbox.leases") == 2
    logins.as_(mine)
    assert engine.conn.execute(SAID["settle"][0].encode(), owners[mine]).fetchone() == {"note": None}


def granted(engine: Engine) -> set[str]:
    return {
        row["proname"]
        for row in engine.rows(
            "select proname from pg_proc where pronamespace = 'outbox'::regnamespace"
            " and has_function_privilege('outbox_worker', oid, 'execute')"
        )
    }


@proves("T3")
def test_a_login_that_is_bound_more_narrowly_enlists_anew(
    engine: Engine, tenant: Tenant, logins: Logins
) -> None:
    """What it held runs out; bound more widely, it goes on as it was."""
    other = engine.tenant()
    login = logins.add(tenant.project)
    engine.enqueue(tenant)
    logins.as_(login)
    worker = engine.worker()
    held = engine.claim(worker)[0]
    as_owner(engine, logins, "insert into outbox.producers values (%s, %s) returning 1", login, other.project)
    engine.extend(worker, held["lease_id"], 10 * MINUTE)
    as_owner(engine, logins, "delete from outbox.producers where project_id = %s returning 1", tenant.project)
    assert logins.refused("select outbox.extend(%s, %s, '1 min')", worker, held["lease_id"]) == "OX409"
    assert engine.end(worker, held)["note"] == "lease_over"
    assert engine.beat(worker)["alive"] is False
    assert engine.claim(engine.worker()) == []


def test_a_bound_login_works_for_pull_handlers_only(engine: Engine, tenant: Tenant, logins: Logins) -> None:
    logins.as_(logins.add(tenant.project))
    for handlers in (["observe"], ["pull:work", "deliver"], ["pull:"], ["sql:a.b"]):
        assert logins.refused("select outbox.enlist('w', %s)", handlers) == "OX403"
    logins.as_(None)
    logins.as_(logins.add())
    engine.worker("observe")


def test_a_bound_login_is_told_nothing_about_others(engine: Engine, tenant: Tenant, logins: Logins) -> None:
    other = engine.tenant()
    engine.enqueue(other)
    engine.publish(other)
    engine.enqueue(other, runAt=(engine.one("select outbox.clock()") + MINUTE))
    engine.claim(engine.worker("pull:other"))
    logins.as_(logins.add(tenant.project))
    worker = engine.worker()
    told = engine.poll(worker)
    assert told == {
        "due_queues": [], "next_due": None, "pending": False, "unplaced": False, "leases_open": False,
        "to_reap": False, "to_stage": False, "upkeep": [], "next_tick": None,
    }  # fmt: skip
    assert engine.look(worker) == []


@proves("L1", "R5")
def test_a_worker_that_does_not_beat_loses_what_it_does_not_extend(
    engine: Engine, tenant: Tenant, logins: Logins, clock: Clock
) -> None:
    """And it is alive as long as it is heard of."""
    logins.as_(logins.add(tenant.project))
    worker = engine.worker("pull:work", liveness="lease", leaseSeconds=60)
    as_owner(engine, logins, ENQUEUE, tenant.project)
    held = engine.claim(worker)[0]
    clock.forward(timedelta(seconds=59))
    engine.extend(worker, held["lease_id"], MINUTE)
    clock.forward(timedelta(seconds=59))
    assert as_owner(engine, logins, REAP) == 0
    clock.forward(timedelta(seconds=2))
    assert as_owner(engine, logins, REAP) == 1
    assert engine.end(worker, held)["note"] == "lease_over"
    [again] = engine.rows("select * from outbox.claim(%s, 1, p_lease => '10 min')", worker)
    assert (again["job_id"], again["attempt"]) == (held["job_id"], 2)
    limit = as_owner(engine, logins, "select deadline_at from outbox.leases")
    assert limit == clock.now + 10 * MINUTE
    assert as_owner(engine, logins, STATE) == "alive"
    clock.forward(2 * MINUTE)
    assert as_owner(engine, logins, STATE) == "silent"
    assert engine.claim(worker) == []
    assert as_owner(engine, logins, STATE) == "alive"


@pytest.mark.parametrize(
    "verb",
    ["settle", *(pytest.param(each, marks=pytest.mark.nightly) for each in ("extend", "release", "report"))],
)
def test_who_is_heard_of_holds_its_row_last(
    engine: Engine, tenant: Tenant, logins: Logins, clock: Clock, dsn: str, verb: str
) -> None:
    """Whoever cancels its job has the lease, and comes to the row of the worker: neither waits for both."""
    login = logins.add(tenant.project)
    engine.enqueue(tenant)
    logins.as_(login)
    worker = engine.worker("pull:work", liveness="lease", leaseSeconds=600)
    row = engine.claim(worker)[0]
    logins.as_(None)
    clock.forward(5 * MINUTE)
    said = {"lease": str(row["lease_id"]), "job": str(row["job_id"]), "outcome": "completed"}
    given = {"worker": worker, "lease": row["lease_id"], "job": row["job_id"], "results": Jsonb([said])}
    statement = (CALLS.get(verb) or SAID[verb][0]).encode()
    with psycopg.connect(dsn) as cancels, Session(dsn) as speaks:
        cancels.execute("select from outbox.leases for update")
        speaks.engine.do(f"set session authorization {login}")
        speaks.push(lambda: speaks.engine.conn.execute(statement, given))
        assert not speaks.settled(engine)
        cancels.execute("set local lock_timeout = '1s'")
        cancels.execute("update outbox.workers set cancelled = '{}'")
        cancels.commit()
        speaks.commit()
        speaks.finish()
    assert not [each for each in speaks.results if isinstance(each, Exception)]
    assert clock.now == engine.one("select beat_at from outbox.workers")


ENQUEUE = "select job_id from outbox.enqueue(outbox.me(), 'work', '{}', %s)"
REAP = "select count(*) from outbox.reap()"
STATE = "select state from outbox.live_workers"


def test_a_claim_refuses_a_time_limit_out_of_bounds(engine: Engine, worker: UUID) -> None:
    for lease in ("4 s", "61 min"):
        with pytest.raises(psycopg.Error) as refused:
            engine.do("select outbox.claim(%s, 1, p_lease => %s::interval)", worker, lease)
        assert refused.value.sqlstate == "OX400"


def test_a_worker_that_beats_has_no_other_time_limit(
    engine: Engine, tenant: Tenant, worker: UUID, clock: Clock
) -> None:
    engine.enqueue(tenant)
    engine.do("select outbox.claim(%s, 1, p_lease => '5 s')", worker)
    assert engine.one("select deadline_at from outbox.leases") == clock.now + 5.5 * MINUTE
