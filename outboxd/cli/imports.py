"""`outboxd import`: what `outboxd export` wrote, or the database of a claude-mem server."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from outboxd.cli import tenancy
from outboxd.cli.parser import Args, Nouns
from outboxd.cli.reply import Record, Reply
from outboxd.cli.tally import Tally
from outboxd.errors import ConfigError, DatabaseUnavailable, Error, Refused

if TYPE_CHECKING:
    from outboxd.cli.export_file import Line
    from outboxd.db.pool import Database

_MOST, _LARGEST = 200, 4 * 2**20
"""Of a transaction: rows, bytes."""
_COUNTS = ("taken", "alreadyHere")


def add(nouns: Nouns) -> None:
    text = "takes in an export, by id and as often as one likes; no job runs for what is old"
    parser = nouns.command("import", text, take)
    parser.add_argument("file", nargs="?", type=Path, help="what `outboxd export` wrote, gzipped or not")
    parser.add_argument(
        "--from-claude-mem", metavar="URL", help="instead of a file: the Postgres of a claude-mem server"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be taken, and take nothing")


async def take(args: Args, db: "Database") -> Reply:
    if bool(args.file) == bool(args.from_claude_mem):
        raise ConfigError(["name a file, or a server with --from-claude-mem"])
    if args.from_claude_mem:
        from outboxd.cli.claude_mem import take_all

        return Record(fields=await take_all(args.from_claude_mem, db, dry_run=args.dry_run), unfolded=_COUNTS)
    return Record(fields=await _Taking(args.file, args.dry_run).run(db), unfolded=_COUNTS)


class _Taking:
    def __init__(self, path: Path, dry_run: bool) -> None:
        self._path, self._dry_run = path, dry_run
        self._tally = Tally()
        self._read: Counter[str] = Counter()
        self._since: datetime | None = None
        self._past_open = False

    async def run(self, db: "Database") -> dict[str, Any]:
        from outboxd.cli import export_file
        from outboxd.store import importing

        head = export_file.head(self._path)
        project = msgspec.json.decode(head.project)
        async with db.transaction() as conn:
            self._who = await tenancy.caller(conn)
            self._project = UUID(project["id"])
            async with conn.transaction(force_rollback=self._dry_run):
                await importing.project(conn, self._who, head.team, head.project)
            settings = project.get("settings") or {}
            self._since = await importing.kept_since(conn, self._project, settings)
        for batch in self._batches(export_file.lines(self._path)):
            await self._take(db, batch)
        told = self._tally.fields()
        if not self._dry_run:
            async with db.transaction() as conn:
                await importing.audit(conn, self._who, self._project, told)
        return {"projectId": self._project, "dryRun": self._dry_run, **told}

    def _batches(self, lines: "Iterable[Line]") -> Iterator[list["Line"]]:
        """Lines of one kind each. Raises Refused at the end of a file that has none."""
        batch: list[Line] = []
        for line in lines:
            if line.kind == "end":
                if batch:
                    yield batch
                self._check_end(line)
                return
            self._check(line)
            self._read[line.kind] += 1
            if self._is_too_old(line):
                self._tally.too_old += 1
                continue
            if batch and (batch[0].kind != line.kind or _full(batch)):
                yield batch
                batch = []
            batch.append(line)
        if batch:
            yield batch
        raise Refused(f"{self._path}: it was cut off; what is there of it was read")

    def _check(self, line: "Line") -> None:
        from outboxd.store import exporting

        if line.kind not in exporting.KINDS or line.id is None:
            raise Refused(f"{self._path}: line {line.number} is not what an export has there")
        try:
            UUID(line.id)
            if line.kind == "event":
                datetime.fromisoformat(line.received_at or "")
        except ValueError:
            raise Refused(f"{self._path}: line {line.number} is not what an export has there") from None

    def _check_end(self, line: "Line") -> None:
        if dict(self._read) != (line.counts or {}):
            raise Refused(
                f"{self._path}: line {line.number} counts other rows than there are: lines are missing"
            )

    def _is_too_old(self, line: "Line") -> bool:
        if line.kind != "event" or self._since is None or line.received_at is None:
            return False
        return datetime.fromisoformat(line.received_at) < self._since

    async def _take(self, db: "Database", batch: "list[Line]") -> None:
        from outboxd.store import importing

        kind: Any = batch[0].kind
        if self._dry_run:
            async with db.connection() as conn:
                here = await importing.known(conn, kind, [UUID(line.id) for line in batch])
        else:
            if kind == "event" and not self._past_open:
                await self._open_past(db, batch[0])
            here = len(batch) - await self._stored(db, kind, batch)
        self._tally.here[kind] += here
        self._tally.taken[kind] += len(batch) - here

    async def _open_past(self, db: "Database", first: "Line") -> None:
        """Events come by id, so the first is the oldest."""
        from outboxd.store import importing

        made = datetime.fromtimestamp((UUID(first.id).int >> 80) / 1000, UTC)
        async with db.transaction() as conn:
            await importing.open_past(conn, made)
        self._past_open = True

    async def _stored(self, db: "Database", kind: Any, batch: "list[Line]") -> int:
        """Row by row where one of them cannot be stored, to say which."""
        from outboxd.store import importing

        async def store(lines: "list[Line]") -> int:
            raws = [line.raw for line in lines]
            return await db.run(lambda conn: importing.take(conn, self._who, self._project, kind, raws))

        try:
            return await store(batch)
        except DatabaseUnavailable:
            raise
        except Error:
            taken = 0
            for line in batch:
                try:
                    taken += await store([line])
                except Refused as failed:
                    raise Refused(f"{self._path}: line {line.number}: {failed.detail}") from failed
            return taken


def _full(batch: "list[Line]") -> bool:
    return len(batch) >= _MOST or sum(len(line.raw) for line in batch) >= _LARGEST
