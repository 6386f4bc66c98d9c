"""What a job does when the provider will not: line by line of the page's table, over real HTTP."""

from datetime import timedelta
from typing import Any

import pytest

from tests.fake_provider import breaks_off, fails, hangs, is_huge, is_malformed, resets, says
from tests.memory.brain import Brain
from tests.memory.test_observe import block, told
from tests.waiting import until

proves = pytest.mark.proves

SECRET = "hunter2-said-the-provider"


async def hold(mind: Brain) -> dict[str, Any]:
    [row] = await mind.rows("select h.*, until - outbox.clock() as wait from outbox.provider_holds h")
    return row


@pytest.mark.parametrize(
    ("status", "told_", "headers", "kind", "low", "high"),
    [
        (402, {"error": SECRET}, {}, "quota_exhausted", 890, 910),
        (403, {"error": "insufficient credits"}, {}, "quota_exhausted", 890, 910),
        (429, {"error": SECRET}, {}, "rate_limit", 25, 31),
        (429, {"error": SECRET}, {"retry-after": "90"}, "rate_limit", 85, 91),
        (401, {"error": SECRET}, {}, "auth_invalid", 290, 301),
    ],
    ids=["402", "403 credits", "429", "429 retry-after", "401"],
)
@proves("M4", "M8", "L10")
async def test_quota_limit_and_key_hold_the_provider_and_spend_no_attempt(
    mind: Brain, status: int, told_: Any, headers: dict[str, str], kind: str, low: int, high: int
) -> None:
    mind.fake.script(fails(status, told_, headers))
    async with mind.at_work():
        event = await mind.event()
        end = await mind.end(event, "snoozed")

    held = await hold(mind)
    assert kind == held["class"]
    assert timedelta(seconds=low) <= held["wait"] <= timedelta(seconds=high)
    [later] = await mind.rows("select * from outbox.later")
    assert ("provider", 0) == (later["held"], later["attempt"])
    assert kind == end["class"]
    closed = await mind.value(
        "select count(*) from outbox.queues"
        " where closed_reason = 'provider' and closed_until > outbox.clock()"
    )
    assert 2 == closed
    assert [kind] == [call["class"] for call in await mind.calls()]


async def test_while_the_provider_is_held_jobs_stay_where_they_are(mind: Brain) -> None:
    mind.fake.script(fails(429))
    async with mind.at_work():
        await mind.end(await mind.event(), "snoozed")
        other = await mind.job(await mind.event({"n": "2"}))
        await mind.crew.hurry_up()
        why = await mind.rows("select * from outbox.why(%s)", other)

    assert 1 == len(mind.fake.calls)
    assert ["ready"] == await mind.crew.where(other)
    assert "queue_closed" in [reason["reason"] for reason in why]


async def test_at_the_end_of_a_hold_one_job_tries_and_its_answer_frees_the_others(mind: Brain) -> None:
    mind.fake.script(fails(429))
    async with mind.at_work(environ={"OUTBOXD_OBSERVE_BATCH": "1"}):
        first = await mind.event({"n": "1"})
        await mind.end(first, "snoozed")
        others = [await mind.event({"n": str(n)}) for n in range(2, 5)]
        await mind.crew.conn.execute("update outbox.provider_holds set until = outbox.clock()")
        await mind.crew.conn.execute("update outbox.queues set closed_until = outbox.clock()")
        await mind.crew.hurry_up()
        await mind.crew.conn.execute("select outbox.stage(100)")
        for event in (first, *others):
            await mind.end(event, "completed")

    assert None is (await hold(mind))["until"]
    assert {"observe": "observe", "summarize": "summarize"} == mind.woken
    assert 5 == len(mind.fake.calls)


@proves("M19")
async def test_a_retry_lets_a_held_provider_be_tried_at_once(mind: Brain) -> None:
    mind.fake.script(fails(402))
    async with mind.at_work():
        event = await mind.event()
        await mind.end(event, "snoozed")
        await mind.crew.conn.execute("select outbox.retry(outbox.me(), %s)", [await mind.job(event)])
        await mind.end(event, "completed")

    assert 2 == len(mind.fake.calls)


async def test_quota_holds_double_up_to_six_hours(mind: Brain) -> None:
    waits = []
    for _ in range(7):
        wait = await mind.value(
            "select outbox.provider_failed('p', 'quota_exhausted', null, true) - outbox.clock()"
        )
        waits.append(round(wait.total_seconds() / 60))
        await mind.crew.conn.execute("update outbox.provider_holds set until = outbox.clock()")

    assert [15, 30, 60, 120, 240, 360, 360] == waits


async def test_failures_at_once_are_one_hold(mind: Brain) -> None:
    for _ in range(5):
        await mind.crew.conn.execute("select outbox.provider_failed('p', 'quota_exhausted', null, true)")

    assert (1, "quota_exhausted") == ((await hold(mind))["holds"], (await hold(mind))["class"])


async def test_five_failures_in_a_row_hold_the_provider_for_half_a_minute(mind: Brain) -> None:
    waits = [
        await mind.value("select outbox.provider_failed('p', 'transient', null, true) - outbox.clock()")
        for _ in range(5)
    ]

    assert [None] * 4 == waits[:4]
    assert timedelta(seconds=29) < waits[4] <= timedelta(seconds=30)


@proves("M5", "M7")
@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (fails(500, SECRET), "transient"),
        (fails(529, SECRET), "transient"),
        (resets(), "transient"),
        (breaks_off(), "transient"),
        (is_huge(), "transient"),
        (hangs(), "timeout"),
    ],
    ids=["500", "529", "reset", "broken off", "huge", "hangs"],
)
async def test_trouble_that_passes_is_tried_again_by_backoff(mind: Brain, act: Any, kind: str) -> None:
    mind.fake.script(act)
    async with mind.at_work(environ={"OUTBOXD_PROVIDER_TIMEOUT_S": "0.5"}):
        end = await mind.end(await mind.event())

    assert ("failed", kind) == (end["outcome"], end["class"])
    assert end["retry_at"] is not None
    assert [kind] == [call["class"] for call in await mind.calls()]


@proves("M25")
async def test_nothing_that_the_provider_said_is_in_the_ledger(mind: Brain) -> None:
    mind.fake.script(fails(400, {"error": {"message": f"bad: {SECRET} sk-hunter2secret"}}))
    async with mind.at_work():
        end = await mind.end(await mind.event())

    assert ("failed", "unrecoverable", 400) == (end["outcome"], end["class"], end["status"])
    assert "hunter2" not in str(end)
    assert 1 == await mind.value("select count(*) from outbox.dead_letters")


@proves("M6")
@pytest.mark.parametrize(
    "act", [says("I would rather chat."), is_malformed(), says("")], ids=["prose", "no json", "nothing"]
)
async def test_an_answer_without_form_is_asked_for_twice_and_then_told_as_such(mind: Brain, act: Any) -> None:
    mind.fake.script(act, act)
    async with mind.at_work():
        event = await mind.event()
        await mind.end(event, "failed")
        await mind.crew.hurry_up()
        await mind.crew.conn.execute("select outbox.stage(100)")

        async def dead() -> bool:
            return bool(await mind.rows("select * from outbox.dead_letters"))

        await until(dead)

    [dead_letter] = await mind.rows("select * from outbox.dead_letters")
    assert ("parse_error", 2) == (dead_letter["class"], dead_letter["attempt"])
    assert ["parse_error", "parse_error"] == [call["class"] for call in await mind.calls()]


async def test_an_answer_cut_before_anything_is_complete_gets_twice_the_room(mind: Brain) -> None:
    mind.fake.script(says("<observation><title>cut of", stop="length"))
    await mind.settle_on(generation={"maxOutputTokens": 1000})
    async with mind.at_work():
        end = await mind.end(await mind.event())

    assert "completed" == end["outcome"]
    assert [1000, 2000] == [call.body["max_tokens"] for call in mind.fake.calls]
    assert ["truncated", "ok"] == [call["class"] for call in await mind.calls()]


async def test_cut_twice_a_job_is_failed_as_truncated(mind: Brain) -> None:
    act = says("<observation><title>cut of", stop="length")
    mind.fake.script(act, act)
    async with mind.at_work():
        end = await mind.end(await mind.event())

    assert ("failed", "truncated") == (end["outcome"], end["class"])
    assert 1 == await mind.value("select count(*) from outbox.dead_letters")


async def test_complete_blocks_of_a_cut_answer_are_kept(mind: Brain) -> None:
    mind.fake.script(says(block("Whole") + "<observation><title>cut of", stop="length"))
    async with mind.at_work():
        end = await mind.end(await mind.event())

    assert ("completed", "observed") == (end["outcome"], told(end["output"])["outcome"])
    assert 1 == len(await mind.observations())


async def test_a_filtered_event_fails_alone_its_neighbours_are_observed(mind: Brain) -> None:
    mind.fake.script(says("", stop="filtered"), says("", stop="filtered"))
    events = [await mind.event({"n": str(n)}) for n in range(3)]
    async with mind.at_work():
        ends = [await mind.end(event) for event in events]

    assert ["completed", "completed", "failed"] == sorted(end["outcome"] for end in ends)
    assert ["filtered"] == [end["class"] for end in ends if end["class"]]
    assert 4 == len(mind.fake.calls)


async def test_too_long_for_the_model_the_batch_is_split_and_then_the_payload_is_cut(mind: Brain) -> None:
    long = fails(400, {"error": {"message": "prompt is too long: 1 > 0"}})
    mind.fake.script(long, long, long)
    async with mind.at_work():
        end = await mind.end(await mind.event({"text": ["x" * 3900] * 4}))

    assert "completed" == end["outcome"]
    sizes = [len(call.user) for call in mind.fake.calls]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[3] < sizes[0] / 4


async def test_too_long_four_times_is_final(mind: Brain) -> None:
    mind.fake.script(*[fails(413)] * 4)
    async with mind.at_work():
        end = await mind.end(await mind.event({"text": ["x" * 3900] * 4}))

    assert ("failed", "context_limit") == (end["outcome"], end["class"])
    assert 4 == len(mind.fake.calls)


async def test_a_second_provider_stands_in_while_the_first_is_held(mind: Brain) -> None:
    mind.fake.script(fails(429))
    more = {"OUTBOXD_PROVIDER_FALLBACK": "offline"}
    async with mind.at_work(environ=more):
        event = await mind.event()
        await mind.end(event, "snoozed")
        other = await mind.event({"n": "2"})
        await mind.end(other, "completed")

    assert ["offline"] == [told(row["metadata"])["provider"] for row in await mind.observations()]
    assert 0 == await mind.value("select count(*) from outbox.queues where closed_until is not null")


@proves("M8")
async def test_quota_that_ran_out_loses_no_event_of_a_batch(mind: Brain) -> None:
    mind.fake.script(fails(402))
    events = [await mind.event({"n": str(n)}) for n in range(5)]
    async with mind.at_work():
        for event in events:
            await mind.end(event, "snoozed")
        await mind.crew.conn.execute("select outbox.resume_provider(outbox.me(), 'claude')")
        for event in events:
            await mind.end(event, "completed")

    assert 5 == await mind.value("select count(distinct source_id) from outbox.observation_sources")
