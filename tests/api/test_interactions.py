"""Interactions over HTTP: asked, answered once, withdrawn, waited for, and what nobody may."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.store import tenants
from tests import seed
from tests.api.served import Served, problem, serving
from tests.clock import Clock
from tests.conftest import CrashServer
from tests.proofs import proves
from tests.seed import Tenant
from tests.sql import questions
from tests.waiting import until

Conn = AsyncConnection[DictRow]

YES_OR_NO = [{"value": "yes", "label": "Yes"}, {"value": "no"}]
ASK: dict[str, Any] = {"connectionId": "chat-1", "expectedActor": "ann", "prompt": "deploy?"}
ANN = {"connectionId": "chat-1", "actor": "ann"}
PATH = "/v1/interactions"


@pytest.fixture
async def tenant(conn: Conn) -> Tenant:
    return await seed.tenant(conn)


@pytest.fixture
async def served(db: Database, tenant: Tenant) -> AsyncIterator[Served]:
    async with serving(db, tenant.key) as served:
        yield served


async def asked(served: Served, **more: Any) -> dict[str, Any]:
    reply = await served.http.post(PATH, json={**ASK, **more})
    assert reply.status_code in {200, 201}, reply.text
    found: dict[str, Any] = reply.json()["interaction"]
    return found


async def answer(served: Served, id_: str, said: Any = "yes", **more: Any) -> httpx.Response:
    body = {**ANN, "answer": said, **more}
    return await served.http.post(f"{PATH}/{id_}/answer", json={k: v for k, v in body.items() if v != ...})


async def withdraw(served: Served, id_: str, connection: str = "chat-1", **body: Any) -> httpx.Response:
    query = {"connectionId": connection}
    return await served.http.request("DELETE", f"{PATH}/{id_}", params=query, json=body or None)


async def get(served: Served, id_: str, **query: Any) -> httpx.Response:
    return await served.http.get(f"{PATH}/{id_}", params=query)


async def state(served: Served, id_: str) -> str:
    return str((await get(served, id_)).json()["interaction"]["state"])


async def test_a_question_is_asked_and_answered(served: Served, tenant: Tenant, conn: Conn) -> None:
    given = {"options": YES_OR_NO, "context": {"order": 7}, "ttlSeconds": 60, "kind": "approval"}
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    reply = await served.http.post(PATH, json={**ASK, **given}, headers={"traceparent": trace})
    asked = reply.json()["interaction"]
    assert (201, {"interaction"}) == (reply.status_code, reply.json().keys())
    assert {
        "id": asked["id"],
        "projectId": str(tenant.project),
        "teamId": str(tenant.team),
        "connectionId": "chat-1",
        "expectedActor": "ann",
        "kind": "approval",
        "state": "pending",
        "prompt": "deploy?",
        "options": YES_OR_NO,
        "freeText": False,
        "context": {"order": 7},
        "digest": asked["digest"],
        "sessionId": None,
        "createdAtEpoch": asked["expiresAtEpoch"] - 60_000,
        "expiresAtEpoch": asked["expiresAtEpoch"],
        "answeredAtEpoch": None,
        "answeredBy": None,
        "answer": None,
        "answerEventId": None,
        "endedReason": None,
        "uses": 0,
        "maxUses": None,
        "requestId": reply.headers["x-request-id"],
    } == asked
    answered = await answer(served, asked["id"], digest=asked["digest"])
    found = answered.json()["interaction"]
    assert (200, False) == (answered.status_code, answered.json()["replayed"])
    assert ("answered", "yes", "ann") == (found["state"], found["answer"], found["answeredBy"])
    [event] = await questions.events(conn, "interaction.answered")
    assert (found["answerEventId"], f"interaction/{asked['id']}", asked["id"], trace) == (
        str(event["id"]), event["subject"], event["ordering_key"], event["traceparent"],
    )  # fmt: skip
    assert {
        "interactionId": asked["id"],
        "connectionId": "chat-1",
        "kind": "approval",
        "answer": "yes",
        "answeredBy": "ann",
        "context": {"order": 7},
        "digest": asked["digest"],
        "askedBy": f"key:{tenant.key_id}",
        "sessionId": None,
    } == event["payload"]


async def test_what_became_of_a_question_is_told_by_its_status(
    served: Served, clock: Clock, conn: Conn
) -> None:
    """Section 3: the table of answers."""
    id_ = (await asked(served, options=YES_OR_NO))["id"]
    for wrong in ("maybe", 7, "x" * 17_000):
        refused = await answer(served, id_, wrong)
        assert (400, ["answer"]) == (refused.status_code, problem(refused)["issues"][0]["path"])
    assert 400 == (await answer(served, id_, ..., choice=2)).status_code
    assert 400 == (await answer(served, id_, choice=0)).status_code
    assert 400 == (await answer(served, id_, ...)).status_code
    changed = await answer(served, id_, digest="0" * 64)
    assert (409, "Changed") == (changed.status_code, problem(changed)["error"])
    assert "pending" == await state(served, id_)
    first = await answer(served, id_, ..., choice=1)
    again = await answer(served, id_, "no")
    assert [(200, False), (200, True)] == [(r.status_code, r.json()["replayed"]) for r in (first, again)]
    assert first.json()["interaction"] == again.json()["interaction"]
    other = await answer(served, id_, "yes")
    assert (409, "AlreadyAnswered") == (other.status_code, problem(other)["error"])
    assert first.json()["interaction"]["answeredAtEpoch"] == problem(other)["answeredAtEpoch"]
    assert '"no"' not in other.text
    withdrawn = (await asked(served))["id"]
    await withdraw(served, withdrawn)
    late = (await asked(served, ttlSeconds=10))["id"]
    clock.forward(timedelta(seconds=10))
    for id_, code in ((withdrawn, "Withdrawn"), (late, "Expired")):
        gone = await answer(served, id_)
        assert (410, code) == (gone.status_code, problem(gone)["error"])
    assert 1 == len(await questions.events(conn, "interaction.answered"))


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ({"expectedActor": None}, "expectedActor"),
        ({"expectedActor": ""}, "expectedActor"),
        ({"expectedActor": ...}, "expectedActor"),
        ({"expectedActor": "a\u0007"}, "expectedActor"),
        ({"connectionId": ...}, "connectionId"),
        ({"connectionId": None}, "connectionId"),
        ({"connectionId": "x" * 256}, "connectionId"),
        ({"prompt": ...}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": "x" * 16_384}, "prompt"),
        ({"options": []}, "options"),
        ({"options": [{"value": str(n)} for n in range(26)]}, "options"),
        ({"options": [{"value": "a"}, {"value": "a", "label": "b"}]}, "options"),
        ({"options": [{"value": "x" * 1025}]}, "options"),
        ({"options": [{"value": "a", "label": "x" * 201}]}, "options"),
        ({"options": [{"value": "a", "more": 1}]}, "options"),
        ({"freeText": False}, "options"),
        ({"context": {"a": "x" * 32_768}}, "context"),
        ({"context": []}, "context"),
        ({"ttlSeconds": 9}, "ttlSeconds"),
        ({"ttlSeconds": 604_801}, "ttlSeconds"),
        ({"maxUses": 1}, "maxUses"),
        ({"kind": "suggestion"}, "options"),
        ({"kind": "suggestion", "options": YES_OR_NO, "maxUses": 100_001}, "maxUses"),
        ({"kind": "poll"}, "kind"),
        ({"id": "a b"}, "id"),
        ({"id": ""}, "id"),
        ({"id": "x" * 129}, "id"),
        ({"id": "a\n"}, "id"),
        ({"unknown": 1}, "unknown"),
    ],
)
async def test_a_question_that_nobody_may_ask_is_refused_where_it_is_wrong(
    served: Served, conn: Conn, given: dict[str, Any], at: str
) -> None:
    body = {name: value for name, value in {**ASK, **given}.items() if value is not ...}
    refused = await served.http.post(PATH, json=body)
    assert (400, at) == (refused.status_code, problem(refused)["issues"][0]["path"][0])
    assert [] == await questions.rows(conn, "select * from outbox.interactions")


@proves("C18")
async def test_asking_again_never_extends_the_life_nor_reopens(served: Served, clock: Clock) -> None:
    """Interactions 6."""
    first = await asked(served, id="q", options=YES_OR_NO)
    clock.forward(timedelta(hours=1))
    again = await served.http.post(PATH, json={**ASK, "id": "q", "options": YES_OR_NO, "ttlSeconds": 604_800})
    assert (200, {"interaction": first, "duplicate": True}) == (again.status_code, again.json())
    answered = (await answer(served, "q")).json()["interaction"]
    assert answered == await asked(served, id="q", options=YES_OR_NO)
    assert (200, True) == ((last := await answer(served, "q")).status_code, last.json()["replayed"])


@proves("C18")
async def test_a_taken_id_changes_nothing_whoever_has_it(served: Served, tenant: Tenant, conn: Conn) -> None:
    """Interactions 7: another project, team, connection, actor; byte-identical."""
    stranger = await seed.tenant(conn, "other")
    _, whole = await seed.key(conn, tenant.team, "*")
    sibling = await tenants.make_project(conn, seed.OPERATOR, tenant.team, "sibling")
    await asked(served, id="q")
    before = await questions.row(conn, "q")
    async with served.client(stranger.key) as theirs, served.client(whole) as wide:
        taken = [
            await theirs.post(PATH, json={**ASK, "id": "q"}),
            await wide.post(PATH, json={**ASK, "id": "q", "projectId": str(sibling)}),
            await served.http.post(PATH, json={**ASK, "id": "q", "connectionId": "chat-2"}),
            await served.http.post(PATH, json={**ASK, "id": "q", "expectedActor": "*"}),
        ]
    assert [(409, "Conflict", "id is taken")] * 4 == [
        (each.status_code, problem(each)["error"], problem(each)["detail"]) for each in taken
    ]
    assert before == await questions.row(conn, "q")


@proves("C18")
async def test_a_changed_question_needs_a_new_id(served: Served, conn: Conn) -> None:
    """Interactions 8."""
    await asked(served, id="q")
    before = await questions.row(conn, "q")
    for more in ({"prompt": "delete?"}, {"context": {"a": 1}}, {"kind": "approval"}, {"options": YES_OR_NO}):
        refused = await served.http.post(PATH, json={**ASK, "id": "q", **more})
        assert (409, "Conflict") == (refused.status_code, problem(refused)["error"])
    assert before == await questions.row(conn, "q")


@proves("C17")
async def test_a_stranger_is_told_nothing_and_only_the_trail_knows(
    served: Served, tenant: Tenant, conn: Conn
) -> None:
    """Interactions 2, 14: wrong project, connection, actor and unknown answer alike, and consume nothing."""
    stranger = await seed.tenant(conn, "other")
    sibling = await tenants.make_project(conn, seed.OPERATOR, tenant.team, "sibling")
    _, narrow = await seed.key(conn, tenant.team, "*", project=sibling)
    id_ = (await asked(served, options=YES_OR_NO))["id"]
    async with served.client(stranger.key) as theirs, served.client(narrow) as beside:
        body = {**ANN, "answer": "not an option"}
        refused = [
            await theirs.post(f"{PATH}/{id_}/answer", json=body),
            await beside.post(f"{PATH}/{id_}/answer", json=body),
            await served.http.post(f"{PATH}/{id_}/answer", json={**body, "connectionId": "chat-2"}),
            await served.http.post(f"{PATH}/{id_}/answer", json={**body, "actor": "eve"}),
            await served.http.post(f"{PATH}/unknown/answer", json=body),
            await withdraw(served, id_, "chat-2"),
        ]
    shown = {each.text.replace(each.headers["x-request-id"], "") for each in refused}
    assert ({404}, 1) == ({each.status_code for each in refused}, len(shown))
    assert ["unknown", "unknown", "connection", "actor", "unknown", "connection"] == [
        each["details"]["reason"] for each in await questions.trail(conn, "interaction.denied")
    ]
    assert [stranger.team, tenant.team] == [
        each["team_id"] for each in (await questions.trail(conn, "interaction.denied"))[:2]
    ]
    assert (200, False) == ((won := await answer(served, id_)).status_code, won.json()["replayed"])


async def test_a_wrong_scope_takes_as_long_as_an_unknown_id(served: Served) -> None:
    """Interactions 14: timing within noise."""
    id_ = (await asked(served))["id"]

    async def took(id_: str) -> float:
        began = time.perf_counter()
        assert 404 == (await answer(served, id_, actor="eve")).status_code
        return time.perf_counter() - began

    pairs = [(await took(id_), await took("unknown")) for _ in range(40)]
    wrong, unknown = (statistics.median(each) for each in zip(*pairs, strict=True))
    assert abs(wrong - unknown) < 0.5 * max(wrong, unknown)


@pytest.mark.parametrize(
    ("scopes", "may"),
    [
        (["interactions:write"], {"ask", "answer", "withdraw"}),
        (["interactions:read"], {"read", "list"}),
        (["interactions:read", "interactions:write"], {"ask", "answer", "withdraw", "read", "list"}),
        (["memories:write"], set()),
        (["events:write", "memories:read"], set()),
        (["admin"], {"ask", "answer", "withdraw", "read", "list"}),
    ],
)
async def test_a_scope_opens_what_it_says(
    served: Served, tenant: Tenant, conn: Conn, scopes: list[str], may: set[str]
) -> None:
    """Interactions 18: without write nothing is asked, answered or withdrawn; without read no prompt."""
    _, secret = await seed.key(conn, tenant.team, *scopes, project=tenant.project)
    kept, ended = [(await asked(served))["id"] for _ in range(2)]
    async with served.client(secret) as http:
        query = {"connectionId": "chat-1"}
        replies = {
            "ask": await http.post(PATH, json={**ASK, "id": "new", "context": {"a": 1}}),
            "read": await http.get(f"{PATH}/{kept}"),
            "list": await http.get(PATH, params={"include": "payload"}),
            "answer": await http.post(f"{PATH}/{kept}/answer", json={**ANN, "answer": "yes"}),
            "withdraw": await http.delete(f"{PATH}/{ended}", params=query),
        }
    assert may == {name for name, reply in replies.items() if reply.is_success}
    assert {403} >= {reply.status_code for name, reply in replies.items() if name not in may}
    reads = "read" in may
    assert not any("deploy?" in reply.text for reply in replies.values()) or reads
    if "ask" in may:
        assert reads == ("context" in replies["ask"].json()["interaction"])
    else:
        states = await questions.rows(conn, "select id, state from outbox.interactions")
        assert {(kept, "pending"), (ended, "pending")} == {(each["id"], each["state"]) for each in states}


async def test_a_revoked_key_is_refused_by_the_statement(served: Served, tenant: Tenant, conn: Conn) -> None:
    """Interactions 19: it still stands in the cache."""
    id_ = (await asked(served))["id"]
    await conn.execute("update outbox.keys set revoked_at = outbox.clock() where id = %s", [tenant.key_id])
    for refused in (await answer(served, id_), await withdraw(served, id_)):
        assert 403 == refused.status_code
    assert 403 == (await served.http.post(PATH, json={**ASK, "id": "new"})).status_code
    assert "pending" == (await questions.row(conn, id_))["state"]
    assert 1 == len(await questions.rows(conn, "select * from outbox.interactions"))


@proves("C18")
async def test_time_is_up_without_a_sweep(served: Served, clock: Clock, conn: Conn) -> None:
    """Interactions 5."""
    id_ = (await asked(served, ttlSeconds=10))["id"]
    clock.forward(timedelta(seconds=9.999))
    assert "pending" == await state(served, id_)
    clock.forward(timedelta(seconds=0.001))
    assert "expired" == await state(served, id_)
    for gone in (await answer(served, id_), await withdraw(served, id_)):
        assert (410, "Expired") == (gone.status_code, problem(gone)["error"])
    assert ["interaction.asked"] == [each["type"] for each in await questions.events(conn)]
    assert "pending" == (await questions.row(conn, id_))["state"]
    states = {}
    for name in ("pending", "expired"):
        found = await served.http.get(PATH, params={"state": name})
        states[name] = [each["id"] for each in found.json()["interactions"]]
    assert {"pending": [], "expired": [id_]} == states


async def test_the_asker_withdraws(served: Served, conn: Conn) -> None:
    id_ = (await asked(served, context={"step": 2}))["id"]
    first, again = [await withdraw(served, id_, reason="posting failed") for _ in range(2)]
    assert (200, 200) == (first.status_code, again.status_code)
    assert first.json() == again.json()
    assert ("withdrawn", "posting failed") == (
        first.json()["interaction"]["state"], first.json()["interaction"]["endedReason"],
    )  # fmt: skip
    [event] = await questions.events(conn, "interaction.withdrawn")
    assert ("posting failed", {"step": 2}) == (event["payload"]["reason"], event["payload"]["context"])
    answered = (await asked(served))["id"]
    await answer(served, answered)
    refused = await withdraw(served, answered)
    assert (409, "AlreadyAnswered") == (refused.status_code, problem(refused)["error"])
    missing = await served.http.delete(f"{PATH}/{id_}")
    assert (400, "connectionId") == (missing.status_code, problem(missing)["issues"][0]["path"][0])


async def test_a_suggestion_is_used_by_many_and_ends_at_its_limit(served: Served, conn: Conn) -> None:
    """Interactions 15."""
    made = await asked(served, kind="suggestion", options=YES_OR_NO, maxUses=30)
    use = {"connectionId": "chat-1", "choice": 1}

    async def press(n: int) -> httpx.Response:
        return await served.http.post(f"{PATH}/{made['id']}/answer", json={**use, "actor": f"user-{n}"})

    wrong = {**use, "connectionId": "chat-2", "actor": "ann"}
    assert 404 == (await served.http.post(f"{PATH}/{made['id']}/answer", json=wrong)).status_code
    used = await asyncio.gather(*(press(n) for n in range(50)))
    assert {200: 30, 410: 20} == {code: [r.status_code for r in used].count(code) for code in (200, 410)}
    assert {"Expired"} == {problem(reply)["error"] for reply in used if reply.status_code == 410}
    told = await questions.events(conn, "interaction.used")
    good = [reply.json() for reply in used if reply.is_success]
    assert {str(each["id"]) for each in told} == {each["useEventId"] for each in good}
    assert 30 == len(told) == (await questions.row(conn, made["id"]))["uses"]
    payload = told[0]["payload"]
    assert (made["id"], 1, "no") == (payload["interactionId"], payload["choice"], payload["value"])


async def test_a_repeated_press_is_one_use_under_an_idempotency_key(served: Served, conn: Conn) -> None:
    id_ = (await asked(served, kind="suggestion", options=YES_OR_NO))["id"]
    use, key = {**ANN, "answer": "no"}, {"Idempotency-Key": "press-1"}
    first, again = [await served.http.post(f"{PATH}/{id_}/answer", json=use, headers=key) for _ in range(2)]
    assert first.json() == again.json()
    assert 1 == (await questions.row(conn, id_))["uses"]
    asks = [await served.http.post(PATH, json=ASK, headers=key) for _ in range(2)]
    assert ([201, 201], 1) == (
        [r.status_code for r in asks],
        len({r.json()["interaction"]["id"] for r in asks}),
    )


async def test_lists_are_newest_first_filtered_and_without_payloads(served: Served, clock: Clock) -> None:
    ids = []
    for n in range(5):
        ids.append((await asked(served, id=f"q{n}", expectedActor=f"a{n % 2}", connectionId=f"c{n}"))["id"])
        clock.forward(timedelta(seconds=1))
    await answer(served, "q1", connectionId="c1", actor="a1")

    async def found(**query: Any) -> list[dict[str, Any]]:
        reply = await served.http.get(PATH, params=query)
        assert reply.status_code == 200, reply.text
        listed: list[dict[str, Any]] = reply.json()["interactions"]
        return listed

    assert ids[::-1] == [each["id"] for each in await found()]
    assert ["q1"] == [each["id"] for each in await found(state="answered")]
    assert ["q3", "q1"] == [each["id"] for each in await found(expectedActor="a1")]
    assert ["q2"] == [each["id"] for each in await found(connectionId="c2", kind="question")]
    assert not {"prompt", "answer", "context", "options"} & (await found())[0].keys()
    assert "deploy?" == (await found(include="payload"))[0]["prompt"]
    pages, cursor = [], ""
    while cursor is not None:
        reply = await served.http.get(PATH, params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        pages.append([each["id"] for each in reply.json()["interactions"]])
        cursor = reply.json()["nextCursor"]
    assert [["q4", "q3"], ["q2", "q1"], ["q0"]] == pages
    assert 400 == (await served.http.get(PATH, params={"cursor": "x"})).status_code


async def test_a_page_stops_at_four_mebibytes(served: Served) -> None:
    for _ in range(140):
        await asked(served, context={"a": "x" * 32_000})
    reply = await served.http.get(PATH, params={"limit": 200, "include": "payload"})
    assert 100 < len(reply.json()["interactions"]) < 140
    assert reply.json()["nextCursor"] is not None


async def test_private_spans_never_reach_a_row_or_an_event(served: Served, conn: Conn) -> None:
    secret = "<private>hunter2</private>"
    made = await asked(
        served,
        prompt={"text": f"a{secret}"},
        options=[{"value": f"v{secret}", "label": secret}],
        context={f"k{secret}": secret},
        freeText=True,
    )
    await answer(served, made["id"], f"said {secret}")
    for table in ("interactions", "events", "audit_log"):
        assert "hunter2" not in str(await questions.rows(conn, f"select * from outbox.{table}"))
    assert "said " == (await get(served, made["id"])).json()["interaction"]["answer"]


async def test_ten_thousand_may_wait_in_a_project(served: Served, tenant: Tenant, conn: Conn) -> None:
    await asked(served, id="first")
    await conn.execute(
        """
        insert into outbox.interactions select (i).* from (
          select jsonb_populate_record(i, jsonb_build_object('id', n)) as i
          from outbox.interactions i, generate_series(2, 10000) n) x
        """
    )
    refused = await served.http.post(PATH, json=ASK)
    assert (429, "rate_limited", "60") == (
        refused.status_code, problem(refused)["error"], refused.headers["retry-after"],
    )  # fmt: skip
    assert 200 == (await served.http.post(PATH, json={**ASK, "id": "first"})).status_code
    [count] = await questions.rows(conn, "select count(*) as n from outbox.interactions")
    assert 10_000 == count["n"]
    await withdraw(served, "first")
    assert 201 == (await served.http.post(PATH, json=ASK)).status_code


async def test_a_session_of_another_project_is_refused(served: Served, conn: Conn) -> None:
    other = await seed.tenant(conn, "other")
    [theirs] = await questions.rows(
        conn, "select session_id from outbox.start_session(outbox.me(), %s)", other.project
    )
    own = (await served.http.post("/v1/sessions/start", json={})).json()["session"]["id"]
    for session, status in ((str(theirs["session_id"]), 403), ("x", 403), (own, 201)):
        reply = await served.http.post(PATH, json={**ASK, "sessionId": session})
        assert status == reply.status_code, reply.text
    # An event of ours is nothing new of the session: its summary is not due anew.
    [events] = await questions.rows(conn, "select count(session_id) as n from outbox.events")
    assert 0 == events["n"]


async def test_a_wait_ends_with_the_answer(served: Served) -> None:
    id_ = (await asked(served))["id"]
    waiting = asyncio.create_task(get(served, id_, wait=60))
    await until(lambda: served.app.state.api.answers._waiters == 1)
    await answer(served, id_)
    async with asyncio.timeout(0.5):
        assert "answered" == (await waiting).json()["interaction"]["state"]


async def test_a_wait_that_is_over_is_no_error(served: Served) -> None:
    id_ = (await asked(served))["id"]
    began = time.monotonic()
    reply = await get(served, id_, wait=1)
    assert (200, "pending") == (reply.status_code, reply.json()["interaction"]["state"])
    assert 0.9 < time.monotonic() - began < 2
    for wrong in ("-1", "61", "x", "1.5"):
        assert 400 == (await get(served, id_, wait=wrong)).status_code


async def test_a_lost_hint_costs_a_second_at_most(served: Served, tenant: Tenant, conn: Conn) -> None:
    """Interactions 4, with hints off: answered by SQL, which sends none."""
    id_ = (await asked(served))["id"]
    waiting = asyncio.create_task(get(served, id_, wait=60))
    await until(lambda: served.app.state.api.answers._waiters == 1)
    await questions.answer(conn, id_, tenant.project)
    began = time.monotonic()
    assert "answered" == (await waiting).json()["interaction"]["state"]
    assert time.monotonic() - began < 1.2


async def test_whoever_comes_when_a_thousand_wait_is_answered_at_once(served: Served) -> None:
    id_ = (await asked(served))["id"]
    served.app.state.api.answers._waiters = 1000
    async with asyncio.timeout(1):
        assert 200 == (await get(served, id_, wait=60)).status_code


async def test_503_is_never_told_as_expired(crash_server: CrashServer) -> None:
    """Interactions 21."""
    async with Database.open(crash_server.dsn) as db, serving(db) as served:
        async with db.connection() as conn:
            tenant = await seed.tenant(conn)
        async with served.client(tenant.key) as served.http:
            id_ = (await asked(served))["id"]
            crash_server.crash()
            refused = await answer(served, id_)
            assert (503, "DatabaseUnavailable") == (refused.status_code, problem(refused)["error"])
            crash_server.resume()
            replies: list[httpx.Response] = []

            async def answered() -> bool:
                replies.append(await answer(served, id_))
                return replies[-1].status_code != 503

            await until(answered, 20)
            assert (200, False) == (replies[-1].status_code, replies[-1].json()["replayed"])
