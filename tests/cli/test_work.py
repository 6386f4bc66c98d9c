"""jobs and dead: one good run and one bad input each, and what they promise besides."""

import json
from collections.abc import Callable

import pytest

from tests.cli.place import Run
from tests.cli.yard import Yard

UNKNOWN = "0197f1c2-7a00-7000-8000-000000000001"


def test_jobs_are_listed_newest_first_and_by_what_is_asked(cli: Run, yard: Yard) -> None:
    dead, done, queued = yard.dead(), yard.completed(), yard.queued()
    assert [queued, done, dead] == [job["id"] for job in cli("jobs", "--json").json()["jobs"]]
    for words, jobs in [
        (("--status", "failed"), [dead]),
        (("--status", "failed", "--status", "completed"), [done, dead]),
        (("--class", "Boom"), [dead]),
        (("--queue", "nothing"), []),
        (("--project", "shop", "--limit", "1"), [queued]),
        (("--since", "1h"), [queued, done, dead]),
        (("--until", "1h"), []),
        (("--held",), []),
    ]:
        assert jobs == [job["id"] for job in cli("jobs", "list", *words, "--json").json()["jobs"]], words


def test_a_job_is_shown_with_its_attempts_and_timeline(cli: Run, yard: Yard) -> None:
    dead = yard.dead()
    shown = cli("jobs", "show", dead, "--json").json()
    assert {"generationJob", "attempts", "timeline"} == set(shown)
    assert ("failed", "Boom") == (
        shown["generationJob"]["status"],
        shown["generationJob"]["lastError"]["classification"],
    )
    assert [("failed", "it broke")] == [(a["outcome"], a["message"]) for a in shown["attempts"]]
    assert ["job.queued", "job.processing", "job.failed"] == [entry["action"] for entry in shown["timeline"]]
    table = cli("jobs", "show", dead).out
    assert "payload" not in shown["generationJob"]
    assert all(title in table for title in ("\nattempts\n", "\ntimeline\n", "it broke"))


def test_a_running_attempt_is_shown(cli: Run, yard: Yard) -> None:
    shown = cli("jobs", "show", yard.running(), "--json").json()
    assert ["running"] == [attempt["outcome"] for attempt in shown["attempts"]]


def test_why_names_the_decisive_reason_first(cli: Run, yard: Yard) -> None:
    job = yard.queued()
    cli("queues", "pause", "work", "--reason", "a fire")
    said = cli("jobs", "why", job, "--json")
    assert (0, "queue_paused") == (said.exit, said.json()["reasons"][0]["reason"])
    assert "a fire" in cli("jobs", "why", job).out
    unknown = cli("jobs", "why", UNKNOWN, "--json")
    assert (1, "not_found") == (unknown.exit, unknown.json()["reasons"][0]["reason"])


@pytest.mark.parametrize(
    ("state", "verb", "status"),
    [
        (Yard.queued, "retry", 0),
        (Yard.queued, "cancel", 0),
        (Yard.completed, "retry", 1),
        (Yard.completed, "cancel", 1),
        (Yard.dead, "retry", 0),
        (Yard.dead, "cancel", 0),
    ],
)
def test_retry_and_cancel_end_with_1_where_the_api_says_409(
    cli: Run, yard: Yard, state: Callable[[Yard], str], verb: str, status: int
) -> None:
    assert status == cli("jobs", verb, state(yard)).exit


def test_a_running_job_is_not_retried_but_cancelled(cli: Run, yard: Yard) -> None:
    job = yard.running()
    refused = cli("jobs", "retry", job)
    assert (1, "") == (refused.exit, refused.out)
    assert "currently processing" in refused.err
    [said] = cli("jobs", "cancel", job, "--json").json()["jobs"]
    assert ("processing", "cancelled", False) == (said["before"], said["status"], said["alreadyCancelled"])
    [again] = cli("jobs", "cancel", job, "--json").json()["jobs"]
    assert again["alreadyCancelled"]


def test_of_several_jobs_each_stands_for_itself(cli: Run, yard: Yard) -> None:
    dead = yard.dead()
    said = cli("jobs", "retry", UNKNOWN, dead, "--json")
    assert 1 == said.exit
    assert ["NotFound", None] == [row.get("error") for row in said.json()["jobs"]]
    assert 0 == cli("jobs", "why", dead).exit
    assert "queued" == cli("jobs", "show", dead, "--json").json()["generationJob"]["status"]


def test_a_queued_job_is_put_off(cli: Run, yard: Yard) -> None:
    job = yard.queued()
    [said] = cli("jobs", "snooze", job, "--until", "2h", "--reason", "later", "--json").json()["jobs"]
    shown = cli("jobs", "show", job, "--json").json()["generationJob"]
    assert (said["runAtEpoch"], "later") == (shown["runAtEpoch"], shown["heldReason"])
    assert [job] == [held["id"] for held in cli("jobs", "--held", "--json").json()["jobs"]]


def test_dead_letters_are_listed_and_grouped(cli: Run, yard: Yard) -> None:
    dead = [yard.dead(), yard.dead()]
    yard.completed()
    assert dead == [job["id"] for job in reversed(cli("dead", "--json").json()["jobs"])]
    cli("dead", "purge", "--all", "--limit", "1", "--yes")
    [group] = cli("dead", "list", "--by-error", "--queue", "work", "--json").json()["groups"]
    assert ("work", "Boom", 1) == (group["queue"], group["class"], group["jobs"])
    assert [] == cli("dead", "list", "--by-error", "--queue", "other", "--json").json()["groups"]


@pytest.mark.parametrize("verb", ["retry", "discard", "purge"])
def test_a_dry_run_says_what_would_be_done_and_does_nothing(cli: Run, yard: Yard, verb: str) -> None:
    dead = yard.dead()
    said = cli("dead", verb, "--queue", "work", "--dry-run", "--json").json()
    assert (True, 1, [dead]) == (said["dryRun"], said["matched"], said["sample"])
    assert [dead] == [job["id"] for job in cli("dead", "--json").json()["jobs"]]


@pytest.mark.parametrize(
    ("verb", "state"), [("retry", "queued"), ("discard", "cancelled"), ("purge", "failed")]
)
def test_dead_letters_are_moved(cli: Run, yard: Yard, verb: str, state: str) -> None:
    dead = yard.dead()
    said = cli("dead", verb, "--class", "Boom", "--yes", "--json").json()
    assert (False, 1) == (said["dryRun"], said["affected"])
    assert state == cli("jobs", "show", dead, "--json").json()["generationJob"]["status"]
    assert [] == yard.rows("select from outbox.dead_letters")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("jobs", "--status", "odd"), 2, "invalid choice"),
        (("jobs", "--since", "yesterday"), 2, "no time"),
        (("jobs", "--event", "7"), 1, "no event 7"),
        (("jobs", "show", UNKNOWN), 1, "no job"),
        (("jobs", "show", "7"), 1, "no job 7"),
        (("jobs", "why"), 2, "required"),
        (("jobs", "retry", UNKNOWN), 1, "Job not found"),
        (("jobs", "cancel", "7"), 1, "no job 7"),
        (("jobs", "snooze", UNKNOWN), 2, "--until"),
        (("jobs", "snooze", UNKNOWN, "--until", "2h"), 1, "Job not found"),
        (("dead", "--limit", "many"), 2, "whole number"),
        (("dead", "retry"), 2, "a filter"),
        (("dead", "retry", "--all"), 2, "--yes"),
        (("dead", "retry", "--all", "--yes", "--rate", "5000"), 1, "0 to 1,000 a second"),
        (("dead", "discard", "--yes"), 2, "a filter"),
        (("dead", "purge", "--project", "nothing", "--yes"), 1, "Project not found"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else None,
)
def test_bad_input_is_told_with_its_exit_code(
    cli: Run, yard: Yard, words: tuple[str, ...], status: int, said: str
) -> None:
    yard.dead()
    answer = cli(*words)
    assert (status, "") == (answer.exit, answer.out)
    assert said in answer.err
    assert {"error", "message"} == set(json.loads(cli(*words, "--json").err))
    assert 1 == len(yard.rows("select from outbox.dead_letters"))
