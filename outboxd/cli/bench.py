"""`outboxd bench`"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from outboxd.cli.parser import Args, Nouns, between
from outboxd.cli.reply import Text

if TYPE_CHECKING:
    from outboxd.config import Config

_TEXT = (
    "measure this engine, its peers and the raw limit side by side, in a private cluster, or with --server "
    "in databases of its own on the configured server, dropped at the end"
)


def add(nouns: Nouns) -> None:
    bench = nouns.command("bench", _TEXT, run, needs="config", forms=False)
    bench.add_argument(
        "--json", dest="file", type=Path, metavar="FILE", help="write the report as JSON there, too"
    )
    bench.add_argument("--server", action="store_true", help="on the server of OUTBOXD_DATABASE_URL")
    bench.add_argument(
        "--i-own-this-server", action="store_true", help="needed for a host that is not loopback"
    )
    bench.add_argument("--quick", action="store_true", help="less of everything, 3 rounds")
    bench.add_argument("--rounds", type=between(1, 99), metavar="N", help="of each measure (5)")
    bench.add_argument("--seconds", type=between(1, 3600), metavar="N", help="of each timed window (20)")
    bench.add_argument(
        "--clients", type=between(1, 1000), metavar="N", help="connections of the HTTP load (64)"
    )
    bench.add_argument("--batch", type=between(1, 500), metavar="N", help="events of a batch over HTTP (100)")
    bench.add_argument("--door", choices=("http", "sql", "all"), default="all", help="of the ingest measures")
    bench.add_argument("--only", metavar="A,B", help="measures by name, or by the first words of it")
    bench.add_argument(
        "--peers", choices=("none", "python", "all"), default="python", help="which others are measured"
    )
    bench.add_argument("--check", action="store_true", help="exit 1 when a budget is missed")
    bench.add_argument("--keep", action="store_true", help="leave the databases, and say where they are")


async def run(args: Args, config: "Config") -> Text:
    from outboxd.bench import command

    asked = command.Asked(
        server=config.database_url.reveal() if args.server and config.database_url else None,
        on_server=args.server,
        own=args.i_own_this_server,
        quick=args.quick,
        rounds=args.rounds,
        seconds=args.seconds,
        clients=args.clients,
        batch=args.batch,
        door=args.door,
        only=tuple(name.strip() for name in (args.only or "").split(",") if name.strip()),
        peers=args.peers != "none",
        keep=args.keep,
    )
    done = await command.run(asked, lambda line: print(line, file=sys.stderr, flush=True))  # noqa: T201 - progress
    if args.file is not None:
        args.file.write_bytes(done.document)
    missed = args.check and done.missed
    first = f"missed: {', '.join(done.missed)}\n\n" if missed else ""
    return Text(text=first + done.table, document=None, exit=1 if missed else 0)
