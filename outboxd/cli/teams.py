"""`outboxd teams`"""

from typing import TYPE_CHECKING

from outboxd.cli import changes, tenancy
from outboxd.cli.parser import Args, Nouns, listed, pair
from outboxd.cli.reply import Record, Rows

if TYPE_CHECKING:
    from outboxd.db.pool import Database

COLUMNS = ("id", "name", "createdAtEpoch")
SETTINGS: dict[str, changes.Kind] = {
    "name": str,
    "metadata": dict,
    "budgets.tokensPerMonth": int,
    "budgets.costMicrosPerMonth": int,
    "budgets.callsPerHour": int,
    "budgets.requestsPerMonth": int,
}
"""An empty value takes the budget away."""


def add(nouns: Nouns) -> None:
    noun = nouns.noun("teams", "who owns projects")
    listed(noun.verb("list", "all teams, by name", every))
    noun.verb("create", "a team", create).add_argument("name", help="1 to 120 characters")
    noun.verb("show", "one team", show).add_argument("team", metavar="ID|NAME", help="which")
    parser = noun.verb("set", "change what a team is called, its metadata, or its budgets", change)
    parser.add_argument("team", metavar="ID|NAME", help="which")
    parser.add_argument("settings", metavar="KEY=VALUE", type=pair, nargs="+", help=", ".join(SETTINGS))


async def every(args: Args, db: "Database") -> Rows:
    from outboxd.store import tenants

    async with db.connection() as conn:
        found = await tenants.teams(conn, await tenancy.caller(conn), limit=args.limit)
    return Rows(name="teams", columns=COLUMNS, rows=found)


async def create(args: Args, db: "Database") -> Record:
    from outboxd.store import tenants

    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        made = await tenants.make_team(conn, who, args.name)
        return Record(fields=await tenants.team(conn, who, str(made)))


async def show(args: Args, db: "Database") -> Record:
    async with db.connection() as conn:
        return Record(fields=await tenancy.team(conn, await tenancy.caller(conn), args.team))


async def change(args: Args, db: "Database") -> Record:
    from outboxd.store import tenants

    wanted = changes.document(args.settings, SETTINGS)
    async with db.transaction() as conn:
        who = await tenancy.caller(conn)
        team = await tenancy.team(conn, who, args.team)
        return Record(fields=await tenants.change_team(conn, who, team.id, wanted))
