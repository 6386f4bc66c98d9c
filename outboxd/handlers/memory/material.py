"""What of a job's events may be shown to a model, and whose event it was."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from outboxd.handlers.memory import prompt, shown
from outboxd.handlers.memory.desk import Brought
from outboxd.handlers.memory.prompt import PromptEvent
from outboxd.handlers.memory.redaction import Redactor
from outboxd.providers import Seen
from outboxd.store.generation import SourceEvent, Work


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way into a prompt."""

    job_id: UUID
    source: SourceEvent
    event: PromptEvent
    seen: Seen
    size: int
    """Bytes that it takes there, about."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A job and what may be shown of its events."""

    brought: Brought
    work: Work
    redactor: Redactor | None
    """None: the project wants its secrets left alone."""
    items: Sequence[Item]
    private: bool
    """Something of it was private, then or now."""

    @property
    def job_id(self) -> UUID:
        return self.work.job_id


def member(brought: Brought, work: Work, redactor: Redactor) -> Member:
    """Events that say nothing (any more) are not among its items."""
    wanted = None if work.redact == "off" else redactor
    items, private = [], False
    for event in work.sources:
        found, spans = item(work.job_id, event, wanted)
        private = private or bool(spans or event.private_removed)
        if found is not None:
            items.append(found)
    return Member(brought=brought, work=work, redactor=wanted, items=items, private=private)


def item(
    job: UUID, event: SourceEvent, redactor: Redactor | None, most: int = shown.LONGEST_PAYLOAD
) -> tuple[Item | None, int]:
    """In at most `most` characters of payload, None when it says nothing; and how many private spans."""
    found = shown.payload(bytes(event.payload), redactor, most)
    if found.empty:
        return None, found.private
    told = PromptEvent(
        type=event.type, source=event.source, occurred_at=event.occurred_at, payload=found.text
    )
    seen = Seen(type=event.type, payload=found.value)
    size = prompt.event_size(told)
    return Item(job_id=job, source=event, event=told, seen=seen, size=size), found.private
