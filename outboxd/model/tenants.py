"""Who asks, and whose things they are."""

from uuid import UUID

import msgspec
from msgspec import Raw

from outboxd.model.times import Epoch


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks; the first argument of every verb that a person or key can use."""

    team_id: UUID | None = None
    """None: an operator, bound to no team."""
    project_ids: tuple[UUID, ...] | None = None
    """None: every project of the team."""
    everywhere: bool = False
    """Every team. Only the command line and the console may say so."""
    key_id: UUID | None = None
    actor: str
    """`key:<id>`, `cli:<login>`, `sql:<login>`, …"""
    request_id: str | None = None
    scopes: tuple[str, ...] = ()
    """As stored with the key, not yet widened by what they imply."""


class Team(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: UUID
    name: str
    metadata: Raw
    budgets: Raw
    created_at_epoch: Epoch
    updated_at_epoch: Epoch
    revision: int


class TeamReply(msgspec.Struct, frozen=True, kw_only=True):
    team: Team


class TeamPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    teams: list[Team]
    next_cursor: str | None


class Project(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: UUID
    team_id: UUID
    name: str
    metadata: Raw
    archived: bool
    settings: Raw
    created_at_epoch: Epoch
    updated_at_epoch: Epoch
    revision: int


class ProjectReply(msgspec.Struct, frozen=True, kw_only=True):
    project: Project


class ProjectPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    projects: list[Project]
    next_cursor: str | None


class Key(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Never the secret, nor its hash."""

    id: UUID
    name: str | None
    prefix: str
    scopes: tuple[str, ...]
    team_id: UUID | None
    project_id: UUID | None
    actor_id: str
    created_by_key_id: UUID | None
    created_at_epoch: Epoch
    expires_at_epoch: Epoch | None
    revoked_at_epoch: Epoch | None
    last_used_at_epoch: Epoch | None
