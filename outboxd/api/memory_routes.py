"""Routes of memories: writing, reading, searching and deleting them."""

from collections.abc import Mapping

from outboxd.api import deletion, memories, memory_wire, search
from outboxd.api.exchange import Operation
from outboxd.model.observations import (
    ContextReply,
    EventMemories,
    Expunged,
    Forgotten,
    MemoryDeleted,
    MemoryInFullReply,
    MemoryPage,
    MemoryReply,
    Purged,
    SearchReply,
)

_READ = ("memories:read",)
_WRITE = ("memories:write",)

ROUTES: Mapping[str, Mapping[str, Operation]] = {
    "/v1/memories": {
        "POST": Operation(
            handler=memories.write,
            scopes=memories.WRITERS,
            body=memory_wire.MEMORY,
            tolerant=True,
            answers={200: MemoryReply, 201: MemoryReply},
            refuses=(404, 409),
        ),
        "GET": Operation(
            handler=memories.listed,
            scopes=_READ,
            query=memories.LIST_QUERY,
            answers={200: MemoryPage},
            refuses=(404,),
        ),
    },
    "/v1/memories/forget": {
        "POST": Operation(
            handler=deletion.forget,
            scopes=_WRITE,
            body=memory_wire.FORGET,
            answers={200: Forgotten},
            refuses=(404, 409),
        )
    },
    "/v1/memories/{id}": {
        "GET": Operation(
            handler=memories.one, scopes=_READ, answers={200: MemoryInFullReply}, refuses=(404,)
        ),
        "PATCH": Operation(
            handler=memories.change,
            scopes=_WRITE,
            body=memory_wire.PATCH,
            answers={200: MemoryReply},
            refuses=(404, 409, 412),
        ),
        "DELETE": Operation(
            handler=deletion.memory,
            scopes=_WRITE,
            query=frozenset({"expungeSource"}),
            tolerant=True,
            answers={200: MemoryDeleted},
            refuses=(404, 409),
        ),
    },
    "/v1/projects/{id}/memory": {
        "DELETE": Operation(
            handler=deletion.project,
            scopes=_WRITE,
            query=frozenset({"dryRun"}),
            tolerant=True,
            answers={200: Purged, 202: Purged},
            refuses=(404, 409),
        )
    },
    "/v1/search": {
        "POST": Operation(
            handler=search.search,
            scopes=_READ,
            body=memory_wire.SEARCH,
            tolerant=True,
            answers={200: SearchReply},
            refuses=(404,),
        )
    },
    "/v1/context": {
        "POST": Operation(
            handler=search.context,
            scopes=_READ,
            body=memory_wire.CONTEXT,
            tolerant=True,
            answers={200: ContextReply},
            refuses=(404,),
        )
    },
    "/v1/events/{id}/observations": {
        "GET": Operation(
            handler=memories.of_event,
            scopes=_READ,
            query=frozenset({"limit", "cursor"}),
            tolerant=True,
            answers={200: EventMemories},
            refuses=(404,),
        )
    },
}

EXPUNGE = Operation(
    handler=deletion.event,
    scopes=_WRITE,
    query=frozenset({"observations"}),
    answers={200: Expunged},
    refuses=(404, 409),
)
"""DELETE /v1/events/{id}, whose other methods are told where events are."""
