"""Every route: its path, its methods, and what each asks of the layers before its handler runs.

Tolerant routes are those that clients of older servers call: what they send besides is ignored.
"""

from collections.abc import Mapping
from typing import Any

from outboxd.api import (
    endpoint_keys,
    endpoint_routes,
    endpoint_wire,
    endpoints,
    events,
    info,
    interaction_routes,
    job_orders,
    jobs,
    mcp,
    memory_routes,
    openapi,
    ops,
    publish,
    pull_routes,
    queue_routes,
    schedule_routes,
    session_routes,
    stream_routes,
    tenant_routes,
    wire,
)
from outboxd.api.cloudevents import modes
from outboxd.api.exchange import Handler, Operation
from outboxd.api.published import Published, PublishedBatch
from outboxd.mcp.messages import Refusal
from outboxd.model import health
from outboxd.model.endpoints import EndpointPage, EndpointReply, EndpointSaid, EndpointSecrets, SecretRotated
from outboxd.model.events import EventPage, EventReply, Timeline
from outboxd.model.jobs import AttemptPage, JobCancelled, JobPage, JobReply, JobRetried

_FLAGS = frozenset({"generate", "wait"})
_PAGE = frozenset({"limit", "cursor"})


def _open(handler: Handler, *answers: Any, **more: Any) -> Operation:
    """Nobody has to say who they are. Answers: of 200, and of 503."""
    given = dict(zip((200, 503), answers, strict=False))
    return Operation(handler=handler, auth="none", tolerant=True, answers=given, **more)


def _asked(handler: Handler, answer: Any) -> Operation:
    """A key opens more of it."""
    return Operation(handler=handler, auth="optional", teamless=True, tolerant=True, answers={200: answer})


def _publishes(
    handler: Handler, body: Any, answer: Any, query: frozenset[str] = frozenset(), **more: Any
) -> Operation:
    return Operation(
        handler=handler,
        scopes=("events:write",),
        body=body,
        tolerant=True,
        query=_FLAGS | query,
        publishes=True,
        answers={201: answer},
        refuses=(404, 409),
        **more,
    )


def _reads(handler: Handler, scope: str, query: frozenset[str] = frozenset(), **more: Any) -> Operation:
    return Operation(handler=handler, scopes=(scope,), query=query, **more)


def _writes(handler: Handler, scope: str, **more: Any) -> Operation:
    return Operation(handler=handler, scopes=(scope,), **more)


def _orders(handler: Handler, answer: Any) -> Operation:
    return _writes(
        handler,
        "jobs:write",
        body=job_orders.WHY,
        needs_body=False,
        tolerant=True,
        answers={200: answer},
        refuses=(409,),
    )


def _bulk(handler: Handler, body: Any) -> Operation:
    return _writes(handler, "jobs:write", body=body, answers={200: job_orders.BulkReply}, refuses=(404,))


def _jobs(handler: Handler, query: frozenset[str]) -> Operation:
    """Lists as older clients know them: bounds are clamped, and what is no number is not there."""
    return _reads(handler, "jobs:read", query, tolerant=True, answers={200: JobPage})


def _speaks_mcp(handler: Handler, answers: Mapping[int, Any], **more: Any) -> Operation:
    """The layers leave `Accept` and the body to it."""
    return _reads(handler, "memories:read", answers=answers, raw=True, tolerant=True, **more)


ROUTES: Mapping[str, Mapping[str, Operation]] = {
    "/v1/events": {
        "POST": _publishes(
            publish.one,
            wire.ONE,
            (Published, PublishedBatch),
            frozenset({"projectId"}),
            other_bodies=modes.reader,
            other_shapes=modes.SHAPES,
        ),
        "GET": _reads(events.listed, "events:read", events.LIST_QUERY, answers={200: EventPage}),
    },
    "/v1/events/batch": {"POST": _publishes(publish.batch, wire.EACH, PublishedBatch, shape=wire.MANY.type)},
    "/v1/events/{id}": {
        "GET": _reads(events.one, "events:read", tolerant=True, answers={200: EventReply}),
        "DELETE": memory_routes.EXPUNGE,
    },
    "/v1/events/{id}/timeline": {"GET": _reads(events.timeline, "events:read", answers={200: Timeline})},
    **session_routes.ROUTES,
    **memory_routes.ROUTES,
    "/v1/jobs": {"GET": _jobs(jobs.listed, jobs.LIST_QUERY), "POST": queue_routes.MAKE_JOB},
    **queue_routes.ROUTES,
    "/v1/jobs/retry": {"POST": _bulk(job_orders.retry_many, job_orders.RETRY_MANY)},
    "/v1/jobs/cancel": {"POST": _bulk(job_orders.cancel_many, job_orders.CANCEL_MANY)},
    "/v1/jobs/{id}": {
        "GET": _reads(
            jobs.one, "jobs:read", frozenset({"waitSeconds"}), tolerant=True, answers={200: JobReply}
        )
    },
    "/v1/jobs/{id}/attempts": {"GET": _reads(jobs.attempts, "jobs:read", _PAGE, answers={200: AttemptPage})},
    "/v1/jobs/{id}/why": {"GET": _reads(jobs.why, "jobs:read", answers={200: jobs.Reasons})},
    "/v1/jobs/{id}/retry": {"POST": _orders(job_orders.retry, JobRetried)},
    "/v1/jobs/{id}/cancel": {"POST": _orders(job_orders.cancel, JobCancelled)},
    "/v1/teams/{id}/jobs": {"GET": _jobs(jobs.of_team, jobs.TENANT_QUERY)},
    "/v1/projects/{id}/jobs": {"GET": _jobs(jobs.of_project, jobs.TENANT_QUERY)},
    "/v1/endpoints": {
        "POST": _writes(
            endpoints.make,
            "endpoints:write",
            body=endpoint_wire.BODY,
            answers={201: EndpointSaid},
            refuses=(404, 409),
        ),
        "GET": _reads(endpoints.listed, "endpoints:read", endpoints.LIST_QUERY, answers={200: EndpointPage}),
    },
    "/v1/endpoints/{id}": {
        "GET": _reads(endpoints.one, "endpoints:read", answers={200: EndpointReply}),
        "PATCH": _writes(
            endpoints.change,
            "endpoints:write",
            body=endpoint_wire.BODY,
            answers={200: EndpointSaid},
            refuses=(409, 412),
        ),
        "DELETE": _writes(endpoints.remove, "endpoints:write", answers={204: None}),
    },
    "/v1/endpoints/{id}/secret": {
        "GET": _writes(endpoint_keys.shown, "endpoints:write", answers={200: EndpointSecrets})
    },
    "/v1/endpoints/{id}/secret/rotate": {
        "POST": _writes(
            endpoint_keys.rotate,
            "endpoints:write",
            body=endpoint_keys.ROTATE,
            needs_body=False,
            answers={200: SecretRotated},
            refuses=(409,),
        )
    },
    **interaction_routes.ROUTES,
    **pull_routes.ROUTES,
    **endpoint_routes.ROUTES,
    **schedule_routes.ROUTES,
    **tenant_routes.ROUTES,
    **stream_routes.ROUTES,
    "/v1/mcp": {
        "POST": _speaks_mcp(
            mcp.post,
            {200: "text/event-stream", 202: None, 400: Refusal, 406: Refusal},
            body=mcp.BODY,
            shape=mcp.SHAPE,
            needs_body=False,
        ),
        "GET": _speaks_mcp(mcp.get, {200: "text/event-stream", 400: Refusal, 406: Refusal}),
    },
    "/v1/me": {"GET": Operation(handler=ops.me, teamless=True, answers={200: health.Me})},
    "/v1/info": {"GET": _asked(info.info, health.Info)},
    "/livez": {"GET": _open(ops.livez, health.Alive)},
    "/readyz": {"GET": _open(ops.readyz, health.Readiness, health.Readiness)},
    "/healthz": {"GET": _open(ops.healthz, health.Healthy)},
    "/metrics": {"GET": _asked(ops.metrics, "text/plain")},
    "/openapi.json": {
        "GET": Operation(
            handler=openapi.show, auth="none", tolerant=True, answers={200: dict[str, Any], 304: None}
        )
    },
    "/api/health": {"GET": _open(ops.api_health, health.Health, health.Health)},
    "/api/readiness": {"GET": _open(ops.api_readiness, health.Ready, health.Starting)},
    "/api/version": {"GET": _open(ops.version, health.Version)},
    "/": {"GET": _open(ops.front, "text/html")},
}
