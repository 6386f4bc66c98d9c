"""`outboxd providers`"""

from typing import TYPE_CHECKING

from outboxd.cli import tenancy
from outboxd.cli.parser import Args, Nouns, listed
from outboxd.cli.reply import Record, Rows

if TYPE_CHECKING:
    from outboxd.db.pool import Database

COLUMNS = (
    "provider", "heldUntilEpoch", "class", "failures", "lastOkAtEpoch", "callsToday", "failed1h",
    "tokensToday", "costMicrosToday",
)  # fmt: skip


def add(nouns: Nouns) -> None:
    noun = nouns.noun("providers", "who is asked for observations")
    listed(noun.verb("list", "which are left alone, since when and why, and what they cost today", every))
    parser = noun.verb("resume", "its hold ends, and what waits for it is due now", resume)
    parser.add_argument("provider", metavar="NAME", help="its name")


async def every(args: Args, db: "Database") -> Rows:
    from outboxd.store import views

    async with db.connection() as conn:
        found = await views.rows(conn, "provider_health", order="held_until desc, provider", limit=args.limit)
    return Rows(name="providers", columns=COLUMNS, rows=found)


async def resume(args: Args, db: "Database") -> Record:
    from outboxd.store import holds

    async with db.transaction() as conn:
        was = await holds.resume(conn, await tenancy.caller(conn), args.provider)
    return Record(fields={"provider": args.provider, "held": False, "wasHeld": was})
