"""Nobody gets in without a key that may, and nothing happens without session, token and origin."""

import asyncio
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import httpx2
import pytest

from outboxd.api.console import render
from outboxd.api.console.door import POLICY
from outboxd.api.console.figures import Figures
from outboxd.api.console.live import Live
from outboxd.api.console.pages import LIVE, PAGES
from outboxd.db.pool import Database
from outboxd.model import Caller
from outboxd.store import consoles
from tests.api.served import serving
from tests.console.conftest import Visitors
from tests.console.visitor import Visitor, orders, paths, token
from tests.console.world import World

CHANGED = ("audit_log", "dead_letters", "attempts", "shares", "interactions", "later", "console_sessions")


def apart(body: Any) -> Any:
    """Runs a coroutine where a browser's driver has no loop of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(body)).result()


def standing(world: World) -> dict[str, Any]:
    """What any of the orders would change; a look at a page is no order."""
    found = {
        table: world.value(
            f"select count(*) || coalesce(md5(string_agg(x::text, '' order by x::text)), '') "
            f"from outbox.{table} x" + (" where action <> 'auth.denied'" if table == "audit_log" else "")
        )
        for table in CHANGED
    }
    found["queues"] = world.value("select md5(string_agg(q::text, '' order by q.id)) from outbox.queues q")
    found["endpoints"] = world.value("select string_agg(state, ',') from outbox.endpoints")
    return found


def test_the_front_page_leads_to_the_login_form(stranger: Visitor) -> None:
    front, login = stranger.get("/"), stranger.get("/console")
    assert (200, 200) == (front.status_code, login.status_code)
    assert 'href="/console"' in front.text
    assert 'type="password"' in login.text
    assert login.headers["content-type"] == "text/html; charset=utf-8"


def test_a_key_with_admin_opens_a_session_that_only_a_cookie_stands_for(
    stranger: Visitor, world: World
) -> None:
    entered = stranger.sign_in(world.operator)
    [cookie] = [
        each for each in entered.headers.get_list("set-cookie") if each.startswith("outboxd_console=")
    ]
    value, *attributes = cookie.split("; ")
    assert (303, "/console") == (entered.status_code, entered.headers["location"])
    assert {"HttpOnly", "SameSite=Strict", "Path=/console", "Max-Age=28800"} == set(attributes)
    assert len(value.removeprefix("outboxd_console=")) == 43
    assert "Overview" in stranger.page("/console")
    assert "console" == world.value(
        "select details ->> 'via' from outbox.audit_log where action = 'console.opened'"
        " order by id desc limit 1"
    )
    assert value not in world.value("select string_agg(s::text, '') from outbox.console_sessions s")


def test_over_https_the_cookie_is_secure(world: World) -> None:
    async def entered() -> list[str]:
        async with Database.open(world.dsn) as db, serving(db, PUBLIC_URL="https://ops.example") as served:
            served.http.base_url = httpx.URL("https://ops.example")
            form = {"key": world.operator, "token": token((await served.http.get("/console")).text)}
            reply = await served.http.post("/console/login", data=form)
            assert reply.status_code == 303, reply.text
            return [str(each) for each in reply.headers.get_list("set-cookie")]

    assert all("Secure" in each for each in apart(entered()))


def test_any_other_key_gets_the_same_page(stranger: Visitor, world: World) -> None:
    revoked = world.value(
        "insert into outbox.keys (id, hash, prefix, scopes, actor, created_at, revoked_at)"
        " values (gen_random_uuid(), sha256('obx_revoked'), 'obx_revo', '{admin}', 'x', now(), now())"
        " returning id"
    )
    world.rows(
        "insert into outbox.keys (id, hash, prefix, scopes, actor, created_at)"
        " values (gen_random_uuid(), sha256('obx_reader'), 'obx_read', '{memories:read}', 'x', now())"
    )
    before = world.value("select count(*) from outbox.console_sessions")
    pages = [stranger.sign_in(key) for key in ("obx_nobody", "obx_revoked", "obx_reader", "", "x" * 600)]
    shown = {re.sub(r'name="token" value="[^"]+"', "", each.text) for each in pages}
    assert [403] * 5 == [each.status_code for each in pages]
    assert 1 == len(shown)
    assert before == world.value("select count(*) from outbox.console_sessions")
    assert 1 == world.value(
        "select count(*) from outbox.audit_log where action = 'auth.denied' and key_id = %s", revoked
    )


def test_a_login_that_another_page_made_is_refused(stranger: Visitor, world: World) -> None:
    stranger.get("/console")
    forged = stranger.http.post("/console/login", data={"key": world.operator, "token": "x" * 64})
    foreign = stranger.http.post(
        "/console/login",
        data={"key": world.operator, "token": token(stranger.get("/console").text)},
        headers={"origin": "https://evil.example"},
    )
    assert (403, 403) == (forged.status_code, foreign.status_code)
    assert "outboxd_console=" not in str(forged.headers) + str(foreign.headers)


@pytest.mark.parametrize(
    "headers",
    [{"host": "outboxd.example"}, {"x-forwarded-for": "203.0.113.9"}, {"x-forwarded-proto": "https"}],
    ids=["another host", "behind a proxy", "a proxy nobody trusts"],
)
def test_over_plain_http_from_elsewhere_no_key_is_taken(
    visitors: Visitors, world: World, headers: dict[str, str]
) -> None:
    visitor = visitors(None, **headers)
    page = visitor.get("/console")
    posted = visitor.http.post("/console/login", data={"key": world.operator, "token": "x"})
    assert (200, 403) == (page.status_code, posted.status_code)
    assert "plain http" in page.text
    assert 'type="password"' not in page.text
    assert "outboxd_console=" not in str(posted.headers)


def test_what_is_shown_after_the_login_is_never_elsewhere(stranger: Visitor, world: World) -> None:
    for wanted, shown in (
        ("/console/dead?queue=a", "/console/dead?queue=a"),
        ("//evil.example/console", "/console"),
        ("https://evil.example", "/console"),
        ("/console/../v1\r\nx: y", "/console"),
    ):
        stranger.http.cookies.clear()
        assert shown == stranger.sign_in(world.operator, next=wanted).headers["location"]


def test_every_order_is_among_those_that_are_tried(world: World) -> None:
    posts = {path for path, page in PAGES.items() if "POST" in page} | {"/console/logout"}
    tried = {
        re.sub(r"/(queues|jobs|events|endpoints|interactions)/[^/]+/", r"/\1/{}/", each)
        for each in orders(world)
    }
    assert {re.sub(r"\{\w+\}", "{}", each) for each in posts} == tried


@pytest.mark.parametrize("missing", ["session", "token", "origin", "site", "null origin", "content type"])
def test_without_any_one_of_what_it_takes_nothing_is_done(
    visitors: Visitors, world: World, missing: str
) -> None:
    visitor = visitors(world.operator)
    form = {"csrf": token(visitor.page("/console/streams"))}
    headers: dict[str, str] = {}
    match missing:
        case "session":
            visitor.http.cookies.clear()
        case "token":
            form = {"csrf": "0" * 64}
        case "origin":
            headers = {"origin": "https://evil.example"}
        case "site":
            headers = {"sec-fetch-site": "same-site"}
        case "null origin":
            headers = {"origin": "null"}
        case _:
            headers = {"content-type": "text/plain"}
    before = standing(world)
    for path, fields in orders(world).items():
        reply = visitor.http.post(path, data=form | fields, headers=headers)
        assert reply.status_code in {400, 403}, (path, reply.status_code)
    assert before == standing(world)


def test_reading_every_page_changes_nothing(operator: Visitor, world: World) -> None:
    def told() -> dict[str, Any]:
        found = standing(world)
        return {name: said for name, said in found.items() if name not in {"audit_log", "console_sessions"}}

    before = told()
    for path in paths(world).values():
        operator.page(path)
    assert before == told()


def test_a_revoked_key_is_out_at_once(visitors: Visitors, world: World) -> None:
    key = world.value(
        "select outbox.make_project(outbox.me(), %s, %s)", world.agents.team, f"p{time.time_ns()}"
    )
    world.rows(
        "insert into outbox.keys (id, hash, prefix, team_id, project_id, scopes, actor, created_at) values"
        " (%s, sha256('obx_leaving'), 'obx_leav', %s, %s, '{admin}', 'x', now())",
        key,
        world.agents.team,
        key,
    )
    visitor = visitors("obx_leaving")
    assert "Overview" in visitor.page("/console")
    csrf = token(visitor.page("/console/streams"))
    with visitor.http.stream("GET", "/console/live", params={"page": "overview"}) as live:
        told = live.iter_lines()
        while not next(told).startswith("event: snapshot"):
            pass
        world.rows("select outbox.revoke_key(outbox.me(), %s)", key)
        assert 'type="password"' in visitor.page("/console")
        assert (
            403 == visitor.http.post("/console/dead/look", data={"csrf": csrf, "verb": "retry"}).status_code
        )
        assert "session" in "".join(told)


def test_signing_out_ends_the_session_everywhere(visitors: Visitors, world: World) -> None:
    visitor = visitors(world.operator)
    other = visitors(None)
    other.http.cookies = visitor.http.cookies
    kept = dict(visitor.http.cookies)
    left = visitor.post("/console/logout")
    assert (303, "/console") == (left.status_code, left.headers["location"])
    assert 'type="password"' in httpx2.get(f"{visitor.http.base_url}/console", cookies=kept).text


def test_a_session_lasts_an_hour_unused_and_eight_in_all(visitors: Visitors, world: World) -> None:
    def expires(opened: str) -> timedelta:
        visitor = visitors(world.operator)
        world.rows(
            "update outbox.console_sessions set opened_at = now() - %s::interval,"
            " expires_at = now() + interval '1 min'"
            " where opened_at = (select max(opened_at) from outbox.console_sessions)",
            opened,
        )
        visitor.page("/console/streams")
        left: timedelta = world.value(
            "select expires_at - now() from outbox.console_sessions"
            " where opened_at < now() - %s::interval + interval '5 s' order by opened_at desc limit 1",
            opened,
        )
        return left

    assert timedelta(minutes=59) < expires("2 hours") <= timedelta(hours=1)
    assert timedelta(minutes=9) < expires("7 hours 50 min") <= timedelta(minutes=10)
    world.rows("update outbox.console_sessions set expires_at = now() - interval '1 s'")
    gone = world.value("select count(*) from outbox.console_sessions")

    async def forget() -> int:
        async with Database.open(world.dsn) as db, db.connection() as conn:
            return await consoles.forget(conn)

    assert gone == apart(forget())
    assert 0 == world.value("select count(*) from outbox.console_sessions")


def test_a_key_has_twenty_sessions_at_most(visitors: Visitors, world: World) -> None:
    first, key = (
        visitors(world.northwind),
        world.value("select key_id from outbox.console_sessions order by opened_at desc limit 1"),
    )
    world.rows(
        "insert into outbox.console_sessions select sha256(n::text::bytea), %s, sha256('x'),"
        " now() + n * interval '1 ms', now() + interval '1 hour' from generate_series(1, 20) n",
        key,
    )
    last = visitors(world.northwind)
    assert 'type="password"' in first.page("/console")
    assert "Overview" in last.page("/console")
    assert 20 == world.value("select count(*) from outbox.console_sessions where key_id = %s", key)


def test_every_reply_has_the_policy_and_is_kept_by_nobody(operator: Visitor, world: World) -> None:
    for path in [*paths(world).values(), "/console/jobs/none"]:
        reply = operator.get(path)
        assert POLICY.decode() == reply.headers["content-security-policy"], path
        assert ["no-store"] == reply.headers.get_list("cache-control")
        assert "nosniff" == reply.headers["x-content-type-options"]
        assert not re.search(
            r"<style|<script(?! src=)| style=| on[a-z]+=|javascript:|https?://", _frame(reply.text)
        )


def _frame(page: str) -> str:
    """The page without what tenants said, which may hold anything, as text."""
    return re.sub(r">[^<]*<", "><", page).replace('content="10;url=', "")


def test_files_are_named_by_their_content_and_kept_for_ever(stranger: Visitor) -> None:
    login = stranger.get("/console").text
    [style] = re.findall(r'href="(/console/static/console\.[0-9a-f]{16}\.css)"', login)
    found, gone = stranger.get(style), stranger.get("/console/static/console.css")
    assert "text/css; charset=utf-8" == found.headers["content-type"]
    assert "immutable" in found.headers["cache-control"]
    assert 404 == gone.status_code
    assert 200 >= len(stranger.get(render.asset("console.js")).text.splitlines())


def test_limits_are_said(operator: Visitor) -> None:
    large = operator.post("/console/dead/look", verb="retry", reason="x" * 300_000)
    many = operator.http.post(
        "/console/dead/look",
        content="&".join(f"id={n}" for n in range(1200)),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    wrong = operator.post("/console/dead/look", verb="explode")
    put = operator.http.put("/console")
    assert (413, 413, 400, 405) == (
        large.status_code,
        many.status_code,
        wrong.status_code,
        put.status_code,
    )


def test_at_most_fifty_look_live(visitors: Visitors, world: World) -> None:
    visitor = visitors(world.operator)
    url, cookies = f"{visitor.http.base_url}/console/live?page=queues", dict(visitor.http.cookies)
    with (
        ExitStack() as open_,
        httpx2.Client(cookies=cookies, limits=httpx2.Limits(max_connections=60)) as http,
    ):
        seen = [open_.enter_context(http.stream("GET", url)) for _ in range(50)]
        told = [each.iter_raw() for each in seen]
        assert all(next(each).startswith(b":") for each in told)
        refused = http.get(url)
    assert {200} == {each.status_code for each in seen}
    assert 503 == refused.status_code
    assert "30" == refused.headers["retry-after"]


def test_all_who_see_the_same_are_told_in_one_round_and_leave_with_the_process(
    monkeypatch: pytest.MonkeyPatch, visitors: Visitors, world: World
) -> None:
    visitors(world.operator)
    hashed = world.value("select hash from outbox.console_sessions order by opened_at desc limit 1")

    async def looked(viewers: int) -> tuple[int, list[bytes]]:
        async with Database.open(world.dsn) as db:
            live = Live(db, Figures(db), LIVE)
            caller = Caller(everywhere=True, actor="test", key_id=UUID(world.operator_id))
            streams = [live.stream(caller, hashed, "overview") for _ in range(viewers)]
            assert all([await anext(each.chunks) == b": ok\n\n" for each in streams])
            told = [await anext(each.chunks) for each in streams]
            asked = db.stats()["requests_num"]
            assert all(each.startswith(b"event: snapshot\ndata: {") for each in told)
            for each in streams:
                assert each.farewell is not None
                each.farewell()
            return asked, [chunk for each in streams async for chunk in each.chunks]

    one, bye = apart(looked(1))
    many, byes = apart(looked(7))
    monkeypatch.setattr("outboxd.api.console.live.LONGEST", 0.0)
    assert one == many
    assert [b"event: bye\ndata: draining\n\n"] == bye
    assert bye * 7 == byes
    assert [b"event: bye\ndata: time\n\n"] == apart(timed_out(world, hashed))


async def timed_out(world: World, hashed: bytes) -> list[bytes]:
    async with Database.open(world.dsn) as db:
        live = Live(db, Figures(db), LIVE)
        stream = live.stream(Caller(everywhere=True, actor="test"), hashed, "queues")
        return [chunk async for chunk in stream.chunks if chunk.startswith(b"event: bye")]


def test_switched_off_it_is_not_there(world: World) -> None:
    async def asked() -> list[int]:
        async with Database.open(world.dsn) as db, serving(db, CONSOLE="off") as served:
            front = await served.http.get("/")
            assert "/console" not in front.text
            replies = [
                await served.http.get(path) for path in ("/console", "/console/live", "/console/static/x")
            ]
            return [each.status_code for each in replies]

    assert [404, 404, 404] == apart(asked())
