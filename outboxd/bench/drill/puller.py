"""Workers that are no daemons: they pull over HTTP or by SQL, and now and then forget what they took."""

import http.client
import random
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg
from psycopg.rows import dict_row

from outboxd.bench.drill.doors import ask
from outboxd.bench.drill.ledger import Ledger
from outboxd.bench.drill.world import World

_ENLIST = """
  select worker_id from outbox.enlist('drill puller', '{pull:drill}', null,
    '{"liveness": "lease", "leaseSeconds": 5}')
"""
_CLAIM = "select job_id, lease_id from outbox.claim(%s, 5)"
_SETTLE = "select job_id, accepted from outbox.settle(%s, %s::jsonb)"
_FORGETS = 0.03
_SECONDS = 5


class Puller(threading.Thread):
    """Until told to stop. What it says twice, it says in the same words."""

    def __init__(self, world: World, name: str, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self._world, self._random = world, random.Random(seed)
        self._ledger = Ledger(world.ledger / f"pulled-{name}.jsonl", synced=False)
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                self.work()
            except (psycopg.Error, RuntimeError, OSError, http.client.HTTPException):
                self.stopping.wait(0.2)

    def work(self) -> None:
        """Until something fails."""
        raise NotImplementedError

    def _forgets(self) -> bool:
        return self._random.random() < _FORGETS

    def _done(self, jobs: list[str]) -> None:
        for job in jobs:
            self._ledger.write(job=job, said="done")

    def _told(self, answers: list[tuple[str, bool]]) -> None:
        for job, accepted in answers:
            self._ledger.write(job=job, said="accepted" if accepted else "refused")


class SqlPuller(Puller):
    """Enlists anew when its worker is over."""

    def work(self) -> None:
        with self._world.connect() as conn:
            conn.row_factory = dict_row
            worker = conn.execute(_ENLIST).fetchone()["worker_id"]  # type: ignore[index]
            while not self.stopping.is_set():
                claimed = conn.execute(_CLAIM, [worker]).fetchall()
                if not claimed:
                    self.stopping.wait(0.1)
                elif not self._forgets():
                    self._settle(conn, worker, claimed)

    def _settle(self, conn: psycopg.Connection[Any], worker: Any, claimed: list[dict[str, Any]]) -> None:
        results = [
            {"lease": str(job["lease_id"]), "job": str(job["job_id"]), "outcome": "completed", "ms": 1}
            for job in claimed
        ]
        self._done([str(job["job_id"]) for job in claimed])
        said = msgspec.json.encode(results).decode()
        for _ in range(self._random.choice((1, 1, 1, 2))):
            answers = conn.execute(_SETTLE, [worker, said]).fetchall()
            self._told([(str(answer["job_id"]), answer["accepted"]) for answer in answers])


class HttpPuller(Puller):
    """Asks whichever process answers."""

    def __init__(self, world: World, name: str, seed: int, ports: Callable[[], list[int]]) -> None:
        super().__init__(world, name, seed)
        self._ports = ports

    def work(self) -> None:
        while not self.stopping.is_set():
            body = {"worker": self.name, "limit": 5, "leaseSeconds": _SECONDS, "waitMs": 500}
            status, said = self._ask("/v1/queues/pulled/claim", body)
            if status != 200:
                self.stopping.wait(0.2)
            elif said["lease"] is not None and not self._forgets():
                self._settle(said["lease"]["id"], [job["id"] for job in said["jobs"]])

    def _settle(self, lease: str, jobs: list[str]) -> None:
        self._done(jobs)
        results = [{"jobId": job, "outcome": "completed"} for job in jobs]
        for _ in range(self._random.choice((1, 1, 1, 2))):
            status, said = self._ask(f"/v1/leases/{lease}/settle", {"results": results})
            if status == 200:
                self._told([(answer["jobId"], answer["accepted"]) for answer in said["results"]])

    def _ask(self, path: str, body: Any) -> tuple[int, Any]:
        return ask(self._world, self._random.choice(self._ports()), "POST", path, body)
