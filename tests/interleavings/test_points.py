"""Finer than statements: one side is halted at each of its writes, inside functions too."""

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.clock import Clock
from tests.engine import Engine, result
from tests.interleavings import scenes
from tests.interleavings.scenes import Make, Scene
from tests.interleavings.sessions import every_point, install_halts
from tests.interleavings.test_races import drained
from tests.proofs import proves


@pytest.fixture(autouse=True)
def _halts(engine: Engine) -> None:
    install_halts(engine)


def closing(scene: Make) -> Make:
    """A lane whose only job is in hand, and its next one numbered but not placed."""

    def make() -> Scene:
        made = scene().keyed("a").claim()
        made.jobs += made.engine.jobs_of(made.engine.publish(made.tenant, ordering_key="a"))
        made.engine.sequence(made.tenant)
        return made

    return make


@proves("C15", "C14")
@pytest.mark.parametrize("say", [scenes.settle, scenes.fail, scenes.cancel, scenes.retire])
def test_a_lane_is_never_stranded_between_its_end_and_its_next_job(
    scene: Make, engine: Engine, dsn: str, clock: Clock, say: Any
) -> None:
    points = 0
    for left, right in ((say, scenes.place), (scenes.place, say)):
        for seen in every_point(engine, dsn, closing(scene), left, right):
            points += 1
            waits = seen.scene.jobs if say in (scenes.fail, scenes.retire) else seen.scene.jobs[1:]
            worker = engine.worker(f"pull:{seen.scene.queue}")
            seen.scene.worker = worker
            engine.do("update outbox.workers set beat_at = 'infinity' where id = %s", worker)
            assert drained(seen.scene, clock) == waits, (left, seen.order)
    assert points > 10


@proves("C15", "R4")
def test_settle_and_reap_meet_at_every_write(scene: Make, engine: Engine, dsn: str) -> None:
    for kind in ("keyed", "free"):

        def make(kind: str = kind) -> Scene:
            return (scene().keyed("a", "a", "b") if kind == "keyed" else scene().enqueue(3)).claim().die()

        for left, right in ((scenes.settle, scenes.reap), (scenes.reap, scenes.settle)):
            for seen in every_point(engine, dsn, make, left, right):
                for job, ends in zip(seen.scene.jobs, seen.scene.outcomes(), strict=True):
                    claimed = job in {row["job_id"] for row in seen.scene.claimed}
                    assert ends in ([["completed"], ["lost"]] if claimed else [[]]), seen.order


@proves("C4", "C14")
def test_a_claim_gets_on_wherever_another_claim_stands(scene: Make, engine: Engine, dsn: str) -> None:
    def make() -> Scene:
        made = scene().enqueue(4, uniqueKey=None).keyed("a", "b")
        engine.queue(made.queue, concurrency=50)
        return made

    for seen in every_point(engine, dsn, make, scenes.claim, scenes.claim):
        assert seen.waited == set(), seen.order
        left, right = (scenes.ids(side[0]) for side in (seen.left, seen.right))
        assert not left & right


@proves("C13", "C15")
def test_expire_meets_place_and_settle_at_every_write(
    scene: Make, engine: Engine, dsn: str, clock: Clock
) -> None:
    def make() -> Scene:
        made = scene().keyed("a").claim()
        for key in ("b", "a"):
            event = made.engine.publish(
                made.tenant, ordering_key=key, expires_at=clock.now + 3 * scenes.SECOND
            )
            made.jobs += made.engine.jobs_of(event)
        made.engine.sequence(made.tenant)
        clock.forward(3 * scenes.SECOND)
        return made

    for other in (scenes.place, scenes.settle):
        for left, right in ((scenes.expire, other), (other, scenes.expire)):
            for seen in every_point(engine, dsn, make, left, right):
                s = seen.scene
                engine.place(s.tenant)
                engine.expire()
                if other is scenes.place:
                    s.engine.settle(s.worker, *map(result, s.claimed))
                assert s.engine.claim(s.worker) == []
                assert s.outcomes() == [["completed"], ["cancelled"], ["cancelled"]], seen.order


@proves("L3")
def test_settles_of_several_leases_meet_at_every_write_without_a_deadlock(
    scene: Make, engine: Engine, dsn: str
) -> None:
    def make() -> Scene:
        made = scene()
        for _ in range(3):
            made.enqueue(2)
            made.claimed += made.engine.claim(made.worker)
        return made

    def some(*at: int) -> Any:
        return lambda e, s: e.settle(s.worker, *(result(s.claimed[n]) for n in at))

    for left, right in (((0, 1, 4), (4, 5, 0)), ((4, 5, 0), (0, 1, 4)), ((0, 1, 2, 3), (3, 2, 1, 0))):
        for seen in every_point(engine, dsn, make, some(*left), some(*right)):
            ends = [one for one in seen.scene.outcomes() if one]
            assert ends == [["completed"]] * len({*left, *right}), seen.order


@proves("E3", "E10")
def test_groups_with_equal_keys_meet_between_two_keys_without_a_deadlock(
    scene: Make, engine: Engine, dsn: str
) -> None:
    def publish(*keys: str) -> Any:
        events = [Jsonb({"eventType": "t", "idempotencyKey": key}) for key in keys]
        sql = "select event_id from outbox.publish_many(%s::jsonb[], %s) order by ord"
        return lambda e, s: e.rows(sql, events, s.tenant.project)

    for seen in every_point(engine, dsn, scene, publish("A", "B", "C"), publish("C", "B", "A")):
        assert seen.left[0] == seen.right[0][::-1], seen.order
