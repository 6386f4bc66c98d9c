"""What Postgres says, in our words."""

from datetime import timedelta

import pytest

from outboxd import errors
from outboxd.db import faults
from outboxd.db.pool import Database

RAISE = "do $$ begin raise exception 'said by us' using errcode = '{}', hint = '{}', detail = '{}'; end $$"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("08006", errors.DatabaseUnavailable),
        ("53300", errors.DatabaseUnavailable),
        ("53100", errors.DatabaseUnavailable),
        ("55P03", errors.DatabaseUnavailable),
        ("57014", errors.DatabaseUnavailable),
        ("57P01", errors.DatabaseUnavailable),
        ("57P03", errors.DatabaseUnavailable),
        ("25006", errors.DatabaseUnavailable),
        ("23514", faults.MissingPartition),
        ("40001", faults.Contention),
        ("40P01", faults.Contention),
        ("22P02", errors.Invalid),
        ("22001", errors.Invalid),
        ("23505", faults.Clash),
        ("23503", faults.Clash),
        ("23502", errors.Invalid),
        ("42501", faults.RightMissing),
        ("42703", errors.Broken),
        ("P0001", errors.Broken),
        ("OX404", errors.NotFound),
        ("OX409", errors.Conflict),
        ("OX503", errors.Unavailable),
    ],
)
async def test_each_sqlstate_has_its_meaning(db: Database, state: str, expected: type[errors.Error]) -> None:
    with pytest.raises(expected) as raised:
        async with db.connection() as conn:
            await conn.execute(RAISE.format(state, "", "").encode())

    assert type(raised.value) is expected or state.startswith("OX")
    assert raised.value.__cause__ is not None


@pytest.mark.parametrize("state", ["22P02", "23505", "42703", "53300", "P0001"])
async def test_the_text_of_postgres_is_nobodys_business(db: Database, state: str) -> None:
    with pytest.raises(errors.Error) as raised:
        async with db.transaction() as conn:
            await conn.execute(RAISE.format(state, "the hint", "the detail").encode())

    assert not {"said", "hint", "detail"} & set(str(raised.value).split())


async def test_our_functions_say_status_code_sentence_and_when_to_come_back(db: Database) -> None:
    with pytest.raises(errors.Unavailable) as raised:
        async with db.connection() as conn:
            await conn.execute(RAISE.format("OX503", "Overloaded", "retry_in=1.5s").encode())

    error = raised.value
    assert (error.status, error.code, error.detail) == (503, "Overloaded", "said by us")
    assert error.retry_in == timedelta(seconds=1.5)


async def test_a_row_without_a_partition_is_not_the_rows_fault(db: Database) -> None:
    async with db.connection() as conn:
        await conn.execute("create table parted (n int) partition by range (n)")
        with pytest.raises(faults.MissingPartition):
            async with db.transaction() as tx:
                await tx.execute("insert into parted values (1)")


async def test_a_check_that_fails_is_the_datas_fault_and_a_clash_names_its_constraint(db: Database) -> None:
    async with db.connection() as conn:
        await conn.execute("create table small (n int check (n < 3), constraint only_once unique (n))")
        with pytest.raises(errors.Invalid):
            async with db.transaction() as tx:
                await tx.execute("insert into small values (4)")
        with pytest.raises(faults.Clash) as raised:
            async with db.transaction() as tx:
                await tx.execute("insert into small values (1), (1)")

    assert raised.value.constraint == "only_once"


async def test_text_that_postgres_cannot_hold_is_the_callers(db: Database) -> None:
    with pytest.raises(errors.Invalid):
        async with db.connection() as conn:
            await conn.execute("select %s::text", ["a\0b"])


@pytest.mark.parametrize(
    ("said", "spoken", "path", "message"),
    [
        (
            "settings.generation.quietMs: 500 to 600,000",
            "settings.generation.quietMs: 500 to 600,000",
            ("settings", "generation", "quietMs"),
            "500 to 600,000",
        ),
        ("p_settings: attempts: 1 to 100", "attempts: 1 to 100", ("attempts",), "1 to 100"),
        ("p_rate: 0 to 1,000 a second", "rate: 0 to 1,000 a second", ("rate",), "0 to 1,000 a second"),
        (
            "event 3: p_occurred_at: not in the future",
            "event 3: occurredAt: not in the future",
            ("3", "occurredAt"),
            "not in the future",
        ),
        ("no such scope: x", "no such scope: x", ("scopes",), "no such scope: x"),
    ],
)
async def test_what_our_functions_refuse_is_an_issue(
    db: Database, said: str, spoken: str, path: tuple[str, ...], message: str
) -> None:
    with pytest.raises(errors.Invalid) as raised:
        async with db.connection() as conn:
            await conn.execute("select outbox.refuse(400, %s)", (said,))

    assert spoken == raised.value.detail
    assert [(path, message)] == [(issue.path, issue.message) for issue in raised.value.issues]


async def test_a_sentence_about_no_field_has_no_issue(db: Database) -> None:
    with pytest.raises(errors.Invalid) as raised:
        async with db.connection() as conn:
            await conn.execute("select outbox.refuse(400, 'the filter is empty: nothing is done')")

    assert () == raised.value.issues
