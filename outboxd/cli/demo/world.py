"""What the steps share."""

import asyncio
from typing import Any
from uuid import UUID

from outboxd.cli.demo.place import Place
from outboxd.cli.demo.receiver import Receiver, one_in_five, tired_once
from outboxd.cli.demo.sight import Sight
from outboxd.cli.server import Server
from outboxd.db.pool import Database
from outboxd.model import Caller
from outboxd.store.first_keys import FirstKeys


class World:
    """`keys`, `shop_dsn` and `workers` are known once the steps that make them are over."""

    def __init__(self, place: Place, db: Database) -> None:
        self.place = place
        self.db = db
        self.receiver = Receiver(one_in_five)
        self.tired = Receiver(tired_once)
        self.servers: list[Server] = []
        self.sight = Sight(db)
        self.operator = Caller(everywhere=True, actor="cli:demo")
        self.keys: FirstKeys
        self.shop_dsn = ""
        self.workers: list[int] = []
        self.activities = 0
        """Events of the code host that were accepted."""
        self.rolled_back: UUID
        self.heated: list[str] = []
        """Events of the kettle, in their order."""
        self.agents_key = ""
        self.agents_session = ""
        self.agents_events: list[str] = []
        self.agents_best = ""
        """What was found first."""

    @property
    def project(self) -> UUID:
        return self.keys.project_id

    async def post(self, path: str, body: Any) -> Any:
        """As a client of the API; beside the event loop, which receives webhooks meanwhile."""
        return await asyncio.to_thread(self.servers[0].post, path, body)

    async def call(self, at: int, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        """What that server answers, status and body, whatever they are."""
        return await asyncio.to_thread(self.servers[at].call, method, path, body, query)

    async def publish(self, event: dict[str, Any]) -> str:
        """The event's id."""
        answer = await self.post("/v1/events", event)
        return str(answer["event"]["id"])

    async def publish_batch(self, events: list[dict[str, Any]]) -> list[str]:
        answer = await self.post("/v1/events/batch", events)
        return [str(each["event"]["id"]) for each in answer["events"]]
