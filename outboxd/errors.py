"""Every error of ours, on one page.

    Error                        anything we raise on purpose
    ├── Refused                  4xx: asking again in the same way is of no use; final for a job
    │   ├── Invalid              400 ValidationError, with the issues found
    │   ├── BadJson              400
    │   ├── BadRequest           400
    │   ├── InvalidCursor        400
    │   ├── LoopDetected         400
    │   ├── Blocked              400 an address that must not be dialled
    │   ├── Unauthorized         401
    │   ├── QuotaExceeded        402, with what was used and the cap
    │   ├── Forbidden            403
    │   ├── InsufficientScope    403, with the scopes that would do
    │   ├── OriginNotAllowed     403
    │   ├── NotFound             404
    │   ├── MethodNotAllowed     405, with the methods that would do
    │   ├── NotAcceptable        406
    │   ├── RequestTimeout       408
    │   ├── Conflict             409
    │   │   ├── IdempotencyConflict
    │   │   │   └── IdempotencyMismatch  422
    │   │   ├── ProjectArchived
    │   │   ├── LimitReached
    │   │   └── LeaseLost
    │   ├── PreconditionFailed   412
    │   ├── TooLarge             413
    │   ├── UriTooLong           414
    │   ├── UnsupportedMediaType 415
    │   ├── HeadersTooLarge      431
    │   └── RateLimited          429, with the time to wait
    ├── Unavailable              503: the same request may succeed later; a job is tried again
    │   ├── Overloaded
    │   ├── DatabaseUnavailable
    │   ├── ShuttingDown
    │   ├── Initializing
    │   ├── NotConfigured
    │   └── Unreachable          somebody else's server, with what broke
    ├── Broken                   500: a defect of ours
    ├── ConfigError              the process does not start: exit 2, with every problem
    ├── SchemaError              the database's schema is not ours: exit 4
    └── InUse                    the address or data directory is taken: exit 5

An error has one birth and one funeral: the class decides the HTTP status, the exit status and
whether a job is tried again, `detail` is the sentence for whoever asked, `members` is what a reply
carries besides. None of them holds SQL, a payload, a key or text from a provider.
"""

# ruff: noqa: N818 - `raise NotFound` says it; `raise NotFoundError` says it twice

from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

import msgspec


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with a request."""

    path: tuple[str, ...]
    """Where, one step an element; an index is written as a string, as in ("0", "eventType")."""
    code: str
    """For programs: `required`, `invalid_type`, `too_big`, `unrecognized_keys`, …"""
    message: str
    place: Literal["body", "query", "header"] = "body"


Break = Literal["dns", "connect", "tls", "timeout", "protocol"]
"""What broke on the way to somebody else's server."""


class Error(Exception):
    """Anything we raise on purpose.

    `members` (snake case) is what a problem document carries besides the usual; `retry_in` and
    `allow` become headers.
    """

    status: int = 500
    code: str = "InternalError"
    exit: int = 1
    """What a command ends with when this reaches it."""
    retry_in: timedelta | None = None
    allow: tuple[str, ...] = ()

    def __init_subclass__(cls, status: int | None = None, code: str | None = None) -> None:
        # A code is the name of its class unless it has long been called otherwise. Codes are a
        # closed set: what is derived elsewhere shows the code of the class on this page.
        named = cls.__name__ if cls.__module__ == __name__ else cls.code
        cls.status, cls.code = status or cls.status, code or named

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        retry_in: timedelta | None = None,
        **members: object,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.retry_in = type(self).retry_in if retry_in is None else retry_in
        self.members = {name: value for name, value in members.items() if value is not None}


class Refused(Error, status=400, code="BadRequest"): ...


class Invalid(Refused, code="ValidationError"):
    def __init__(self, detail: str, issues: Iterable[Issue] = (), *, code: str | None = None) -> None:
        self.issues = tuple(issues)[:20]
        super().__init__(detail, code=code, issues=self.issues or None)


class BadJson(Refused): ...


class BadRequest(Refused): ...


class InvalidCursor(Refused): ...


class LoopDetected(Refused): ...


class Blocked(Refused, code="ValidationError"):
    """The target is one that must not be dialled; no connection was made."""

    kind = "blocked"


class Unauthorized(Refused, status=401): ...


class QuotaExceeded(Refused, status=402, code="quota_exceeded"):
    """Members `used` and `cap`: requests of the month."""


class Forbidden(Refused, status=403): ...


class InsufficientScope(Refused, status=403):
    def __init__(self, detail: str, required_scopes: Iterable[str] = (), *, code: str | None = None) -> None:
        self.required_scopes = tuple(required_scopes)
        super().__init__(detail, code=code, required_scopes=self.required_scopes or None)


class OriginNotAllowed(Refused, status=403): ...


class NotFound(Refused, status=404): ...


class MethodNotAllowed(Refused, status=405):
    def __init__(self, detail: str, allow: Iterable[str] = (), *, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.allow = tuple(allow)


class NotAcceptable(Refused, status=406): ...


class RequestTimeout(Refused, status=408): ...


class Conflict(Refused, status=409): ...


class IdempotencyConflict(Conflict):
    """The key is taken by other content; member `event_id` names the event that has it."""


class ProjectArchived(Conflict): ...


class LimitReached(Conflict): ...


class LeaseLost(Conflict): ...


class PreconditionFailed(Refused, status=412): ...


class TooLarge(Refused, status=413, code="PayloadTooLarge"): ...


class UriTooLong(Refused, status=414): ...


class UnsupportedMediaType(Refused, status=415): ...


class IdempotencyMismatch(IdempotencyConflict, status=422, code="IdempotencyConflict"):
    """The header `Idempotency-Key` came with another request than the first time."""


class HeadersTooLarge(Refused, status=431): ...


class RateLimited(Refused, status=429, code="rate_limited"):
    retry_in = timedelta(seconds=1)


class Unavailable(Error, status=503, code="Overloaded"):
    def __init__(
        self,
        detail: str,
        retry_in: timedelta | None = None,
        *,
        code: str | None = None,
        **members: object,
    ) -> None:
        super().__init__(detail, code=code, retry_in=retry_in, **members)


class Overloaded(Unavailable): ...


class DatabaseUnavailable(Unavailable):
    exit = 3


class ShuttingDown(Unavailable): ...


class Initializing(Unavailable): ...


class NotConfigured(Unavailable): ...


class Unreachable(Unavailable, code="Overloaded"):
    """A request to somebody else's server got no usable answer."""

    exit = 3

    def __init__(self, detail: str, kind: Break, retry_in: timedelta | None = None) -> None:
        super().__init__(detail, retry_in)
        self.kind = kind


class Broken(Error, code="InternalError"): ...


class ConfigError(Error):
    """The settings cannot be used; `problems` has one line for each fault, secrets left out."""

    exit = 2

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class SchemaError(Error):
    exit = 4


class InUse(Error):
    exit = 5


# The first class of a status is the one it means when nothing more is known.
_ANSWERS: tuple[type[Error], ...] = (
    BadRequest, Invalid, BadJson, InvalidCursor, LoopDetected, Unauthorized, QuotaExceeded, Forbidden,
    InsufficientScope, OriginNotAllowed, NotFound, MethodNotAllowed, NotAcceptable, RequestTimeout,
    Conflict, IdempotencyConflict, ProjectArchived, LimitReached, LeaseLost, PreconditionFailed,
    TooLarge, UriTooLong, UnsupportedMediaType, IdempotencyMismatch, HeadersTooLarge, RateLimited,
    Broken, Overloaded, DatabaseUnavailable, ShuttingDown, Initializing, NotConfigured,
)  # fmt: skip
_BY_STATUS = {kind.status: kind for kind in reversed(_ANSWERS)} | {400: Invalid}
_BY_CODE = {(kind.status, kind.code): kind for kind in _ANSWERS}


def of_status(status: int, detail: str, code: str | None = None) -> Error:
    """The error that SQLSTATE `OX<status>` stands for, where HINT may name the code.

    A code that no class of ours has is kept on the class of the status; a status that none has
    becomes a Refused (4xx) or a Broken with that status.
    """
    kind = _BY_CODE.get((status, code or "")) or _BY_STATUS.get(status)
    if kind is None:
        kind = Refused if 400 <= status < 500 else Broken
    error = kind(detail, code=code)
    error.status = status
    return error
