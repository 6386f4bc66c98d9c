"""Shares take turns by weight, and a claim starts where the last one left off."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from outboxd.loops.spots import Spots
from outboxd.model import Claimed
from outboxd.store.jobs import Spot, Want

proves = pytest.mark.proves

NOW = datetime(2031, 1, 1, tzinfo=UTC)


def spot(lane: int, *, queue: int = 1, weight: int = 1, size: int = 500, handler: str = "work") -> Spot:
    return Spot(queue, lane, 0, NOW, weight, f"q{queue}", handler, size)


def given(want: Want, n: int, *, run_at: datetime = NOW, priority: int = 0) -> list[Claimed]:
    """What the database gives for a want: `n` jobs, a second apart."""
    blank: dict[str, Any] = dict.fromkeys(Claimed.__struct_fields__)
    return [
        Claimed(
            **blank
            | {
                "lease_id": uuid4(),
                "job_id": uuid4(),
                "queue_id": want.queue_id,
                "lane": want.lane,
                "priority": priority,
                "run_at": run_at + timedelta(seconds=at),
            }
        )
        for at in range(n)
    ]


def drained(spots: Spots, limit: int, claims: int) -> Counter[int]:
    """How many jobs each lane gets when every share always has more."""
    got: Counter[int] = Counter()
    for _ in range(claims):
        wants = spots.pick(limit)
        assert sum(want.n for want in wants) <= limit
        jobs = [job for want in wants for job in given(want, want.n)]
        got.update(job.lane for job in jobs)
        spots.took(jobs)
    return got


@proves("C12")
@pytest.mark.parametrize("limit", [1, 3, 10, 50])
def test_weights_of_three_to_one_give_three_to_one(limit: int) -> None:
    spots = Spots()
    spots.fill([spot(1, weight=3), spot(2, weight=1)])

    got = drained(spots, limit, 400)

    assert 400 * limit == got.total()
    assert 2.7 <= got[1] / got[2] <= 3.3


def test_more_shares_than_slots_all_get_their_turn() -> None:
    spots = Spots()
    spots.fill([spot(lane) for lane in range(1, 101)])

    got = drained(spots, 10, 10)

    assert dict.fromkeys(range(1, 101), 1) == dict(got)


def test_a_share_alone_gets_the_whole_claim_up_to_its_lease_size() -> None:
    spots = Spots()
    spots.fill([spot(1, size=50)])

    assert [Want(1, 1, 0, NOW, 50)] == spots.pick(200)


def test_the_lease_size_holds_for_all_shares_of_a_queue() -> None:
    spots = Spots()
    spots.fill([spot(1, size=10), spot(2, size=10), spot(3, queue=2, size=10)])

    wants = spots.pick(100)

    assert {1: 10, 2: 10} == {q: sum(want.n for want in wants if want.queue_id == q) for q in (1, 2)}


def test_the_next_claim_starts_half_a_second_before_the_last_one_began() -> None:
    spots = Spots()
    spots.fill([spot(1)])
    (want,) = spots.pick(3)
    spots.took(given(want, 3, run_at=NOW + timedelta(minutes=1)))

    (again,) = spots.pick(3)

    assert NOW + timedelta(minutes=1) - timedelta(milliseconds=500) == again.run_at


def test_the_hint_follows_the_priority_that_the_claim_came_to() -> None:
    spots = Spots()
    spots.fill([spot(1)])
    (want,) = spots.pick(4)
    urgent = given(want, 2, run_at=NOW + timedelta(hours=1), priority=5)
    usual = given(want, 2, run_at=NOW + timedelta(minutes=1), priority=0)
    spots.took(urgent + usual)

    (again,) = spots.pick(4)

    assert (0, NOW + timedelta(minutes=1) - timedelta(milliseconds=500)) == (again.priority, again.run_at)


def test_a_share_that_gave_less_than_it_was_asked_for_is_asked_no_more_until_the_next_look() -> None:
    spots = Spots()
    spots.fill([spot(1), spot(2)])
    wants = spots.pick(10)
    spots.took([*given(wants[0], wants[0].n), *given(wants[1], wants[1].n - 1)])

    assert [wants[0].lane] == [want.lane for want in spots.pick(10)]


def test_a_look_is_due_when_nothing_is_left_or_a_second_has_passed() -> None:
    now = 0.0
    spots = Spots(clock=lambda: now)
    seen = [spots.stale]
    spots.fill([spot(1)])
    seen.append(spots.stale)
    now = 0.99
    seen.append(spots.stale)
    now = 1.0
    seen.append(spots.stale)

    assert [True, False, False, True] == seen


def test_keyed_lanes_get_half_of_a_claim_when_both_kinds_wait_and_all_of_it_alone() -> None:
    both, alone = Spots(), Spots()
    both.fill([spot(0), spot(1)])
    alone.fill([spot(0)])

    assert [5, 5] == [want.n for want in both.pick(10)]
    assert [10] == [want.n for want in alone.pick(10)]


def test_jobs_that_need_a_thread_are_claimed_only_for_free_threads() -> None:
    spots = Spots({"blocks": "threads", "too": "threads", "work": ""}.__getitem__)
    spots.fill([spot(1, handler="blocks"), spot(1, queue=2, handler="too"), spot(1, queue=3)])

    wants = spots.pick(90, {"threads": 4})

    assert 4 == sum(want.n for want in wants if want.queue_id != 3)
    assert 86 <= sum(want.n for want in wants if want.queue_id == 3)


def test_without_a_free_thread_nothing_is_asked_of_what_needs_one() -> None:
    spots = Spots({"blocks": "threads"}.__getitem__)
    spots.fill([spot(1, handler="blocks")])

    assert [] == spots.pick(90, {"threads": 0})
    assert 1 == len(spots), "it still waits there"


@proves("C12")
def test_weights_hold_within_a_small_lease_size() -> None:
    spots = Spots()
    spots.fill([spot(1, weight=3, size=10), spot(2, weight=1, size=10)])

    got = drained(spots, 100, 200)

    assert 2000 == got.total()
    assert 2.7 <= got[1] / got[2] <= 3.3


def test_credit_does_not_pile_up_behind_a_limit() -> None:
    spots = Spots()
    spots.fill([spot(1, size=1), spot(2, queue=2)])
    for _ in range(100):
        spots.took([job for want in spots.pick(10) for job in given(want, want.n)])
    spots.fill([spot(1), spot(2, queue=2)])

    shares = {want.lane: want.n for want in spots.pick(10)}

    assert 4 <= shares[1] <= 6


def test_a_want_is_what_the_database_takes() -> None:
    assert ("queue_id", "lane", "priority", "run_at", "n") == Want.__struct_fields__
    assert msgspec.structs.astuple(Want(1, 2, 3, NOW, 4)) == (1, 2, 3, NOW, 4)
