"""schedules: one good run of each verb, and bad input with its exit code."""

import json

from tests.cli.place import Run
from tests.cli.yard import Yard

MADE = ("schedules", "create", "report", "30 2 * * mon-fri", "report.due", "--project", "shop")


def test_a_schedule_is_made_changed_switched_run_and_deleted(cli: Run, yard: Yard) -> None:
    words = ("--timezone", "Europe/Berlin", "--data", '{"n":1}', "--missed", "all", "--missed-cap", "7")
    made = cli(*MADE, *words, "--ordering-key", "k", "--json").json()
    assert ("report", "Europe/Berlin", {"n": 1}, "all", 7, "k", True, None) == tuple(
        made[name]
        for name in ("name", "timezone", "payload", "missed", "missedCap", "orderingKey", "enabled", "keyId")
    )
    assert 5 == len(made["nextTicksEpoch"])
    assert made["nextAtEpoch"] == made["nextTicksEpoch"][0]
    assert [made] == cli("schedules", "--project", "shop", "--json").json()["schedules"]
    assert "report" in cli("schedules").out

    changed = cli("schedules", "change", "report", "--cron", "every 90s", "--ends", "1h", "--json").json()
    assert ("every 90s", 2, {"n": 1}) == (changed["cron"], changed["revision"], changed["payload"])
    disabled = cli("schedules", "disable", made["id"], "--json").json()
    assert (False, None, []) == tuple(disabled[n] for n in ("enabled", "nextAtEpoch", "nextTicksEpoch"))
    enabled = cli("schedules", "enable", "report", "--project", "shop", "--json").json()
    assert changed["nextAtEpoch"] <= enabled["nextAtEpoch"]

    event = cli("schedules", "run", "report", "--json").json()["event"]
    assert "schedule" == yard.value("select adapter from outbox.events where id = %s", event)
    assert not cli("schedules", "delete", "report", "--dry-run", "--json").json()["deleted"]
    assert cli("schedules", "delete", "report", "--yes", "--json").json()["deleted"]
    assert [] == cli("schedules", "--json").json()["schedules"]
    actions = yard.rows("select action from outbox.audit_log where details ->> 'via' = 'cli' order by id")
    assert ["added", "changed", "changed", "changed", "run", "removed"] == [
        each["action"].removeprefix("schedule.") for each in actions
    ]


def test_a_name_that_several_projects_have_is_not_guessed_at(cli: Run, yard: Yard) -> None:
    yard.value("select outbox.make_project(outbox.me(), %s, 'other')", yard.team)
    for project in ("shop", "other"):
        cli("schedules", "create", "report", "@daily", "x", "--project", project)
    answer = cli("schedules", "run", "report")
    assert (1, True) == (answer.exit, "several projects" in answer.err)
    assert 0 == cli("schedules", "run", "report", "--project", "other").exit


BAD = [
    (("create", "report", "@daily", "x", "--project", "shop"), 1, "has this name"),
    (("create", "b", "60 * * * *", "x", "--project", "shop"), 1, "cron"),
    (("create", "b", "@daily", "x", "--project", "shop", "--timezone", "Mars/Base"), 1, "timezone"),
    (("create", "b", "@daily", "x", "--project", "shop", "--missed", "some"), 2, "--missed"),
    (("create", "b", "@daily", "x", "--project", "shop", "--data", "{"), 2, "no JSON"),
    (("create", "b", "@daily", "outboxd.x", "--project", "shop"), 1, "reserved"),
    (("create", "b", "@daily", "x", "--project", "nowhere"), 1, "Project not found"),
    (("create", "b", "@daily", "x"), 2, "--project"),
    (("change", "report"), 2, "what should change"),
    (("change", "report", "--cron", "x"), 1, "cron"),
    (("delete", "report"), 2, "--yes"),
    (("delete", "nothing", "--yes"), 1, "no schedule"),
]


def test_bad_input_is_told_with_its_exit_code(cli: Run, yard: Yard) -> None:
    assert 0 == cli(*MADE).exit
    for words, status, said in BAD:
        answer = cli("schedules", *words, "--json")
        assert (words, status, "") == (words, answer.exit, answer.out)
        told = json.loads(answer.err)
        assert {"error", "message"} == set(told), words
        assert said in told["message"], words
    assert 1 == yard.value("select count(*) from outbox.schedules")
