"""`outboxd drill`"""

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from outboxd.cli.parser import Args, Nouns, between

if TYPE_CHECKING:
    from outboxd.config import Config

_TEXT = (
    "kill, freeze and cut off its own processes, backends and server under load, in a private cluster, and "
    "count what was lost"
)


def add(nouns: Nouns) -> None:
    drill = nouns.process("drill", _TEXT, run)
    drill.add_argument("--seconds", type=between(1, 86_400), default=60, metavar="N", help="of faults (60)")
    drill.add_argument("--faults", metavar="A,B", help="kill freeze term restart backends deaf mute … (all)")
    drill.add_argument("--seed", type=between(0, 2**31), metavar="N", help="repeats a drill (random)")
    drill.add_argument("--report", type=Path, metavar="FILE", help="write the verdict as JSON there, too")
    drill.add_argument("--keep", action="store_true", help="leave the cluster and the ledger, and say where")


def run(args: Args, config: "Config") -> int:
    """0: everything held. 1: a promise was broken; the first line says which, with the seed."""
    import msgspec

    from outboxd.bench.drill.run import NAMES, Plan, drill
    from outboxd.errors import ConfigError

    chosen = frozenset((args.faults or "").split(",")) - {""}
    if unknown := chosen - set(NAMES):
        known = ", ".join(NAMES)
        raise ConfigError([f"--faults {', '.join(sorted(unknown))}: unknown; there are {known}"])
    seed = random.SystemRandom().randrange(2**31) if args.seed is None else args.seed
    plan = Plan(seconds=args.seconds, seed=seed, faults=chosen, keep=args.keep)
    found = drill(plan, lambda line: _say(line, sys.stderr))
    if args.report is not None:
        args.report.write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    if not found.broken:
        _say(f"held: nothing lost, nothing twice, nothing stuck (seed {seed})", sys.stdout)
        return 0
    _say("\n".join((f"broken: {found.broken[0]} (seed {seed})", *found.broken[1:20])), sys.stdout)
    again = f" --faults {args.faults}" if chosen else ""
    _say(f"repeat it: outboxd drill --seconds {args.seconds} --seed {seed}{again}", sys.stdout)
    return 1


def _say(line: str, to: TextIO) -> None:
    to.write(line + "\n")
    to.flush()
