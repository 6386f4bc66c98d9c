"""Questions between processes: asked on one, answered on another, by many at once, while processes stop."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import httpx
import pytest

from outboxd.store import keys
from tests.daemon.daemons import Daemon, Place
from tests.proofs import proves
from tests.waiting import until

ASK = {"connectionId": "chat-1", "expectedActor": "*", "prompt": "deploy?"}
PATH = "/v1/interactions"
ROUNDS = 10
HUNDRED = """
select count(*) from generate_series(1, 100) n, outbox.ask(%s, 'chat-1', 'ann', '"?"', p_id => 'q' || n)
"""
HELD = """
select count(*) from pg_stat_activity
where state = 'idle in transaction' and datname = current_database()
"""
NEXT = """
select j.id from outbox.jobs j join outbox.events e on e.id = j.event_id where e.type = 'interaction.answered'
"""


@pytest.fixture
async def pods(place: Place) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Two api processes on one database, and a client of each with enough connections."""
    key = key_of(place)
    daemons = [place.serve() for _ in range(2)]
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client(daemon.ready(), key)) for daemon in daemons]
        yield clients[0], clients[1]


def client(daemon: Daemon, key: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    headers = {"authorization": f"Bearer {key}"}
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{daemon.port}", headers=headers, limits=limits, timeout=65
    )


def key_of(place: Place) -> str:
    """Of a new project, for everything."""
    project = UUID(place.project())
    team = place.value("select team_id from outbox.projects where id = %s", project)
    secret = "obx_" + "k" * 43
    place.value(
        "insert into outbox.keys (id, team_id, project_id, name, hash, prefix, scopes, actor, created_at)"
        " values (gen_random_uuid(), %s, %s, 'k', %s, 'obx_kkkk', '{*}', 'key:k', now()) returning id",
        team,
        project,
        keys.digest(secret.encode()),
    )
    return secret


async def asked(pod: httpx.AsyncClient, **more: Any) -> str:
    reply = await pod.post(PATH, json={**ASK, **more})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["interaction"]["id"])


async def answer(pod: httpx.AsyncClient, id_: str, actor: str) -> httpx.Response:
    body = {"connectionId": "chat-1", "actor": actor, "answer": actor}
    return await pod.post(f"{PATH}/{id_}/answer", json=body)


@proves("C17")
@pytest.mark.slow
async def test_of_fifty_clicks_on_two_pods_one_counts(
    place: Place, pods: tuple[httpx.AsyncClient, httpx.AsyncClient]
) -> None:
    """Interactions 1: 50 at once, here in 10 rounds; tests/sql has 100."""
    won = 0
    for _ in range(ROUNDS):
        id_ = await asked(pods[0])
        found = await asyncio.gather(*(answer(pods[n % 2], id_, f"u{n % 25}") for n in range(50)))
        told = Counter(each.status_code for each in found)
        replays = [each.json()["replayed"] for each in found if each.status_code == 200]
        assert ({200: 2, 409: 48}, [False, True]) == (told, sorted(replays))
        won += 1
    seen = "select count(*) from outbox.events where type = 'interaction.answered'"
    assert ROUNDS == won == place.value(seen)


async def test_an_asker_on_another_pod_wakes_within_200_ms(
    pods: tuple[httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    """Interactions 4."""
    took = []
    for _ in range(10):
        id_ = await asked(pods[0])
        waiting = asyncio.create_task(pods[0].get(f"{PATH}/{id_}", params={"wait": 60}))
        await asyncio.sleep(0.05)
        assert (await answer(pods[1], id_, "ann")).status_code == 200
        committed = time.monotonic()
        assert "answered" == (await waiting).json()["interaction"]["state"]
        took.append(time.monotonic() - committed)
    assert sorted(took)[len(took) // 2] < 0.2
    assert max(took) < 1.2


async def test_a_process_that_stops_answers_all_who_wait_at_once(place: Place) -> None:
    """Interactions 16: SIGTERM with 100 waits."""
    key = key_of(place)
    daemon = place.serve().ready()
    async with client(daemon, key) as pod:
        id_ = await asked(pod)
        waiting = [asyncio.create_task(pod.get(f"{PATH}/{id_}?wait=60")) for _ in range(100)]
        await until(lambda: waiters(daemon) == 100)
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        replies = await asyncio.gather(*waiting)
        assert time.monotonic() - began < 1
    assert {(200, "pending")} == {
        (reply.status_code, reply.json()["interaction"]["state"]) for reply in replies
    }
    assert 0 == daemon.gone(10), daemon.log


async def test_a_client_that_leaves_frees_its_place(place: Place) -> None:
    """Interactions 16: abort, and the gauge is back at 0."""
    key = key_of(place)
    daemon = place.serve().ready()
    async with client(daemon, key) as pod:
        id_ = await asked(pod)
        waiting = [asyncio.create_task(pod.get(f"{PATH}/{id_}?wait=60")) for _ in range(20)]
        await until(lambda: waiters(daemon) == 20)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await until(lambda: waiters(daemon) == 0, 5)


def test_a_job_that_waits_for_a_person_holds_no_worker(place: Place) -> None:
    """Interactions 17: 100 open questions, one slot; other jobs run, and the answer makes the next one."""
    project = place.project()
    place.work(worker_slots="1").ready()
    place.value("select outbox.add_route(outbox.me(), 'interaction.answered', 'quick')")
    assert 100 == place.value(HUNDRED, project)
    ended = "select outcome = 'completed' from outbox.attempts where job_id = %s order by no desc limit 1"
    for _ in range(3):
        place.until(ended, place.enqueue(project, "quick"))
    open_ = "select count(*) from outbox.open_interactions"
    assert (100, 0) == (place.value(open_), place.value(HELD))
    place.value("select outcome from outbox.answer('q7', %s, 'chat-1', 'ann', '\"yes\"')", project)
    place.until(f"select exists ({NEXT})")
    place.until(ended, place.value(NEXT))


def waiters(daemon: Daemon) -> int:
    answer = daemon.get("/metrics")
    found = (
        []
        if answer is None
        else [line for line in answer[1].splitlines() if line.startswith("outboxd_interactions_waiters ")]
    )
    return round(float(found[0].split()[1])) if found else -1
