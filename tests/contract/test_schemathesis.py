"""What schemathesis makes of /openapi.json: requests that fit it and that do not, with three keys.

The routes run in this event loop, hypothesis in a thread beside it.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import hypothesis
import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok

from outboxd.api import openapi
from outboxd.api.exchange import Operation
from outboxd.api.routes import ROUTES
from outboxd.db.pool import Database
from tests import seed
from tests.api.served import Served, serving
from tests.contract import slots, table, world
from tests.contract.world import SEALING, Side
from tests.proofs import proves

Conn = AsyncConnection[DictRow]
BASE = "http://outboxd.test"
_QUICK = {"wait": "false", "waitSeconds": "0", "timeoutSeconds": "0"}
"""Nobody waits here for what nobody will do."""
_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
load_all_checks()
_DOCUMENT = msgspec.json.decode(msgspec.json.encode(openapi.build(ROUTES)))


class Explorer:
    """Sends what hypothesis makes, from its thread into the loop of the app."""

    def __init__(self, loop: asyncio.AbstractEventLoop, http: httpx.AsyncClient, side: Side) -> None:
        self._loop = loop
        self._http = http
        self._side = side
        self.asked = 0
        self.last = ""
        self.answered: set[int] = set()

    def every(self, examples: int, seeded: bool) -> list[str]:
        """What is wrong with the routes, one text a route."""
        return [
            wrong
            for operation in _operations()
            for mode in MODES
            if (wrong := self._wrong(operation, mode, examples, seeded=seeded))
        ]

    def _wrong(self, operation: Any, mode: GenerationMode, examples: int, *, seeded: bool) -> str | None:
        template = operation.path
        mine = self._side.ids.get(table.NAMES.get(template, ""), world.NOWHERE)
        quick = {name: said for name, said in _QUICK.items() if name in operation.query}
        made = operation.as_strategy(generation_mode=mode, query=quick)
        if slots.named(template) and mode is GenerationMode.POSITIVE:
            known = dict.fromkeys(slots.named(template), mine)
            real = operation.as_strategy(generation_mode=mode, query=quick, path_parameters=known)
            made = st.one_of(made, real)
        checks = _checks(ROUTES[template][operation.method.upper()])

        @settings(
            max_examples=examples,
            derandomize=seeded,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=made)
        def explore(case: schemathesis.Case[Any]) -> None:
            case.validate_response(self._reply(case), checks=checks)

        try:
            explore()
        except hypothesis.errors.Unsatisfiable:
            return None  # nothing that does not fit it can be made
        except (FailureGroup, AssertionError, BaseExceptionGroup) as failed:
            return f"{operation.label} ({mode}): {_told(failed)} {self.last}"
        return None

    def _reply(self, case: schemathesis.Case[Any]) -> httpx.Response:
        asked = requests.Request(**case.as_transport_kwargs(base_url=BASE)).prepare()
        body = asked.body.encode() if isinstance(asked.body, str) else asked.body
        sending = self._http.request(
            asked.method or "GET",
            asked.url or BASE,
            headers=[(name.encode("latin-1"), _latin(value)) for name, value in asked.headers.items()],
            content=body,  # type: ignore[arg-type]  # requests calls any stream a body; ours are bytes
        )
        reply = asyncio.run_coroutine_threadsafe(sending, self._loop).result(60)
        self.asked += 1
        self.last = f"{asked.method} {asked.url} → {reply.status_code}"
        self.answered.add(reply.status_code)
        return reply


def _operations() -> Iterator[Any]:
    """In an order in which what takes away comes last."""
    schema = schemathesis.openapi.from_dict(_DOCUMENT)
    found = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
    known = [each for each in found if (each.method.upper(), each.path) not in table.ENDLESS]
    return iter(
        sorted(known, key=lambda each: (each.method.upper() in table.LAST, each.path in table.TAKES_AWAY))
    )


def _checks(operation: Operation) -> list[Any]:
    """Keys are tried below: that check sends requests by itself. That what fits the document is accepted
    cannot be: whether a cursor, an id or a cron line means anything stands in no schema."""
    names = [*_CHECKS] if operation.tolerant else [*_CHECKS, "negative_data_rejection"]
    return CHECKS.get_by_names(names)


def _latin(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1", "replace")


def _told(failed: BaseException) -> str:
    inner: Sequence[BaseException] = getattr(failed, "exceptions", None) or (failed,)
    return "; ".join(str(each).strip() for each in inner)[:2000]


async def explored(db: Database, conn: Conn, who: str, examples: int, *, seeded: bool) -> Explorer:
    await seed.route(conn, "*", "q", handler="h")
    async with serving(db, **SEALING) as served:
        side = await world.tenant(conn, served, "mine")
        served.app.state.api.claims.closing.set()  # claims need not wait either
        async with served.client(getattr(side, who)) as http:
            explorer = Explorer(asyncio.get_running_loop(), http, side)
            wrong = await asyncio.to_thread(explorer.every, examples, seeded)
    assert not wrong, "\n\n".join(wrong)
    return explorer


WHO = pytest.mark.parametrize("who", ["whole", "key", "reads"])
# Most of the doors are open to a team's key; others meet them for what they are refused.
EXAMPLES = {"whole": 1, "key": 2, "reads": 1}


@WHO
@proves("I4")
async def test_every_route_keeps_its_contract(who: str, db: Database, conn: Conn) -> None:
    explorer = await explored(
        db, conn, who, examples=int(os.environ.get("EXAMPLES", EXAMPLES[who])), seeded=True
    )

    assert explorer.asked > 2 * len(ROUTES)
    assert {200, 404} <= explorer.answered


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@WHO
@proves("I4")
async def test_every_route_keeps_its_contract_for_long(who: str, db: Database, conn: Conn) -> None:
    await explored(db, conn, who, examples=int(os.environ.get("EXAMPLES", "300")), seeded=False)


@proves("T1")
async def test_a_key_is_really_asked_for(db: Database, conn: Conn) -> None:
    """None, one that nobody has, and one that only reads; each from an address of its own."""
    await seed.route(conn, "*", "q", handler="h")
    async with serving(db, **SEALING) as served:
        side = await world.tenant(conn, served, "mine")
        for n, (template, method) in enumerate(_guarded()):
            path = slots.filled(template, dict.fromkeys(slots.named(template), world.NOWHERE))
            scopes = {scope for scope in ROUTES[template][method].scopes if scope.endswith(":read")}
            async with from_address(served, n) as http:
                none = await http.request(method, path)
                wrong = await http.request(method, path, headers={"x-api-key": "obx_" + "A" * 43})
                assert (401, "Unauthorized") == (none.status_code, none.json()["error"]), path
                assert 'Bearer realm="outboxd"' == none.headers["www-authenticate"]
                assert (403, "Forbidden") == (wrong.status_code, wrong.json()["error"]), path
                if ROUTES[template][method].scopes and not scopes:
                    reads = await http.request(method, path, headers={"x-api-key": side.reads})
                    assert (403, "InsufficientScope") == (reads.status_code, reads.json()["error"]), path


def _guarded() -> Iterator[tuple[str, str]]:
    for template, operations in ROUTES.items():
        for method, operation in operations.items():
            if operation.auth == "key":
                yield template, method


def from_address(served: Served, n: int) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(served.app, client=(f"192.0.2.{n}", 1))
    return httpx.AsyncClient(transport=transport, base_url=BASE)
