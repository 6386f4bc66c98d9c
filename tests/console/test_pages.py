"""What pages show to whom, and what their forms do: the store's verbs, the same rights, the same trail."""

import re
from html import unescape
from typing import Any
from uuid import UUID

import pytest

from tests.console.conftest import Visitors
from tests.console.visitor import Visitor, orders, paths
from tests.console.world import World


def audited(world: World, action: str) -> dict[str, Any]:
    """The newest line of that action."""
    found = world.rows("select * from outbox.audit_log where action = %s order by id desc limit 1", action)
    assert found, f"no {action} in the trail"
    return found[0]


def text(page: str) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


@pytest.mark.parametrize("who", ["operator", "team", "project"])
def test_every_page_is_there_for_every_kind_of_key(visitors: Visitors, world: World, who: str) -> None:
    key = {"operator": world.operator, "team": world.northwind, "project": world.shop.key}[who]
    visitor = visitors(key)
    for name, path in paths(world).items():
        assert "<h1>" in visitor.page(path), name


def test_a_team_never_sees_what_is_anothers(visitors: Visitors, world: World) -> None:
    theirs = (
        "Northwind",
        str(world.warehouse),
        "acme-erp",
        "fulfil",
        "order/48",
        str(world.shop.project),
    )
    lumen = visitors(world.lumen)
    for name, path in paths(world).items():
        found = lumen.get(path)
        expected = 404 if name in {"queue", "job", "event", "endpoint"} else 200
        assert expected == found.status_code, name
        assert not [each for each in theirs if each in found.text], name
    for path in ("dead", "jobs", "events", "endpoints", "interactions", "memory", "audit", "schedules"):
        narrowed = lumen.get(f"/console/{path}", project=str(world.shop.project))
        assert "Northwind" not in narrowed.text
    with lumen.http.stream("GET", "/console/live", params={"page": "overview"}) as live:
        told = next(line for line in live.iter_lines() if line.startswith("data: {"))
    assert "coding-agents" in told
    assert not [each for each in theirs if each in told]


def test_a_teams_orders_reach_nothing_of_anothers(visitors: Visitors, world: World) -> None:
    lumen = visitors(world.lumen)
    dead = world.dead()
    paused = world.value("select count(*) from outbox.shares where paused")
    for path, form in orders(world).items():
        if "/dead/" in path or path.endswith("logout"):
            continue
        assert lumen.post(path, **form).status_code in {403, 404}, path
    for verb in ("retry", "cancel", "purge"):
        ids = [str(each) for each in dead if each not in set(_of(world, world.agents.project))]
        looked = lumen.post("/console/dead/look", verb=verb, id=ids)
        assert "Would" in looked.text
        assert re.search(rf"Would {verb}</dt><dd>0<", looked.text)
    assert dead == world.dead()
    assert paused == world.value("select count(*) from outbox.shares where paused")


def _of(world: World, project: UUID) -> list[UUID]:
    return [
        each["job_id"]
        for each in world.rows("select job_id from outbox.dead_letters where project_id = %s", project)
    ]


def test_a_project_key_sees_its_project_alone(visitors: Visitors, world: World) -> None:
    shop = visitors(world.shop.key)
    for path in ("/console", "/console/queues", "/console/dead", "/console/streams", "/console/events"):
        assert "warehouse" not in shop.page(path), path
        assert "coding-agents" not in shop.page(path), path
    assert (
        403
        == shop.post("/console/queues/fulfil/limits", attempts="3", timeoutMs="1", leaseSize="5").status_code
    )


def test_a_queue_is_paused_and_resumed_and_says_so(operator: Visitor, world: World) -> None:
    paused = operator.post("/console/queues/reorder/pause", **{"for": "1h", "reason": "stocktaking"})
    shown = text(operator.page(paused.headers["location"]))
    row = world.rows(
        "select paused, paused_until > now() + interval '59 min' as long from outbox.queues"
        " where name = 'reorder'"
    )
    told = audited(world, "queue.paused")
    resumed = operator.post("/console/queues/reorder/resume")
    assert {"paused": True, "long": True} == row[0]
    assert "stocktaking" in shown
    assert "What runs goes on" in shown
    assert ("console", f"key:{world.operator_id}") == (told["details"]["via"], told["actor"])
    assert "done=resumed" in resumed.headers["location"]
    assert not world.value("select paused from outbox.queues where name = 'reorder'")


def test_limits_and_shares_are_set(operator: Visitor, world: World) -> None:
    limits = {"concurrency": "8", "perWorker": "", "rate": "2.5", "burst": "", "attempts": "5"}
    operator.post("/console/queues/index/limits", **limits, timeoutMs="60000", leaseSize="10")
    operator.post("/console/queues/index/weigh", project=str(world.agents.project), weight="7")
    [row] = world.rows(
        "select concurrency, per_worker, attempts, lease_size from outbox.queues where name = 'index'"
    )
    wrong = operator.post("/console/queues/index/limits", attempts="many", timeoutMs="1", leaseSize="1")
    assert {"concurrency": 8, "per_worker": None, "attempts": 5, "lease_size": 10} == row
    assert 7 == world.value("select weight from outbox.shares where project_id = %s", world.agents.project)
    assert "console" == audited(world, "queue.configured")["details"]["via"]
    assert 400 == wrong.status_code
    assert "attempts: a number" in text(wrong.text)


def test_many_are_looked_at_first_and_then_retried_at_the_rate(operator: Visitor, world: World) -> None:
    [group, *_] = world.rows(
        "select q.name, d.class, count(*) as n from outbox.dead_letters d"
        " join outbox.queues q on q.id = d.queue_id group by 1, 2 order by 3 desc, 1"
    )
    chosen = {
        "verb": "retry",
        "queue": group["name"],
        "class": group["class"],
        "rate": "2",
        "reason": "mended",
    }
    before = world.dead()
    looked = operator.post("/console/dead/look", **chosen)
    assert before == world.dead()
    done = operator.post("/console/dead/act", **chosen)
    assert f"Would retry {group['n']}" in text(looked.text)
    assert f"n={group['n']}" in done.headers["location"]
    assert f"{group['n']} jobs are queued again" in text(operator.page(done.headers["location"]))
    assert len(before) - group["n"] == len(world.dead())
    told = audited(world, "jobs.bulk_retried")["details"]
    assert ("console", False, 2, "mended") == (told["via"], told["dryRun"], told["rate"], told["reason"])


def test_the_ticked_ones_are_cancelled_or_purged_and_no_others(operator: Visitor, world: World) -> None:
    first, second, *rest = world.dead()
    operator.post("/console/dead/act", verb="cancel", id=[str(first)], queue="nothing")
    operator.post("/console/dead/act", verb="purge", id=[str(second)])
    assert rest == world.dead()
    assert "cancelled" == world.value("select state from outbox.job_state(%s)", first)


def test_a_payload_takes_a_second_click_that_is_in_the_trail(operator: Visitor, world: World) -> None:
    there = paths(world)
    job, event = there["job"], there["event"]
    assert '"order"' not in unescape(operator.page(job) + operator.page(event))
    shown = unescape(operator.post(f"{job}/payload").text), unescape(operator.post(f"{event}/payload").text)
    assert all('"order": ' in each for each in shown)
    for action, path in (("job.payload_read", job), ("event.payload_read", event)):
        told = audited(world, action)
        assert (path.rpartition("/")[2], "console", world.shop.team) == (
            told["resource_id"],
            told["details"]["via"],
            told["team_id"],
        )


def test_a_job_is_retried_put_off_and_cancelled(operator: Visitor, world: World) -> None:
    job = world.dead()[-1]
    path = f"/console/jobs/{job}"
    operator.post(f"{path}/retry", reason="again")
    queued = world.value("select state from outbox.job_state(%s)", job)
    operator.post(f"{path}/snooze", **{"for": "2h"})
    later = world.value("select run_at > now() + interval '110 min' from outbox.later where job_id = %s", job)
    cancelled = operator.post(f"{path}/cancel")
    shown = text(operator.page(cancelled.headers["location"]))
    assert ("queued", True) == (queued, later)
    assert "Cancelled." in shown
    assert re.search(r"Timeline .*queued .*failed .*retried by operator .*cancelled by operator", shown)
    assert "again" == audited(world, "job.retried_by_operator")["details"]["reason"]


def test_an_endpoint_is_switched_tried_and_recovered_after_a_look(operator: Visitor, world: World) -> None:
    path = f"/console/endpoints/{world.endpoint}"
    operator.post(f"{path}/disable")
    disabled = world.value("select state from outbox.endpoints where id = %s", world.endpoint)
    operator.post(f"{path}/enable")
    looked = text(operator.post(f"{path}/recover", since="2m", only="all").text)
    none = world.value(
        "select count(*) from outbox.jobs j join outbox.queues q on q.id = j.queue_id"
        " where q.name = 'recover'"
    )
    started = operator.post(f"{path}/recover", since="2m", only="all", sure="1")
    tested = operator.post(f"{path}/test")
    assert ("disabled", "enabled") == (
        disabled,
        world.value("select state from outbox.endpoints where id = %s", world.endpoint),
    )
    assert "What a recovery would deliver" in looked
    assert (0, 303) == (none, started.status_code)
    assert "The try" in text(tested.text)
    assert "console" == audited(world, "endpoint.tested")["details"]["via"]


def test_a_question_is_answered_once_and_one_for_somebody_else_is_left_alone(
    operator: Visitor, world: World
) -> None:
    choice = world.ask("*", "Release it?", '[{"value": "yes"}, {"value": "no"}]')
    free = world.ask("*", "Which one?", None)
    named = world.ask("ops on call", "You there?", None)
    ann = world.ask("ann", "For Ann alone", None)
    path = "/console/interactions/{}/answer"
    replies = [
        operator.post(path.format(choice), choice="1"),
        operator.post(path.format(choice), choice="0"),
        operator.post(path.format(free), text="the blue one"),
        operator.post(path.format(named), text="yes"),
        operator.post(path.format(ann), text="yes"),
    ]
    withdrawn = operator.post(f"/console/interactions/{ann}/withdraw", reason="asked wrongly")
    found = {
        each["id"]: (each["state"], each["answer"])
        for each in world.rows("select id, state, answer from outbox.interactions")
    }
    assert [303, 303, 303, 303, 403] == [each.status_code for each in replies]
    assert "done=over" in replies[1].headers["location"]
    assert "done=withdrawn" in withdrawn.headers["location"]
    assert ("answered", "no") == found[choice]
    assert ("answered", "the blue one") == found[free]
    assert ("answered", "yes") == found[named]
    assert ("withdrawn", None) == found[ann]


def test_memory_is_searched_and_the_search_is_in_the_trail(visitors: Visitors, world: World) -> None:
    lumen = visitors(world.lumen)
    found = text(lumen.page("/console/memory", q="VAT", project=str(world.agents.project)))
    none = text(lumen.page("/console/memory", q="zebra", project=str(world.agents.project)))
    told = audited(world, "observation.read")["details"]
    assert "Invoices carry the VAT id" in found
    assert "One queue a warehouse" not in found
    assert "Nothing is remembered about that" in none
    assert ("search", "zebra", "console") == (told["mode"], told["query"], told["via"])


def test_the_trail_is_searched_and_the_search_is_in_it(operator: Visitor, world: World) -> None:
    found = text(operator.page("/console/audit", action="interaction.*"))
    wrong = operator.get("/console/audit", action="; drop")
    told = audited(world, "audit.read")["details"]
    assert "interaction.asked" in found
    assert "event.received" not in found
    assert ("console", {"action": "interaction.*"}) == (told["via"], told["filters"])
    assert 400 == wrong.status_code


def test_lists_go_on_where_the_page_ended(operator: Visitor, world: World) -> None:
    first = operator.page("/console/events")
    [older] = re.findall(r'href="(/console/events\?cursor=[^"]+)"', first)
    second = operator.page(unescape(older))
    ids = re.compile(r'href="/console/events/([0-9a-f-]{36})"')
    assert 50 == len(ids.findall(first))
    assert ids.findall(second)
    assert not set(ids.findall(first)) & set(ids.findall(second))
    assert 400 == operator.get("/console/jobs", cursor="AAAA").status_code
