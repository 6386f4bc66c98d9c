"""Calls wait for their turn first, and are asked for and put on record when it has come."""

import asyncio

import pytest

from tests.fake_provider import fails, hangs
from tests.memory.brain import Brain
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
