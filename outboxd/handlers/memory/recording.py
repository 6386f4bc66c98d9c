"""What a company's calls led to, written with the ends of its jobs.

An observation belongs to the job of its first event. Where that job was stolen or cancelled meanwhile,
its part is left out; so are links to events of such a job.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from outboxd.handlers.memory import ending, likeness, rendering
from outboxd.handlers.memory.asking import Found, Said
from outboxd.handlers.memory.material import Member
from outboxd.store import generation
from outboxd.store.generation import NewObservation, Recorded


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """An observation on its way to the database."""

    said: Said
    new: NewObservation

    @property
    def jobs(self) -> set[UUID]:
        return {item.job_id for item in self.said.items}


class Recording:
    def __init__(self, company: Sequence[Member], found: Found) -> None:
        self._company = company
        self._found = found
        self._parts: dict[UUID, list[Part]] = {each.job_id: [] for each in company}
        members = {each.job_id: each for each in company}
        for said in found.said:
            owner = members[said.items[0].job_id]
            self._add(said, owner)

    def _add(self, said: Said, owner: Member) -> None:
        clean = rendering.cleaned(said.observation, owner.redactor)
        if clean is None:
            return
        content = rendering.content(clean)
        index = sum(len(parts) for parts in self._parts.values())
        alike = likeness.of(content)
        new = NewObservation(
            index=index,
            key=rendering.generation_key(self._company[0].job_id, index, content),
            kind=clean.type,
            content=content,
            metadata=rendering.metadata(clean, said.provider, said.model),
            sources=(),
            hash=alike.hash.hex(),
            simhash=alike.simhash,
        )
        self._parts[owner.job_id].append(Part(said=said, new=new))

    async def write(self, conn: Any, ids: frozenset[UUID]) -> Mapping[UUID, Any]:
        """For the jobs `ids`, which are still ours: rows, and then what each job's end says."""
        written: dict[UUID, list[Recorded]] = {}
        for each in self._company:
            if each.job_id in ids:
                items = [_linked(part, ids) for part in self._parts[each.job_id]]
                found = await generation.record(conn, each.job_id, items, dedupe=each.work.dedupe)
                written[each.job_id] = found
                await ending.tell_left_out(conn, each.work)
        fresh = sum(told.fresh for found in written.values() for told in found)
        for n, call in enumerate(self._found.calls):
            counted = msgspec.structs.replace(call, observations=0 if n else fresh)
            await generation.meter(conn, counted)
        return {each.job_id: self._output(each, written) for each in self._company if each.job_id in ids}

    def output(self, member: Member) -> dict[str, Any]:
        """What a job's end says as long as nothing is written."""
        return self._output(member, {})

    def _output(self, member: Member, written: Mapping[UUID, list[Recorded]]) -> dict[str, Any]:
        """A job is told of the observations that tell of its events, whoever's they are."""
        told = [
            (recorded, part)
            for job, found in written.items()
            for recorded in found
            for part in self._parts[job]
            if part.new.index == recorded.index and member.job_id in part.jobs
        ]
        calls = self._found.calls
        output: dict[str, Any] = {
            "outcome": self._outcome(member, [recorded for recorded, _ in told]),
            "observationCount": len(told),
            "observationIds": [recorded.observation_id for recorded, _ in told],
            "provider": calls[0].provider if calls else None,
            "model": calls[0].model if calls else None,
            "privateContentDetected": member.private,
        }
        left_out = self._found.left_out + member.work.revoked
        if left_out:
            output["leftOut"] = left_out
        return output

    def _outcome(self, member: Member, told: Sequence[Recorded]) -> str:
        if any(recorded.fresh for recorded in told):
            return "observed"
        if told:
            return "duplicate"
        if self._parts[member.job_id]:
            return "expunged"
        spoke = any(item.job_id == member.job_id for said in self._found.said for item in said.items)
        return "empty" if spoke else "skipped"


def _linked(part: Part, ids: frozenset[UUID]) -> NewObservation:
    sources = [item.source.id for item in part.said.items if item.job_id in ids]
    return msgspec.structs.replace(part.new, sources=sources)
