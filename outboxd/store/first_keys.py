"""The first team, project and keys of an empty database."""

from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from outboxd.model import Caller, Key
from outboxd.store import keys, tenants

Conn = AsyncConnection[dict[str, Any]]

NAME = "default"

# Two that start at once must not both find the table empty; readers are not disturbed.
_ALONE = b"lock table outbox.keys in share row exclusive mode"
_ANY = b"""
select exists (select from outbox.keys
  where revoked_at is null and (expires_at is null or expires_at > outbox.clock())) as any
"""


class FirstKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Both secrets are told here and nowhere else."""

    team_id: UUID
    project_id: UUID
    project_key: Key
    project_secret: str
    operator_key: Key
    operator_secret: str


async def make(conn: Conn, caller: Caller) -> FirstKeys | None:
    """A key of the project default/default and an operator's, both `admin`; None when live keys exist.

    Within the caller's transaction, at whose end others may look.
    """
    await conn.execute(_ALONE)
    found = await (await conn.execute(_ANY)).fetchone()
    if found is None or found["any"]:
        return None
    team, project = await default_project(conn, caller)
    project_key, project_secret = await keys.mint(
        conn, caller, team=team, project=project, scopes=["admin"], name="first"
    )
    operator_key, operator_secret = await keys.mint(
        conn, caller, team=None, project=None, scopes=["admin"], name="operator"
    )
    return FirstKeys(
        team_id=team,
        project_id=project,
        project_key=project_key,
        project_secret=project_secret,
        operator_key=operator_key,
        operator_secret=operator_secret,
    )


async def default_project(conn: Conn, caller: Caller) -> tuple[UUID, UUID]:
    """Team and project `default`, made if missing."""
    teams = await tenants.teams(conn, caller, NAME, 1)
    team = teams[0].id if teams else await tenants.make_team(conn, caller, NAME)
    projects = await tenants.projects(conn, caller, team=team, named=NAME, limit=1)
    project = projects[0].id if projects else await tenants.make_project(conn, caller, team, NAME)
    return team, project
