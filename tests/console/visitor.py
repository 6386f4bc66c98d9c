"""Somebody who looks at the console without a browser: cookies, forms, and what a page said."""

import re
from html import unescape
from typing import Any

import httpx2

from tests.console.world import World

_TOKEN = re.compile(r'name="(?:csrf|token)" value="([^"]+)"')


class Visitor:
    """`base` is where the console is; headers go with every request."""

    def __init__(self, base: str, **headers: str) -> None:
        self.http = httpx2.Client(base_url=base, headers=headers, timeout=20)

    def sign_in(self, key: str, **more: str) -> httpx2.Response:
        form = {"key": key, "token": token(self.http.get("/console").text), **more}
        return self.http.post("/console/login", data=form)

    def get(self, path: str, **query: Any) -> httpx2.Response:
        return self.http.get(path, params=query or None)

    def page(self, path: str, **query: Any) -> str:
        found = self.get(path, **query)
        assert found.status_code == 200, found.text
        return found.text

    def post(self, path: str, **form: Any) -> httpx2.Response:
        """With the token of the session."""
        return self.http.post(path, data={"csrf": token(self.page("/console/streams")), **form})

    def close(self) -> None:
        self.http.close()


def token(page: str) -> str:
    found = _TOKEN.search(page)
    assert found, "the page has no form"
    return unescape(found[1])


def paths(world: World) -> dict[str, str]:
    """Every page that can be read, with ids of things that are there: of the team Northwind."""
    job = world.dead()[0]
    mine = world.value(
        "select job_id from outbox.dead_letters where project_id = %s limit 1", world.shop.project
    )
    event = world.value("select event_id from outbox.jobs where id = %s", mine)
    assert job is not None
    return {
        "overview": "/console",
        "queues": "/console/queues",
        "queue": "/console/queues/fulfil",
        "dead": "/console/dead",
        "jobs": "/console/jobs",
        "job": f"/console/jobs/{mine}",
        "events": "/console/events",
        "event": f"/console/events/{event}",
        "streams": "/console/streams",
        "endpoints": "/console/endpoints",
        "endpoint": f"/console/endpoints/{world.endpoint}",
        "schedules": "/console/schedules",
        "interactions": "/console/interactions",
        "memory": "/console/memory",
        "audit": "/console/audit",
    }


def orders(world: World) -> dict[str, dict[str, str]]:
    """Everything that can be posted, with a form that would do it: to things of the team Northwind."""
    there = paths(world)
    question = world.value("select id from outbox.interactions where state = 'pending' limit 1")
    queue, job, endpoint = there["queue"], there["job"], there["endpoint"]
    shop = str(world.shop.project)
    return {
        f"{queue}/pause": {"project": shop, "reason": "x"},
        f"{queue}/resume": {"project": shop},
        f"{queue}/limits": {"attempts": "3", "timeoutMs": "1000", "leaseSize": "5"},
        f"{queue}/weigh": {"project": shop, "weight": "9"},
        "/console/dead/look": {"verb": "retry"},
        "/console/dead/act": {"verb": "purge"},
        f"{job}/payload": {},
        f"{job}/retry": {},
        f"{job}/cancel": {},
        f"{job}/snooze": {"for": "1h"},
        f"{there['event']}/payload": {},
        f"{endpoint}/enable": {},
        f"{endpoint}/disable": {},
        f"{endpoint}/test": {},
        f"{endpoint}/recover": {"since": "10m", "sure": "1"},
        f"/console/interactions/{question}/answer": {"choice": "0", "text": "yes"},
        f"/console/interactions/{question}/withdraw": {},
        "/console/logout": {},
    }
