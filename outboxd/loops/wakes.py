"""What is said after COMMIT, so that nobody has to poll for it: here at once, elsewhere by a hint.

    ingest, worker, sequencer ── committed() ──┬──▶ queues, sequencer, waiters   of this process
                                               └──▶ notifier ── NOTIFY ──▶ other processes
    Listener ── heard() ───────────────────────────▶ queues, sequencer, waiters, keys

A signal remembers what was said until it is taken, so a wake between "found nothing" and "sleep"
makes the sleep end at once. Weakness: hints get lost, with a connection or a process; whoever
sleeps here is also woken by the poll, and the poll is what we promise.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from outboxd.db.hints import Hint

ANYTHING = "*"

Tell = Callable[[Mapping[str, str], Iterable[Hint]], None]
"""(queue → its handler, other hints) → other processes. Must not block."""
OnKey = Callable[[UUID | None], None]
"""Gets the key that was revoked; None when hints were lost, so that any may have been."""

OnQueue = Callable[[Collection[str]], None]
"""Gets the names of queues that have due jobs; "*" is any."""

OnStream = Callable[[UUID | None, int], None]
"""Gets a project whose feed has grown, and its head; None and 0 when hints were lost."""

_MOST_NAMES = 1000


class Signal:
    """Names that woke us, gathered until they are taken. One task waits on it at a time."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._event = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Names that nobody has taken yet."""
        return len(self._names)

    def wake(self, names: Iterable[str]) -> None:
        self._names.update(names)
        if len(self._names) > _MOST_NAMES:
            self._names = {ANYTHING}
        if self._names:
            self._event.set()

    async def wait(self, timeout: timedelta | None = None) -> set[str]:
        """What was said since the last time, as soon as there is something; empty when the time is up."""
        try:
            async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
                await self._event.wait()
        except TimeoutError:
            pass
        return self.take()

    def take(self) -> set[str]:
        """What was said since the last time, without waiting."""
        taken, self._names = self._names, set()
        self._event.clear()
        return taken


class Ended:
    """Jobs that may have ended, gathered until they are taken. One task waits on it at a time."""

    def __init__(self) -> None:
        self._jobs: set[UUID] = set()
        self._event = asyncio.Event()

    def say(self, job: UUID) -> None:
        self._jobs.add(job)
        self._event.set()

    async def wait(self) -> set[UUID]:
        """Those that were said since the last time, as soon as there is one."""
        await self._event.wait()
        taken, self._jobs = self._jobs, set()
        self._event.clear()
        return taken


class Wakes:
    """One a process. `queues` holds names of queues, `sequencer` ids of projects; "*" is any."""

    def __init__(self, tell: Tell | None = None) -> None:
        self.queues = Signal()
        self.sequencer = Signal()
        self.poll = Signal()
        """Something happened: polls come quickly again, until nothing happens any more."""
        self._tell = tell
        self._waiters: dict[UUID, set[Ended]] = {}
        self._askers: dict[str, set[asyncio.Event]] = {}
        self._on_key: list[OnKey] = []
        self._on_queue: list[OnQueue] = []
        self._on_stream: list[OnStream] = []

    def committed(
        self,
        queues: Mapping[str, str],
        projects: Iterable[UUID] = (),
        jobs: Iterable[UUID] = (),
        keys: Iterable[UUID] = (),
        interactions: Iterable[str] = (),
    ) -> None:
        """To be called after COMMIT and never before.

        `queues` (queue → handler) have due jobs, `projects` have events to number, watched `jobs`
        ended, `keys` were revoked, `interactions` ended.
        """
        ended, revoked, over = list(jobs), list(keys), list(interactions)
        self._due(queues)
        self.sequencer.wake(map(str, projects))
        self.poll.wake((ANYTHING,))
        for job in ended:
            self._ended(job)
        for key in revoked:
            self._revoked(key)
        for interaction in over:
            self._over(interaction)
        self._send(
            queues,
            [
                *(_job(job) for job in ended),
                *(_key(key) for key in revoked),
                *(Hint(kind="interaction", name=interaction) for interaction in over),
            ],
        )

    def numbered(self, heads: Mapping[UUID, int]) -> None:
        """Streams of these projects have grown to these heads, and that is committed."""
        for project, head in heads.items():
            self._grown(project, head)
        self._send({}, [Hint(kind="stream", name=str(project), head=head) for project, head in heads.items()])

    def heard(self, hint: Hint) -> None:
        """What another process says; for `Listener.subscribe`."""
        match hint.kind:
            case "queue":
                self._due((hint.name,))
            case "job":
                self._known(hint.name, self._ended)
            case "key":
                self._known(hint.name, self._revoked)
            case "interaction":
                self._over(hint.name)
            case "stream":
                self._known(hint.name, lambda project: self._grown(project, hint.head or 0))
            case "pending":
                self._anything()
            case "everything":
                self._anything()
                self._grown(None, 0)
                for job in tuple(self._waiters):
                    self._ended(job)
                for interaction in tuple(self._askers):
                    self._over(interaction)
                self._revoked(None)

    @asynccontextmanager
    async def wait_jobs(self, jobs: Collection[UUID]) -> AsyncIterator[Ended]:
        """Hears of each that may have ended; enter before they can end, and look after."""
        ended, waited = Ended(), set(jobs)
        for job in waited:
            self._waiters.setdefault(job, set()).add(ended)
        try:
            yield ended
        finally:
            for job in waited:
                waiting = self._waiters[job]
                waiting.discard(ended)
                if not waiting:
                    del self._waiters[job]

    @asynccontextmanager
    async def wait_interaction(self, id_: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set when the question may be over; enter before it can be, and look after."""
        event = asyncio.Event()
        waiting = self._askers.setdefault(id_, set())
        waiting.add(event)
        try:
            yield event
        finally:
            waiting.discard(event)
            if not waiting:
                self._askers.pop(id_, None)

    def on_key(self, callback: OnKey) -> None:
        self._on_key.append(callback)

    def on_queue(self, callback: OnQueue) -> None:
        self._on_queue.append(callback)

    def on_stream(self, callback: OnStream) -> None:
        self._on_stream.append(callback)

    def _grown(self, project: UUID | None, head: int) -> None:
        for callback in self._on_stream:
            callback(project, head)

    def _due(self, queues: Collection[str]) -> None:
        self.queues.wake(queues)
        if queues:
            for callback in self._on_queue:
                callback(queues)

    def _anything(self) -> None:
        self._due((ANYTHING,))
        for signal in (self.sequencer, self.poll):
            signal.wake((ANYTHING,))

    def _ended(self, job: UUID) -> None:
        for ended in self._waiters.get(job, ()):
            ended.say(job)

    def _over(self, interaction: str) -> None:
        for event in self._askers.get(interaction, ()):
            event.set()

    def _revoked(self, key: UUID | None) -> None:
        for callback in self._on_key:
            callback(key)

    def _known(self, name: str, act: Callable[[UUID], None]) -> None:
        """A hint is text from elsewhere: what is no id is passed over."""
        try:
            found = UUID(name)
        except ValueError:
            return
        act(found)

    def _send(self, queues: Mapping[str, str], hints: list[Hint]) -> None:
        if self._tell is not None and (queues or hints):
            self._tell(queues, hints)


def _job(job: UUID) -> Hint:
    return Hint(kind="job", name=str(job))


def _key(key: UUID) -> Hint:
    return Hint(kind="key", name=str(key))
