"""A shop, its warehouse and a team with agents: an hour of their work, made in a few statements a minute."""

import asyncio
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from outboxd.db.pool import Database
from tests import seed
from tests.api.served import serving

SEAL = {"SECRET_KEYS": "test:" + "A" * 43 + "="}
FAILURES = (
    ("Timeout", "carrier api did not answer within 30 s (order 48211)", None),
    ("Refused", "422 from the ERP: customer 9341 has no tax id", 422),
    ("Unavailable", "connection reset by peer", None),
)
TYPES = ("order.placed", "order.paid", "order.shipped", "stock.changed", "customer.changed")
MEMORIES = {
    "discovery": "The carrier's API answers 503 for about a minute after each deploy of theirs. Two "
    "attempts, 90 s apart, are always enough.",
    "change": "invoice.py now reads the VAT id from the customer record instead of the order, so that "
    "corrected ids reach reprinted invoices.",
    "decision": "Picking lists go through one queue a warehouse, with a concurrency of 1 each: printers "
    "there take one job at a time.",
}
TITLES = ("Retries of the carrier call", "Invoices carry the VAT id", "One queue a warehouse")
OPTIONS = '[{"value": "release", "label": "Release it"}, {"value": "hold", "label": "Hold"}]'


class World:
    """`tell(dsn)` fills a database; what tests ask for by name is here."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.conn = psycopg.connect(dsn, autocommit=True, row_factory=dict_row)
        self.random = random.Random(7)
        self.operator = self.operator_id = self.northwind = self.lumen = ""
        self.shop: seed.Tenant
        self.warehouse: UUID
        self.agents: seed.Tenant
        self.endpoint = ""
        self.worker: UUID

    def rows(self, statement: str, *given: Any) -> list[dict[str, Any]]:
        cur = self.conn.execute(statement.encode(), given or None)
        return cur.fetchall() if cur.description else []

    def value(self, statement: str, *given: Any) -> Any:
        return next(iter(self.rows(statement, *given)[0].values()))

    def tell(self, minutes: int = 59) -> "World":
        # Apart: a browser's driver may have a loop running in this thread.
        with ThreadPoolExecutor(1) as apart:
            apart.submit(lambda: asyncio.run(self._people())).result()
        self.worker = self._enlisted("worker-1", "db-prod-2", 4711, slots=40)
        self._enlisted("worker-2", "db-prod-3", 812, slots=40)
        self.rows("insert into outbox_test.clock values (clock_timestamp())")
        for ago in range(minutes, -1, -1):
            self._at(datetime.now(UTC) - timedelta(minutes=ago))
            self._minute(self.random.randint(12, 30), quiet=ago < 1)
        self.rows("truncate outbox_test.clock")
        self._trouble()
        return self

    def dead(self) -> list[UUID]:
        found = self.rows("select job_id from outbox.dead_letters order by job_id")
        return [each["job_id"] for each in found]

    def close(self) -> None:
        self.conn.close()

    def _at(self, at: datetime) -> None:
        self.rows("update outbox_test.clock set at = %s", at)

    def rename(self, named: str, team: UUID) -> None:
        self.rows("update outbox.teams set name = %s where id = %s", named, team)

    async def _people(self) -> None:
        async with Database.open(self.dsn) as db:
            async with await AsyncConnection.connect(self.dsn, autocommit=True, row_factory=dict_row) as conn:
                await self._keys(conn)
            async with serving(db, self.shop.key, **SEAL) as served:
                await self._things(served.http)
            async with serving(db, self.agents.key, **SEAL) as served:
                for title, (kind, content) in zip(TITLES, MEMORIES.items(), strict=True):
                    said = {"kind": kind, "title": title, "content": content}
                    (await served.http.post("/v1/memories", json=said)).raise_for_status()

    async def _keys(self, conn: seed.Conn) -> None:
        self.shop = await seed.tenant(conn, "shop")
        self.agents = await seed.tenant(conn, "coding-agents")
        operator, self.operator = await seed.key(conn, None, "admin")
        self.operator_id = str(operator)
        _, self.northwind = await seed.key(conn, self.shop.team, "admin")
        _, self.lumen = await seed.key(conn, self.agents.team, "admin")
        self.rename("Northwind", self.shop.team)
        self.rename("Lumen", self.agents.team)
        self.rows("update outbox.keys set name = 'ops on call' where id = %s", operator)
        self.warehouse = self.value(
            "select outbox.make_project(outbox.me(), %s, 'warehouse')", self.shop.team
        )
        for pattern, queue, project in (
            ("order.*", "fulfil", self.shop.project),
            ("order.paid", "invoice", self.shop.project),
            ("stock.*", "reorder", self.warehouse),
            ("tool_use", "index", self.agents.project),
        ):
            self.rows("select outbox.add_route(outbox.me(), %s, %s, %s)", pattern, queue, project)

    async def _things(self, http: Any) -> None:
        for url, types in (
            ("https://hooks.acme-erp.com/outboxd", ["order.*"]),
            ("https://events.parcelbox.io/v2/in", ["order.shipped"]),
        ):
            made = await http.post("/v1/endpoints", json={"url": url, "types": types})
            made.raise_for_status()
            self.endpoint = self.endpoint or made.json()["endpoint"]["id"]
        for name, cron, type_ in (
            ("nightly-report", "0 3 * * *", "report.due"),
            ("stock-check", "every 15m", "stock.check"),
        ):
            said = {"name": name, "cron": cron, "type": type_, "timezone": "Europe/Berlin"}
            (await http.post("/v1/schedules", json=said)).raise_for_status()

    def _enlisted(self, name: str, host: str, pid: int, *, slots: int) -> UUID:
        options = {"slots": slots, "host": host, "pid": pid, "version": "0.1.0"}
        handlers = ["pull:fulfil", "pull:invoice", "pull:reorder", "pull:index", "deliver", "observe"]
        worker: UUID = self.value(
            "select worker_id from outbox.enlist(%s, %s, null, %s)", name, handlers, Jsonb(options)
        )
        # It beats in nobody's name: a long beat keeps it alive.
        self.rows(
            "update outbox.workers set beat_every = '1 hour', beat_at = now(), lock_no = 0 where id = %s",
            worker,
        )
        return worker

    def publish(self, project: UUID, events: Sequence[dict[str, Any]]) -> list[UUID]:
        if not events:
            return []
        docs = [Jsonb(each) for each in events]
        found = self.rows("select * from outbox.publish_many(%s, %s) order by ord", docs, project)
        self.rows("select outbox.sequence(array[%s::uuid])", project)
        return [each["event_id"] for each in found]

    def settle(self, worker: UUID, claimed: Sequence[dict[str, Any]], failing: float) -> None:
        results = [self._result(each, failing) for each in claimed]
        if results:
            self.rows("select * from outbox.settle(%s, %s)", worker, Jsonb(results))

    def say(self, worker: UUID, claimed: dict[str, Any], said: dict[str, Any]) -> None:
        """Settles one job so."""
        told = {"lease": str(claimed["lease_id"]), "job": str(claimed["job_id"]), **said}
        self.rows("select * from outbox.settle(%s, %s)", worker, Jsonb([told]))

    def _minute(self, n: int, *, quiet: bool) -> None:
        """`quiet`: what is published is left waiting."""
        events = [self._event(k) for k in range(n)]
        self.publish(self.shop.project, [each for each in events if each["eventType"] != "stock.changed"])
        self.publish(self.warehouse, [each for each in events if each["eventType"] == "stock.changed"])
        tool = {"eventType": "tool_use", "payload": {"tool_name": "Edit", "path": "invoice.py"}}
        self.publish(self.agents.project, [tool] * (n // 4))
        self.rows("select outbox.stage(1000)")
        while not quiet and (claimed := self.rows("select * from outbox.claim(%s, 200)", self.worker)):
            self.settle(self.worker, claimed, 0.07)

    def _event(self, k: int) -> dict[str, Any]:
        order = 48_000 + self.random.randint(0, 900)
        return {
            "eventType": self.random.choice(TYPES),
            "subject": f"order/{order}",
            "payload": {"order": order, "total": self.random.randint(900, 90_000) / 100, "line": k},
        }

    def _result(self, claimed: dict[str, Any], failing: float) -> dict[str, Any]:
        said = {
            "lease": str(claimed["lease_id"]),
            "job": str(claimed["job_id"]),
            "ms": self.random.randint(8, 900),
            "outcome": "completed",
        }
        if self.random.random() > failing:
            return said
        class_, error, status = self.random.choice(FAILURES)
        failed = {"outcome": "failed", "class": class_, "error": error, "status": status}
        final = {"final": True} if self.random.random() < 0.4 else {"retryInMs": 45_000}
        return said | {name: value for name, value in (failed | final).items() if value is not None}

    def _trouble(self) -> None:
        self.rows(
            "select outbox.pause(outbox.me(), 'invoice', %s, null, 'VAT ids are wrong')", self.shop.project
        )
        self.rows("select * from outbox.claim(%s, 6)", self.worker)
        self.ask("*", "Order 48211 is 40 times larger than the customer's usual one. Release it?", OPTIONS)
        self.ask("*", "Which carrier takes the pallets of Friday?", None)

    def ask(self, actor: str, prompt: str, options: str | None, project: UUID | None = None) -> str:
        return str(
            self.value(
                "select interaction_id from outbox.ask(%s, 'console', %s, %s, p_options => %s::jsonb)",
                project or self.shop.project,
                actor,
                Jsonb(prompt),
                options,
            )
        )
