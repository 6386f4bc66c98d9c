"""Who may have this done is asked when it is done: key, tenancy, archive, budget."""

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests import seed
from tests.memory.brain import Brain
from tests.memory.test_observe import told

proves = pytest.mark.proves


async def published(mind: Brain, scopes: tuple[str, ...] = ("events:write",)) -> tuple[Any, Any]:
    """An event of a key, and the key."""
    key, _ = await seed.key(mind.crew.conn, mind.crew.team, *scopes, project=mind.project)
    event = await mind.event()
    await mind.crew.conn.execute("update outbox.events set key_id = %s where id = %s", [key, event])
    return event, key


async def gathered(mind: Brain, first: Any, key: Any, payload: Any) -> None:
    """One more event of the job of `first`, of another key."""
    event = await mind.value(
        "select outbox.publish('tool_use', %s, p_project => %s, p_generate => false)",
        Jsonb(payload), mind.project,
    )  # fmt: skip
    await mind.crew.conn.execute("update outbox.events set key_id = %s where id = %s", [key, event])
    await mind.crew.conn.execute(
        "insert into outbox.members select j.id, e.id, row_number() over (order by e.id)"
        " from outbox.jobs j, unnest(%s::uuid[]) e (id) where j.event_id = %s on conflict do nothing",
        [[first, event], first],
    )


async def revoke(mind: Brain, key: Any) -> None:
    await mind.crew.conn.execute("update outbox.keys set revoked_at = outbox.clock() where id = %s", [key])


async def audited(mind: Brain, action: str) -> list[dict[str, Any]]:
    return await mind.rows("select * from outbox.audit_log where action = %s", action)


@proves("T3")
@pytest.mark.parametrize("how", ["revoked", "deleted"])
async def test_an_event_of_a_key_that_was_revoked_since_is_refused_for_good(mind: Brain, how: str) -> None:
    event, key = await published(mind)
    if how == "revoked":
        await mind.crew.conn.execute(
            "update outbox.keys set revoked_at = outbox.clock() where id = %s", [key]
        )
    else:
        await mind.crew.conn.execute("delete from outbox.keys where id = %s", [key])
    async with mind.at_work():
        end = await mind.end(event)

    assert ("failed", "revoked_key") == (end["outcome"], end["class"])
    assert 1 == await mind.value("select count(*) from outbox.dead_letters")
    assert [] == mind.fake.calls
    [row] = await audited(mind, "generation_job.revoked_key")
    assert str(key) == told(row["details"])["found"]["keyId"]
    assert str(await mind.job(event)) == row["resource_id"]


@proves("T3")
@pytest.mark.parametrize("shown", [True, False])
async def test_a_gathered_job_leaves_out_what_a_revoked_key_published_and_says_so(
    mind: Brain, shown: bool
) -> None:
    event, _ = await published(mind)
    if not shown:
        await mind.crew.conn.execute(
            "update outbox.events set payload = %s where id = %s", ['"<private>x</private>"', event]
        )
    keys = []
    for n in range(2):
        key, _ = await seed.key(mind.crew.conn, mind.crew.team, "events:write", project=mind.project)
        await gathered(mind, event, key, {"tool_name": f"tool-of-{n}"})
        await revoke(mind, key)
        keys.append(str(key))
    async with mind.at_work():
        end = await mind.end(event, "completed")

    assert 2 == told(end["output"])["leftOut"]
    assert ("observed" if shown else "private") == told(end["output"])["outcome"]
    assert int(shown) == len(mind.fake.calls)
    assert "tool-of-" not in str(mind.fake.calls)
    [row] = await audited(mind, "generation_job.revoked_key")
    assert str(await mind.job(event)) == row["resource_id"]
    details = told(row["details"])
    assert (2, sorted(keys)) == (details["leftOut"], sorted(details["found"]["keyIds"]))
    assert "revoked" in details["reason"]


async def test_a_key_that_expired_since_was_valid_when_it_counted(mind: Brain) -> None:
    event, key = await published(mind)
    await mind.crew.conn.execute(
        "update outbox.keys set expires_at = outbox.clock() - interval '1 s' where id = %s", [key]
    )
    async with mind.at_work():
        end = await mind.end(event)

    assert "completed" == end["outcome"]


@proves("M19")
async def test_whoever_retries_it_is_its_authority_then(mind: Brain) -> None:
    event, key = await published(mind)
    await revoke(mind, key)
    other, _ = await seed.key(mind.crew.conn, mind.crew.team, "jobs:write", project=mind.project)
    async with mind.at_work():
        await mind.end(event, "failed")
        await mind.crew.conn.execute(
            "select outbox.retry(row(%s, null, false, %s, 'ann', null)::outbox.caller, %s)",
            [mind.crew.team, other, await mind.job(event)],
        )
        end = await mind.end(event, "completed")

    assert "observed" == told(end["output"])["outcome"]


@proves("T5")
@pytest.mark.parametrize("row", ["event", "project", "session"])
async def test_rows_that_do_not_belong_together_are_never_sent(mind: Brain, row: str) -> None:
    other = await seed.tenant(mind.crew.conn, "other")
    event = await mind.event()
    match row:
        case "event":
            await mind.crew.conn.execute("update outbox.events set team_id = %s", [other.team])
        case "project":
            await mind.crew.conn.execute("update outbox.jobs set team_id = %s", [other.team])
        case "session":
            await mind.crew.conn.execute(
                "insert into outbox.sessions (id, team_id, project_id, started_at, created_at, updated_at)"
                " values (gen_random_uuid(), %s, %s, outbox.clock(), outbox.clock(), outbox.clock())",
                [other.team, other.project],
            )
            await mind.crew.conn.execute(
                "update outbox.jobs set session_id = (select id from outbox.sessions)"
            )
    async with mind.at_work():
        end = await mind.end(event)

    assert ("failed", "scope_violation") == (end["outcome"], end["class"])
    assert [] == mind.fake.calls
    [told_] = await audited(mind, "generation_job.scope_violation")
    assert str(other.team) in str(told(told_["details"]))


async def test_an_archived_project_has_nothing_more_observed(mind: Brain) -> None:
    event = await mind.event()
    await mind.crew.conn.execute("update outbox.projects set archived_at = outbox.clock()")
    async with mind.at_work():
        end = await mind.end(event)

    assert ("failed", "project_archived") == (end["outcome"], end["class"])
    assert [] == mind.fake.calls


@proves("M20")
async def test_a_spent_budget_holds_the_job_and_spends_no_attempt(mind: Brain) -> None:
    await mind.settle_on(budgets={"tokensPerMonth": 10})
    event = await mind.event()
    async with mind.at_work():
        await mind.end(event, "snoozed")
        [later] = await mind.rows("select * from outbox.later")
        assert ("budget", 0) == (later["held"], later["attempt"])
        assert [] == mind.fake.calls
        await mind.crew.conn.execute(
            "select outbox.change_project(outbox.me(), %s, %s)",
            [mind.project, '{"settings": {"budgets": {"tokensPerMonth": 1000000}}}'],
        )
        await mind.end(event, "completed")

    assert 1 == len(mind.fake.calls)


async def test_observations_are_of_the_jobs_own_tenant_whatever_is_said(mind: Brain) -> None:
    other = await seed.tenant(mind.crew.conn, "other")
    foreign = await mind.value(
        "select outbox.publish('note', '{\"a\": \"b\"}', p_project => %s)", other.project
    )
    event = await mind.event()
    found = await mind.rows(
        "select * from outbox.record_observations(%s, %s, true)",
        await mind.job(event),
        '[{"index": 0, "key": "k", "kind": "change", "content": "c", "metadata": {},'
        f' "sources": ["{foreign}"], "hash": "00", "simhash": 1}}]',
    )

    assert [] == found
    assert [] == await mind.observations()
