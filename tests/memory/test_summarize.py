"""A session becomes one summary, made of all of it and renewed after new events."""

from typing import Any
from uuid import UUID

import pytest

from tests.fake_provider import fails, says
from tests.memory.brain import EDIT, Brain
from tests.memory.test_observe import NOTHING, block, told
from tests.waiting import until

proves = pytest.mark.proves

SUMMARY = (
    "<summary><request>make it fast</request><investigated>the parser</investigated><learned>it looks twice"
    "</learned><completed>one look</completed><next_steps>measure</next_steps><notes>none</notes></summary>"
)


async def session(mind: Brain, name: str = "s1") -> UUID:
    return await mind.value(  # type: ignore[no-any-return]
        "insert into outbox.sessions (id, team_id, project_id, external_id, platform_source, started_at,"
        " created_at, updated_at) select outbox.uuid7(now), %s, %s, %s, 'claude', now, now, now"
        " from outbox.clock() now returning id",
        mind.crew.team, mind.project, name,
    )  # fmt: skip


async def ended(mind: Brain, of: UUID) -> UUID:
    """The job of its summary."""
    await mind.crew.conn.execute("select outbox.end_session(outbox.me(), %s)", [of])
    return await mind.value("select summary_job from outbox.sessions where id = %s", of)  # type: ignore[no-any-return]


async def summary(mind: Brain) -> dict[str, Any]:
    [row] = await mind.rows("select * from outbox.observations where origin = 'summary'")
    return row


async def quiet(mind: Brain, **summary_: Any) -> None:
    await mind.settle_on(summary={"quietSeconds": 0, **summary_})


async def test_a_session_becomes_a_summary_of_its_observations_and_its_untold_events(mind: Brain) -> None:
    await quiet(mind)
    one = await session(mind)
    mind.fake.script(says(block("Told", narrative="the tale")), says(NOTHING), says(SUMMARY, tokens=(50, 9)))
    async with mind.at_work(environ={"OUTBOXD_OBSERVE_BATCH": "1"}):
        await mind.end(await mind.event({**EDIT, "at": "first"}, session=one))
        await mind.end(await mind.event({"prompt": "Make it fast!"}, "UserPromptSubmit", session=one))
        job = await ended(mind, one)
        end = await mind.crew.attempt(job)

    row = await summary(mind)
    assert "summarized" == told(end["output"])["outcome"]
    assert [str(row["id"])] == told(end["output"])["observationIds"]
    assert (
        "Request: make it fast\n\nInvestigated: the parser\n\nLearned: it looks twice\n\nCompleted: one look"
        "\n\nNext steps: measure\n\nNotes: none"
    ) == row["content"]
    metadata = told(row["metadata"])
    assert {
        "request": "make it fast", "investigated": "the parser", "learned": "it looks twice",
        "completed": "one look", "next_steps": "measure", "notes": "none", "provider": "claude",
        "model": "fake-model", "promptVersion": 1, "eventCount": 2, "observationCount": 1, "leftOut": 0,
    } == metadata  # fmt: skip
    assert (f"summary:v1:{one}", one, 1) == (row["generation_key"], row["session_id"], row["revision"])
    asked = mind.fake.calls[-1].user
    assert "the tale" in asked
    assert "Make it fast!" in asked
    assert "first" not in asked.split("<timeline>")[1].replace("the first", "")
    [source] = await mind.rows(
        "select * from outbox.observation_sources where source_type = 'session_summary'"
    )
    assert (one, row["id"]) == (source["source_id"], source["observation_id"])
    call = (await mind.calls())[-1]
    assert ("ok", 50, 9) == (call["class"], call["tokens_in"], call["tokens_out"])


@proves("M14")
async def test_a_renewal_keeps_the_row_and_counts_its_revision(mind: Brain) -> None:
    await quiet(mind)
    one = await session(mind)
    mind.fake.script(
        says(block("One")), says(SUMMARY), says(block("Two")), says(SUMMARY.replace("fast", "right"))
    )
    async with mind.at_work():
        await mind.end(await mind.event(EDIT, session=one))
        await mind.crew.attempt(await ended(mind, one))
        before = await summary(mind)
        await mind.end(await mind.event({"n": "2"}, session=one))
        await mind.crew.attempt(await ended(mind, one))

    after = await summary(mind)
    assert (before["id"], before["created_at"], 2) == (after["id"], after["created_at"], after["revision"])
    assert "make it right" in after["content"]
    asked = mind.fake.calls[-1].user
    assert "make it fast" in asked
    assert {"One", "Two"} <= {part for part in ("One", "Two") if part in asked}


@proves("M9")
async def test_of_nothing_there_is_no_call_and_no_row(mind: Brain) -> None:
    await quiet(mind)
    async with mind.at_work():
        end = await mind.crew.attempt(await ended(mind, await session(mind)))

    assert ("completed", "empty") == (end["outcome"], told(end["output"])["outcome"])
    assert [] == mind.fake.calls
    assert [] == await mind.observations()


@proves("M9")
async def test_a_skip_keeps_the_previous_summary(mind: Brain) -> None:
    await quiet(mind)
    one = await session(mind)
    mind.fake.script(says(block("One")), says(SUMMARY), says(NOTHING), says(NOTHING))
    async with mind.at_work():
        await mind.end(await mind.event(EDIT, session=one))
        await mind.crew.attempt(await ended(mind, one))
        await mind.end(await mind.event({"n": "2"}, session=one))
        end = await mind.crew.attempt(await ended(mind, one))

    assert "skipped" == told(end["output"])["outcome"]
    assert (1, "make it fast") == (
        (await summary(mind))["revision"],
        told((await summary(mind))["metadata"])["request"],
    )


async def test_observations_in_the_place_of_a_summary_are_folded_into_one(mind: Brain) -> None:
    await quiet(mind)
    one = await session(mind)
    mind.fake.script(says(NOTHING), says(block("Made it", facts="<fact>it is fast</fact>")))
    async with mind.at_work():
        await mind.end(await mind.event(EDIT, session=one))
        await mind.crew.attempt(await ended(mind, one))

    metadata = told((await summary(mind))["metadata"])
    assert "Made it" in metadata["completed"]
    assert "it is fast" in metadata["learned"]


async def test_a_session_that_goes_on_is_left_alone_for_a_while_but_not_for_ever(mind: Brain) -> None:
    one = await session(mind)
    await mind.settle_on(summary={"quietSeconds": 3600}, generation={"policy": "off"})
    async with mind.at_work():
        await mind.event({"n": "1"}, session=one)
        job = await ended(mind, one)
        await mind.event({"n": "2"}, session=one)
        for turn in range(10):
            await mind.crew.hurry_up()
            await mind.crew.conn.execute("select outbox.stage(100)")

            async def turned(turn: int = turn) -> bool:
                return turn + 1 == len(await mind.crew.attempts(job))

            await until(turned)
        assert {"snoozed"} == set(await mind.crew.outcomes(job))
        assert {"session_active"} == {row["class"] for row in await mind.crew.attempts(job)}
        await mind.crew.hurry_up()
        await mind.crew.conn.execute("select outbox.stage(100)")
        await mind.crew.attempt(job, "completed")

    assert 1 == len(mind.fake.calls)


async def test_unfinished_observations_are_waited_for(mind: Brain) -> None:
    await quiet(mind)
    one = await session(mind)
    mind.fake.script(fails(500))
    async with mind.at_work():
        event = await mind.event(EDIT, session=one)
        await mind.end(event, "failed")
        job = await ended(mind, one)
        await mind.crew.attempt(job, "snoozed")
        await mind.crew.hurry_up()
        await mind.crew.conn.execute("select outbox.stage(100)")
        await mind.end(event, "completed")
        await mind.crew.hurry_up()
        await mind.crew.conn.execute("select outbox.stage(100)")
        await mind.crew.attempt(job, "completed")

    assert "<observation>" in mind.fake.calls[-1].user


async def test_after_five_minutes_of_waiting_the_raw_events_do(mind: Brain) -> None:
    await quiet(mind)
    one = await session(mind)
    await mind.settle_on(generation={"policy": "per-event"})
    mind.fake.script(fails(500))
    async with mind.at_work():
        event = await mind.event({"tool_name": "Read", "text": "raw and untold"}, session=one)
        await mind.end(event, "failed")
        job = await ended(mind, one)
        await mind.crew.attempt(job, "snoozed")
        await mind.crew.conn.execute(
            "update outbox.attempts set at = at - interval '6 min' where job_id = %s", [job]
        )
        await mind.crew.conn.execute(
            "update outbox.later set run_at = outbox.clock() where job_id = %s", [job]
        )
        await mind.crew.conn.execute("select outbox.stage(100)")
        await mind.crew.attempt(job, "completed")

    assert "raw and untold" in mind.fake.calls[-1].user


async def test_the_oldest_are_left_out_where_there_is_no_room_and_the_model_is_told(mind: Brain) -> None:
    await quiet(mind)
    one = await session(mind)
    await mind.settle_on(generation={"policy": "off"})
    for n in range(30):
        await mind.event({"text": f"event {n:02} " + "x" * 900}, session=one)
    async with mind.at_work(environ={"OUTBOXD_SUMMARY_INPUT_BYTES": "8192"}):
        await mind.crew.attempt(await ended(mind, one))

    asked = mind.fake.calls[-1].user
    assert len(asked.encode()) <= 8192
    assert "event 29" in asked
    assert "event 00" not in asked
    left_out = told((await summary(mind))["metadata"])["leftOut"]
    assert 0 < left_out < 30
    assert f"{left_out} of the oldest" in asked


async def test_of_a_long_session_the_first_prompt_is_told_and_everything_counted(mind: Brain) -> None:
    await quiet(mind)
    one = await session(mind)
    await mind.settle_on(generation={"policy": "off"})
    await mind.event({"prompt": "Find the needle!"}, "UserPromptSubmit", session=one)
    await mind.crew.conn.execute(
        "select outbox.publish_many(array(select jsonb_build_object('eventType', 'tool_use', 'payload',"
        " to_jsonb('straw ' || n), 'serverSessionId', %s::text) from generate_series(1, 1000) n), %s)",
        [str(one), mind.project],
    )
    await mind.crew.conn.execute(
        "insert into outbox.observations (id, team_id, project_id, session_id, origin, kind, content,"
        " created_at, updated_at, search)"
        " select outbox.uuid7(at), %s, %s, %s, 'generated', 'discovery', 'Straw', at, at, ''"
        " from (select outbox.clock() - n * interval '1 ms' as at from generate_series(1, 1003) n) s",
        [mind.crew.team, mind.project, one],
    )
    mind.fake.script(says(SUMMARY))
    async with mind.at_work():
        await mind.crew.attempt(await ended(mind, one), "completed")

    asked = mind.fake.calls[-1].user
    metadata = told((await summary(mind))["metadata"])
    assert "Find the needle!" in asked.split("<first_prompt>")[1].split("</first_prompt>")[0]
    assert (1001, 1003) == (metadata["eventCount"], metadata["observationCount"])
    assert metadata["leftOut"] >= 3
    assert f"{metadata['leftOut']} of the oldest" in asked


async def test_a_session_deleted_during_the_call_gets_no_row(mind: Brain) -> None:
    await quiet(mind)
    one = await session(mind)
    await mind.settle_on(generation={"policy": "off"})
    await mind.event(EDIT, session=one)

    async def deleted(call: Any, writer: Any) -> None:
        await mind.crew.conn.execute("delete from outbox.sessions")
        await says(SUMMARY)(call, writer)

    mind.fake.script(deleted)
    async with mind.at_work():
        end = await mind.crew.attempt(await ended(mind, one))

    assert "expunged" == told(end["output"])["outcome"]
    assert [] == await mind.observations()


async def test_the_offline_provider_summarises_the_same_way_twice(mind: Brain) -> None:
    await quiet(mind)
    one = await session(mind)
    offline = {"OUTBOXD_PROVIDER": "offline"}
    async with mind.at_work(environ=offline):
        await mind.end(await mind.event({"prompt": "Make it fast!"}, "UserPromptSubmit", session=one))
        await mind.end(await mind.event(EDIT, session=one))
        await mind.crew.attempt(await ended(mind, one))

    row = await summary(mind)
    assert row["content"].startswith("Request: Make it fast!")
    assert "Edit src/app.py" in row["content"]
    assert [] == mind.fake.calls
