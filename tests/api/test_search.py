"""POST /v1/search: what is found, in which order, for whom, and page by page."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.store import tenants
from tests import seed
from tests.api.served import problem, serving
from tests.api.test_memories import audited, remember
from tests.clock import Clock
from tests.proofs import proves

Conn = AsyncConnection[DictRow]
TICK = timedelta(milliseconds=1)


async def search(http: httpx.AsyncClient, query: str, **body: Any) -> dict[str, Any]:
    reply = await http.post("/v1/search", json={"query": query, **body})
    assert 200 == reply.status_code, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def contents(http: httpx.AsyncClient, query: str, **body: Any) -> list[str]:
    return [each["content"] for each in (await search(http, query, **body))["observations"]]


async def test_a_hit_is_a_memory_with_score_and_snippet(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        made = await remember(served.http, "the kettle is broken <b>now</b>")
        found = await search(served.http, "kettles")
        nothing = await search(served.http, "teapot")
    [hit] = found["observations"]
    assert 0 < hit["score"] <= 1
    assert {**made, "score": hit["score"], "snippet": made["content"]} == hit
    assert found["nextCursor"] is None
    assert {"observations": [], "nextCursor": None} == nothing
    reads = [row["details"] for row in await audited(conn, "observation.read")]
    assert ["kettles", "teapot"] == [each["query"] for each in reads]
    assert [[made["id"]], []] == [each["observationIds"] for each in reads]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": " "},
        {"query": "x" * 4001},
        {"query": "x", "limit": 101},
        {"query": "x", "limit": 0},
        {"query": "x", "minScore": 1.5},
        {"query": "x", "kind": ["k"] * 21},
        {"query": "x", "since": "yesterday"},
        {"query": "x", "cursor": "nonsense"},
    ],
)
async def test_a_search_that_is_none_is_refused(db: Database, conn: Conn, body: dict[str, Any]) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        reply = await served.http.post("/v1/search", json=body)
    assert 400 == reply.status_code


async def test_web_search_syntax_is_understood(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        for text in ("red kettle", "kettle red", "blue kettle"):
            await remember(served.http, text)
        assert ["red kettle"] == await contents(served.http, '"red kettle"')
        assert {"red kettle", "kettle red"} == set(await contents(served.http, "kettle -blue"))
        assert 3 == len(await contents(served.http, "red OR blue"))


async def test_title_counts_more_than_content_and_that_more_than_concepts_and_files(
    db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await remember(served.http, "file", metadata={"files_read": ["src/kettleMaker.py"]})
        await remember(served.http, "concept", metadata={"concepts": ["kettle"]})
        await remember(served.http, "kettle")
        await remember(served.http, "title", title="kettle")
        found = await contents(served.http, "kettle")
    assert ["title", "kettle", "concept", "file"] == found


async def test_of_equal_matches_the_newer_comes_first(db: Database, conn: Conn, clock: Clock) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        old = await remember(served.http, "kettle")
        clock.forward(timedelta(days=30))
        new = await remember(served.http, "kettle")
        found = (await search(served.http, "kettle"))["observations"]
    assert [new["id"], old["id"]] == [each["id"] for each in found]
    assert found[1]["score"] / found[0]["score"] == pytest.approx(0.85)


@proves("M26")
async def test_stop_words_alone_are_found_as_they_stand(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await remember(served.http, "to be or not")
        await remember(served.http, "something else entirely")
        assert ["to be or not"] == await contents(served.http, "to be")


@proves("M26")
async def test_a_long_prompt_finds_what_has_a_third_of_its_words(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    prompt = "kettle boils water slowly because limescale covers heating element inside"
    async with serving(db, tenant.key) as served:
        whole = await remember(served.http, prompt)
        third = await remember(served.http, "limescale covers the heating kettle")
        await remember(served.http, "a kettle")
        found = (await search(served.http, prompt))["observations"]
        strict = await contents(served.http, f'"{prompt}"')
    assert [whole["id"], third["id"]] == [each["id"] for each in found]
    assert found[1]["score"] < 0.5
    assert [prompt] == strict


async def test_the_relaxed_pass_is_left_out_where_the_strict_one_finds_enough(
    db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await remember(served.http, "red kettle")
        await remember(served.http, "red teapot")
        one = await search(served.http, "red kettle", limit=1)
        two = await contents(served.http, "red kettle", limit=2)
    assert ["red kettle"] == [each["content"] for each in one["observations"]]
    assert one["nextCursor"] is None
    assert ["red kettle", "red teapot"] == two


async def test_chinese_japanese_and_korean_are_found_inside_their_runs(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await remember(served.http, "我们修复了登录页面的错误")
        await remember(served.http, "東京都庁へ行く")
        await remember(served.http, "한국어 검색을 고쳤다")
        assert ["我们修复了登录页面的错误"] == await contents(served.http, "登录页面")
        assert ["東京都庁へ行く"] == await contents(served.http, "都")
        assert ["東京都庁へ行く"] == await contents(served.http, "く")
        assert ["한국어 검색을 고쳤다"] == await contents(served.http, "검색")
        assert [] == await contents(served.http, "面登")


async def test_a_file_is_found_by_its_parts(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await remember(served.http, "x", metadata={"files_modified": ["src/api/LoginForm_view.ts"]})
        for query in ("login", "form", "LoginForm_view.ts", "src/api/LoginForm_view.ts", "view", "api"):
            assert ["x"] == await contents(served.http, query), query


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ({"kind": "note"}, "a"),
        ({"kind": ["note", "other"]}, "ab"),
        ({"kind": "none"}, ""),
        ({"file": "api/tea.py"}, "a"),
        ({"file": "src/api/tea.py"}, "a"),
        ({"file": "ea.py"}, ""),
        ({"concept": "WATER"}, "b"),
        ({"concept": "wat"}, ""),
        ({"platformSource": "Claude Code"}, "ac"),
        ({"platformSource": "cursor"}, "b"),
        ({"platformSource": "codex"}, "d"),
        ({"platformSource": None}, "abcd"),
        ({"sessionId": "nonsense"}, ""),
        ({"sessionId": "its"}, "c"),
        ({"since": 1}, "abcd"),
        ({"until": "2001-01-01T00:00:00Z"}, ""),
        ({"minScore": 1}, ""),
    ],
)
async def test_filters_narrow_a_search(db: Database, conn: Conn, where: dict[str, Any], names: str) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        http = served.http
        started = await http.post(
            "/v1/sessions/start", json={"externalSessionId": "e", "platformSource": "claude"}
        )
        session = started.json()["session"]["id"]
        event = (await http.post("/v1/events", json={"eventType": "a", "platformSource": "codex"})).json()[
            "event"
        ]["id"]
        await remember(
            http,
            "kettle a",
            kind="note",
            platformSource="claude",
            metadata={"files_read": ["src/api/tea.py"]},
        )
        await remember(
            http, "kettle b", kind="other", platformSource="cursor", metadata={"concepts": ["Water"]}
        )
        await remember(http, "kettle c", serverSessionId=session, platformSource="cursor")
        derived = await remember(http, "kettle d")
        await conn.execute(
            "insert into outbox.observation_sources values"
            " (gen_random_uuid(), %s, %s, 'agent_event', %s, null, outbox.clock())",
            (derived["id"], tenant.project, event),
        )
        if where.get("sessionId") == "its":
            where = {"sessionId": session}
        found = await contents(http, "kettle", **where)
        # The bounds of a search are those of forgetting, and of the list.
        if "minScore" not in where and any(where.values()):
            body = {"filter": {**where, "query": "kettle"}, "dryRun": True}
            matched = (await http.post("/v1/memories/forget", json=body)).json()["matched"]
            assert len(names) == matched
    assert set(names) == {each[-1] for each in found}


async def test_two_projects_never_meet_in_one_result(db: Database, conn: Conn) -> None:
    tenant, foreign = await seed.tenant(conn), await seed.tenant(conn, "foreign")
    sibling = await tenants.make_project(conn, seed.OPERATOR, tenant.team, "sibling")
    _, whole = await seed.key(conn, tenant.team, "*")
    async with serving(db, whole) as served:
        for project in (tenant.project, sibling):
            await remember(served.http, f"kettle of {project}", projectId=str(project))
        async with served.client(foreign.key) as http:
            await remember(http, f"kettle of {foreign.project}")
            assert [f"kettle of {foreign.project}"] == await contents(http, "kettle")
        for project in (tenant.project, sibling):
            found = await contents(served.http, "kettle -x", projectId=str(project))
            assert [f"kettle of {project}"] == found
        refused = [
            await served.http.post("/v1/search", json={"query": "kettle", **body})
            for body in ({}, {"projectId": str(foreign.project)}, {"projectId": "nonsense"})
        ]
        async with served.client(tenant.key) as http:
            beside = await http.post("/v1/search", json={"query": "kettle", "projectId": str(sibling)})
    assert [400, 404, 404, 403] == [each.status_code for each in [*refused, beside]]
    assert "Project not found" == problem(refused[1])["message"]


async def test_pages_go_on_as_the_first_was_ranked(db: Database, conn: Conn, clock: Clock) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        made = []
        for n in range(7):
            clock.forward(TICK)
            made.append((await remember(served.http, f"kettle {n}"))["id"])
        clock.forward(TICK)
        page = await search(served.http, "kettle", limit=3)
        seen = [each["id"] for each in page["observations"]]
        while page["nextCursor"]:
            clock.forward(timedelta(minutes=3))
            await remember(served.http, "kettle kettle kettle newer")
            page = await search(served.http, "kettle", limit=3, cursor=page["nextCursor"])
            seen += [each["id"] for each in page["observations"]]
    assert made[::-1] == seen


async def test_pages_go_through_both_passes(db: Database, conn: Conn, clock: Clock) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        for n in range(4):
            clock.forward(TICK)
            await remember(served.http, f"kettle {n}")
        await remember(served.http, "red kettle")
        clock.forward(TICK)
        first = await search(served.http, "red kettle", limit=2)
        second = await search(served.http, "red kettle", limit=2, cursor=first["nextCursor"])
        third = await search(served.http, "red kettle", limit=2, cursor=second["nextCursor"])
    found = [each["content"] for page in (first, second, third) for each in page["observations"]]
    assert ["red kettle", "kettle 3", "kettle 2", "kettle 1", "kettle 0"] == found
    assert third["nextCursor"] is None


async def test_a_cursor_is_bound_to_its_search_and_ages(db: Database, conn: Conn, clock: Clock) -> None:
    tenant, other = await seed.tenant(conn), await seed.tenant(conn, "other")
    async with serving(db, tenant.key) as served:
        for n in range(3):
            await remember(served.http, f"kettle {n}")
        cursor = (await search(served.http, "kettle", limit=1))["nextCursor"]
        refused = [
            await served.http.post("/v1/search", json={"query": "kettle", "cursor": cursor, **body})
            for body in ({"query": "x"}, {"kind": "x"}, {"cursor": cursor[:-8] + "AAAAAAAA"})
        ]
        async with served.client(other.key) as http:
            refused.append(await http.post("/v1/search", json={"query": "kettle", "cursor": cursor}))
        clock.forward(timedelta(minutes=11))
        refused.append(await served.http.post("/v1/search", json={"query": "kettle", "cursor": cursor}))
    assert [(400, "InvalidCursor")] * 5 == [(each.status_code, problem(each)["error"]) for each in refused]


async def test_searches_and_writes_side_by_side_end_well(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key) as served:
        await asyncio.gather(
            *(remember(served.http, f"kettle {n}") for n in range(10)),
            *(search(served.http, "kettle") for _ in range(10)),
        )
        assert 10 == len(await contents(served.http, "kettle"))
