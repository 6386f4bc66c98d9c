"""Ends that are one: the jobs of one call, each under its own lease, in one transaction.

    end ──┐                     ┌ fence each lease, in one order
    end ──┼─▶ party ─▶ begin ─▶ ┤ write, for those that are still ours
    end ──┘                     └ settle them ─▶ commit ─▶ every end hears of it

A party is whoever of a company has come by the time its transaction begins. Weakness: one that comes
later has a transaction of its own, so `Company.write` must write nothing twice.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from uuid import UUID

import msgspec

from outboxd.db.pool import Database
from outboxd.loops import ends, finishing
from outboxd.loops.finishing import WRITE, NotOursError
from outboxd.loops.settling import Item
from outboxd.model import Claimed
from outboxd.model.contract import Company, Ended
from outboxd.store import jobs
from outboxd.store.jobs import Settled

_GATHER = 3
"""Turns of the loop: the ends of a call are told to their executions in the same one."""

Told = Callable[[Sequence[Item], Sequence[Settled]], None]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    claimed: Claimed
    ended: Ended
    ms: int
    over: asyncio.Future[Ended | None]

    def item(self, output: Any = None) -> Item:
        """What is said of its end, with that output if there is one."""
        ended = self.ended if output is None else msgspec.structs.replace(self.ended, output=output)
        said = ends.said(self.claimed.lease_id, self.claimed.job_id, ended, self.ms)
        return Item(self.claimed, ended.outcome, self.ms, said)


class Parties:
    """Of one enlistment."""

    def __init__(
        self,
        db: Database,
        worker: UUID,
        writers: asyncio.Semaphore,
        told: Told,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._db = db
        self._worker = worker
        self._writers = writers
        self._told = told
        self._spawn = spawn
        self._gathering: dict[int, list[Part]] = {}

    async def finish(self, company: Company, claimed: Claimed, ended: Ended, ms: int) -> Ended | None:
        """Comes along with the others of the company; what to say where the transaction failed."""
        over: asyncio.Future[Ended | None] = asyncio.get_running_loop().create_future()
        party = self._gathering.setdefault(id(company), [])
        party.append(Part(claimed=claimed, ended=ended, ms=ms, over=over))
        if len(party) == 1:
            self._spawn(self._commit(company, party))
        return await over

    async def _commit(self, company: Company, party: list[Part]) -> None:
        for _ in range(_GATHER):
            await asyncio.sleep(0)
        del self._gathering[id(company)]
        said = None
        try:
            async with self._writers:
                await self._finish(company, party)
        except Exception as raised:  # noqa: BLE001  whatever a write raises is its jobs' end
            said = ends.of_error(raised)
        finally:
            for part in party:
                if not part.over.done():
                    part.over.set_result(said)

    async def _finish(self, company: Company, party: list[Part]) -> None:
        done = await finishing.insist(
            party[0].claimed.job_id,
            once=lambda: self._once(company, party),
            again=lambda: self._again(party),
        )
        if done is not None:
            self._told(*done)

    async def _once(self, company: Company, party: Sequence[Part]) -> tuple[list[Item], Sequence[Settled]]:
        async with self._db.transaction(WRITE) as conn:
            ours = {
                part.claimed.job_id: part
                for part in sorted(party, key=lambda part: part.claimed.lease_id)
                if await jobs.fence(conn, self._worker, part.claimed.lease_id, part.claimed.job_id)
            }
            if not ours:
                raise NotOursError
            async with asyncio.timeout(WRITE.total_seconds()):
                outputs = await finishing.patiently(company.write(conn, frozenset(ours))) or {}
            items = [part.item(outputs.get(job)) for job, part in ours.items()]
            settled = await jobs.settle(conn, self._worker, b"[" + b",".join(_said(items)) + b"]")
            if any(not told.accepted for told in settled):
                raise NotOursError
        return items, settled

    async def _again(self, party: Sequence[Part]) -> tuple[list[Item], Sequence[Settled]]:
        items = [part.item() for part in party]
        return items, await finishing.once_more(self._db, self._worker, _said(items))


def _said(items: Sequence[Item]) -> list[bytes]:
    return [item.json for item in items]
