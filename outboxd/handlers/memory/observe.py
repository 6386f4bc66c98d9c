"""`observe`: events become observations.

    brought ─▶ gatherings closed ─▶ loaded ─▶ refused, expunged, private: ended without a call
                                        └▶ companies of one project, session and model ─▶ asked
                                              ─▶ recorded, with the ends of their jobs

The jobs of a claim that belong together share a call, and their ends are one transaction. A job on its
second attempt runs alone, so one bad event cannot spoil its neighbours twice; so does each job of a
call that led to nothing.
"""

import asyncio
from collections.abc import Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

from outboxd.db.pool import Database
from outboxd.errors import Unavailable
from outboxd.handlers.memory import ending
from outboxd.handlers.memory.asking import MOST_BYTES, MOST_EVENTS, Asking, Found
from outboxd.handlers.memory.calling import HeldError
from outboxd.handlers.memory.desk import Brought, Desk, answered
from outboxd.handlers.memory.material import Member, member
from outboxd.handlers.memory.recording import Recording
from outboxd.handlers.memory.redaction import Redactor
from outboxd.model import Job
from outboxd.model.contract import Company, Ended, Handler, Run
from outboxd.providers import ProviderFailed
from outboxd.store import gatherings, generation
from outboxd.store.generation import Work

_ALONE = frozenset({"context_limit", "filtered", "truncated", "parse_error"})
"""Failures that the neighbours of a job may have caused."""
_PAUSE = 0.5


def handler(db: Database, asking: Asking, redactor: Redactor, most_jobs: int) -> Handler:
    return Handler(name="observe", call=Observe(db, asking, redactor, most_jobs).__call__, writes=True)


class Observe:
    def __init__(self, db: Database, asking: Asking, redactor: Redactor, most_jobs: int) -> None:
        self._db = db
        self._asking = asking
        self._redactor = redactor
        self._most_jobs = most_jobs
        self._desk = Desk(self._serve)

    async def __call__(self, job: Job, run: Run) -> Ended:
        return await self._desk.bring(job, run)

    async def _serve(self, batch: Sequence[Brought]) -> None:
        works = await self._load([each.job.id for each in batch])
        members = []
        for each in batch:
            work = works.get(each.job.id)
            ended = ending.of_problem(work)
            if ended is not None or work is None:
                each.end(ended or ending.EXPUNGED)
                continue
            made = member(each, work, self._redactor)
            if made.items:
                members.append(made)
            else:
                each.end(ending.silent(made))
        await asyncio.gather(*(self._company(company) for company in self._companies(members)))

    async def _load(self, jobs: Sequence[UUID]) -> dict[UUID, Work]:
        """A database that is away says nothing about the jobs: asked again until their time is up."""
        while True:
            try:
                await gatherings.close(self._db, jobs)
                async with self._db.connection() as conn:
                    return {work.job_id: work for work in await generation.work(conn, jobs)}
            except Unavailable:
                await asyncio.sleep(_PAUSE)

    def _companies(self, members: Sequence[Member]) -> list[list[Member]]:
        """Oldest first; whoever was tried before is alone."""
        found: list[list[Member]] = []
        ordered = sorted(members, key=lambda each: (*_shared(each), each.job_id))
        for _, group in groupby(ordered, key=_shared):
            company: list[Member] = []
            for each in group:
                if company and not self._fits(company, each):
                    found.append(company)
                    company = []
                company.append(each)
            found.append(company)
        return found

    def _fits(self, company: Sequence[Member], more: Member) -> bool:
        together = [*company, more]
        return (
            len(together) <= self._most_jobs
            and all(each.brought.job.attempt <= 1 for each in together)
            and sum(len(each.items) for each in together) <= MOST_EVENTS
            and sum(item.size for each in together for item in each.items) <= MOST_BYTES
        )

    async def _company(self, company: list[Member]) -> None:
        await answered([each.brought for each in company], self._together(company))

    async def _together(self, company: list[Member]) -> None:
        try:
            found = await self._asking.observations(company)
        except HeldError as held:
            for each in company:
                each.brought.end(ending.held(held))
        except ProviderFailed as failed:
            if len(company) > 1 and failed.kind in _ALONE:
                await asyncio.gather(*(self._company([each]) for each in company))
                return
            for each in company:
                each.brought.end(ending.failed(failed, each.brought.job.attempt))
        else:
            self._end(company, found)

    def _end(self, company: Sequence[Member], found: Found) -> None:
        """Each under its own lease, all in one transaction, which writes for those that are still ours."""
        recording = Recording(company, found)
        together = Company(write=recording.write)
        for each in company:
            each.brought.end(Ended(outcome="completed", output=recording.output(each), company=together))


def _shared(each: Member) -> tuple[Any, ...]:
    work = each.work
    return (
        work.project_id,
        str(work.session_id),
        work.provider or "",
        work.model or "",
        "\n".join(work.types),
    )
