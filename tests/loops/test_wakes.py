import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from outboxd.db.hints import Hint
from outboxd.loops.wakes import Signal, Wakes

NOW = timedelta()
SOON = timedelta(seconds=5)


@pytest.mark.proves("C6")
async def test_a_wake_before_the_sleep_ends_it_at_once() -> None:
    signal = Signal()
    signal.wake({"a"})
    assert await signal.wait(SOON) == {"a"}
    assert await signal.wait(NOW) == set()


async def test_a_wake_ends_a_sleep_that_has_begun() -> None:
    signal = Signal()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        sleeping = group.create_task(signal.wait())
        await asyncio.sleep(0)
        signal.wake({"a"})
        signal.wake({"b"})
    assert sleeping.result() == {"a", "b"}


async def test_more_names_than_one_may_hold_mean_anything() -> None:
    signal = Signal()
    signal.wake(str(n) for n in range(1001))
    assert signal.take() == {"*"}


async def test_what_is_committed_wakes_this_process_and_is_told_to_the_others() -> None:
    told: list[tuple[dict[str, str], list[Hint]]] = []
    wakes = Wakes(lambda queues, hints: told.append((dict(queues), list(hints))))
    project, job, key = uuid4(), uuid4(), uuid4()
    async with wakes.wait_jobs([job, uuid4()]) as ended, asyncio.timeout(1):
        wakes.committed({"mail": "send"}, [project], [job], [key])
        assert await ended.wait() == {job}
    assert wakes.queues.take() == {"mail"}
    assert wakes.sequencer.take() == {str(project)}
    assert told == [({"mail": "send"}, [Hint(kind="job", name=str(job)), Hint(kind="key", name=str(key))])]


async def test_nothing_to_say_is_not_said() -> None:
    told: list[object] = []
    Wakes(lambda *said: told.append(said)).committed({}, [uuid4()])
    assert told == []


async def test_what_is_heard_wakes_whom_it_names() -> None:
    wakes = Wakes()
    revoked: list[UUID | None] = []
    wakes.on_key(revoked.append)
    job, key = uuid4(), uuid4()
    async with wakes.wait_jobs([job, uuid4()]) as ended, asyncio.timeout(1):
        for hint in (
            Hint(kind="queue", name="mail"),
            Hint(kind="job", name=str(job)),
            Hint(kind="job", name="no id"),
            Hint(kind="key", name=str(key)),
        ):
            wakes.heard(hint)
        assert await ended.wait() == {job}
    assert wakes.queues.take() == {"mail"}
    assert wakes.sequencer.take() == set()
    assert revoked == [key]


async def test_lost_hints_wake_everybody() -> None:
    wakes = Wakes()
    revoked: list[UUID | None] = []
    wakes.on_key(revoked.append)
    jobs = {uuid4(), uuid4()}
    async with wakes.wait_jobs(jobs) as ended, asyncio.timeout(1):
        wakes.heard(Hint(kind="everything"))
        assert await ended.wait() == jobs
    assert wakes.queues.take() == wakes.sequencer.take() == {"*"}
    assert revoked == [None]


async def test_a_producer_in_sql_wakes_sequencer_and_workers() -> None:
    wakes = Wakes()
    wakes.heard(Hint(kind="pending"))
    assert wakes.queues.take() == wakes.sequencer.take() == {"*"}


async def test_a_wait_for_jobs_leaves_nothing_behind() -> None:
    wakes = Wakes()
    job = uuid4()
    async with wakes.wait_jobs([job, job]), wakes.wait_jobs([job, uuid4()]):
        pass
    assert wakes._waiters == {}
