"""What projects are called, for everybody who would otherwise read ids."""

from uuid import UUID

import msgspec

from outboxd.db.link import Link
from outboxd.model import Caller
from outboxd.store import tenants

_MOST = 500


class Named(msgspec.Struct, frozen=True):
    project: str
    team: str
    team_id: UUID


class Names(dict[UUID, Named]):
    """By project; those beyond 500 stay ids."""

    several = False
    """Are there several teams?"""


async def names(conn: Link, caller: Caller) -> Names:
    teams = {each.id: each.name for each in await tenants.teams(conn, caller, limit=_MOST)}
    found = Names()
    for each in await tenants.projects(conn, caller, limit=_MOST):
        found[each.id] = Named(each.name, teams.get(each.team_id, ""), each.team_id)
    found.several = len({each.team_id for each in found.values()}) > 1
    return found
