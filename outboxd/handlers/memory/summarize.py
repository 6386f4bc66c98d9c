"""`summarize`: a session becomes its one summary, renewed after new events.

load ─┬ refused, gone ─────────────────▶ ended
      ├ restless (≤ 10 times) ─────────▶ snoozed by the quiet time
      ├ still observed (≤ 5 minutes) ──▶ snoozed
      ├ nothing happened ──────────────▶ empty, no call
      └▶ ask ─▶ the first <summary> ───▶ written, or renewed, with the job's end
"""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from outboxd.db.pool import Database
from outboxd.errors import Unavailable
from outboxd.handlers.memory import ending, exact, grammar, prompt, rendering, shown
from outboxd.handlers.memory.calling import Answered, Calling, HeldError, Order
from outboxd.handlers.memory.prompt import Asked, PromptEvent, PromptMemory, Session, Summarizing
from outboxd.handlers.memory.redaction import Redactor
from outboxd.model import Job
from outboxd.model.contract import Ended, Handler, Run
from outboxd.providers import Kind, Lived, Prompt, ProviderFailed
from outboxd.store import generation
from outboxd.store.generation import SessionWork, SourceEvent

_MOST_RESTLESS = 10
_MOST_OBSERVING = timedelta(minutes=5)
_OBSERVING = timedelta(seconds=5)
_LEAST = timedelta(seconds=1)
_MOST_OUTPUT = 32_768
_HALVINGS = 3
_PAUSE = 0.5
_SPEAKS = ("prompt", "message", "last_assistant_message", "text", "content")


def handler(
    db: Database, calling: Calling, redactor: Redactor, *, max_output_tokens: int, limit: int
) -> Handler:
    """`limit`: bytes of a session that a model is shown."""
    made = Summarize(db, calling, redactor, max_output_tokens, limit)
    return Handler(name="summarize", call=made.__call__, writes=True)


class Summarize:
    def __init__(
        self, db: Database, calling: Calling, redactor: Redactor, max_output_tokens: int, limit: int
    ) -> None:
        self._db = db
        self._calling = calling
        self._redactor = redactor
        self._most_output = max_output_tokens
        self._limit = limit

    async def __call__(self, job: Job, run: Run) -> Ended:
        work = await self._load(job.id)
        ended = ending.of_problem(work)
        if ended is not None or work is None:
            return ended or ending.EXPUNGED
        waits = _waits(work)
        if waits is not None:
            return waits
        if not work.event_count and not work.observation_count:
            return _done("empty", 0)
        try:
            return await self._summary(work, job)
        except HeldError as held:
            return ending.held(held)
        except ProviderFailed as failed:
            return ending.failed(failed, job.attempt)

    async def _load(self, job: UUID) -> SessionWork | None:
        """A database that is away says nothing about the session: asked again until the time is up."""
        while True:
            try:
                async with self._db.connection() as conn:
                    return await generation.session_work(conn, job)
            except Unavailable:
                await asyncio.sleep(_PAUSE)

    async def _summary(self, work: SessionWork, job: Job) -> Ended:
        redactor = None if work.redact == "off" else self._redactor
        limit, halvings, doubled = self._limit, 0, False
        room = work.max_output_tokens or self._most_output
        while True:
            asked, lived = _request(work, redactor, limit)
            request = Prompt(
                system=asked.system,
                user=asked.user,
                max_output_tokens=room,
                facts=lived,
                traceparent=job.traceparent,
            )
            try:
                return await self._asked(work, redactor, asked, request)
            except ProviderFailed as failed:
                if failed.kind == "context_limit" and halvings < _HALVINGS:
                    halvings, limit = halvings + 1, limit // 2
                elif failed.kind == "truncated" and room < _MOST_OUTPUT and not doubled:
                    room, doubled = min(2 * room, _MOST_OUTPUT), True
                else:
                    raise

    async def _asked(
        self, work: SessionWork, redactor: Redactor | None, asked: Asked, request: Prompt
    ) -> Ended:
        order = Order(job_id=work.job_id, provider=work.provider, model=work.model)
        answered = await self._calling.ask(order, request)
        try:
            answer = _answer(answered)
        except ProviderFailed as failed:
            await self._calling.meter(msgspec.structs.replace(answered.call, class_=failed.kind))
            raise
        summary = None if answer.summary is None else rendering.cleaned_summary(answer.summary, redactor)
        if summary is None:
            outcome = "skipped" if answer.summary is None else "empty"
            return _metered(_done(outcome, 0), answered)
        metadata = rendering.summary_metadata(
            summary,
            answered.provider,
            answered.reply.model,
            events=work.event_count,
            observations=work.observation_count,
            left_out=asked.left_out,
        )
        return _written(work, rendering.summary_content(summary), metadata, answered)


def _written(work: SessionWork, content: str, metadata: dict[str, Any], answered: Answered) -> Ended:
    output: dict[str, Any] = _told("summarized", 1, answered)

    async def write(conn: Any) -> None:
        found = await generation.record_summary(conn, work, content, metadata)
        if found is None:
            output.update(outcome="expunged", observationCount=0)
        else:
            output.update(observationIds=[found.observation_id], revision=found.revision)
        written = int(found is not None and found.fresh)
        await generation.meter(conn, msgspec.structs.replace(answered.call, observations=written))

    return Ended(outcome="completed", output=output, write=write)


def _metered(ended: Ended, answered: Answered) -> Ended:
    async def write(conn: Any) -> None:
        await generation.meter(conn, answered.call)

    output = {**ended.output, "provider": answered.provider, "model": answered.reply.model}
    return msgspec.structs.replace(ended, output=output, write=write)


def _done(outcome: str, count: int) -> Ended:
    return Ended(outcome="completed", output={"outcome": outcome, "observationCount": count})


def _told(outcome: str, count: int, answered: Answered) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "observationCount": count,
        "provider": answered.provider,
        "model": answered.reply.model,
    }


def _waits(work: SessionWork) -> Ended | None:
    """None: the session is as it will be."""
    if work.restless and work.waited_restless < _MOST_RESTLESS and work.quiet:
        return Ended(
            outcome="snoozed",
            class_="session_active",
            reason="session_active",
            delay=max(work.quiet, _LEAST),
        )
    if work.observing and work.waited_observing < _MOST_OBSERVING:
        return Ended(outcome="snoozed", class_="observing", reason="observing", delay=_OBSERVING)
    return None


def _request(work: SessionWork, redactor: Redactor | None, limit: int) -> tuple[Asked, Lived]:
    events = [told for event in work.untold if (told := _event(event, redactor)) is not None]
    first, last = _speech(work.asked), _speech(work.answered)
    memories = [
        PromptMemory(kind=each.kind, created_at=each.created_at, content=each.content)
        for each in work.observed
    ]
    asked = prompt.summarize(
        Summarizing(
            project=work.project or "",
            session=Session(platform=work.platform, agent_type=work.agent_type),
            previous=work.previous,
            first_prompt=first,
            last_message=last,
            memories=memories,
            events=events,
            older=work.observation_count - len(memories),
        ),
        redactor,
        limit,
    )
    lines = [each.content.splitlines() for each in memories if each.content]
    return asked, Lived(
        first_prompt=first and shown.text(first, redactor),
        titles=[found[0] for found in lines],
        facts=[line.removeprefix("- ") for found in lines for line in found if line.startswith("- ")],
    )


def _event(event: SourceEvent, redactor: Redactor | None) -> PromptEvent | None:
    found = shown.payload(bytes(event.payload), redactor, prompt.EVENT_IN_SUMMARY)
    if found.empty:
        return None
    return PromptEvent(
        type=event.type, source=event.source, occurred_at=event.occurred_at, payload=found.text
    )


def _speech(event: SourceEvent | None) -> str | None:
    """What was said in it: the text itself, or the member that holds it."""
    if event is None:
        return None
    value = exact.decode(bytes(event.payload))
    if isinstance(value, str):
        return value
    said = (value.get(name) for name in _SPEAKS) if isinstance(value, dict) else ()
    return next((text for text in said if isinstance(text, str) and text.strip()), None)


def _answer(answered: Answered) -> grammar.Answer:
    """Raises ProviderFailed for what is no answer; nothing of its text is in it."""
    kind: Kind = "filtered"
    if answered.reply.stop != "filtered":
        try:
            return grammar.summary(answered.reply.text, answered.reply.stop, prompt.TYPES)
        except grammar.Unreadable as wrong:
            kind = wrong.kind
    raise ProviderFailed(kind, provider=answered.provider, model=answered.reply.model)
