"""The load of a soak: the same mixture all the time, in batches, from one thread.

One event in ten has an ordering key, one in twenty is an order (two handlers that write, and a webhook), one
in twenty fails at first. What was acknowledged is written down as in a drill, not synced: nobody is killed.
"""

import itertools
import threading
import time
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from outboxd.bench.drill.ledger import Ledger
from outboxd.bench.drill.world import World

_BATCH = 25
_LANES = 100
_PUBLISH = "select event_id from outbox.publish_many(%s::jsonb[], %s) order by ord"


class Steady(threading.Thread):
    """`rate` events a second until told to stop; less where the server is slower, and `behind` says so."""

    def __init__(self, world: World, rate: float) -> None:
        super().__init__(name="steady", daemon=True)
        self._world, self._rate = world, rate
        self._ledger = Ledger(world.ledger / "producer-steady.jsonl", synced=False)
        self._numbers = itertools.count()
        self.published = 0
        self.slowest = 0.0
        """Seconds that the slowest batch took."""
        self.stopping = threading.Event()

    def run(self) -> None:
        with self._world.connect() as conn:
            began = time.monotonic()
            while not self.stopping.is_set():
                due = began + self.published / self._rate
                if self.stopping.wait(max(0.0, due - time.monotonic())):
                    return
                self._publish(conn)

    def _publish(self, conn: psycopg.Connection[Any]) -> None:
        events = [self._event(next(self._numbers)) for _ in range(_BATCH)]
        for event in events:
            self._say(event, "intent", None)
        began = time.monotonic()
        wanted = [msgspec.json.encode(event).decode() for event in events]
        made = conn.execute(_PUBLISH, [wanted, self._world.project]).fetchall()
        self.slowest = max(self.slowest, time.monotonic() - began)
        for event, (at,) in zip(events, made, strict=True):
            self._say(event, "acknowledged", at)
        self.published += _BATCH

    def _event(self, n: int) -> dict[str, Any]:
        kind = "keyed" if n % 10 == 0 else "order" if n % 20 == 7 else "steady"
        payload = {"n": n, "key": f"steady-{n}", "fails": n % 20 == 3, "pad": "x" * 150}
        event = {"eventType": f"drill.{kind}", "payload": payload, "idempotencyKey": payload["key"]}
        return event | ({"orderingKey": f"lane-{n // 10 % _LANES}"} if kind == "keyed" else {})

    def _say(self, event: dict[str, Any], said: str, at: UUID | None) -> None:
        self._ledger.write(
            key=event["idempotencyKey"], kind=event["eventType"], said=said, event=at, at=time.monotonic()
        )
