"""`outboxd drill`"""

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from outboxd.cli.parser import Args, Nouns, between

if TYPE_CHECKING:
    from outboxd.bench.drill.judge import Verdict
    from outboxd.config import Config

_TEXT = (
    "kill, freeze, cut off and fail over its own processes, backends and servers under load, in a private "
    "cluster with a standby, or with --server in a database of its own, and count what was lost"
)


def add(nouns: Nouns) -> None:
    drill = nouns.process("drill", _TEXT, run, forms=False)
    drill.add_argument("--server", action="store_true", help="on the server of OUTBOXD_DATABASE_URL")
    drill.add_argument(
        "--i-own-this-server", action="store_true", help="needed for a host that is not loopback"
    )
    drill.add_argument("--seconds", type=between(1, 86_400), default=60, metavar="N", help="of faults (60)")
    drill.add_argument(
        "--faults",
        metavar="A,B",
        help="processes backends server failover network hints clocks neighbours poison, or a part (all)",
    )
    drill.add_argument("--seed", type=between(0, 2**31), metavar="N", help="repeats a drill (random)")
    drill.add_argument(
        "--async", dest="lossy", action="store_true", help="nobody waits for the standby: losses are counted"
    )
    drill.add_argument(
        "--json", dest="file", type=Path, metavar="FILE", help="write the verdict as JSON there, too"
    )
    drill.add_argument(
        "--soak",
        action="store_true",
        help="no faults: nothing may grow, and the end be as quick as the start",
    )
    drill.add_argument(
        "--rate", type=between(1, 100_000), default=500, metavar="N", help="events a second of a soak (500)"
    )
    drill.add_argument("--keep", action="store_true", help="leave cluster or database, and ledger; say where")


def run(args: Args, config: "Config") -> int:
    """0: everything held. 1: a promise was broken; the first line says which, with the seed."""
    import msgspec

    from outboxd.bench.drill.judge import Verdict
    from outboxd.bench.drill.run import Plan, drill
    from outboxd.bench.drill.soak import soak

    seed = random.SystemRandom().randrange(2**31) if args.seed is None else args.seed
    plan = Plan(
        seconds=args.seconds,
        seed=seed,
        faults=_faults(args.faults),
        server=_server(args, config) if args.server else None,
        lossy=args.lossy,
        keep=args.keep,
    )

    def tell(line: str) -> None:
        _say(line, sys.stderr)

    done = soak(plan, args.rate, tell) if args.soak else drill(plan, tell)
    if args.file is not None:
        args.file.write_bytes(msgspec.json.format(msgspec.json.encode(done)))
    return _told(args, done if isinstance(done, Verdict) else done.verdict)


def _told(args: Args, found: "Verdict") -> int:
    lost = f", {len(found.lost)} acknowledged events gone with their server" if args.lossy else ""
    if not found.broken:
        _say(f"held: nothing lost, nothing twice, nothing stuck (seed {found.seed}){lost}", sys.stdout)
        return 0
    _say("\n".join((f"broken: {found.broken[0]} (seed {found.seed})", *found.broken[1:20])), sys.stdout)
    words = ["outboxd drill", f"--seconds {args.seconds}", f"--seed {found.seed}"]
    words += [f"--faults {args.faults}"] if args.faults else []
    words += [flag for flag, given in _flags(args) if given]
    _say(f"repeat it: {' '.join(words)}", sys.stdout)
    return 1


def _flags(args: Args) -> list[tuple[str, bool]]:
    return [
        (f"--soak --rate {args.rate}", args.soak),
        ("--async", args.lossy),
        ("--server", args.server),
    ]


def _faults(given: str | None) -> frozenset[str]:
    from outboxd.bench.drill.run import NAMES
    from outboxd.errors import ConfigError

    chosen = frozenset((given or "").split(",")) - {""}
    if unknown := chosen - set(NAMES):
        known = ", ".join(NAMES)
        raise ConfigError([f"--faults {', '.join(sorted(unknown))}: unknown; there are {known}"])
    return chosen


def _server(args: Args, config: "Config") -> str:
    from outboxd.bench import place
    from outboxd.errors import ConfigError

    if config.database_url is None:
        raise ConfigError(["--server needs OUTBOXD_DATABASE_URL"])
    dsn = config.database_url.reveal()
    place.check_server(dsn, own=args.i_own_this_server)
    place.reachable(dsn)
    place.check_durable(dsn)
    return dsn


def _say(line: str, to: TextIO) -> None:
    to.write(line + "\n")
    to.flush()
