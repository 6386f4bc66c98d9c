"""Who publishes: over HTTP with a key that makes a retry safe, and by SQL in the transaction of an order.

Each writes what it intends before it speaks, and what was acknowledged after. `kind` says which work follows.
"""

import http.client
import itertools
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg

from outboxd.bench.drill.ledger import Ledger
from outboxd.bench.drill.world import World, first

_KINDS = ("order", "order", "order", "keyed", "keyed", "narrow", "pulled", "poison")
_SICK = ("raise", "hang", "block", "exit", "big")
_LANES = 20


class Producer(threading.Thread):
    """Publishes until told to stop, `rate` events a second at most."""

    kinds: tuple[str, ...] = _KINDS

    def __init__(self, world: World, name: str, seed: int, rate: float) -> None:
        super().__init__(name=name, daemon=True)
        self._world, self._pause = world, 1 / rate
        self._random = random.Random(seed)
        self._ledger = Ledger(world.ledger / f"producer-{name}.jsonl")
        self.stopping = threading.Event()

    def run(self) -> None:
        for n in itertools.count():
            if self.stopping.wait(self._pause):
                return
            key = f"{self.name}-{n}"
            kind = self._random.choice(self.kinds)
            payload = {"n": n, "key": key, "ledger": str(self._world.ledger), "pad": "x" * self._size()}
            self._ledger.write(key=key, kind=kind, said="intent", at=time.monotonic())
            said, event = self.publish(key, kind, payload)
            self._ledger.write(key=key, kind=kind, said=said, event=event, at=time.monotonic())

    def publish(self, key: str, kind: str, payload: dict[str, Any]) -> tuple[str, str | None]:
        """What came of it (acknowledged, refused, unknown, rolled back), and the event's id."""
        raise NotImplementedError

    def _size(self) -> int:
        """Half of them are more than a NOTIFY can carry."""
        return self._random.choice((10, 300, 9_000, 20_000))

    def _lane(self, kind: str) -> str | None:
        return f"lane-{self._random.randrange(_LANES)}" if kind == "keyed" else None


class Http(Producer):
    """Posts to any api process that answers; tries again under the same key until somebody says yes."""

    def __init__(
        self, world: World, name: str, seed: int, rate: float, ports: Callable[[], list[int]]
    ) -> None:
        super().__init__(world, name, seed, rate)
        self._ports = ports

    def publish(self, key: str, kind: str, payload: dict[str, Any]) -> tuple[str, str | None]:
        body = {
            "eventType": f"drill.{kind}",
            "payload": payload,
            "idempotencyKey": key,
            "orderingKey": self._lane(kind),
        }
        for _ in range(self._random.choice((1, 5, 20))):
            try:
                status, reply = self._post(msgspec.json.encode(body))
            except (OSError, http.client.HTTPException):
                status, reply = 0, {}
            if status == 201:
                return "acknowledged", reply["event"]["id"]
            if status not in {0, 409, 503}:
                return f"refused {status}", None
            if self.stopping.wait(0.1):
                break
        return "unknown", None

    def _post(self, body: bytes) -> tuple[int, Any]:
        link = http.client.HTTPConnection("127.0.0.1", self._random.choice(self._ports()), timeout=10)
        try:
            headers = {"Authorization": f"Bearer {self._world.key}", "Content-Type": "application/json"}
            link.request("POST", "/v1/events", body, headers)
            answer = link.getresponse()
            return answer.status, msgspec.json.decode(answer.read())
        finally:
            link.close()


class Sql(Producer):
    """An order and its event in one transaction; one in five is rolled back, some take their time."""

    def publish(self, key: str, kind: str, payload: dict[str, Any]) -> tuple[str, str | None]:
        try:
            return self._order(key, kind, payload)
        except (psycopg.OperationalError, psycopg.InterfaceError, RuntimeError):
            time.sleep(0.1)
            return "unknown", None

    def _order(self, key: str, kind: str, payload: dict[str, Any]) -> tuple[str, str | None]:
        with self._world.connect() as conn:
            conn.execute("begin")
            conn.execute("insert into drill.orders values (%s)", [key])
            event = first(
                conn,
                "select outbox.publish(%s, %s::jsonb, p_project => %s, p_key => %s, p_ordering_key => %s)",
                f"drill.{kind}",
                msgspec.json.encode(payload).decode(),
                self._world.project,
                key,
                self._lane(kind),
            )
            if self._random.random() < 0.05:
                time.sleep(self._random.random())
            if self._random.random() < 0.2:
                conn.execute("rollback")
                return "rolled back", None
            conn.execute("commit")
            return "acknowledged", str(event)


class Poisoner(Sql):
    """What no handler survives, or nearly none: few, since each of them costs everybody something."""

    kinds = _SICK
