"""queues, routes, handlers, workers: one good run and one bad input each."""

import json
from uuid import UUID

import pytest

from tests.cli.place import Run
from tests.cli.yard import Yard

UNKNOWN = "0197f1c2-7a00-7000-8000-000000000001"


def test_queues_are_listed_with_what_waits(cli: Run, yard: Yard) -> None:
    yard.dead()
    yard.queued()
    [queue] = [each for each in cli("queues", "--json").json()["queues"] if each["name"] == "work"]
    assert ("work", "pull:work", 1, 1, False) == tuple(
        queue[name] for name in ("name", "handler", "due", "failed", "paused")
    )
    assert "work" in cli("queues").out


def test_a_queue_is_paused_for_a_time_and_resumed(cli: Run, yard: Yard) -> None:
    yard.queued()
    said = cli("queues", "pause", "work", "--for", "2h", "--reason", "a fire", "--json").json()
    assert said["untilEpoch"] is not None
    assert cli("queues", "--json").json()["queues"][0]["paused"]
    assert cli("queues", "resume", "work", "--json").json()["wasPaused"]
    assert not cli("queues", "resume", "work", "--json").json()["wasPaused"]


def test_a_share_is_paused_and_weighed(cli: Run, yard: Yard) -> None:
    job = yard.queued()
    said = cli("queues", "pause", "work", "--project", "shop", "--json").json()
    assert str(yard.project) == said["projectId"]
    assert "share_paused" == cli("jobs", "why", job, "--json").json()["reasons"][0]["reason"]
    assert cli("queues", "resume", "work", "--project", "shop", "--json").json()["wasPaused"]
    assert 5 == cli("queues", "weigh", "work", "shop", "5", "--json").json()["weight"]
    assert 5 == yard.value("select weight from outbox.shares")


def test_a_queue_is_made_and_limited(cli: Run) -> None:
    rate, backoff = ("rate.perSecond=2.5", "rate.burst=5"), ("backoff.baseMs=100", "backoff.capMs=1000")
    words = ("handler=pull:thumbs", "concurrency=8", *rate, *backoff)
    made = cli("queues", "set", "thumbs", *words, "--json").json()
    assert (8, 2.5, 5) == (made["concurrency"], made["ratePerSecond"], made["rateBurst"])
    assert {"baseMs": 100, "capMs": 1000} == made["backoff"]
    assert cli("queues", "set", "thumbs", "concurrency=", "--json").json()["concurrency"] is None


def test_a_route_is_added_tested_changed_and_removed(cli: Run, yard: Yard) -> None:
    words = ("--contains", '{"n":1}', "--priority", "5", "--delay", "90s", "--attempts", "3", "--unordered")
    made = cli("routes", "add", "order.*", "work", "--project", "shop", *words, "--json").json()
    assert ("order.*", "work", str(yard.project)) == (made["pattern"], made["queue"], made["projectId"])
    assert ({"n": 1}, 5, 90_000, 3, False) == (
        made["contains"], made["priority"], made["delayMs"], made["maxAttempts"], made["ordered"]
    )  # fmt: skip
    assert [made] == cli("routes", "--project", "shop", "--json").json()["routes"]
    test = ("routes", "test", "order.paid", "--project", "shop", "--json")
    assert [] == cli(*test).json()["routes"]
    [match] = cli(*test, "--data", '{"n":1}').json()["routes"]
    assert (made["id"], True) == (match["routeId"], match["decides"])
    changed = cli("routes", "change", made["id"], "--disable", "--pattern", "order.paid", "--json").json()
    assert (False, "order.paid") == (changed["enabled"], changed["pattern"])
    assert cli("routes", "remove", made["id"], "--json").json()["removed"]
    assert [] == cli("routes", "--json").json()["routes"]


def test_a_route_of_a_team_and_one_of_everybody(cli: Run, yard: Yard) -> None:
    of_team = cli("routes", "add", "a", "work", "--team", "acme", "--json").json()
    of_all = cli("routes", "add", "b", "work", "--json").json()
    assert (str(yard.team), None) == (of_team["teamId"], of_all["teamId"])
    listed = cli("routes", "--project", "shop", "--json").json()["routes"]
    assert [of_team["id"], of_all["id"]] == [route["id"] for route in listed]


def test_a_handler_is_declared_listed_and_removed(cli: Run, yard: Yard) -> None:
    yard.conn.execute(
        "create function public.count_it(job outbox.claimed) returns jsonb language sql return '{}'::jsonb"
    )
    assert cli("handlers", "add", "sql:public.count_it", "--json").json()["new"]
    assert not cli("handlers", "add", "sql:public.count_it", "--closed", "--json").json()["new"]
    [listed] = cli("handlers", "--json").json()["handlers"]
    assert ("sql:public.count_it", False) == (listed["name"], listed["open"])
    assert cli("handlers", "remove", "sql:public.count_it", "--json").json()["removed"]


def test_workers_are_listed_with_what_they_do(cli: Run, yard: Yard) -> None:
    yard.running()
    [worker] = cli("workers", "--json").json()["workers"]
    assert UUID(worker["id"]).version == 7
    assert ("tester", "alive", ["pull:work"]) == (worker["name"], worker["state"], worker["handlers"])


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("queues", "pause", "nothing"), 1, "Queue not found"),
        (("queues", "pause", "work", "--for", "ever"), 2, "no time span"),
        (("queues", "pause", "work", "--team", "acme"), 2, "--project"),
        (("queues", "resume", "nothing"), 1, "Queue not found"),
        (("queues", "set", "work", "concurrency=lots"), 2, "whole number"),
        (("queues", "set", "work", "speed=9"), 2, "no such setting"),
        (("queues", "set", "work", "concurrency=0"), 1, "1 to 1,000"),
        (("queues", "set", "work", "handler=pull:other"), 1, "has the handler"),
        (("queues", "weigh", "work", "shop", "101"), 2, "whole number"),
        (("queues", "weigh", "work", "nothing", "5"), 1, "Project not found"),
        (("queues", "--watch", "never"), 2, "whole number"),
        (("routes", "add", "a.*.b", "work"), 1, "pattern"),
        (("routes", "add", "a", "work", "--contains", "{"), 2, "no JSON"),
        (("routes", "add", "a", "new", "--handler", "sql:public.nothing"), 1, "unknown handler"),
        (("routes", "change", UNKNOWN, "--disable"), 1, "Route not found"),
        (("routes", "change", UNKNOWN), 2, "what should change"),
        (("routes", "remove", UNKNOWN), 1, "no route"),
        (("routes", "test", "a"), 2, "--project"),
        (("routes", "--team", "nobody"), 1, "Team not found"),
        (("handlers", "add", "sql:outbox.settle"), 1, "sql:schema.function"),
        (("handlers", "remove", "nothing"), 1, "no handler nothing"),
        (("handlers", "--limit", "-1"), 2, "whole number"),
        (("workers", "--limit", "0"), 2, "whole number"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else None,
)
def test_bad_input_is_told_with_its_exit_code(
    cli: Run, yard: Yard, words: tuple[str, ...], status: int, said: str
) -> None:
    yard.queued()
    answer = cli(*words)
    assert (status, "") == (answer.exit, answer.out)
    assert said in answer.err
    assert {"error", "message"} == set(json.loads(cli(*words, "--json").err))
