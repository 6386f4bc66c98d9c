"""A project, a fake model on loopback, and a worker that asks it about the project's events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from outboxd import config, providers
from outboxd.config import Config, Machine
from outboxd.db.pool import Database
from outboxd.handlers.memory import generating
from outboxd.model.contract import Handler
from tests.fake_provider import FakeProvider, faking
from tests.loops.crew import Crew, Shop

HOST = Machine(root=False, home=Path("/home/ann"), container=False)
EDIT = {"tool_name": "Edit", "tool_input": {"file_path": "src/app.py"}, "tool_response": "done"}


class Brain:
    def __init__(self, crew: Crew, fake: FakeProvider, settings: Config) -> None:
        self.crew = crew
        self.fake = fake
        self.settings = settings
        self.woken: dict[str, str] = {}
        """Queues that a provider which answers again has woken."""

    @property
    def project(self) -> UUID:
        return self.crew.project

    async def rows(self, statement: str, *given: Any) -> list[dict[str, Any]]:
        return await self.crew.rows(statement, *given)

    async def value(self, statement: str, *given: Any) -> Any:
        return await self.crew.value(statement, *given)

    async def setting(self, name: str, value: str) -> None:
        await self.crew.conn.execute(
            "insert into outbox.settings values (%s, %s)"
            " on conflict (name) do update set value = excluded.value",
            [name, value],
        )

    async def settle_on(self, **settings: Any) -> None:
        """The project's own settings: `generation={"policy": …}`."""
        await self.crew.conn.execute(
            "update outbox.projects set settings = settings || %s where id = %s",
            [Jsonb(settings), self.project],
        )

    async def event(
        self, payload: Any = EDIT, kind: str = "tool_use", *, session: UUID | None = None
    ) -> UUID:
        return await self.value(  # type: ignore[no-any-return]
            "select outbox.publish(%s, %s, p_project => %s, p_session => %s)",
            kind, Jsonb(payload), self.project, session,
        )  # fmt: skip

    async def job(self, event: UUID) -> UUID:
        """The event's job of generation."""
        return await self.value("select id from outbox.jobs where event_id = %s", event)  # type: ignore[no-any-return]

    async def observed(self, payload: Any = EDIT) -> dict[str, Any]:
        """What the ledger says of a new event's job, once it is over or waits."""
        return await self.end(await self.event(payload))

    async def end(self, event: UUID, outcome: str | None = None) -> dict[str, Any]:
        return await self.crew.attempt(await self.job(event), outcome)

    async def observations(self) -> list[dict[str, Any]]:
        return await self.rows("select * from outbox.observations order by created_at, id")

    async def calls(self) -> list[dict[str, Any]]:
        """Of the provider, as metered."""
        return await self.rows("select * from outbox.usage_calls order by id")

    @asynccontextmanager
    async def at_work(self, **options: Any) -> AsyncIterator[Shop]:
        environ = options.pop("environ", {})
        async with self.handlers(**environ) as known, self.crew.at_work(known, **options) as shop:
            yield shop

    @asynccontextmanager
    async def handlers(self, **environ: str) -> AsyncIterator[list[Handler]]:
        found = config.read({**self.fake.environ(), **environ}, command="up", machine=HOST)
        async with providers.opened(found) as models:
            yield generating.handlers(self.crew.db, models, found, self.woken.update)


@asynccontextmanager
async def opened(dsn: str, db: Database, conn: Any) -> AsyncIterator[Brain]:
    crew = await Crew.made(dsn, db, conn)
    async with faking() as fake:
        settings = config.read(fake.environ(), command="up", machine=HOST)
        brain = Brain(crew, fake, settings)
        await brain.setting("generation", "per-event")
        yield brain
