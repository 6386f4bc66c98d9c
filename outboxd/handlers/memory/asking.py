"""What a model says of some jobs' events: asked in parts of ≤ 50 events and ≤ 96 KiB, and asked again where
that can help.

    too long for the model   two halves; one event: half of its payload; three times at most
    filtered                 each event alone
    cut                      with twice the room; then each event alone
    no valid form            that is for the job to decide

Jobs that share a call are not asked apart here: their failure is told, and each then comes alone. Of an only
job's events one that leads to nothing does not spoil the others: it is counted as left out.
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from outboxd.handlers.memory import grammar, material, prompt, shown
from outboxd.handlers.memory.calling import Answered, Calling, Order
from outboxd.handlers.memory.grammar import Answer, Observation
from outboxd.handlers.memory.material import Item, Member
from outboxd.handlers.memory.prompt import TYPES, Observing, Session
from outboxd.providers import Kind, Prompt, ProviderFailed
from outboxd.store.generation import Call

MOST_EVENTS = 50
_MOST_OFFLINE = grammar.MOST_OBSERVATIONS
"""The provider that is no model has one observation for each event."""
MOST_BYTES = 96 * 1024
_MOST_OUTPUT = 32_768
_HALVINGS = 3
_APART = frozenset({"filtered", "truncated"})


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """An observation, and the events that it tells of."""

    observation: Observation
    items: Sequence[Item]
    provider: str
    model: str


class Found(msgspec.Struct, kw_only=True):
    """What came of all the calls for a company."""

    said: list[Said] = []
    calls: list[Call] = []
    left_out: int = 0
    """Events that a model would not answer for."""
    skipped: bool = False
    """It said that there is nothing worth recording."""


class Asking:
    def __init__(self, calling: Calling, max_output_tokens: int) -> None:
        self._calling = calling
        self._most_output = max_output_tokens

    async def observations(self, company: Sequence[Member]) -> Found:
        """Raises HeldError, ProviderFailed; whatever was asked until then is metered."""
        found = Found()
        try:
            round_ = _Round(company=company, found=found)
            offline = (company[0].work.provider or self._calling.default) == "offline"
            items = [item for each in company for item in each.items]
            for part in parts(items, _MOST_OFFLINE if offline else MOST_EVENTS):
                await self._ask(round_, part)
        except BaseException:
            for call in found.calls:
                await self._calling.meter(call)
            raise
        return found

    async def _ask(self, round_: "_Round", items: Sequence[Item]) -> None:
        answered = await self._answered(round_, items)
        if answered is None:
            return
        try:
            answer = _answer(answered, round_.types, len(items))
        except ProviderFailed as failed:
            await self._calling.meter(msgspec.structs.replace(answered.call, class_=failed.kind))
            await self._otherwise(round_, items, failed)
            return
        round_.found.calls.append(answered.call)
        round_.found.skipped = round_.found.skipped or answer.skip is not None
        for observation in answer.observations:
            told = _sources(observation, items)
            round_.found.said.append(
                Said(
                    observation=observation,
                    items=told,
                    provider=answered.provider,
                    model=answered.reply.model,
                )
            )

    async def _answered(self, round_: "_Round", items: Sequence[Item]) -> Answered | None:
        """None: it was too long, and its halves were asked."""
        try:
            return await self._calling.ask(round_.order, self._prompt(round_, items))
        except ProviderFailed as failed:
            if failed.kind != "context_limit" or round_.several or round_.halvings >= _HALVINGS:
                raise
        smaller = msgspec.structs.replace(round_, halvings=round_.halvings + 1)
        for half in _halves(items, smaller):
            await self._ask(smaller, half)
        return None

    async def _otherwise(self, round_: "_Round", items: Sequence[Item], failed: ProviderFailed) -> None:
        """After an answer that could not be used."""
        room = round_.room or self._room(round_)
        if failed.kind == "truncated" and not round_.doubled and room < _MOST_OUTPUT:
            more = min(2 * room, _MOST_OUTPUT)
            await self._ask(msgspec.structs.replace(round_, doubled=True, room=more), items)
        elif failed.kind in _APART and not round_.several and len(items) > 1:
            await self._each(round_, items, failed)
        else:
            raise failed

    async def _each(self, round_: "_Round", items: Sequence[Item], failed: ProviderFailed) -> None:
        """One event at a time. Raises what the last said, should none lead to anything."""
        lost = 0
        for item in items:
            try:
                await self._ask(round_, [item])
            except ProviderFailed as again:
                if again.kind not in _APART:
                    raise
                failed, lost = again, lost + 1
        if lost == len(items):
            raise failed
        round_.found.left_out += lost

    def _prompt(self, round_: "_Round", items: Sequence[Item]) -> Prompt:
        work = round_.lead.work
        asked = prompt.observe(
            Observing(
                project=work.project or "",
                session=Session(platform=work.platform, agent_type=work.agent_type),
                events=[item.event for item in items],
                types=round_.types,
            ),
            round_.lead.redactor,
        )
        return Prompt(
            system=asked.system,
            user=asked.user,
            max_output_tokens=round_.room or self._room(round_),
            facts=[item.seen for item in items],
            traceparent=round_.lead.brought.job.traceparent,
        )

    def _room(self, round_: "_Round") -> int:
        return round_.lead.work.max_output_tokens or self._most_output


class _Round(msgspec.Struct, frozen=True, kw_only=True):
    """On what terms a part is asked."""

    company: Sequence[Member]
    found: Found
    halvings: int = 0
    doubled: bool = False
    room: int | None = None

    @property
    def lead(self) -> Member:
        return self.company[0]

    @property
    def several(self) -> bool:
        return len(self.company) > 1

    @property
    def types(self) -> Sequence[str]:
        return self.lead.work.types or TYPES

    @property
    def order(self) -> Order:
        work = self.lead.work
        return Order(job_id=work.job_id, provider=work.provider, model=work.model)


def parts(items: Sequence[Item], most: int = MOST_EVENTS) -> list[Sequence[Item]]:
    """In order, as few as the bounds allow."""
    starts, events, size = [0], 0, 0
    for at, item in enumerate(items):
        if events and (events >= most or size + item.size > MOST_BYTES):
            starts.append(at)
            events, size = 0, 0
        events, size = events + 1, size + item.size
    return [items[start:end] for start, end in pairwise([*starts, len(items)])]


def _halves(items: Sequence[Item], round_: _Round) -> list[Sequence[Item]]:
    if len(items) > 1:
        middle = len(items) // 2
        return [items[:middle], items[middle:]]
    most = shown.LONGEST_PAYLOAD >> round_.halvings
    shorter, _ = material.item(items[0].job_id, items[0].source, round_.lead.redactor, most)
    return [[shorter or items[0]]]


def _answer(answered: Answered, types: Sequence[str], events: int) -> Answer:
    """Raises ProviderFailed for what is no answer; nothing of its text is in it."""
    kind: Kind = "filtered"
    if answered.reply.stop != "filtered":
        try:
            return grammar.observations(answered.reply.text, answered.reply.stop, types, events)
        except grammar.Unreadable as wrong:
            kind = wrong.kind
    raise ProviderFailed(kind, provider=answered.provider, model=answered.reply.model)


def _sources(observation: Observation, items: Sequence[Item]) -> Sequence[Item]:
    """Those that the model names by number; none, or none that exist: all of the call."""
    named = [items[number - 1] for number in observation.sources if 0 < number <= len(items)]
    return named or items
