"""providers: what is on hold and what it costs, and lifting a hold."""

from uuid import uuid4

from tests.cli.place import Run
from tests.cli.yard import Yard


def held(yard: Yard, kind: str = "quota_exhausted") -> None:
    yard.rows("select outbox.provider_failed('claude', %s, null, true)", kind)


def called(yard: Yard) -> None:
    yard.conn.execute(
        "insert into outbox.usage_calls (id, at, team_id, project_id, job_id, provider, model, class,"
        " tokens_in, tokens_out, estimated, cost_micros, ms)"
        " values (%s, outbox.clock(), %s, %s, %s, 'claude', 'm', 'ok', 100, 20, false, 7, 5)",
        [uuid4(), yard.team, yard.project, uuid4()],
    )


def test_providers_are_listed_with_their_holds_and_what_they_cost_today(cli: Run, yard: Yard) -> None:
    yard.conn.execute("insert into outbox.settings values ('providers', 'claude,offline')")
    called(yard)
    held(yard)
    claude, offline = cli("providers", "--json").json()["providers"]
    assert ("claude", "quota_exhausted", 1, 120, 7) == tuple(
        claude[name] for name in ("provider", "class", "callsToday", "tokensToday", "costMicrosToday")
    )
    assert claude["heldUntilEpoch"] > claude["lastOkAtEpoch"]
    assert ("offline", None, 0) == (offline["provider"], offline["heldUntilEpoch"], offline["callsToday"])
    assert "quota_exhausted" in cli("providers", "list").out


def test_a_hold_is_lifted_and_its_queues_are_open_again(cli: Run, yard: Yard) -> None:
    held(yard)
    closed = "select count(*) from outbox.queues where closed_reason = 'provider'"
    assert 2 == yard.value(closed)
    assert cli("providers", "resume", "claude", "--json").json()["wasHeld"]
    assert 0 == yard.value(closed)
    assert not cli("providers", "resume", "claude", "--json").json()["wasHeld"]
    [row] = yard.rows("select * from outbox.audit_log where action = 'provider.resumed' limit 1")
    assert row["actor"].startswith("cli:")


def test_a_provider_that_was_never_in_trouble_is_not_found(cli: Run) -> None:
    said = cli("providers", "resume", "nobody")
    assert (1, True) == (said.exit, "no provider of this name" in said.err)
    assert 2 == cli("providers", "resume").exit
