"""Every page: its path, and what reading it or posting to it runs. Order and choice are data."""

from collections.abc import Mapping

from outboxd.api.console import (
    audit,
    dead,
    endpoints,
    events,
    interactions,
    jobs,
    memory,
    overview,
    queues,
    schedules,
    streams,
)
from outboxd.api.console.live import Regions
from outboxd.api.console.visit import Page

LIVE: Mapping[str, Regions] = {"overview": overview.regions, "queues": overview.table}
"""What comes by `/console/live?page=`."""

PAGES: Mapping[str, Mapping[str, Page]] = {
    "/console": {"GET": overview.show},
    "/console/queues": {"GET": queues.listed},
    "/console/queues/{name}": {"GET": queues.one},
    "/console/queues/{name}/pause": {"POST": queues.pause},
    "/console/queues/{name}/resume": {"POST": queues.resume},
    "/console/queues/{name}/limits": {"POST": queues.limits},
    "/console/queues/{name}/weigh": {"POST": queues.weigh},
    "/console/dead": {"GET": dead.show},
    "/console/dead/look": {"POST": dead.look},
    "/console/dead/act": {"POST": dead.act},
    "/console/jobs": {"GET": jobs.listed},
    "/console/jobs/{id}": {"GET": jobs.one},
    "/console/jobs/{id}/payload": {"POST": jobs.payload},
    "/console/jobs/{id}/retry": {"POST": jobs.retry},
    "/console/jobs/{id}/cancel": {"POST": jobs.cancel},
    "/console/jobs/{id}/snooze": {"POST": jobs.snooze},
    "/console/events": {"GET": events.listed},
    "/console/events/{id}": {"GET": events.one},
    "/console/events/{id}/payload": {"POST": events.payload},
    "/console/streams": {"GET": streams.show},
    "/console/endpoints": {"GET": endpoints.listed},
    "/console/endpoints/{id}": {"GET": endpoints.one},
    "/console/endpoints/{id}/enable": {"POST": endpoints.enable},
    "/console/endpoints/{id}/disable": {"POST": endpoints.disable},
    "/console/endpoints/{id}/test": {"POST": endpoints.test},
    "/console/endpoints/{id}/recover": {"POST": endpoints.recover},
    "/console/schedules": {"GET": schedules.show},
    "/console/interactions": {"GET": interactions.listed},
    "/console/interactions/{id}/answer": {"POST": interactions.answer},
    "/console/interactions/{id}/withdraw": {"POST": interactions.withdraw},
    "/console/memory": {"GET": memory.show},
    "/console/audit": {"GET": audit.show},
    "/console/login": {},
    "/console/logout": {},
    "/console/live": {},
}
"""The last three are the door's own."""
