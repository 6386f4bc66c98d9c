"""Jobs in each state for commands to work on, made through the granted verbs."""

from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb


class Yard:
    """A project `shop` of team `acme`, its queue `work`, and a worker of it."""

    def __init__(self, dsn: str) -> None:
        self.conn = psycopg.connect(dsn, autocommit=True, row_factory=dict_row)
        self.team: UUID = self.value("select outbox.make_team(outbox.me(), 'acme')")
        self.project: UUID = self.value("select outbox.make_project(outbox.me(), %s, 'shop')", self.team)
        self.worker: UUID = self.value(
            "select worker_id from outbox.enlist('tester', array['pull:work'], null, '{\"slots\": 10}')"
        )

    def close(self) -> None:
        self.conn.close()

    def rows(self, statement: str, *given: Any) -> list[dict[str, Any]]:
        return self.conn.execute(statement.encode(), given or None).fetchall()

    def value(self, statement: str, *given: Any) -> Any:
        [row] = self.rows(statement, *given)
        return next(iter(row.values()))

    def queued(self) -> str:
        made = self.rows(
            "select * from outbox.enqueue(outbox.me(), 'work', '{\"n\": 1}', %s, '{}')", self.project
        )
        return str(made[0]["job_id"])

    def running(self) -> str:
        job = self.queued()
        self.claim()
        return job

    def claim(self) -> dict[str, Any]:
        [claimed] = self.rows("select * from outbox.claim(%s, 1)", self.worker)
        return claimed

    def completed(self) -> str:
        return self._settled("completed")

    def dead(self) -> str:
        return self._settled("failed", **{"class": "Boom", "error": "it broke", "final": True})

    def _settled(self, outcome: str, **more: Any) -> str:
        job = self.queued()
        claimed = self.claim()
        assert job == str(claimed["job_id"]), "something older was due"
        said = {"lease": str(claimed["lease_id"]), "job": job, "outcome": outcome, "ms": 5, **more}
        self.rows("select * from outbox.settle(%s, %s)", self.worker, Jsonb([said]))
        return job
