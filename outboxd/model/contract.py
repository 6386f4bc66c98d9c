"""What a worker and a handler owe each other.

    claimed ──▶ Handler.call(job, run) ──▶ None | Done | Snooze | Ended, or an exception
                                             │
                       write(conn), publish ─┴─ in the transaction that settles the job

Whoever runs jobs knows handlers by this page alone, and the other way round.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from outboxd.model.handlers import Done, Job, Snooze, Write
from outboxd.model.jobs import Claimed

Reason = Literal["cancelled", "lease_lost", "timeout", "shutdown"]
"""Why a running job should stop: a caller cancelled it, it is no longer ours, its time is up, we stop."""


class Cancelled(Protocol):
    """Set when the job should stop, and never unset. Safe to look at from any thread."""

    @property
    def reason(self) -> Reason | None: ...
    def is_set(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> Any:
        """Whether it is set, at the latest after `timeout` seconds; to be awaited in a coroutine."""


class Run(Protocol):
    """What a running job can say and hear. Its methods are awaited in a coroutine, and block in a thread."""

    @property
    def cancelled(self) -> Cancelled: ...
    @property
    def log(self) -> Any:
        """A logger bound to the job, its queue and its request."""

    def progress(self, percent: float, note: str = "") -> Any:
        """For whoever watches; written once a second at most, the last word wins."""

    def checkpoint(self, value: Any) -> Any:
        """JSON of at most 64 KiB that the next attempt gets. Raises LeaseLost, TooLarge."""

    def extend(self, by: timedelta) -> Any:
        """The job may run for `by` from now on, 24 h after its start at most. Raises LeaseLost."""


class Company(msgspec.Struct, kw_only=True, eq=False):
    """Jobs that were done by one call, so their ends are one transaction, each under its own lease.

    Those that were stolen or cancelled meanwhile are left out: `write` gets the ids of the others. It may
    be called again for ids that came late, and must then write nothing twice. What it returns are their
    outputs, in place of those that the ends came with."""

    write: Callable[[Any, frozenset[UUID]], Awaitable[Mapping[UUID, Any] | None]]


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be said of an end. What `Done`, `Snooze` and exceptions do not say."""

    outcome: Literal["completed", "failed", "timed_out", "snoozed", "cancelled"]
    output: Any = None
    class_: str | None = None
    """From a closed set, for people who count failures."""
    status: int | None = None
    error: str | None = None
    """Our words: no body, no secret."""
    detail: Any = None
    """JSON for the ledger, ≤ 32 KiB."""
    retry_in: timedelta | None = None
    """Wins over the queue's backoff."""
    final: bool = False
    delay: timedelta | None = None
    """Of a snooze."""
    reason: str | None = None
    """What a snoozed job waits for."""
    write: Write | None = None
    written: Callable[[], None] | None = None
    """Called once when `write` and the end of the job are committed."""
    publish: tuple[dict[str, Any], ...] = ()
    company: Company | None = None
    """Instead of `write`, and without `publish`."""


Result = Done | Snooze | Ended | None
Call = Callable[[Job, Run], Awaitable[Result] | Result]
Inside = Callable[[Any, Claimed], Awaitable[Any]]
"""(conn of the settling transaction, the job with its payload) → output, as JSON or None."""


class Handler(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of work, by its name in the queue's row."""

    name: str
    call: Call | None = None
    """Runs with no transaction open."""
    inside: Inside | None = None
    """Runs in the settling transaction instead, one at a time."""
    blocking: bool = False
    """`call` is a plain function: it gets a thread."""
    writes: bool = False
    """Usually writes when it completes: each of its jobs has a lease row of its own."""
    open: bool = False
    """Tenants may route to it."""
