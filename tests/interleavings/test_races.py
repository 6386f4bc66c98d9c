"""Every pair of verbs that may meet, in every order of their statements and commits."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.clock import Clock
from tests.engine import Engine, result
from tests.interleavings import scenes
from tests.interleavings.scenes import SECOND, Make, Race, Scene, ids
from tests.proofs import proves


@proves("C2", "C4", "C14")
def test_two_claims_share_out_the_jobs_and_never_wait(scene: Make, race: Race) -> None:
    for seen in race(lambda: scene().enqueue(3).keyed("a", "b", "a"), scenes.claim, scenes.claim):
        left, right = ids(seen.left[0]), ids(seen.right[0])
        assert not left & right, seen.order
        assert left | right <= set(seen.scene.jobs)
        assert seen.waited == set()
        lanes = [row["ordering_key"] for row in seen.left[0] + seen.right[0] if row["ordering_key"]]
        assert len(lanes) == len(set(lanes)), seen.order


@proves("L16", "L17", "C4")
@pytest.mark.parametrize("keyed", [False, True])
def test_a_cancel_wins_over_a_claim_in_every_order(scene: Make, race: Race, keyed: bool) -> None:
    def make() -> Scene:
        return scene().keyed("a", "a") if keyed else scene().enqueue(2)

    for seen in race(make, scenes.claim, scenes.cancel):
        first = seen.scene.jobs[0]
        assert seen.scene.engine.place_of(first) == "cancelled", seen.order
        assert "l" not in seen.waited
        if first in ids(seen.left[0]):
            assert first in seen.scene.engine.beat(seen.scene.worker)["cancelled"]


@proves("C9")
def test_a_claim_that_begins_after_a_limit_keeps_it(scene: Make, race: Race) -> None:
    for seen in race(lambda: scene().enqueue(5), scenes.claim, scenes.limit):
        assert "l" not in seen.waited
        begun_after = seen.order.index("l") > seen.order.rindex("r")
        assert len(seen.left[0]) == (1 if begun_after else 5), seen.order


@proves("L3", "L4")
@pytest.mark.parametrize("kind", ["free", "keyed", "partly"])
def test_two_equal_settles_count_once(scene: Make, race: Race, kind: str) -> None:
    def make() -> Scene:
        made = (scene().keyed("a", "b") if kind == "keyed" else scene().enqueue(3)).claim()
        if kind == "partly":
            made.claimed.pop()
        return made

    for seen in race(make, scenes.settle, scenes.settle):
        notes = [{row["note"] for row in side[0]} for side in (seen.left, seen.right)]
        assert notes in ([{None}, {"repeated"}], [{"repeated"}, {None}]), seen.order
        assert all(row["accepted"] for row in seen.left[0] + seen.right[0])


@proves("L3")
@pytest.mark.parametrize(
    ("left", "right"), [((0, 1, 2), (4, 5, 1)), ((6, 7, 0), (0, 1, 6)), ((0, 2, 4, 6), (6, 4, 2, 0))]
)
def test_settles_that_overlap_in_opposite_orders_do_not_deadlock(
    scene: Make, race: Race, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    def make() -> Scene:
        made = scene()
        for _ in range(4):
            made.enqueue(2)
            made.claimed += made.engine.claim(made.worker)
        return made

    def some(at: tuple[int, ...]) -> Callable[[Engine, Scene], Any]:
        return lambda e, s: e.settle(s.worker, *(result(s.claimed[n]) for n in at))

    for seen in race(make, some(left), some(right)):
        ends = [n for n in seen.scene.outcomes() if n]
        assert len(ends) == len({*left, *right}), seen.order
        assert all(len(one) == 1 for one in ends)


@proves("R4", "R2", "L1")
@pytest.mark.parametrize("keyed", [False, True])
def test_a_settle_and_a_reap_end_an_attempt_once(scene: Make, race: Race, keyed: bool) -> None:
    def make() -> Scene:
        return (scene().keyed("a", "a") if keyed else scene().enqueue(2)).claim().die()

    for seen in race(make, scenes.settle, scenes.reap):
        assert "r" not in seen.waited, seen.order
        first = seen.scene.outcomes()[0]
        assert first in (["completed"], ["lost"]), seen.order
        assert seen.left[0][0]["accepted"] == (first == ["completed"])


@proves("R2")
def test_two_reapers_share_out_the_dead(scene: Make, race: Race) -> None:
    for seen in race(lambda: scene().enqueue(3).claim().die(), scenes.reap, scenes.reap):
        assert seen.waited == set(), seen.order
        assert seen.scene.outcomes() == [["lost"]] * 3
        assert len(seen.left[0]) + len(seen.right[0]) == 3


@proves("L16", "L17")
@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("say", [scenes.settle, scenes.fail])
def test_a_settle_and_a_cancel_end_a_job_once(scene: Make, race: Race, keyed: bool, say: Any) -> None:
    def make() -> Scene:
        return (scene().keyed("a", "a") if keyed else scene().enqueue(2)).claim()

    for seen in race(make, say, scenes.cancel):
        job, told = seen.scene.jobs[0], seen.right[0]
        said = next(row for row in seen.left[0] if row["job_id"] == job)
        first = seen.scene.outcomes()[0]
        if isinstance(told, psycopg.Error):
            assert (told.sqlstate, first) == ("OX409", ["completed"]), seen.order
        elif first[0] == "cancelled":
            assert (first, said["accepted"]) == (["cancelled"], False), seen.order
        else:
            assert (first, say) == (["failed", "cancelled"], scenes.fail), seen.order


@proves("C15", "C14")
@pytest.mark.parametrize("say", [scenes.settle, scenes.fail])
@pytest.mark.parametrize("follow", [[scenes.place], [scenes.sequence, scenes.place]])
def test_the_end_of_a_lane_and_its_next_job_do_not_miss_each_other(
    scene: Make, race: Race, say: Any, follow: list[Any], clock: Clock
) -> None:
    def make() -> Scene:
        made = scene().keyed("a").claim()
        made.jobs += made.engine.jobs_of(made.engine.publish(made.tenant, ordering_key="a"))
        if follow == [scenes.place]:
            made.engine.sequence(made.tenant)
        return made

    for seen in race(make, [say], follow):
        assert drained(seen.scene, clock) == seen.scene.jobs[1 if say is scenes.settle else 0 :], seen.order


def drained(s: Scene, clock: Clock) -> list[Any]:
    """What is still to do, done one lane's head after the other."""
    order: list[Any] = []
    clock.forward(SECOND)
    while got := s.engine.claim(s.worker):
        order += [row["job_id"] for row in got]
        s.engine.settle(s.worker, *map(result, got))
    return order


@proves("F1")
def test_two_sequencers_give_every_event_one_number(scene: Make, race: Race) -> None:
    def make() -> Scene:
        made = scene()
        made.jobs = [made.engine.publish(made.tenant) for _ in range(3)]
        return made

    def publish(e: Engine, s: Scene) -> Any:
        s.jobs.append(e.publish(s.tenant))

    for seen in race(make, [scenes.sequence, publish, scenes.sequence], scenes.sequence):
        s = seen.scene
        assert seen.waited == set(), seen.order
        s.engine.sequence(s.tenant)
        rows = s.engine.rows(
            "select seq, event_id from outbox.feed where project_id = %s order by seq", s.tenant.project
        )
        assert [row["seq"] for row in rows] == list(range(1, 5)), seen.order
        assert [row["event_id"] for row in rows] == s.jobs


@proves("L17")
def test_stage_and_cancel_meet_without_a_trace(scene: Make, race: Race, clock: Clock) -> None:
    def make() -> Scene:
        made = scene().enqueue(2, runAt=clock.now + 3 * SECOND)
        clock.forward(3 * SECOND)
        return made

    for seen in race(make, scenes.stage, scenes.cancel):
        assert "l" not in seen.waited, seen.order
        assert seen.scene.places()[0] == "cancelled", seen.order
        seen.scene.engine.stage()
        assert seen.scene.places()[1] == "ready"


@proves("R9", "L17")
@pytest.mark.parametrize("keyed", [False, True])
def test_two_retries_make_one_series(scene: Make, race: Race, keyed: bool) -> None:
    def make() -> Scene:
        return (scene().keyed("a") if keyed else scene().enqueue()).fail()

    for seen in race(make, scenes.retry, scenes.retry):
        assert sorted(side[0]["before"] for side in (seen.left, seen.right)) == ["failed", "queued"], (
            seen.order
        )
        assert seen.scene.outcomes() == [["failed", "retried"]]


@proves("R9", "L17")
def test_a_retry_and_a_purge_agree(scene: Make, race: Race) -> None:
    for seen in race(lambda: scene().enqueue().fail(), scenes.retry, scenes.purge):
        refused, purged = isinstance(seen.left[0], psycopg.Error), seen.right[0] == 1
        assert refused == purged, seen.order
        assert seen.scene.outcomes() == [["failed", "purged" if purged else "retried"]]


@proves("R4", "R5", "L1")
def test_extend_and_reap_agree_on_who_holds_the_lease(scene: Make, race: Race, clock: Clock) -> None:
    def make() -> Scene:
        made = scene().enqueue(1, timeoutMs=1000).claim()
        clock.forward(40 * SECOND)
        return made

    def extend(e: Engine, s: Scene) -> Any:
        return e.extend(s.worker, s.claimed[0]["lease_id"], timedelta(minutes=1))

    for seen in race(make, extend, scenes.reap):
        assert "r" not in seen.waited
        kept = not isinstance(seen.left[0], psycopg.Error)
        assert seen.scene.places() == (["leases"] if kept else ["later"]), seen.order


@proves("R5", "L5")
def test_a_beat_and_a_reap_agree_on_who_lives(scene: Make, race: Race) -> None:
    for seen in race(lambda: scene().enqueue(1).claim().die(), lambda e, s: e.beat(s.worker), scenes.reap):
        assert "r" not in seen.waited
        assert seen.scene.places() == (["leases"] if seen.left[0]["alive"] else ["ready"]), seen.order


@proves("E11")
@pytest.mark.parametrize("say", [scenes.settle, scenes.fail])
def test_a_unique_key_and_the_end_of_its_job_lose_no_work(scene: Make, race: Race, say: Any) -> None:
    def enqueue(e: Engine, s: Scene) -> Any:
        return e.enqueue(s.tenant, s.queue, uniqueKey="u")

    for seen in race(lambda: scene().enqueue(1, uniqueKey="u").claim(), say, enqueue):
        s, answer = seen.scene, seen.right[0]
        alive = s.engine.place_of(answer) in ("ready", "later")
        assert alive or seen.order.index("r") < seen.order.rindex("l"), seen.order
        assert alive or answer == s.jobs[0], seen.order


@proves("C5")
def test_what_commits_late_is_found_by_the_next_look(scene: Make, race: Race, clock: Clock) -> None:
    def enqueue(e: Engine, s: Scene) -> Any:
        s.jobs.append(e.enqueue(s.tenant, s.queue))

    def hinted(e: Engine, s: Scene) -> Any:
        spot = f"({e.queue(s.queue)},{s.tenant.lane},0,{clock.now.isoformat()},10)"
        return e.claim(s.worker, 10, [spot])

    for seen in race(lambda: scene().enqueue(), enqueue, hinted):
        s = seen.scene
        assert seen.waited == set()
        assert ids(seen.right[0]) | ids(s.engine.claim(s.worker)) == set(s.jobs), seen.order


@proves("C11")
def test_a_pause_holds_from_its_commit_and_publishing_goes_on(scene: Make, race: Race) -> None:
    for seen in race(scene, scenes.publish, scenes.pause):
        assert seen.waited == set(), seen.order
        assert seen.scene.engine.claim(seen.scene.worker) == []
    for seen in race(lambda: scene().enqueue(2), scenes.claim, scenes.pause):
        begun_after = seen.order.index("l") > seen.order.rindex("r")
        assert len(seen.left[0]) == (0 if begun_after else 2), seen.order
        assert seen.scene.engine.claim(seen.scene.worker) == []


@proves("E3", "E10")
def test_groups_with_the_same_keys_in_other_orders_wait_and_do_not_deadlock(scene: Make, race: Race) -> None:
    def publish(*keys: str) -> Callable[[Engine, Scene], Any]:
        events = [Jsonb({"eventType": "t", "idempotencyKey": key}) for key in keys]
        sql = "select event_id from outbox.publish_many(%s::jsonb[], %s) order by ord"
        return lambda e, s: e.rows(sql, events, s.tenant.project)

    for seen in race(scene, publish("A", "B"), publish("B", "A")):
        assert seen.left[0] == seen.right[0][::-1], seen.order


@proves("C13")
def test_expire_and_claim_end_a_job_once(scene: Make, race: Race, clock: Clock) -> None:
    def make() -> Scene:
        made = scene().enqueue(2, expiresAt=clock.now + 3 * SECOND)
        made.jobs.append(made.engine.keyed(made.tenant, expires_at=clock.now + 3 * SECOND))
        clock.forward(3 * SECOND)
        return made

    for seen in race(make, scenes.claim, scenes.expire):
        assert seen.left[0] == []
        assert "l" not in seen.waited
        seen.scene.engine.expire()
        assert seen.scene.outcomes() == [["cancelled"]] * 3, seen.order


@pytest.mark.parametrize("other", [scenes.place, scenes.settle, scenes.cancel])
def test_retire_gives_back_many_lanes_without_a_deadlock(scene: Make, race: Race, other: Any) -> None:
    def make() -> Scene:
        made = scene().keyed("b", "a", "c", "d")
        made.engine.queue(made.queue, lease_size=1)
        for _ in made.jobs:
            made.claimed += made.engine.claim(made.worker)
        for key in "abcd":
            made.engine.publish(made.tenant, ordering_key=key)
        made.engine.sequence(made.tenant)
        return made

    for seen in race(make, scenes.retire, other):
        assert set(seen.scene.places()) <= {"ready", "completed", "cancelled"}, seen.order
