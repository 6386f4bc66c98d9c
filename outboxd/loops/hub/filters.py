"""Which events a subscriber wants."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from outboxd.model import Event


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """All of it must hold. Of each group of types one."""

    types: tuple[tuple[str, ...], ...] = ()
    """Groups of exact types, prefixes `a.*` and `*`."""
    sessions: tuple[UUID, ...] = ()
    subjects: tuple[str, ...] = ()
    """Exact, or a prefix ending in `*`."""

    def narrowed(
        self, types: Sequence[str] | None = None, session: UUID | None = None, subject: str | None = None
    ) -> "Filter":
        """What holds here and there as well."""
        return Filter(
            types=self.types if types is None else (*self.types, tuple(types)),
            sessions=self.sessions if session is None else (*self.sessions, session),
            subjects=self.subjects if subject is None else (*self.subjects, subject),
        )

    @property
    def narrows(self) -> bool:
        """Whether it may leave anything out."""
        return bool(self.types or self.sessions or self.subjects)

    def wants(self, kind: str) -> bool:
        """Whether an event of this type may be one; the rest is asked of the event itself."""
        return all(any(_fits(kind, pattern) for pattern in group) for group in self.types)

    def matches(self, event: Event) -> bool:
        return (
            self.wants(event.event_type)
            and all(event.server_session_id == session for session in self.sessions)
            and all(_subject(event.subject, pattern) for pattern in self.subjects)
        )


def _fits(kind: str, pattern: str) -> bool:
    if pattern.endswith(".*"):
        return kind.startswith(pattern[:-1])
    return pattern in {"*", kind}


def _subject(subject: str | None, pattern: str) -> bool:
    if subject is None:
        return False
    return subject.startswith(pattern[:-1]) if pattern.endswith("*") else subject == pattern
