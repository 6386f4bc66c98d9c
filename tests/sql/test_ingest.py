"""ingest, as the daemon calls it: units, and what one does to the others."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from tests.engine import Engine, Tenant
from tests.proofs import proves

CALL = """
select i.ord, i.unit, i.status, i.event_id, i.duplicate, i.differs, i.code, i.jobs
from outbox.ingest(array(select r from jsonb_populate_recordset(null::outbox.incoming, %s) r), %s) i
"""


class Door:
    """Rows on their way in, as the daemon has made them."""

    def __init__(self, engine: Engine, tenant: Tenant) -> None:
        self.engine, self.tenant = engine, tenant

    def row(self, unit: int, **fields: Any) -> dict[str, Any]:
        made = self.engine.one("select outbox.uuid7(outbox.clock())")
        return {
            "unit": unit,
            "id": str(made),
            "project_id": str(self.tenant.project),
            "type": "thing.done",
            "payload": {},
            "adapter": "api",
            "strict": "event_key" in fields,
        } | fields

    def send(self, *rows: dict[str, Any], again: bool = False) -> list[dict[str, Any]]:
        numbered = [row | {"ord": at} for at, row in enumerate(rows)]
        return self.engine.rows(CALL, Jsonb(numbered), again)


@pytest.fixture
def door(engine: Engine, tenant: Tenant) -> Door:
    engine.route(tenant, "*")
    return Door(engine, tenant)


def statuses(said: list[dict[str, Any]]) -> list[int]:
    return [row["status"] for row in said]


def stored(engine: Engine) -> list[str]:
    return sorted(str(row["id"]) for row in engine.rows("select id from outbox.events"))


@proves("I5", "E6")
def test_a_refused_unit_leaves_nothing_and_its_neighbours_do_not_notice(engine: Engine, door: Door) -> None:
    good, foreign = door.row(0), door.row(1, project_id=str(uuid4()))
    with_it, last = door.row(1, event_key="key:v1:a"), door.row(2)
    said = door.send(good, foreign, with_it, last)

    assert statuses(said) == [201, 403, 403, 201]
    assert stored(engine) == sorted([good["id"], last["id"]])
    assert [engine.one(f"select count(*) from outbox.{t}") for t in ("jobs", "pending", "event_keys")] == [
        2,
        2,
        0,
    ]
    assert [len(row["jobs"]) for row in said] == [1, 0, 0, 1]


@proves("T3", "T5")
def test_authority_is_read_where_the_row_is_written(engine: Engine, tenant: Tenant, door: Door) -> None:
    def key(**columns: Any) -> str:
        made = uuid4()
        given = {
            "id": made,
            "hash": made.bytes * 2,
            "prefix": "p",
            "team_id": tenant.team,
            "project_id": None,
            "scopes": ["events:write"],
            "actor": "a",
            "created_at": engine.one("select outbox.clock()"),
        } | columns
        marks = ", ".join(["%s"] * len(given))
        engine.do(f"insert into outbox.keys ({', '.join(given)}) values ({marks})", *given.values())
        return str(made)

    now, other, sibling = (
        engine.one("select outbox.clock()"),
        engine.tenant(),
        engine.tenant(team=tenant.team),
    )
    keys = {
        "good": key(),
        "revoked": key(revoked_at=now),
        "expired": key(expires_at=now),
        "unscoped": key(scopes=["events:read"]),
        "foreign": key(team_id=other.team),
        "sibling": key(project_id=sibling.project),
        "operator": key(team_id=None),
        "unknown": str(uuid4()),
    }
    said = door.send(*(door.row(at, key_id=one) for at, one in enumerate(keys.values())))

    assert dict(zip(keys, statuses(said), strict=True)) == dict.fromkeys(keys, 403) | {"good": 201}


def test_an_archived_project_is_a_verdict(engine: Engine, tenant: Tenant, door: Door) -> None:
    engine.do("update outbox.projects set archived_at = outbox.clock()")
    said = door.send(door.row(0))
    assert (said[0]["status"], said[0]["code"]) == (409, "ProjectArchived")


def test_equal_keys_of_two_units_collapse_onto_the_first(engine: Engine, door: Door) -> None:
    first, second = door.row(0, event_key="key:v1:k"), door.row(1, event_key="key:v1:k")
    said = door.send(first, second)

    assert [(r["status"], r["duplicate"], str(r["event_id"])) for r in said] == [
        (201, False, first["id"]),
        (201, True, first["id"]),
    ]
    assert stored(engine) == [first["id"]]


def test_a_key_with_other_content_is_refused_and_a_native_id_only_differs(door: Door) -> None:
    door.send(door.row(0, event_key="key:v1:k"), door.row(1, event_key="agent_event:v1:n", strict=False))
    said = door.send(
        door.row(0, event_key="key:v1:k", payload={"a": 1}),
        door.row(1, event_key="agent_event:v1:n", strict=False, payload={"a": 1}),
    )

    assert [(r["status"], r["duplicate"], r["differs"]) for r in said] == [
        (409, True, True),
        (201, True, True),
    ]


def test_a_unit_that_met_a_refused_one_is_run_again_as_a_whole(engine: Engine, door: Door) -> None:
    taken = door.row(0, event_key="key:v1:taken")
    door.send(taken)
    refused = [door.row(0, event_key="key:v1:k"), door.row(0, event_key="key:v1:taken", payload={"x": 1})]
    met = [door.row(1), door.row(1, event_key="key:v1:k"), door.row(1, event_key="key:v1:l")]
    further = [door.row(2, event_key="key:v1:l"), door.row(2)]
    apart = [door.row(3)]
    said = door.send(*refused, *met, *further, *apart)

    assert statuses(said) == [409, 409, 0, 0, 0, 0, 0, 201]
    assert stored(engine) == sorted([taken["id"], apart[0]["id"]])
    assert engine.one("select count(*) from outbox.event_keys") == 1
    assert statuses(door.send(*met)) == [201] * 3
    assert statuses(door.send(*further)) == [201] * 2


def test_a_conflict_with_what_never_was_is_run_again(engine: Engine, door: Door) -> None:
    door.send(door.row(0, event_key="key:v1:taken"))
    refused = [door.row(0, event_key="key:v1:k"), door.row(0, event_key="key:v1:taken", payload={"x": 1})]
    said = door.send(*refused, door.row(1, event_key="key:v1:k", payload={"other": 1}))

    assert statuses(said) == [409, 409, 0]


def test_a_conflict_with_a_unit_that_stands_is_a_conflict(door: Door) -> None:
    said = door.send(door.row(0, event_key="key:v1:k"), door.row(1, event_key="key:v1:k", payload={"x": 1}))
    assert statuses(said) == [201, 409]


@proves("I2")
def test_the_same_ids_again_are_answered_as_stored(engine: Engine, door: Door) -> None:
    rows = [door.row(0, event_key="key:v1:k"), door.row(0), door.row(1, event_key="key:v1:k")]
    first = door.send(*rows)
    fresh = door.row(2)
    again = door.send(*rows, fresh, again=True)

    assert [(r["status"], r["duplicate"], r["event_id"]) for r in again[:3]] == [
        (r["status"], r["duplicate"], r["event_id"]) for r in first
    ]
    assert again[3]["status"] == 201
    assert stored(engine) == sorted([rows[0]["id"], rows[1]["id"], fresh["id"]])
    assert engine.one("select count(*) from outbox.pending") == 3


def test_keyed_jobs_get_their_bodies_only(engine: Engine, door: Door) -> None:
    said = door.send(door.row(0, ordering_key="k"), door.row(1))
    keyed, free = (row["jobs"][0]["id"] for row in said)

    assert engine.place_of(UUID(keyed)) == "none"
    assert engine.place_of(UUID(free)) == "ready"
    assert [row["jobs"] for row in engine.rows("select jobs from outbox.pending order by id")] == [
        [UUID(keyed)],
        None,
    ]


def test_an_expired_key_counts_as_absent(engine: Engine, door: Door, clock: Any) -> None:
    first = door.row(0, event_key="key:v1:k")
    door.send(first)
    clock.forward(timedelta(days=30))
    second = door.row(0, event_key="key:v1:k", payload={"other": 1})

    assert statuses(door.send(second)) == [201]
    assert str(engine.one("select event_id from outbox.event_keys")) == second["id"]
