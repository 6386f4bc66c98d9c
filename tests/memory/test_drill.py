"""Agents at work while workers are killed: nothing is lost, doubled, unmetered or stuck."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from outboxd.client import Client
from outboxd.store import keys
from tests.daemon.daemons import Place
from tests.memory import fleet, verdict
from tests.memory.agents import Agent, agents, live
from tests.memory.fleet import Fleet, Model

proves = pytest.mark.proves

_QUIET = """
select not exists (select from outbox.ready) and not exists (select from outbox.later)
  and not exists (select from outbox.leases)
"""
_LOST = "select count(*) from outbox.attempts where outcome = 'lost'"
# The fake model says the same of everything: what is alike is no sign of what was done twice.
_SETTINGS = """
update outbox.projects set settings = '{"dedupe": {"enabled": false}, "summary": {"quietSeconds": 1}}'
"""


@pytest.fixture
def place(tmp_path: Path, dsn: str) -> Iterator[Place]:
    made = Place(tmp_path, dsn)
    yield made
    made.close()


@pytest.mark.drill
@proves("M2", "M20", "L3")
def test_every_event_is_observed_once_while_workers_are_killed(place: Place) -> None:
    drilled(place, agents(10, 150), kills=3, every=6, limit=60)


@pytest.mark.drill
@pytest.mark.nightly
@pytest.mark.timeout(600)
@proves("M2", "M20", "L3")
def test_a_thousand_events_are_observed_once_while_workers_are_killed_again_and_again(place: Place) -> None:
    drilled(place, agents(20, 1000), kills=30, every=6, limit=400)


def drilled(place: Place, crowd: Sequence[Agent], *, kills: int, every: int, limit: float) -> None:
    project, key = _prepared(place)
    with fleet.model(delay=0.15) as model:
        api = place.serve(beat_s="0.2", generation="per-event").ready()
        crew = Fleet(
            place, 2, provider_concurrency="8", observe_batch="4", worker_slots="24", **model.settings
        ).ready()
        asyncio.run(_lived(f"http://127.0.0.1:{api.port}", key, crowd, crew, model, kills, every, limit))
        place.until(_QUIET, limit=limit)
        calls = model.told
    assert place.value(_LOST), "no worker was killed with a job in its hands"
    assert 1 < calls["most"]
    with psycopg.connect(place.dsn, autocommit=True) as conn:
        events = sum(len(agent.deeds) for agent in crowd)
        assert [] == verdict.broken(conn, events=events, sessions=len(crowd), calls=calls["calls"])
    assert project


async def _lived(
    url: str,
    key: str,
    crowd: Sequence[Agent],
    crew: Fleet,
    model: Model,
    kills: int,
    every: int,
    limit: float,
) -> None:
    """Until all agents have gone and all kills are done."""
    async with Client(url, key) as client, asyncio.TaskGroup() as tasks:
        for agent in crowd:
            tasks.create_task(live(client, agent))
        tasks.create_task(
            asyncio.to_thread(fleet.killed_in_calls, crew, model, kills, every=every, limit=limit)
        )


def _prepared(place: Place) -> tuple[str, str]:
    """A project, and a secret that may do everything in it."""
    project = place.project()
    place.value(_SETTINGS + " returning id")
    secret = keys.PREFIX + "a" * 43
    place.value(
        "select (outbox.mint_key(outbox.me(), %s, 'test', p.team_id, p.id, '{*}', null, null)).id"
        " from outbox.projects p",
        keys.digest(secret.encode()),
    )
    return project, secret
