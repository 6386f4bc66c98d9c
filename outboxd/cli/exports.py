"""`outboxd export`: a project as a file."""

import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import UUID

from outboxd.cli import tenancy
from outboxd.cli.parser import Args, Nouns
from outboxd.cli.reply import Page, Record, Reply
from outboxd.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from outboxd.db.pool import Database
    from outboxd.model import Caller


def add(nouns: Nouns) -> None:
    text = "a project as JSON lines: endpoints without secrets, sessions, events, observations"
    parser = nouns.command("export", text, export)
    parser.add_argument("--project", metavar="ID|NAME", required=True, help="which")
    parser.add_argument("--team", metavar="ID|NAME", help="whose it is, where several have one of that name")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="a new file, gzipped if it ends in .gz; else the terminal"
    )
    parser.add_argument("--no-payload", action="store_true", help="leave out what events say")
    parser.add_argument("--after", type=UUID, metavar="ID", help="go on behind the last id of a file before")


async def export(args: Args, db: "Database") -> Reply:
    from outboxd.store import exporting

    if args.out is None and (args.json or args.jsonl):
        raise ConfigError(["the export itself goes to the terminal: name a file with --out for --json"])
    async with db.connection() as conn:
        who = await tenancy.caller(conn)
        team = await tenancy.team(conn, who, args.team) if args.team else None
        project = (await tenancy.project(conn, who, args.project, team.id if team else None)).id
        async with exporting.snapshot(conn):
            start = await _start(conn, who, project, args.after)
            with _opened(args.out) as file:
                counts = await _write(conn, file, project, start, args)
    async with db.transaction() as conn:
        await exporting.audit(conn, who, project, _json({"counts": counts, "payloads": not args.no_payload}))
    fields = {"projectId": project, "file": str(args.out), **counts}
    return Record(fields=fields) if args.out else Page(parts=(), document=fields)


async def _start(conn: Any, who: "Caller", project: UUID, after: UUID | None) -> str:
    """The kind to begin with."""
    from outboxd.store import exporting

    if after is None:
        return exporting.KINDS[0]
    found = await exporting.kind_of(conn, who, project, after)
    if found is None:
        raise NotFound(f"nothing of this project has the id {after}")
    return found


async def _write(conn: Any, file: IO[bytes], project: UUID, start: str, args: Args) -> dict[str, int]:
    from outboxd.cli import export_file
    from outboxd.store import exporting

    counts: Counter[str] = Counter()
    head = await exporting.head(conn, project)
    ours = {"kind": export_file.KIND, "version": export_file.VERSION, "payloads": not args.no_payload}
    file.write(f"{_json({**ours, 'after': args.after})[:-1]},{head[1:]}\n".encode())
    for kind in exporting.KINDS[exporting.KINDS.index(start) :]:
        after = args.after if kind == start else None
        async for line in exporting.lines(conn, kind, project, after=after, payloads=not args.no_payload):
            file.write(line.encode() + b"\n")
            counts[kind] += 1
    file.write(_json({"kind": "end", "counts": dict(counts)}).encode() + b"\n")
    return {kind: counts[kind] for kind in exporting.KINDS}


def _opened(path: Path | None) -> Any:
    from outboxd.cli import export_file

    return nullcontext(sys.stdout.buffer) if path is None else export_file.written(path)


def _json(value: Any) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()
