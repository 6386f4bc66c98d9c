"""Tenants that have some of everything, marked wherever a tenant can write."""

from typing import Any
from uuid import UUID

import httpx
import msgspec
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.store import keys, tenants
from tests import seed
from tests.api.served import Served

Conn = AsyncConnection[DictRow]
SEALING = {"SECRET_KEYS": "k1:" + "A" * 43 + "="}
NOWHERE = "00000000-0000-7000-8000-000000000000"


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What one project has."""

    mark: str
    """Stands in every text of it, and nowhere else."""
    team: str
    project: str
    key: str
    """Of the project, for everything."""
    whole: str
    """Of the team, for everything."""
    reads: str
    """Of the project, for reading."""
    ids: dict[str, str]
    """One id of each kind of thing."""


async def tenant(conn: Conn, served: Served, mark: str) -> Side:
    """A team with one project; `served` runs with SEALING."""
    made = await seed.tenant(conn, mark)
    return await furnished(conn, served, made, mark)


async def sibling(conn: Conn, served: Served, of: Side, mark: str) -> Side:
    """Another project of the same team."""
    team = UUID(of.team)
    project = await tenants.make_project(conn, seed.OPERATOR, team, mark)
    key_id, secret = await seed.key(conn, team, "*", project=project)
    made = seed.Tenant(team=team, project=project, key=secret, key_id=key_id)
    return await furnished(conn, served, made, mark)


async def furnished(conn: Conn, served: Served, made: seed.Tenant, mark: str) -> Side:
    spare, _ = await keys.mint(
        conn, seed.OPERATOR, team=made.team, project=made.project, scopes=["memories:read"], name=mark
    )
    _, whole = await seed.key(conn, made.team, "*")
    _, reads = await seed.key(conn, made.team, "memories:read", project=made.project)
    await conn.execute(
        "update outbox.projects set metadata = jsonb_build_object('said', %s::text) where id = %s",
        (mark, made.project),
    )
    ids = {"team": str(made.team), "project": str(made.project), "key": str(spare.id)}
    async with served.client(made.key) as http:
        for make in MAKERS:
            ids |= await make(http, mark, ids)
    # Its keyed jobs have their places then, and can be put off.
    await conn.execute("select outbox.sequence(%s)", ([made.project],))
    await conn.execute("select outbox.place(%s)", (made.project,))
    # A test-send must not leave this machine: here it is blocked before it is dialled.
    await conn.execute(
        "update outbox.endpoints set url = 'https://127.0.0.1/' || uid where id = %s", (ids["endpoint"],)
    )
    return Side(
        mark=mark,
        team=str(made.team),
        project=str(made.project),
        key=made.key,
        whole=whole,
        reads=reads,
        ids=ids,
    )


async def _event(http: httpx.AsyncClient, mark: str, ids: dict[str, str]) -> dict[str, str]:
    told = await _told(
        http,
        "/v1/events",
        eventType=mark,
        subject=mark,
        orderingKey=mark,
        contentSessionId=mark,
        sourceEventId=mark,
        payload={mark: mark},
        metadata={mark: mark},
    )
    return {"event": told["event"]["id"], "job": told["jobs"][0]["id"]}


async def _session(http: httpx.AsyncClient, mark: str, ids: dict[str, str]) -> dict[str, str]:
    told = await _told(
        http,
        "/v1/sessions/start",
        externalSessionId=mark,
        contentSessionId=mark,
        agentId=mark,
        agentType=mark,
        metadata={mark: mark},
    )
    return {"session": told["session"]["id"]}


async def _memory(http: httpx.AsyncClient, mark: str, ids: dict[str, str]) -> dict[str, str]:
    told = await _told(
        http,
        "/v1/memories",
        content=mark,
        kind=mark,
        title=mark,
        serverSessionId=ids["session"],
        platformSource=mark,
        idempotencyKey=mark,
        metadata={"concepts": [mark], "files_read": [mark]},
    )
    return {"memory": told["memory"]["id"]}


async def _interaction(http: httpx.AsyncClient, mark: str, ids: dict[str, str]) -> dict[str, str]:
    """Anyone of its channel may answer: only the tenant keeps others out."""
    told = await _told(
        http,
        "/v1/interactions",
        connectionId="chat",
        expectedActor="*",
        prompt=mark,
        context={mark: mark},
    )
    return {"interaction": told["interaction"]["id"]}


async def _endpoint(http: httpx.AsyncClient, mark: str, ids: dict[str, str]) -> dict[str, str]:
    told = await _told(
        http,
        "/v1/endpoints",
        url=f"https://x.test/{mark}",
        uid=mark,
        description=mark,
        metadata={mark: mark},
        headers={"x-said": mark},
    )
    return {"endpoint": told["endpoint"]["id"]}


async def _queue(http: httpx.AsyncClient, mark: str, ids: dict[str, str]) -> dict[str, str]:
    """Its name is the server's and stands in replies, so it is not the mark, which must not."""
    name = f"of-{ids['project']}"
    await _told(http, "/v1/jobs", queue=name, payload={mark: mark})
    return {"queue": name}


async def _lease(http: httpx.AsyncClient, mark: str, ids: dict[str, str]) -> dict[str, str]:
    await _told(http, "/v1/jobs", queue=ids["queue"], payload={mark: mark})
    claimed = await _told(http, f"/v1/queues/{ids['queue']}/claim", worker=mark, limit=1, leaseSeconds=600)
    return {"lease": claimed["lease"]["id"]}


async def _route(http: httpx.AsyncClient, mark: str, ids: dict[str, str]) -> dict[str, str]:
    body = {"pattern": f"{mark}.*", "queue": ids["queue"], "contains": {mark: mark}}
    return {"route": (await _told(http, "/v1/routes", **body))["route"]["id"]}


async def _schedule(http: httpx.AsyncClient, mark: str, ids: dict[str, str]) -> dict[str, str]:
    told = await _told(
        http,
        "/v1/schedules",
        name=mark,
        cron="@yearly",
        type=mark,
        payload={mark: mark},
        subject=mark,
        orderingKey=mark,
    )
    return {"schedule": told["schedule"]["id"]}


async def _told(http: httpx.AsyncClient, path: str, **body: Any) -> Any:
    reply = await http.post(path, json=body)
    assert reply.status_code in {200, 201}, reply.text
    return reply.json()


MAKERS = (_session, _memory, _event, _interaction, _endpoint, _queue, _lease, _route, _schedule)
"""In the order in which one needs the other; each gives the ids of what it made, by their kind."""
