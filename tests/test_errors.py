from datetime import timedelta

import pytest

from outboxd import errors
from outboxd.errors import Error, Issue


def all_errors(kind: type[Error] = Error) -> list[type[Error]]:
    page = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    return [kind, *(deeper for child in page for deeper in all_errors(child))]


def test_every_class_stands_on_the_drawn_page() -> None:
    drawn = (errors.__doc__ or "").split()
    assert [kind.__name__ for kind in all_errors() if kind.__name__ not in drawn] == []


def test_what_is_derived_elsewhere_shows_a_code_of_the_page() -> None:
    class Special(errors.DatabaseUnavailable):
        pass

    assert Special("no").code == "DatabaseUnavailable"


@pytest.mark.parametrize("kind", all_errors(errors.Refused))
def test_what_is_refused_is_a_4xx(kind: type[Error]) -> None:
    assert 400 <= kind.status < 500


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, None, errors.Invalid),
        (400, "LoopDetected", errors.LoopDetected),
        (403, None, errors.Forbidden),
        (404, None, errors.NotFound),
        (409, None, errors.Conflict),
        (409, "LeaseLost", errors.LeaseLost),
        (409, "IdempotencyConflict", errors.IdempotencyConflict),
        (413, None, errors.TooLarge),
        (422, "IdempotencyConflict", errors.IdempotencyMismatch),
        (429, None, errors.RateLimited),
        (500, None, errors.Broken),
        (503, None, errors.Overloaded),
        (503, "DatabaseUnavailable", errors.DatabaseUnavailable),
    ],
)
def test_a_status_and_a_code_name_the_class(status: int, code: str | None, expected: type[Error]) -> None:
    error = errors.of_status(status, "no", code)
    assert (type(error), error.status, error.code) == (expected, status, code or expected.code)


def test_a_code_without_a_class_is_kept_on_the_class_of_its_status() -> None:
    error = errors.of_status(409, "somebody was faster", "AlreadyAnswered")
    assert (type(error), error.code) == (errors.Conflict, "AlreadyAnswered")


def test_a_status_without_a_class_is_kept() -> None:
    gone, odd = errors.of_status(410, "over", "Expired"), errors.of_status(507, "odd")
    assert (type(gone), gone.status, gone.code) == (errors.Refused, 410, "Expired")
    assert (type(odd), odd.status) == (errors.Broken, 507)


def test_members_are_what_a_reply_carries_besides() -> None:
    issue = Issue(path=("0", "eventType"), code="required", message="is required")
    assert errors.Invalid("bad", [issue] * 30).members == {"issues": (issue,) * 20}
    assert errors.IdempotencyConflict("taken", event_id="e1").members == {"event_id": "e1"}
    assert errors.InsufficientScope("no", ["admin"]).members == {"required_scopes": ("admin",)}
    assert errors.NotFound("no job 1").members == {}


def test_the_time_to_wait_is_told_the_same_way_everywhere() -> None:
    assert errors.Unavailable("busy", timedelta(seconds=7)).retry_in == timedelta(seconds=7)
    assert errors.RateLimited("slower").retry_in == timedelta(seconds=1)
    assert errors.Conflict("in flight", retry_in=timedelta(seconds=1)).retry_in == timedelta(seconds=1)
    assert errors.NotFound("no job 1").retry_in is None


def test_exit_statuses_are_those_of_the_command_line() -> None:
    unreachable = errors.Unreachable("no answer", "timeout")
    assert [
        errors.NotFound("x").exit,
        errors.ConfigError(["x"]).exit,
        errors.DatabaseUnavailable("x").exit,
        unreachable.exit,
        errors.SchemaError("x").exit,
        errors.InUse("x").exit,
    ] == [1, 2, 3, 3, 4, 5]
