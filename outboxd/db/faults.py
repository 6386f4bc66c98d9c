"""What a failure of Postgres means, in our words: the one place where SQLSTATEs are read.

    connection, shutdown, resources, timeouts      DatabaseUnavailable
      COMMIT was sent, its answer never came         CommitUnknown
      deadlock, serialization                        Contention, repeated by the caller
      no partition for the row                       MissingPartition
    OX<nnn>, from our functions                    the error of that status; HINT names its code
    unique, exclusion, foreign key                 Clash, with the name of the constraint
    what the caller's data cannot be               Invalid
    a right that the login lacks                   RightMissing
    anything else                                  Broken: a defect of ours

No text of Postgres goes into an error that a caller sees, except what our own functions raise: it
may hold SQL, table names and payload. The original stays as `__cause__`, for the log.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from outboxd import errors, telemetry
from outboxd.errors import Broken, Conflict, DatabaseUnavailable, Error, Invalid, Issue, Unavailable

_RETRY_IN = re.compile(r"retry_in=(\d+(?:\.\d+)?)s")
# Our functions say which argument is wrong, of a document which field: `p_settings: attempts: 1 to 100`.
_FIELD = re.compile(
    r"(?P<whole>p_settings: |p_options: )?(?:event (?P<at>\d+): )?(?P<argument>p_)?"
    r"(?P<name>[A-Za-z][\w.]*): (?P<said>\S.*)",
    re.DOTALL,
)
_UNAVAILABLE = re.compile(r"08|53|57P0|57014|55P03|25006|55000|58|26000|42P05|25P0[34]|XX")


class CommitUnknown(DatabaseUnavailable):
    """The transaction may have been committed: look before doing it again."""


class Contention(DatabaseUnavailable):
    """Lost against another transaction; nothing was written, and the same may pass at once."""


class MissingPartition(DatabaseUnavailable):
    """The table has no partition for the row's time: it must be made."""


class Clash(Conflict):
    """Something like it exists, or what it refers to does not. `constraint` says which."""

    def __init__(self, detail: str, constraint: str) -> None:
        self.constraint = constraint
        super().__init__(detail)


class RightMissing(Broken):
    """Whoever set up the login can cure it, so it is told apart from a defect."""


@contextmanager
def translated() -> Iterator[None]:
    """Whatever psycopg raises inside leaves as one of ours."""
    try:
        yield
    except psycopg.Error as failed:
        raise of(failed) from failed


def of(failed: psycopg.Error) -> Error:
    """What this failure is, of ours."""
    telemetry.DB_ERRORS_TOTAL.labels(telemetry.sqlstate_label(failed.sqlstate)).inc()
    if isinstance(failed, PoolTimeout | TooManyRequests | PoolClosed):
        return DatabaseUnavailable("no database connection was free in time")
    if failed.sqlstate is None:
        return _without_state(failed)
    return _with_state(failed, failed.sqlstate)


def _without_state(failed: psycopg.Error) -> Error:
    """Raised by the client: mostly a connection that is gone."""
    match failed:
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return DatabaseUnavailable("the connection to the database was lost")
        case psycopg.DataError():
            return Invalid("a value cannot be stored by the database")
        case _:
            return Broken("a statement could not be sent")


def _with_state(failed: psycopg.Error, state: str) -> Error:
    constraint = failed.diag.constraint_name
    match state[:2], state:
        case "OX", _:
            return _raised_by_us(failed, state)
        case "40", _:
            return Contention("the database was busy with the same rows")
        case _, "23514" if not constraint:
            return MissingPartition("the database has no partition for this time yet")
        case _, "23505" | "23503" | "23P01":
            return Clash("it exists already, or refers to what does not exist", constraint or "")
        case "22" | "23", _:
            return Invalid("a value cannot be stored by the database")
        case _, "57014":
            return DatabaseUnavailable("the database took too long")
        case _, "42501":
            return RightMissing(
                "the database does not let this login do that: connect as the role that owns the schema"
            )
        case _ if _UNAVAILABLE.match(state):
            return DatabaseUnavailable("the database is not available")
        case _:
            return Broken("the database refused a statement")


def _raised_by_us(failed: psycopg.Error, state: str) -> Error:
    said = failed.diag
    detail = _spoken(said.message_primary or "refused")
    error = errors.of_status(int(state[2:]), detail, said.message_hint)
    if type(error) is Invalid:
        return Invalid(detail, _issues(detail))
    asked = _RETRY_IN.search(said.message_detail or "")
    if asked and isinstance(error, Unavailable):
        error.retry_in = timedelta(seconds=float(asked[1]))
    return error


def _spoken(detail: str) -> str:
    """An argument by the name that callers know it by: `until`, not `p_until`."""
    found = _FIELD.fullmatch(detail)
    if found is None or not (found["argument"] or found["whole"]):
        return detail
    event = f"event {found['at']}: " if found["at"] else ""
    return f"{event}{_camel(found['name'])}: {found['said']}"


def _issues(detail: str) -> Iterator[Issue]:
    """What is wrong, as a validation of the body would say it."""
    found = _FIELD.fullmatch(detail)
    if found is not None:
        steps = [_camel(step) for step in found["name"].split(".")]
        path = (found["at"], *steps) if found["at"] else tuple(steps)
        yield Issue(path=path, code="invalid_value", message=found["said"])
    elif detail.startswith("no such scope"):
        yield Issue(path=("scopes",), code="invalid_value", message=detail)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
