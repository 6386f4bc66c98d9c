"""pause, resume, configure_queue, weigh."""

from typing import Any

import pytest

from tests.clock import Clock
from tests.proofs import proves
from tests.sql.engine import MINUTE, Conn, Engine


@pytest.fixture
async def engine(conn: Conn, clock: Clock) -> Engine:
    made = await Engine.made(conn, clock)
    await made.enqueue()
    return made


def team_key(engine: Engine) -> str:
    return f"row('{engine.team}', null, false, null, 'key:team', null)::outbox.caller"


def project_key(engine: Engine) -> str:
    return f"row('{engine.team}', array['{engine.project}'::uuid], false, null, 'key:p', null)::outbox.caller"


async def queue(engine: Engine) -> dict[str, Any]:
    return await engine.row("select * from outbox.queues where name = 'work'")


@proves("C11")
async def test_a_paused_queue_gives_nothing_until_it_is_resumed(engine: Engine) -> None:
    worker = await engine.worker()
    assert [{"pause": None}] == await engine.call("pause", "work", p_reason="the bill")
    assert [] == await engine.claim(worker)
    assert [{"resume": True}] == await engine.call("resume", "work")
    assert 1 == len(await engine.claim(worker))
    assert [{"resume": False}] == await engine.call("resume", "work")


async def test_a_pause_ends_by_itself(engine: Engine, clock: Clock) -> None:
    until = clock.now + MINUTE
    assert [{"pause": until}] == await engine.call("pause", "work", p_until=until)
    clock.forward(MINUTE)
    assert [{"resume": False}] == await engine.call("resume", "work")
    assert 1 == len(await engine.claim(await engine.worker()))


@proves("C11")
async def test_a_paused_share_stops_one_project_only(engine: Engine) -> None:
    other = await engine.add_project()
    theirs = await engine.enqueue(project=other)
    await engine.call("pause", "work", engine.project)
    worker = await engine.worker()
    assert [theirs] == [row["job_id"] for row in await engine.claim(worker)]
    assert [{"resume": True}] == await engine.call("resume", "work", engine.project)
    assert 1 == len(await engine.claim(worker))


async def test_resuming_wakes(engine: Engine, conn: Conn) -> None:
    await engine.call("pause", "work")
    await conn.execute("listen outbox_wake")
    await engine.call("resume", "work")
    async for hint in conn.notifies(timeout=5, stop_after=1):
        assert "q:work" == hint.payload


async def test_a_tenant_pauses_its_own_shares_only(engine: Engine) -> None:
    other = await engine.add_project(await engine.add_team())
    await engine.call("pause", "work", caller=project_key(engine))
    assert [engine.project] == [
        row["project_id"] for row in await engine.rows("select * from outbox.shares where paused")
    ]
    assert [{"resume": True}] == await engine.call("resume", "work", engine.project, caller=team_key(engine))
    for verb in ("pause", "resume"):
        assert "OX403" == await engine.refused(verb, "work", caller=team_key(engine))
        assert "OX404" == await engine.refused(verb, "work", other, caller=team_key(engine))


async def test_what_a_pause_refuses(engine: Engine) -> None:
    assert "OX404" == await engine.refused("pause", "nowhere")
    assert "OX404" == await engine.refused("resume", "nowhere")
    assert "OX400" == await engine.refused("pause", "work", p_until=engine.clock.now)
    assert "OX400" == await engine.refused("pause", "work", p_reason="x" * 501)


async def test_pauses_are_on_record(engine: Engine) -> None:
    await engine.call("pause", "work", p_reason="the bill")
    await engine.call("resume", "work")
    rows = await engine.rows("select action, resource_id, details from outbox.audit_log order by id")
    assert [
        {"action": "queue.paused", "resource_id": "work", "details": {"reason": "the bill"}},
        {"action": "queue.resumed", "resource_id": "work", "details": {"wasPaused": True}},
    ] == rows


SETTINGS: dict[str, Any] = {
    "concurrency": 3,
    "perWorker": 2,
    "leaseSize": 10,
    "rate": {"perSecond": 2.5, "burst": 5},
    "attempts": 4,
    "backoff": {"scheduleMs": [1000, 2000]},
    "timeoutMs": 60000,
    "onDead": "block",
}


async def test_every_setting_is_set_and_given_back(engine: Engine) -> None:
    fresh = await queue(engine)
    (row,) = await engine.call("configure_queue", "work", SETTINGS)
    assert await queue(engine) == row
    names = (
        "concurrency",
        "per_worker",
        "lease_size",
        "rate_burst",
        "attempts",
        "backoff",
        "timeout",
        "on_dead",
    )
    assert [3, 2, 10, 5, 4, {"scheduleMs": [1000, 2000]}, MINUTE, "block"] == [row[name] for name in names]
    await engine.call("configure_queue", "work", dict.fromkeys(SETTINGS))
    assert fresh == await queue(engine)


async def test_a_limited_queue_has_a_gate_and_no_other(engine: Engine) -> None:
    gates = "select count(*) from outbox.gates"
    assert 0 == await engine.value(gates)
    await engine.call("configure_queue", "work", {"concurrency": 1})
    await engine.call("configure_queue", "work", {"rate": {"perSecond": 1, "burst": 5}})
    assert 5 == await engine.value("select tokens from outbox.gates")
    await engine.call("configure_queue", "work", {"concurrency": None})
    assert 1 == await engine.value(gates)
    await engine.call("configure_queue", "work", {"rate": None})
    assert 0 == await engine.value(gates)


async def test_a_smaller_burst_takes_tokens_away_and_a_larger_gives_none(engine: Engine) -> None:
    for burst, tokens in ((5, 5), (2, 2), (9, 2)):
        await engine.call("configure_queue", "work", {"rate": {"perSecond": 0.01, "burst": burst}})
        assert tokens == round(await engine.value("select tokens from outbox.gates"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": 1},
        {"paused": True},
        {"concurrency": 0},
        {"concurrency": 1001},
        {"concurrency": "many"},
        {"perWorker": 0},
        {"leaseSize": 501},
        {"attempts": 101},
        {"timeoutMs": 999},
        {"onDead": "panic"},
        {"rate": 5},
        {"rate": {"perSecond": 1}},
        {"rate": {"perSecond": 0, "burst": 1}},
        {"rate": {"perSecond": 1, "burst": 1, "x": 1}},
        {"backoff": {}},
        {"backoff": {"baseMs": 10, "capMs": 5}},
        {"backoff": {"scheduleMs": []}},
        {"backoff": {"scheduleMs": [1] * 21}},
        {"backoff": {"scheduleMs": ["a"]}},
        {"backoff": {"baseMs": 10}},
    ],
)
async def test_a_wrong_setting_is_refused(engine: Engine, wrong: dict[str, Any]) -> None:
    before = await queue(engine)
    assert "OX400" == await engine.refused("configure_queue", "work", wrong)
    assert before == await queue(engine)


async def test_a_queue_is_made_only_with_its_handler(engine: Engine) -> None:
    assert "OX404" == await engine.refused("configure_queue", "mail", {"attempts": 3})
    (row,) = await engine.call("configure_queue", "mail", {"handler": "deliver_mail", "attempts": 3})
    assert ("deliver_mail", 3) == (row["handler"], row["attempts"])
    assert "OX409" == await engine.refused("configure_queue", "mail", {"handler": "other"})


async def test_settings_are_on_record_old_and_new(engine: Engine) -> None:
    await engine.call("configure_queue", "work", {"attempts": 3})
    details = await engine.value("select details from outbox.audit_log where action = 'queue.configured'")
    assert {"old": {"attempts": 12}, "new": {"attempts": 3}} == details


async def test_a_weight_is_kept_and_on_record(engine: Engine) -> None:
    await engine.call("weigh", "work", engine.project, 5)
    await engine.call("weigh", "work", engine.project, 7)
    assert 7 == await engine.value("select weight from outbox.shares")
    details = await engine.rows(
        "select details from outbox.audit_log where action = 'queue.weighed' order by id"
    )
    assert [{"old": 1, "new": 5}, {"old": 5, "new": 7}] == [row["details"] for row in details]
    for weight in (0, 101, None):
        assert "OX400" == await engine.refused("weigh", "work", engine.project, weight)
    assert "OX404" == await engine.refused("weigh", "nowhere", engine.project, 2)
    assert "OX404" == await engine.refused("weigh", "work", engine.team, 2)


async def test_settings_and_weights_are_the_operators(engine: Engine) -> None:
    assert "OX403" == await engine.refused(
        "configure_queue", "work", {"attempts": 3}, caller=team_key(engine)
    )
    assert "OX403" == await engine.refused("weigh", "work", engine.project, 2, caller=team_key(engine))
