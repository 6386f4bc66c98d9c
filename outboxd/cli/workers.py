"""`outboxd workers`"""

from typing import TYPE_CHECKING

from outboxd.cli.parser import Args, Nouns, listed
from outboxd.cli.reply import Rows

if TYPE_CHECKING:
    from outboxd.db.pool import Database

COLUMNS = ("workerId", "name", "host", "pid", "kind", "state", "beatAge", "running", "slots", "handlers")


def add(nouns: Nouns) -> None:
    noun = nouns.noun("workers", "who claims jobs")
    listed(noun.verb("list", "who is alive, where, and doing what", every))


async def every(args: Args, db: "Database") -> Rows:
    from outboxd.store import views

    async with db.connection() as conn:
        found = await views.rows(conn, "live_workers", order="state, started_at", limit=args.limit)
    return Rows(name="workers", columns=COLUMNS, rows=found)
