"""Routes of schedules."""

from collections.abc import Mapping

from outboxd.api import schedule_wire, schedules
from outboxd.api.exchange import Operation
from outboxd.model.schedules import SchedulePage, ScheduleReply, ScheduleRun

_WRITE = (schedules.WRITE,)
_READ = (schedules.READ,)

ROUTES: Mapping[str, Mapping[str, Operation]] = {
    "/v1/schedules": {
        "POST": Operation(
            handler=schedules.make,
            scopes=_WRITE,
            body=schedule_wire.BODY,
            answers={201: ScheduleReply},
            refuses=(404, 409),
        ),
        "GET": Operation(
            handler=schedules.listed,
            scopes=_READ,
            query=schedules.LIST_QUERY,
            answers={200: SchedulePage},
            refuses=(404,),
        ),
    },
    "/v1/schedules/{id}": {
        "GET": Operation(handler=schedules.one, scopes=_READ, answers={200: ScheduleReply}),
        "PATCH": Operation(
            handler=schedules.change,
            scopes=_WRITE,
            body=schedule_wire.BODY,
            answers={200: ScheduleReply},
            refuses=(409, 412),
        ),
        "DELETE": Operation(handler=schedules.remove, scopes=_WRITE, answers={204: None}, refuses=(412,)),
    },
    "/v1/schedules/{id}/run": {
        "POST": Operation(handler=schedules.run, scopes=_WRITE, answers={202: ScheduleRun}, refuses=(409,))
    },
}
