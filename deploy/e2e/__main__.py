"""The end-to-end script: python -m deploy.e2e [--stage compose] [--short] [--dsn DSN]

Submit, generate, restart, revoke, share, stream, stop: what a deployment has to survive, over HTTP and the
command line alone. OUTBOXD_… in the environment (PREPARE, LISTEN_URL) win over the settings of the stage.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable

from deploy.e2e.steps import STEPS
from deploy.e2e.talk import Unmet
from deploy.e2e.world import Size, Stage, World

FULL, SHORT = Size(queued=500, shared=2000), Size(queued=40, shared=80)


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy.e2e", description="What a deployment has to survive.")
    parser.add_argument("--stage", choices=sorted(STAGES), default="processes", help="where it runs")
    parser.add_argument("--dsn", help="a database instead of an embedded one; it may be behind a pooler")
    parser.add_argument("--short", action="store_true", help=f"{SHORT.shared} jobs instead of {FULL.shared}")
    asked = parser.parse_args()
    stage = STAGES[asked.stage](asked.dsn, asked.short)
    try:
        return tell(World(stage, SHORT if asked.short else FULL))
    finally:
        stage.close()


def tell(world: World) -> int:
    """Runs the steps, a line each; 1 when one does not hold."""
    for step in STEPS:
        began, name = time.monotonic(), step.__name__.replace("_", " ")
        try:
            saw = step(world)
        except (Unmet, OSError) as failed:
            sys.stdout.write(f"  ✗ {name:<12} {failed}\n{world.stage.logs()}\n")
            return 1
        sys.stdout.write(f"  ✓ {name:<12} {time.monotonic() - began:5.1f} s  {saw}\n")
        sys.stdout.flush()
    return 0


def _processes(dsn: str | None, short: bool) -> Stage:
    from deploy.e2e.processes import Processes

    # Goodbyes to streams are spread over half a drain.
    given = {"OUTBOXD_DRAIN_S": "2"} if short else {}
    ours = {name: text for name, text in os.environ.items() if name.startswith("OUTBOXD_")}
    return Processes(dsn, given | ours)


def _compose(dsn: str | None, short: bool) -> Stage:
    from deploy.e2e.compose import Compose

    if dsn is not None:
        raise SystemExit("error: compose brings its own database")
    return Compose()


STAGES: dict[str, Callable[[str | None, bool], Stage]] = {"processes": _processes, "compose": _compose}

if __name__ == "__main__":
    sys.exit(main())
