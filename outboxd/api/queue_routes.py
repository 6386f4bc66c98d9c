"""The routes about where jobs come from and wait: routes, queues, workers, and jobs without an event."""

from collections.abc import Mapping

from outboxd.api import direct_jobs, job_orders, queues, routing, workers
from outboxd.api.exchange import Operation
from outboxd.model.jobs import JobReply
from outboxd.model.queues import QueuePage, QueueReply, WorkerPage

MAKE_JOB = Operation(
    handler=direct_jobs.make,
    scopes=("jobs:write",),
    body=direct_jobs.BODY,
    answers={201: direct_jobs.JobMade},
    refuses=(404, 409),
)

ROUTES: Mapping[str, Mapping[str, Operation]] = {
    "/v1/jobs/{id}/snooze": {
        "POST": Operation(
            handler=job_orders.snooze,
            scopes=("jobs:write",),
            body=job_orders.SNOOZE,
            answers={200: JobReply},
            refuses=(409,),
        )
    },
    "/v1/jobs/purge": {
        "POST": Operation(
            handler=job_orders.purge_many,
            scopes=("admin",),
            body=job_orders.CANCEL_MANY,
            answers={200: job_orders.BulkReply},
            refuses=(404,),
        )
    },
    "/v1/queues": {
        "GET": Operation(
            handler=queues.listed,
            scopes=("jobs:read",),
            teamless=True,
            query=queues.LIST_QUERY,
            answers={200: QueuePage},
        )
    },
    "/v1/queues/{queue}": {
        "GET": Operation(handler=queues.one, scopes=("jobs:read",), teamless=True, answers={200: QueueReply}),
        "PATCH": Operation(
            handler=queues.change,
            scopes=("admin",),
            teamless=True,
            body=queues.PATCH,
            answers={200: QueueReply},
        ),
    },
    "/v1/routes": {
        "POST": Operation(
            handler=routing.make,
            scopes=("endpoints:write",),
            teamless=True,
            body=routing.BODY,
            answers={201: routing.RouteReply},
            refuses=(404, 409),
        ),
        "GET": Operation(
            handler=routing.listed,
            scopes=("endpoints:read",),
            teamless=True,
            query=routing.LIST_QUERY,
            answers={200: routing.RoutePage},
        ),
    },
    "/v1/routes/match": {
        "GET": Operation(
            handler=routing.match,
            scopes=("endpoints:read",),
            query=routing.MATCH_QUERY,
            answers={200: routing.Matches},
        )
    },
    "/v1/routes/{id}": {
        "PATCH": Operation(
            handler=routing.change,
            scopes=("endpoints:write",),
            teamless=True,
            body=routing.CHANGES,
            answers={200: routing.RouteReply},
        ),
        "DELETE": Operation(
            handler=routing.remove, scopes=("endpoints:write",), teamless=True, answers={204: None}
        ),
    },
    "/v1/workers": {
        "GET": Operation(
            handler=workers.listed,
            scopes=("jobs:read",),
            teamless=True,
            query=workers.LIST_QUERY,
            answers={200: WorkerPage},
        )
    },
}
