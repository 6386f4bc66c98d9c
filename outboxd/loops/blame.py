"""What a failed commit says about its group: a bad row in it, a bad moment, or a bad connection."""

from datetime import timedelta

import psycopg
from psycopg_pool import PoolTimeout

from outboxd.db.faults import Clash, CommitUnknown, Contention, MissingPartition
from outboxd.errors import Broken, Conflict, DatabaseUnavailable, Error, Refused

_LOCK_WAIT = "55P03"
_STATEMENT_TIMEOUT = "57014"
_SECOND = timedelta(seconds=1)


def a_row(failed: Error) -> bool:
    """May one row have done it, so that the others would pass without it?"""
    match failed:
        case CommitUnknown() | Contention() | MissingPartition():
            return False
        case DatabaseUnavailable():
            return _state(failed) in {_LOCK_WAIT, _STATEMENT_TIMEOUT}
        case _:
            return True


def the_connection(failed: Error) -> bool:
    """Was the connection lost before COMMIT was sent? Then nothing is stored, and another may do."""
    cause = failed.__cause__
    if not isinstance(cause, psycopg.OperationalError) or isinstance(cause, PoolTimeout | CommitUnknown):
        return False
    return cause.sqlstate is None or cause.sqlstate.startswith(("08", "57P"))


def answer(failed: Error) -> Error:
    """What a unit that failed alone is told."""
    match failed:
        case Clash():
            return _broken(failed)
        case Refused():
            return failed
        case DatabaseUnavailable() if _state(failed) == _LOCK_WAIT:
            told = Conflict("an event with the same key is being stored", retry_in=_SECOND)
            told.__cause__ = failed
            return told
        case DatabaseUnavailable():
            return failed
        case _:
            return _broken(failed)


def _broken(failed: Error) -> Broken:
    told = Broken("the event could not be stored")
    told.__cause__ = failed
    return told


def _state(failed: Error) -> str | None:
    cause = failed.__cause__
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None
