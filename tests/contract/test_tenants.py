"""Nothing of one tenant reaches another: every route × every place for an id × whose id it is.

The walk is made from /openapi.json, so a route that is added is walked; what the document cannot tell
(what a path names, a body that is accepted) stands in `table`, and a route without it fails a test.
"""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.api import openapi
from outboxd.api.routes import ROUTES
from outboxd.db import rows
from outboxd.db.pool import Database
from tests import seed
from tests.api.served import Served, serving
from tests.contract import slots, table, world
from tests.contract.conftest import Share
from tests.contract.world import NOWHERE, SEALING, Side
from tests.proofs import proves

Conn = AsyncConnection[DictRow]

A, B, SIBLING = "only-for-a", "only-for-b", "only-for-the-sibling"
MALFORMED = ("x", "0" * 36, "%00", "..%2f..", "%F0%9F%90%98", "-1", "null", "a" * 300)
TOLD_BY_MISTAKE = re.compile(
    r"outbox\.|psycopg|Traceback|relation \"|SQLSTATE|violates|select .* from|insert into|plpgsql",
    re.IGNORECASE,
)
DOCUMENT = openapi.build(ROUTES)


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request, with a hole for an id."""

    method: str
    template: str
    place: str
    """`path:<name>`, `query:<name>` or `body:<pointer>`; empty: it has none, and is asked as it is."""
    path: str
    query: dict[str, str]
    body: Any

    @property
    def name(self) -> str:
        return f"{self.method} {self.template} {self.place}"


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Those that take something away come last."""
    every = [
        (method.upper(), template, told)
        for template, methods in DOCUMENT["paths"].items()
        for method, told in methods.items()
        if (method.upper(), template) not in table.ENDLESS
    ]
    return iter(sorted(every, key=lambda each: (each[0] in table.LAST, each[1] in table.TAKES_AWAY)))


def asks(own: dict[str, str], value: str) -> Iterator[Ask]:
    """Every route, once for each place where an id can stand; `own` ids stand in the others."""
    for method, template, told in operations():
        names = dict.fromkeys(slots.named(template), "")
        kind = table.NAMES.get(template, "")
        mine = {name: own.get(kind, NOWHERE) for name in names}
        example = table.BODIES.get((method, template)) if "requestBody" in told else None
        plain = Ask(method=method, template=template, place="", path="", query={}, body=example)
        for name in names:
            path = slots.filled(template, {**mine, name: value})
            yield msgspec.structs.replace(plain, place=f"path:{name}", path=path)
        whole = slots.filled(template, mine)
        for name in slots.of_query(told):
            yield msgspec.structs.replace(plain, place=f"query:{name}", path=whole, query={name: value})
        for at in slots.of_body(DOCUMENT, told, example) if example is not None else ():
            if (method, template, at) in table.CHOSEN:
                continue
            body = slots.with_id(example, at, value)
            yield msgspec.structs.replace(plain, place=f"body:{at}", path=whole, body=body)
        if not names:
            yield msgspec.structs.replace(plain, path=whole)


async def sent(http: httpx.AsyncClient, ask: Ask) -> httpx.Response:
    """Undecoded, so that a malformed id arrives as it is."""
    headers = {"accept": "application/json, text/event-stream"}
    reply = await http.request(ask.method, ask.path, params=ask.query, json=ask.body, headers=headers)
    assert reply.status_code < 500, f"{ask.name}: {reply.text}"
    if reply.status_code >= 400:
        assert not TOLD_BY_MISTAKE.search(reply.text), f"{ask.name}: {reply.text}"
    return reply


def apt(ask: Ask, kind: str) -> bool:
    """Whether an id of this kind is what stands there, or a project's, which nearly every route looks at."""
    return kind == "project" or (ask.place.startswith("path") and table.NAMES.get(ask.template) == kind)


def bare(reply: httpx.Response, *said: str) -> tuple[int, str]:
    """What is left when everything that was sent, and the id of the request, is taken out."""
    text = reply.text.replace(reply.headers["x-request-id"], "")
    for each in said:
        text = text.replace(each, "…")
    return reply.status_code, text


async def state_of(conn: Conn, side: Side) -> dict[str, str]:
    """A digest of every row of theirs, by table."""
    tables = await rows.values(await conn.execute(_TABLES), str)
    found = {}
    for name in tables:
        statement = f"select md5(coalesce(string_agg(t::text, '' order by t::text), '')) from outbox.{name} t"
        cur = await conn.execute(f"{statement} where team_id = %s".encode(), (side.team,))
        found[name] = await rows.value(cur, str)
    return found


_TABLES = """
select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attname = 'team_id'
where n.nspname = 'outbox' and c.relkind in ('r', 'p') and not c.relispartition
"""


@proves("T2", "T4", "T5")
@pytest.mark.parametrize("binding", ["project", "team"])
async def test_another_teams_ids_open_nothing(
    binding: str, db: Database, conn: Conn, capfd: pytest.CaptureFixture[str], share: Share
) -> None:
    async with serving(db, **SEALING, LOG_ACCESS="all") as served:
        a, b = await pair(conn, served)
        before = await state_of(conn, a)
        async with served.client(b.key if binding == "project" else b.whole) as stranger:
            unknown = {ask.name: bare(await sent(stranger, ask), NOWHERE) for ask in asks(b.ids, NOWHERE)}
            for kind, id_ in a.ids.items():
                for ask in asks(b.ids, id_):
                    if kind == "queue" and ask.place != "path:queue":
                        continue  # a name, which is no id in any form
                    if not apt(ask, kind) and kind not in share(a.ids, ask.name):
                        continue
                    reply = await sent(stranger, ask)
                    assert A not in reply.text, f"{ask.name} with a {kind}: {reply.text}"
                    # What is made or listed differs from call to call; what is refused must not.
                    if ask.place and (reply.status_code >= 400 or unknown[ask.name][0] >= 400):
                        assert unknown[ask.name] == bare(reply, id_), f"{ask.name} with a {kind}"
        assert before == await state_of(conn, a)
    logged = "".join(capfd.readouterr())
    for secret in (A, B, a.key, b.key, b.whole):
        assert secret not in logged


@proves("T4")
async def test_another_teams_names_open_nothing(db: Database, conn: Conn) -> None:
    """What callers name things by themselves, `uid:x` or a session of an agent, is theirs too."""
    async with serving(db, **SEALING) as served:
        a, b = await pair(conn, served)
        before = await state_of(conn, a)
        async with served.client(b.key) as stranger:
            for name in (A, f"uid:{A}"):
                for ask in asks(b.ids, name):
                    reply = await sent(stranger, ask)
                    assert A not in reply.text.replace(name, "") or reply.status_code < 300, ask.name
                    assert not (known_ids(a) & set(_UUID.findall(reply.text))), f"{ask.name}: {reply.text}"
        assert before == await state_of(conn, a)


@proves("T4")
async def test_a_projects_key_reaches_no_sibling(db: Database, conn: Conn, share: Share) -> None:
    async with serving(db, **SEALING) as served:
        _, b = await pair(conn, served)
        other = await world.sibling(conn, served, b, SIBLING)
        async with served.client(b.key) as stranger:
            for kind, id_ in other.ids.items():
                for ask in asks(b.ids, id_):
                    if not apt(ask, kind) and kind not in share(other.ids, ask.name):
                        continue
                    reply = await sent(stranger, ask)
                    assert SIBLING not in reply.text, f"{ask.name} with a {kind}: {reply.text}"


@proves("I4")
async def test_a_malformed_id_is_one_that_nothing_has(db: Database, conn: Conn, share: Share) -> None:
    async with serving(db, **SEALING) as served:
        _, b = await pair(conn, served)
        async with served.client(b.whole) as http:
            for wrong in MALFORMED:
                for ask in asks(b.ids, wrong):
                    if wrong not in share(MALFORMED, ask.name):
                        continue
                    reply = await sent(http, ask)
                    if ask.place.startswith("path"):
                        assert reply.status_code in {400, 403, 404, 409}, f"{ask.name}: {reply.text}"
                        if ask.method == "GET":
                            assert 404 == reply.status_code, f"{ask.name} {wrong}: {reply.text}"


async def test_ones_own_ids_open_everything(db: Database, conn: Conn) -> None:
    """Else the walks above would prove nothing."""
    async with serving(db, **SEALING) as served:
        _, b = await pair(conn, served)
        async with served.client(b.key) as narrow, served.client(b.whole) as wide:
            for method, template, told in operations():
                http = wide if (method, template) in table.OF_TEAMS else narrow
                mine = b.ids.get(table.NAMES.get(template, ""), NOWHERE)
                path = slots.filled(template, dict.fromkeys(slots.named(template), mine))
                body = table.BODIES.get((method, template)) if "requestBody" in told else None
                headers = {"accept": "application/json, text/event-stream"}
                reply = await http.request(method, path, json=body, headers=headers)
                wanted = table.REFUSED_TO_OWNERS.get((method, template))
                assert (wanted is None and reply.is_success) or reply.status_code == wanted, (
                    f"{method} {path}: {reply.text}"
                )


def test_the_table_knows_every_route() -> None:
    """A route that is new here needs what it names and a body that it takes."""
    paths = {template for _, template, _ in operations() if slots.named(template)}
    bodies = {(method, template) for method, template, told in operations() if "requestBody" in told}

    assert paths == table.NAMES.keys()
    assert bodies == table.BODIES.keys()


async def pair(conn: Conn, served: Served) -> tuple[Side, Side]:
    await seed.route(conn, "*", "q", handler="h")
    return await world.tenant(conn, served, A), await world.tenant(conn, served, B)


def known_ids(side: Side) -> set[str]:
    return {*side.ids.values(), side.team, side.project}


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
