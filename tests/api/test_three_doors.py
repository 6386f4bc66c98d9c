"""Retry and cancel by HTTP, by the command line and by SQL: one table, and the same answer at each door."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.cli import frame
from outboxd.db.pool import Database
from tests import seed
from tests.api.served import Served, serving
from tests.api.test_orders import job_in
from tests.proofs import proves

Conn = AsyncConnection[DictRow]
Door = Callable[[str, str], Awaitable[tuple[bool, str]]]
"""(verb, job) → whether it was done, and what was said."""

TABLE = {
    ("queued", "retry"): (True, "queued"),
    ("queued", "cancel"): (True, "cancelled"),
    ("processing", "retry"): (False, "processing"),
    ("processing", "cancel"): (True, "cancelled"),
    ("completed", "retry"): (False, "completed"),
    ("completed", "cancel"): (False, "completed"),
    ("failed", "retry"): (True, "queued"),
    ("failed", "cancel"): (True, "cancelled"),
    ("cancelled", "retry"): (True, "queued"),
    ("cancelled", "cancel"): (True, "cancelled"),
}
"""State and verb → whether it is done, and the state after it."""


def doors(served: Served, conn: Conn, dsn: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Door]:
    async def by_http(verb: str, job: str) -> tuple[bool, str]:
        reply = await served.http.post(f"/v1/jobs/{job}/{verb}")
        assert reply.status_code in {200, 409}, reply.text
        return reply.is_success, reply.json().get("message", "")

    async def by_command(verb: str, job: str) -> tuple[bool, str]:
        environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "OUTBOXD_DATABASE_URL": dsn}
        status = await asyncio.to_thread(frame.run, ["jobs", verb, job, "--json"], environ)
        said = capsys.readouterr()
        assert status in {0, 1}, said.err
        return status == 0, json.loads(said.err)["message"] if status else ""

    async def by_sql(verb: str, job: str) -> tuple[bool, str]:
        try:
            await conn.execute(f"select * from outbox.{verb}(outbox.me(), %s)".encode(), [job])
        except psycopg.Error as refused:
            if refused.sqlstate != "OX409":
                raise
            return False, refused.diag.message_primary or ""
        return True, ""

    return {"http": by_http, "cli": by_command, "sql": by_sql}


async def state_of(conn: Conn, job: str) -> str:
    row = await (await conn.execute("select (outbox.job_state(%s)).state", [job])).fetchone()
    assert row
    state: str = row["state"]
    return state


@proves("L17")
async def test_each_door_does_the_same_in_each_state(
    db: Database, conn: Conn, dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "q", handler="h")
    async with serving(db, tenant.key) as served:
        for (state, verb), (done, after) in TABLE.items():
            said = {}
            for name, door in doors(served, conn, dsn, capsys).items():
                # One at a time: a claim takes the oldest.
                await conn.execute(
                    """select outbox.cancel_many(outbox.me(), '{"queue": "q", "status": ["queued"]}')"""
                )
                job = await job_in(state, served, conn)
                was, said[name] = await door(verb, job)
                assert (done, after) == (was, await state_of(conn, job)), f"{verb} {state} by {name}"
            assert 1 == len(set(said.values())), f"{verb} {state}: {said}"


@proves("L17")
async def test_each_door_loses_or_wins_whole_against_a_worker(
    db: Database, conn: Conn, dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cancelled or completed, and everybody is told which."""
    tenant = await seed.tenant(conn)
    await seed.route(conn, "*", "q", handler="h")
    async with serving(db, tenant.key) as served:
        for name, door in doors(served, conn, dsn, capsys).items():
            for _ in range(3):
                job = await job_in("processing", served, conn)
                (cancelled, _), settled = await asyncio.gather(door("cancel", job), completes(db, job))
                wanted = "cancelled" if cancelled else "completed"
                assert (wanted, not cancelled) == (await state_of(conn, job), settled), name


async def completes(db: Database, job: str) -> bool:
    """Whether the worker that holds it was believed."""
    async with db.transaction() as conn:
        held: Any = await (
            await conn.execute(
                b"select id, worker_id from outbox.leases where %s::uuid = any (job_ids)", [job]
            )
        ).fetchone()
        if held is None:
            return False
        said = [{"lease": str(held["id"]), "job": job, "outcome": "completed", "ms": 1}]
        settled: Any = await (
            await conn.execute(
                b"select accepted from outbox.settle(%s, %s)", [held["worker_id"], json.dumps(said)]
            )
        ).fetchone()
        return bool(settled["accepted"])
