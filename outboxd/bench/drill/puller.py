"""A worker of no daemon's: it pulls by SQL, with a time limit on its leases, and forgets some of them."""

import random
import threading
from typing import Any

import msgspec
import psycopg
from psycopg.rows import dict_row

from outboxd.bench.drill.ledger import Ledger
from outboxd.bench.drill.world import World

_ENLIST = """
  select worker_id from outbox.enlist('drill puller', '{pull:drill}', null,
    '{"liveness": "lease", "leaseSeconds": 5, "kind": "pull"}')
"""
_CLAIM = "select job_id, lease_id, attempt, payload ->> 'key' as key from outbox.claim(%s, 5)"
_SETTLE = "select job_id, accepted, note from outbox.settle(%s, %s::jsonb)"


class Puller(threading.Thread):
    """Until told to stop. What it says twice, it says in the same words."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(name="puller", daemon=True)
        self._world, self._random = world, random.Random(seed)
        self._ledger = Ledger(world.ledger / "pulled.jsonl", synced=False)
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                with self._world.connect() as conn:
                    conn.row_factory = dict_row
                    self._work(conn)
            except (psycopg.Error, RuntimeError):
                self.stopping.wait(0.2)

    def _work(self, conn: psycopg.Connection[Any]) -> None:
        """As one worker, until the connection is lost or it is told that it is over."""
        worker = conn.execute(_ENLIST).fetchone()["worker_id"]  # type: ignore[index]
        while not self.stopping.is_set():
            claimed = conn.execute(_CLAIM, [worker]).fetchall()
            if not claimed:
                self.stopping.wait(0.1)
            elif self._random.random() > 0.03:
                self._settle(conn, worker, claimed)

    def _settle(self, conn: psycopg.Connection[Any], worker: Any, claimed: list[dict[str, Any]]) -> None:
        results = [
            {"lease": str(job["lease_id"]), "job": str(job["job_id"]), "outcome": "completed", "ms": 1}
            for job in claimed
        ]
        for job in claimed:
            self._ledger.write(job=str(job["job_id"]), said="done")
        said = msgspec.json.encode(results).decode()
        for _ in range(self._random.choice((1, 1, 1, 2))):
            for answer in conn.execute(_SETTLE, [worker, said]).fetchall():
                self._ledger.write(
                    job=str(answer["job_id"]), said="accepted" if answer["accepted"] else "refused",
                    note=answer["note"],
                )  # fmt: skip
