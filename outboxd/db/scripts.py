"""The SQL of this release, as files in order.

    migrations/0001_engine.sql   first line `-- expand`, `-- contract` or `-- breaking`; run once each
    functions/<verb>.sql         re-created whenever anything changed
    views/<view>.sql             the same, dropped first
    grants.sql                   roles and rights, last

A line `-- no transaction` in the head of a migration lets it run alone, one statement after the
other. A first line `-- after: a, b` puts a function or view after others; else order is alphabetical.
"""

import hashlib
import re
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from pathlib import Path

import msgspec

from outboxd.errors import Broken

KINDS = ("expand", "contract", "breaking")
_AFTER = re.compile(rb"\A--\s*after:\s*(.+)")
_PIECE = re.compile(rb"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"|(\$\w*\$).*?\1|;", re.DOTALL)


class Script(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    """Below the SQL folder, as `functions/claim.sql`: its identity in the database."""
    kind: str
    """expand, contract, breaking; function, view, grants."""
    body: bytes
    alone: bool = False
    """Runs outside a transaction."""

    @property
    def name(self) -> str:
        return Path(self.path).stem

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    migrations: tuple[Script, ...]
    functions: tuple[Script, ...]
    views: tuple[Script, ...]
    grants: tuple[Script, ...]

    @property
    def code(self) -> tuple[Script, ...]:
        """Everything that is re-created together."""
        return (*self.functions, *self.views, *self.grants)


def here() -> Path:
    """The SQL folder: inside the package when installed, beside it in a checkout."""
    package = Path(str(files("outboxd")))
    for folder in (package / "sql", package.parent / "sql"):
        if (folder / "migrations").is_dir():
            return folder
    raise Broken(f"the SQL files of outboxd are missing beside {package}")


def read(root: Path) -> Tree:
    """Raises Broken for a migration without its kind, and for a circle of `after`."""
    return Tree(
        migrations=tuple(_migration(file) for file in sorted((root / "migrations").glob("*.sql"))),
        functions=_ordered(root / "functions", "function"),
        views=_ordered(root / "views", "view"),
        grants=tuple(
            Script(path=file.name, kind="grants", body=file.read_bytes()) for file in root.glob("grants.sql")
        ),
    )


def statements(body: bytes) -> list[bytes]:
    """Split at the semicolons that are not inside a string, a comment or a dollar quote."""
    found: list[bytes] = []
    start = 0
    for piece in _PIECE.finditer(body):
        if piece[0] == b";":
            found.append(body[start : piece.end()].strip())
            start = piece.end()
    found.append(body[start:].strip())
    return [one for one in found if _PIECE.sub(b"", one).strip()]


def _migration(file: Path) -> Script:
    body = file.read_bytes()
    head = [line.lstrip(b"- ").strip().decode() for line in body.splitlines() if line.startswith(b"--")]
    if not head or head[0] not in KINDS:
        raise Broken(f"{file.name} must begin with `-- expand`, `-- contract` or `-- breaking`")
    return Script(path=f"migrations/{file.name}", kind=head[0], body=body, alone="no transaction" in head[:5])


def _ordered(folder: Path, kind: str) -> tuple[Script, ...]:
    """Alphabetical, except that whatever a script names in `after` comes before it."""
    found = {file.stem: file.read_bytes() for file in sorted(folder.glob("*.sql"))}
    sorter = TopologicalSorter({name: _after(body) & found.keys() for name, body in found.items()})
    order: list[str] = []
    try:
        sorter.prepare()
        while sorter.is_active():
            ready = sorted(sorter.get_ready())
            order += ready
            sorter.done(*ready)
    except CycleError as circle:
        raise Broken(f"{folder.name}: a circle of `after`: {circle.args[1]}") from circle
    return tuple(Script(path=f"{folder.name}/{name}.sql", kind=kind, body=found[name]) for name in order)


def _after(body: bytes) -> set[str]:
    named = _AFTER.match(body)
    return {name.strip() for name in named[1].decode().split(",")} if named else set()
