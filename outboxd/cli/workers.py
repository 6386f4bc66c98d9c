"""`outboxd workers`"""

from typing import TYPE_CHECKING

from outboxd.cli.parser import Args, Nouns, listed
from outboxd.cli.reply import Rows

if TYPE_CHECKING:
    from outboxd.db.pool import Database

COLUMNS = ("id", "name", "host", "pid", "kind", "state", "beatAge", "running", "slots", "handlers")


def add(nouns: Nouns) -> None:
    noun = nouns.noun("workers", "who claims jobs")
    listed(noun.verb("list", "who is alive, where, and doing what", every))


async def every(args: Args, db: "Database") -> Rows:
    from outboxd.store import views

    async with db.connection() as conn:
        found = await views.rows(conn, "live_workers", order="state, started_at", limit=args.limit)
    # By the names that the API has.
    return Rows(
        name="workers", columns=COLUMNS, rows=[{"id": each.pop("workerId"), **each} for each in found]
    )
