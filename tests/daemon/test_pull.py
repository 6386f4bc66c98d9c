"""Workers in other languages: each example of deploy/examples/pull against a real process."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pytest_postgresql.executors import NoopExecutor

from outboxd.store import keys
from tests import cluster
from tests.daemon.daemons import ROOT, Place
from tests.proofs import proves

EXAMPLES = ROOT / "deploy" / "examples" / "pull"
SECRET = "obx_" + "p" * 43
SENDS = """\
#!/bin/sh
claim=$(cat)
case $claim in *'"fail": true'*) exit 100 ;; esac
n=$(printf %s "$claim" | sed -n 's/.*"payload":{"n": *\\([0-9]*\\)}.*/\\1/p')
printf '{"doneBy": "worker.sh", "n": %s}' "$n"
"""
ENQUEUE = "select job_id from outbox.enqueue(outbox.me(), %s, %s::jsonb, %s)"
ENDED = "select s.state from outbox.job_state(%s) s"
OUTPUT = "select output from outbox.attempts where job_id = %s and outcome = 'completed'"


@pytest.fixture(scope="module")
def yard(migrated: NoopExecutor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A process that serves, and a project with a key for workers."""
    with cluster.clone(migrated) as made:
        place = Place(tmp_path_factory.mktemp("pull"), made.dsn)
        project = place.project()
        place.value(
            "insert into outbox.keys (id, team_id, project_id, hash, prefix, scopes, actor, created_at)"
            " select gen_random_uuid(), team_id, id, %s, 'obx_pppp', '{queues:work}', 'key:p', now()"
            " from outbox.projects where id = %s returning id",
            keys.digest(SECRET.encode()),
            project,
        )
        try:
            place.serve().ready()
            yield place
        finally:
            place.close()


def run(yard: Place, *words: str | Path) -> None:
    """In an environment with nothing in it but what the example's head names."""
    url = f"http://127.0.0.1:{yard.daemons[0].port}"
    given = {"OUTBOXD_URL": url, "OUTBOXD_API_KEY": SECRET, "PATH": os.environ["PATH"]}
    ran = subprocess.run(
        [str(word) for word in words], env=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}\n{yard.daemons[0].log}"


def jobs(yard: Place, queue: str) -> tuple[str, str]:
    """One that can be done and one that cannot."""
    project = yard.value("select id from outbox.projects")
    return tuple(str(yard.value(ENQUEUE, queue, said, project)) for said in ('{"n": 7}', '{"fail": true}'))  # type: ignore[return-value]


def check(yard: Place, example: str, good: str, bad: str) -> None:
    assert ("completed", "failed") == (yard.value(ENDED, good), yard.value(ENDED, bad))
    assert {"doneBy": example, "n": 7} == yard.value(OUTPUT, good)


@proves("L3")
@pytest.mark.parametrize(
    ("example", "program"), [("worker.py", sys.executable), ("worker.sh", "bash"), ("worker.mjs", "node")]
)
def test_a_worker_in_another_language_over_http(
    yard: Place, tmp_path: Path, example: str, program: str
) -> None:
    for needed in {program, "curl"} if program == "bash" else {program}:
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not here")
    queue = f"q-{uuid4().hex[:8]}"
    good, bad = jobs(yard, queue)
    command = tmp_path / "send"
    command.write_text(SENDS)
    command.chmod(0o755)
    run(yard, program, EXAMPLES / example, queue, *([command] if program == "bash" else []), "--drain")
    check(yard, example, good, bad)


def test_a_worker_in_plain_psql(yard: Place) -> None:
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("psql is not here")
    queue, login = f"q-{uuid4().hex[:8]}", f"t_{uuid4().hex[:12]}"
    good, bad = jobs(yard, queue)
    with psycopg.connect(yard.dsn, autocommit=True) as admin:
        admin.execute(f"create role {login} login password 'x'".encode())
        try:
            admin.execute(f"grant outbox_worker to {login}".encode())
            admin.execute("insert into outbox.producers select %s, id from outbox.projects", [login])
            dsn = make_conninfo(yard.dsn, user=login, password="x")
            run(yard, psql, dsn, "-X", "-v", f"queue={queue}", "-f", EXAMPLES / "worker.sql")
        finally:
            admin.execute(f"drop owned by {login}".encode())
            admin.execute(f"drop role {login}".encode())
    check(yard, "worker.sql", good, bad)
    assert 0 == yard.value("select count(*) from outbox.workers where kind = 'sql'")


def test_the_shell_example_is_sound() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not here")
    ran = subprocess.run(
        ["shellcheck", str(EXAMPLES / "worker.sh")], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout


async def waiting(pod: httpx.AsyncClient, queue: str) -> asyncio.Task[httpx.Response]:
    wanted = {"worker": "w", "waitMs": 30_000}
    return asyncio.create_task(pod.post(f"/v1/queues/{queue}/claim", json=wanted))


@proves("E2", "L14")
async def test_claims_that_wait_are_woken_by_sql_and_answered_by_a_stopping_process(yard: Place) -> None:
    """A producer's commit wakes one of twenty; SIGTERM answers the others at once, and ends in 0.

    Last, since nothing is served any more."""
    daemon = yard.daemons[0]
    queue = f"q-{uuid4().hex[:8]}"
    project = yard.value("select id from outbox.projects")
    yard.value("select outbox.open_queue(%s)", queue)
    headers = {"authorization": f"Bearer {SECRET}"}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{daemon.port}", headers=headers, timeout=40
    ) as pod:
        tasks = [await waiting(pod, queue) for _ in range(20)]
        asleep = "select exists (select from outbox.idle where handler = %s)"
        await asyncio.to_thread(yard.until, asleep, f"pull:{queue}")
        began = time.monotonic()
        job = str(yard.value(ENQUEUE, queue, "{}", project))
        [woken], rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=10)
        assert time.monotonic() - began < 1.5
        assert [job] == [each["id"] for each in woken.result().json()["jobs"]]
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert [None] * 19 == [(await task).json()["lease"] for task in rest]
        assert time.monotonic() - began < 3
    assert 0 == await asyncio.to_thread(daemon.gone, 20)
