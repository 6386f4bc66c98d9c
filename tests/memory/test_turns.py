"""Calls that wait: for their turn, and those that are answered after a later one."""

import asyncio

import pytest

from tests.fake_provider import Call, fails, hangs, says
from tests.memory.brain import Brain
from tests.memory.test_observe import told
from tests.memory.test_summarize import ended, quiet, session, summary
from tests.waiting import until

proves = pytest.mark.proves
_ALONE = {"OUTBOXD_PROVIDER_CONCURRENCY": "1", "OUTBOXD_OBSERVE_BATCH": "1"}


@proves("M8")
async def test_calls_that_wait_for_their_turn_see_a_hold_that_came_meanwhile(mind: Brain) -> None:
    mind.fake.script(fails(429))
    events = [await mind.event() for _ in range(5)]
    async with mind.at_work(environ=_ALONE):
        for event in events:
            await mind.end(event, "snoozed")
    assert 1 == len(mind.fake.calls)
    assert ["rate_limit"] == [call["class"] for call in await mind.calls()]


@proves("M20")
async def test_what_was_never_asked_is_not_on_record(mind: Brain) -> None:
    mind.fake.script(hangs())
    for _ in range(5):
        await mind.event()
    async with mind.at_work(environ=_ALONE):
        await until(lambda: len(mind.fake.calls) == 1)
        await asyncio.sleep(0.3)
        assert ["lost"] == [call["class"] for call in await mind.calls()]


@proves("M14")
async def test_a_summary_that_knew_less_does_not_replace_one_that_knew_more(mind: Brain) -> None:
    release = asyncio.Event()

    async def slowly(call: Call, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await says("<summary><request>the first turn</request></summary>")(call, writer)

    await quiet(mind)
    await mind.settle_on(generation={"policy": "off"})
    mind.fake.script(slowly, says("<summary><request>both turns</request></summary>"))
    one = await session(mind)
    async with mind.at_work():
        await mind.event({"prompt": "first"}, session=one)
        older = await ended(mind, one)
        await until(lambda: len(mind.fake.calls) == 1)
        await mind.event({"prompt": "second"}, session=one)
        newer = await ended(mind, one)
        await mind.crew.attempt(newer)
        release.set()
        late = await mind.crew.attempt(older)

    row = await summary(mind)
    assert ("Request: both turns", 1, 2) == (
        row["content"],
        row["revision"],
        told(row["metadata"])["eventCount"],
    )
    assert [str(row["id"])] == told(late["output"])["observationIds"]
    assert [1, 0] == [call["observations"] for call in reversed(await mind.calls())]
