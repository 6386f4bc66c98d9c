"""Events that join a job while somebody closes, cancels or ends it, or ends their session: none is lost."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.clock import Clock
from tests.engine import Engine, result
from tests.interleavings.scenes import SECOND, Make, Race, Scene
from tests.interleavings.sessions import every_point, install_halts
from tests.sql import memory

SceneMaker = Callable[[], Scene]


@pytest.fixture
def waiting(scene: Make, clock: Clock) -> Callable[..., SceneMaker]:
    """A scene whose project gathers: one event has opened a job, another waits for its place."""

    def with_policy(policy: str = "debounce", *, opened: bool = True, **more: Any) -> SceneMaker:
        def make() -> Scene:
            made = scene()
            memory.policy(made.engine, made.tenant, policy, **more)
            made.jobs = [memory.session(made.engine, made.tenant)]
            if opened:
                publish(made.engine, made)
                memory.place(made.engine, made.tenant)
            clock.forward(SECOND)
            publish(made.engine, made)
            made.engine.sequence(made.tenant)
            return made

        return make

    return with_policy


def publish(e: Engine, s: Scene) -> UUID:
    return e.publish(s.tenant, "a.thing", session=s.jobs[0])


def place(e: Engine, s: Scene) -> Any:
    return e.place(s.tenant)


def job(s: Scene) -> UUID:
    first: UUID = memory.gathered(s.engine, s.tenant)[0]["id"]
    return first


def close(e: Engine, s: Scene) -> Any:
    """As a handler does, and then it looks: what it sees is all that it will ever have."""
    first = job(s)
    e.do("select outbox.close_gathering(%s)", first)
    e.conn.commit()
    return memory.gathered(s.engine, s.tenant)[0]["members"]


def cancel(e: Engine, s: Scene) -> Any:
    return e.cancel(job(s))


def expire(e: Engine, s: Scene) -> Any:
    e.do("update outbox.expiries set at = 'epoch' where job_id = %s", job(s))
    e.do("update outbox.jobs set expires_at = 'epoch' where id = %s", job(s))
    return e.expire()


def fail(e: Engine, s: Scene) -> Any:
    return e.settle(s.worker, *(result(row, "failed", final=True) for row in s.claimed))


def end(e: Engine, s: Scene) -> Any:
    e.do("update outbox.sessions set ended_at = outbox.clock() where id = %s", s.jobs[0])
    return e.one("select outbox.hasten_gathering(%s)", s.jobs[0])


def all_placed(s: Scene) -> None:
    """What a turn that was refused has left to the next is placed; then nothing is lost or twice."""
    memory.place(s.engine, s.tenant)
    assert memory.lost(s.engine, s.tenant) == []
    members = [event for row in memory.gathered(s.engine, s.tenant) for event in row["members"]]
    assert len(members) == len(set(members))


def refused(seen: list[Any]) -> bool:
    return any(isinstance(each, Exception) for each in seen)


def test_two_placers_place_each_event_once(waiting: Callable[..., SceneMaker], race: Race) -> None:
    for seen in race(waiting(), place, place):
        all_placed(seen.scene)
        assert not refused(seen.left + seen.right), seen.order
        assert seen.waited == set()


def test_what_a_worker_reads_after_the_close_is_all_it_will_ever_have(
    waiting: Callable[..., SceneMaker], race: Race
) -> None:
    for seen in race(waiting(), place, close):
        all_placed(seen.scene)
        first = memory.gathered(seen.scene.engine, seen.scene.tenant)[0]
        assert first["members"] == seen.right[0], seen.order


@pytest.mark.parametrize("opened", [True, False])
def test_an_end_is_never_overlooked(waiting: Callable[..., SceneMaker], race: Race, opened: bool) -> None:
    """Whatever the order, no job goes on waiting for the end of a session that has ended."""
    for seen in race(waiting("end-of-session", opened=opened), place, end):
        all_placed(seen.scene)
        held = {row["held"] for row in memory.gathered(seen.scene.engine, seen.scene.tenant)}
        assert held == {None}, seen.order


@pytest.mark.parametrize("how", [cancel, expire, fail])
@pytest.mark.parametrize("most", [50, 2])
def test_no_event_joins_a_job_that_has_ended(
    waiting: Callable[..., SceneMaker], race: Race, how: Any, most: int
) -> None:
    """It joined before, or it is in the next job."""

    def make() -> Scene:
        made = waiting(maxEvents=most)()
        if how is fail:
            made.worker = made.engine.worker("observe")
            made.engine.do("update outbox.workers set beat_at = 'infinity'")
            made.engine.do(
                "select outbox.retry(row(null, null, true, null, 't', 'r')::outbox.caller, %s)", job(made)
            )
            made.claim()
        return made

    for seen in race(make, place, how):
        all_placed(seen.scene)
        rows = memory.gathered(seen.scene.engine, seen.scene.tenant)
        assert sum(len(row["members"]) for row in rows) == 2, seen.order
        if seen.order.endswith("ll"):
            live = [row for row in rows if row["due"] is not None]
            assert [len(row["members"]) for row in live] == [1], seen.order


@pytest.mark.parametrize("how", [close, cancel, end])
def test_at_each_write_of_place(
    engine: Engine, dsn: str, waiting: Callable[..., SceneMaker], how: Any
) -> None:
    install_halts(engine)
    for table in ("gatherings", "members"):
        for when in ("before", "after"):
            engine.do(
                f"create trigger halt_{when} {when} insert or update or delete on outbox.{table}"
                " for each statement execute function public.halt()"
            )
    for seen in every_point(engine, dsn, waiting("end-of-session"), place, how):
        all_placed(seen.scene)
        held = {row["held"] for row in memory.gathered(seen.scene.engine, seen.scene.tenant)}
        assert how is not end or held == {None}, seen.order
        if how is close:
            first = memory.gathered(seen.scene.engine, seen.scene.tenant)[0]
            assert first["members"] == seen.right[0], seen.order
