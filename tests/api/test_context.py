"""POST /v1/context: what an agent may want to be told, within a budget."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from tests import seed
from tests.api.served import Served, serving
from tests.api.test_memories import audited, remember
from tests.clock import Clock

Conn = AsyncConnection[DictRow]
TICK = timedelta(milliseconds=1)


async def context(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    reply = await http.post("/v1/context", json=body)
    assert 200 == reply.status_code, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def session(served: Served, name: str) -> str:
    reply = await served.http.post("/v1/sessions/start", json={"externalSessionId": name})
    made: str = reply.json()["session"]["id"]
    return made


async def test_a_context_is_the_contents_of_the_hits_in_their_order(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await remember(served.http, "a kettle, far away")
        await remember(served.http, "kettle", title="kettle")
        found = await context(served.http, query="kettle")
    assert ["kettle", "a kettle, far away"] == [each["content"] for each in found["observations"]]
    assert "kettle\n\na kettle, far away" == found["context"]
    assert (-(-len(found["context"]) // 4), False) == (found["tokensEstimated"], found["truncated"])
    assert all({"score", "snippet"} <= set(each) for each in found["observations"])
    [row] = await audited(conn, "observation.read")
    assert ("context", "kettle") == (row["details"]["mode"], row["details"]["query"])


@pytest.mark.parametrize("body", [{}, {"query": None}, {"query": "  "}])
async def test_without_a_question_summaries_come_first_then_what_is_newest(
    db: Database, conn: Conn, clock: Clock, body: dict[str, Any]
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        for name in ("one", "two"):
            clock.forward(TICK)
            await remember(
                served.http, f"summary {name}", kind="summary", serverSessionId=await session(served, name)
            )
        for n in range(3):
            clock.forward(TICK)
            await remember(served.http, f"note {n}")
        found = await context(served.http, **body)
        few = await context(served.http, limit=2)
    assert ["summary two", "summary one", "note 2", "note 1", "note 0"] == [
        each["content"] for each in found["observations"]
    ]
    assert ["summary two", "note 2"] == [each["content"] for each in few["observations"]]
    assert all("score" not in each for each in found["observations"])


async def test_of_each_session_only_the_latest_summary_goes_ahead(
    db: Database, conn: Conn, clock: Clock
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        it = await session(served, "s")
        for text, kind in (("older", "summary"), ("note", "note"), ("latest", "summary"), ("last", "note")):
            clock.forward(TICK)
            await remember(served.http, text, kind=kind, serverSessionId=it)
        found = await context(served.http)
    assert ["latest", "last", "note", "older"] == [each["content"] for each in found["observations"]]


async def test_the_budget_takes_whole_entries_and_cuts_the_last_at_a_line(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    lines = "\n".join(f"line {n:04} ä" for n in range(100))
    async with serving(db, tenant.key) as served:
        await remember(served.http, lines)
        await remember(served.http, "kettle", title="kettle", metadata={"files_read": ["line"]})
        await remember(served.http, "line " * 3, title="line line")
        found = await context(served.http, query="line", tokenBudget=100)
        whole = await context(served.http, query="line", tokenBudget=200_000)
    assert 3 == len(found["observations"]) == len(whole["observations"])
    assert (True, False) == (found["truncated"], whole["truncated"])
    assert len(found["context"].encode()) <= 400
    assert found["tokensEstimated"] <= 100
    assert whole["context"].startswith(found["context"])
    assert whole["context"][len(found["context"])] == "\n"


@pytest.mark.parametrize("lead", ["", "\n", "\n" * 500])
async def test_a_first_line_longer_than_the_budget_is_cut_within_it(
    db: Database, conn: Conn, lead: str
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await remember(served.http, lead + "x" + "ä" * 1000 + "\nmore", title="it")
        found = await context(served.http, tokenBudget=100)
    assert found["context"] == "x" + "ä" * 199
    assert (1, 100, True) == (len(found["observations"]), found["tokensEstimated"], found["truncated"])


@pytest.mark.parametrize(
    "body", [{"limit": 51}, {"tokenBudget": 99}, {"tokenBudget": 200_001}, {"query": "x" * 4001}]
)
async def test_a_context_out_of_bounds_is_refused(db: Database, conn: Conn, body: dict[str, Any]) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        assert 400 == (await served.http.post("/v1/context", json=body)).status_code


async def test_a_context_has_filters_too(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await remember(served.http, "one", kind="note")
        await remember(served.http, "two", kind="summary")
        found = await context(served.http, kind="note")
    assert "one" == found["context"]
