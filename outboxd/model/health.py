"""What a process says of itself: probes, and what clients of older servers ask before they begin."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from outboxd.model.tenants import Key

Check = Annotated[str, Meta(extra_json_schema={"enum": ["ok", "degraded", "failed"]})]
Runtime = Literal["server-beta"]
"""As clients of older servers expect it."""


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["ok"] = "ok"


class Healthy(Alive, frozen=True, kw_only=True):
    runtime: Runtime = "server-beta"


State = Literal["ready", "degraded", "unready"]


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    status: State
    checks: dict[str, Check]
    """By name: no hosts, no errors."""


class Ready(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    status: Literal["ready"] = "ready"
    mcp_ready: Literal[True] = True


class Starting(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["initializing"] = "initializing"
    message: str


class Ai(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    provider: Literal["enabled", "disabled"]
    auth_method: Literal["api-key"] = "api-key"
    last_interaction: None = None


class Dependencies(msgspec.Struct, frozen=True, kw_only=True):
    degraded: bool
    statuses: dict[str, Check]


class QueueEngine(msgspec.Struct, frozen=True, kw_only=True):
    engine: Literal["postgres"] = "postgres"


class Health(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The shape that older clients read. No pid, platform or host."""

    status: Literal["ok", "degraded", "error"]
    runtime: Runtime = "server-beta"
    version: str
    initialized: bool
    mcp_ready: bool
    uptime: float
    """Seconds."""
    worker_path: Literal[""] = ""
    managed: Literal[False] = False
    has_ipc: Literal[False] = False
    ai: Ai
    dependencies: Dependencies
    queue: QueueEngine = QueueEngine()


class Version(msgspec.Struct, frozen=True, kw_only=True):
    version: str


class Manager(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["active", "disabled", "errored"]
    reason: str | None


class Boundaries(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    queue_manager: Manager
    generation_worker_manager: Manager


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """What a team has in one queue, in the words of older servers."""

    kind: str
    name: str
    waiting: int
    active: int
    completed: int
    failed: int
    delayed: int
    stalled: int
    unavailable: bool


class Postgres(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    initialized: bool
    schema_version: int | None
    """Of the last migration; null while the database cannot be asked."""


class Info(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Never host, port, worker id, provider or model."""

    name: Literal["outboxd"] = "outboxd"
    runtime: Runtime = "server-beta"
    version: str
    auth_mode: Literal["api-key"] = "api-key"
    postgres: Postgres
    boundaries: Boundaries
    queue_lanes: list[Lane]


class Named(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str | None


class Me(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    key: Key
    effective_scopes: list[str]
    team: Named | None
    project: Named | None
