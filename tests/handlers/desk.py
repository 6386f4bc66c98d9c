"""Endpoints, their deliveries, and a target that answers what a test says."""

import asyncio
import base64
import os
import secrets as random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
from psycopg.types.json import Jsonb

from outboxd import config
from outboxd.api import endpoint_signing, endpoint_wire
from outboxd.config import Config, Machine
from outboxd.egress import Egress
from outboxd.handlers import deliver, signing
from outboxd.model import Caller
from outboxd.model.contract import Handler
from outboxd.store import endpoint_keys, endpoints, secrets
from outboxd.store.endpoints import Plan
from tests.egress.scripted import Server, serving
from tests.loops.crew import Crew, Shop

HOST = Machine(root=False, home=Path("/home/ann"), container=False)
OPERATOR = Caller(everywhere=True, actor="test")
NOTHING = b"HTTP/1.1 204 No Content\r\n\r\n"


class Post(msgspec.Struct, frozen=True):
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


class Target:
    """A server on loopback: keeps what it gets, says the answers it was given in turn, the last for ever."""

    def __init__(self) -> None:
        self.answers: list[bytes] = [NOTHING]
        self.got: list[Post] = []
        self.server: Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}/hook"

    async def act(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = await self.server.request(reader)
            first, *lines = self.server.heads[-1].decode().strip().split("\r\n")
            pairs = [line.partition(": ") for line in lines]
            assert len(pairs) == len({name.lower() for name, _, _ in pairs}), "no header is there twice"
            self.got.append(Post(first.split(" ")[1], {n.lower(): v for n, _, v in pairs}, body))
            writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
            await writer.drain()


def says(status: int, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Desk:
    """The crew's project, whose endpoints may be on loopback."""

    def __init__(self, crew: Crew, settings: Config, egress: Egress) -> None:
        self.crew = crew
        self.config = settings
        self.egress = egress

    @property
    def handler(self) -> Handler:
        return deliver.handler(self.crew.db, self.egress, self.config)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Shop]:
        async with self.crew.at_work([self.handler]) as shop:
            yield shop

    @asynccontextmanager
    async def target(self, *answers: bytes) -> AsyncIterator[Target]:
        made = Target()
        made.answers = list(answers) or [NOTHING]
        async with serving(made.act) as made.server:
            yield made

    async def endpoint(
        self, url: str, *, secret: str | None = None, private: str | None = None, **fields: Any
    ) -> UUID:
        made = uuid4()
        secret = secret or "whsec_" + base64.b64encode(random.token_bytes(32)).decode()
        plan = self._plan(made, {"url": url, "retrySchedule": [0, 5, 300], **fields})
        signs = endpoint_signing.sealed(
            [signing.parse(each) for each in (secret, private) if each], made, self.config.secret_keys
        )
        await endpoints.open_one(self.crew.conn, OPERATOR, made, self.crew.project, plan, signs.sealed)
        return made

    async def change(self, endpoint: UUID, **fields: Any) -> None:
        """As PATCH does it, with all fields given."""
        plan = self._plan(endpoint, {"retrySchedule": [0, 5, 300], **fields})
        await endpoints.change(self.crew.conn, OPERATOR, endpoint, plan)

    async def remove(self, endpoint: UUID) -> None:
        await endpoints.remove(self.crew.conn, OPERATOR, endpoint)

    def sealed(self, endpoint: UUID, secret: str) -> bytes:
        keys = self.config.secret_keys
        return secrets.seal(keys, secret.encode(), owner=endpoint, column=endpoint_keys.SEALED_AS)

    async def publish(self, payload: Any = None, type_: str = "order.paid", **args: Any) -> UUID:
        named = "".join(f", p_{name} => %s" for name in args)
        found = await self.crew.value(
            f"select outbox.publish(%s, %s, p_project => %s{named})",
            *(type_, Jsonb(payload if payload is not None else {"id": 1}), self.crew.project, *args.values()),
        )
        return UUID(str(found))

    async def do(self, statement: str, *given: Any) -> None:
        """What no verb does: how the world is when the test begins."""
        await self.crew.conn.execute(statement.encode(), list(given) or None)

    async def deliveries(self, event: UUID) -> list[UUID]:
        rows = await self.crew.rows("select id from outbox.jobs where event_id = %s order by id", event)
        return [row["id"] for row in rows]

    async def delivery(self, payload: Any = None, **args: Any) -> UUID:
        """An event for the only endpoint: the job."""
        (job,) = await self.deliveries(await self.publish(payload, **args))
        return job

    async def health(self, endpoint: UUID) -> dict[str, Any]:
        (row,) = await self.crew.rows(
            """
            select e.state, e.disabled_reason, e.last_class, e.last_status, e.last_success_at,
              e.last_failure_at, e.xmin::text as version, q.closed_reason,
              extract(epoch from q.closed_until - outbox.clock())::float8 as closed
            from outbox.endpoints e join outbox.queues q on q.id = e.queue_id where e.id = %s
            """,
            endpoint,
        )
        return row

    def _plan(self, owner: UUID, fields: dict[str, Any]) -> Plan:
        given = endpoint_wire.BODY.decode(msgspec.json.encode(fields))
        values, own = endpoint_wire.whole(given), endpoint_wire.headers(given)
        return Plan(
            fields=endpoint_wire.columns(values),
            queue=endpoint_wire.queue(values),
            headers=self._sealed_headers(owner, own) if isinstance(own, dict) else None,
        )

    def _sealed_headers(self, owner: UUID, own: dict[str, str]) -> bytes:
        clear = msgspec.json.encode(own)
        return secrets.seal(self.config.secret_keys, clear, owner=owner, column=endpoint_keys.HEADERS_AS)


@asynccontextmanager
async def opened(crew: Crew, **settings: str) -> AsyncIterator[Desk]:
    """`settings` without the prefix."""
    key = base64.b64encode(os.urandom(32)).decode()
    environ = {
        "SECRET_KEYS": f"k1:{key}",
        "EGRESS_ALLOW": "127.0.0.1/32",
        "PUBLIC_URL": "https://outbox.example",
    }
    named = {f"OUTBOXD_{name}": value for name, value in {**environ, **settings}.items()}
    found = config.read(named, command="up", machine=HOST)
    await crew.conn.execute("update outbox.projects set egress = true where id = %s", [crew.project])
    async with AsyncExitStack() as stack:
        egress = await stack.enter_async_context(Egress.open(found))
        yield Desk(crew, found, egress)


async def settled(post: Desk, job: UUID, attempts: int) -> bool:
    return len(await post.crew.attempts(job)) == attempts
