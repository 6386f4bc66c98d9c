"""Routes of sessions, and those by which clients of an older server post what an agent does."""

from collections.abc import Mapping

from outboxd.api import compat, sessions
from outboxd.api.exchange import Operation
from outboxd.model.compat import Queued, Summarizing
from outboxd.model.sessions import SessionEnded, SessionPage, SessionReply

_EITHER = ("memories:read", "sessions:write")

ROUTES: Mapping[str, Mapping[str, Operation]] = {
    "/v1/sessions/start": {
        "POST": Operation(
            handler=sessions.start,
            scopes=("sessions:write",),
            body=sessions.START,
            tolerant=True,
            answers={200: SessionReply, 201: SessionReply},
            refuses=(404, 409),
        )
    },
    "/v1/sessions/{id}/end": {
        "POST": Operation(
            handler=sessions.end,
            scopes=("sessions:write",),
            tolerant=True,
            answers={200: SessionEnded},
            refuses=(404, 409),
        )
    },
    "/v1/sessions/{id}": {
        "GET": Operation(
            handler=sessions.one, scopes=_EITHER, tolerant=True, answers={200: SessionReply}, refuses=(404,)
        )
    },
    "/v1/sessions": {
        "GET": Operation(
            handler=sessions.listed,
            scopes=_EITHER,
            query=sessions.LIST_QUERY,
            answers={200: SessionPage},
            refuses=(404,),
        )
    },
    "/api/sessions/observations": {
        "POST": Operation(
            handler=compat.observation,
            scopes=("events:write",),
            body=compat.TOOL_USED,
            tolerant=True,
            publishes=True,
            legacy={"stored": False, "reason": "internal_error"},
            answers={200: Queued},
            refuses=(409,),
        )
    },
    "/api/sessions/summarize": {
        "POST": Operation(
            handler=compat.summarize,
            scopes=("sessions:write",),
            body=compat.TURN_ENDED,
            tolerant=True,
            publishes=True,
            legacy={"status": "error", "reason": "internal_error"},
            answers={200: Summarizing, 404: Summarizing},
            refuses=(409,),
        )
    },
}
