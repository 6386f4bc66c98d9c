"""`outboxd up`, `dev`, `serve`, `work`: the processes that run until they are told to stop."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from outboxd.cli.parser import Args, Nouns, Parser

if TYPE_CHECKING:
    from outboxd.config import Config


def add(nouns: Nouns) -> None:
    text = "everything in one process, with a Postgres of its own where none is configured"
    parser = _listens(nouns.process("up", text, up))
    parser.add_argument("--data", dest="OUTBOXD_DATA", metavar="DIR", help="data directory")
    text = "as up, in a temporary directory that is removed at the end; says more"
    parser = _listens(nouns.process("dev", text, dev))
    parser.add_argument("--keep", type=Path, metavar="DIR", help="there instead, and it stays")
    parser = nouns.process("serve", "the API: takes events in, numbers them, keeps house", serve)
    parser.add_argument("--migrate", action="store_true", help="bring the schema up to date first")
    parser = nouns.process("work", "runs jobs, numbers events, keeps house", work)
    parser.add_argument("--migrate", action="store_true", help="bring the schema up to date first")
    parser.add_argument(
        "--queues", dest="OUTBOXD_WORKER_QUEUES", metavar="A,B*", help="names, or prefixes with a * (all)"
    )
    parser.add_argument("--slots", dest="OUTBOXD_WORKER_SLOTS", metavar="N", help="jobs at once (100)")
    parser.add_argument(
        "--threads", dest="OUTBOXD_WORKER_THREADS", metavar="N", help="for handlers that block (10)"
    )
    parser.add_argument(
        "--app", dest="OUTBOXD_APP", metavar="MODULE:APP", help="Python handlers offered here"
    )
    parser.add_argument("--drain", action="store_true", help="until nothing is due, then exit 0")


def up(args: Args, config: "Config") -> int:
    from outboxd import daemon

    return daemon.up(config)


def dev(args: Args, config: "Config") -> int:
    import msgspec

    from outboxd import daemon

    with _place(args.keep) as data:
        return daemon.up(msgspec.structs.replace(config, data=data))


def serve(args: Args, config: "Config") -> int:
    from outboxd import daemon

    _migrate(args, config)
    return daemon.serve(config)


def work(args: Args, config: "Config") -> int:
    from outboxd import daemon

    _migrate(args, config)
    return daemon.work(config, until_empty=args.drain)


@contextmanager
def _place(kept: Path | None) -> "Iterator[Path]":
    """A directory for the data; one of ours goes with all that is in it, whatever ends the block."""
    import shutil
    import tempfile

    if kept is not None:
        yield kept.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="outboxd-dev-"))
    try:
        # The server's account has to pass, where we are root and it is not.
        folder.chmod(0o711)
        yield folder / "data"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _listens(parser: Parser) -> Parser:
    parser.add_argument("--host", dest="OUTBOXD_HOST", metavar="H", help="where the API listens (127.0.0.1)")
    parser.add_argument("--port", dest="OUTBOXD_PORT", metavar="N", help="its port (8377)")
    return parser


def _migrate(args: Args, config: "Config") -> None:
    if args.migrate:
        import asyncio

        from outboxd.cli import database
        from outboxd.db import migrate

        asyncio.run(migrate.migrate(database.direct(config)))
