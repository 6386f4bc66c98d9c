"""Who may open a connection: one factory for work, and a closed list of those that need one of their own."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

proves = pytest.mark.proves

ROOT = Path(__file__).parent.parent

# Outside the pool, and why. Whoever is not in this list uses `Database`.
OPENERS = {
    "db/pool.py": "the pool itself",
    "db/link.py": "the kind of connection that the pool and the loops use",
    "db/listen.py": "LISTEN needs a session that lasts",
    "db/migrate.py": "runs before there is a schema, under a session lock",
    "db/schema.py": "describes a schema for review",
    "db/embedded.py": "waits for its own server to come up, and makes its database",
    "loops/notifier.py": "notifies with synchronous_commit off",
    "loops/liveness.py": "beats from a thread, whatever the event loop does",
    "loops/partitions.py": "detaches concurrently, past any pooler",
    "loops/chores.py": "vacuums, past any pooler",
    "cli/database.py": "says why a database cannot be reached",
    "cli/findings.py": "asks the server about itself, also when it is not well",
    "cli/claude_mem.py": "reads the database of another server",
    "cli/demo/place.py": "the demo's own business",
    "cli/demo/work.py": "the demo's own business",
}
# They play the producer, the peer and the judge, who are outside of us.
OUTSIDERS = ("bench/",)

POOLS = {"AsyncConnectionPool", "ConnectionPool", "NullConnectionPool", "AsyncNullConnectionPool"}
FACTORIES = {"connect"} | POOLS
PARTIES = {"psycopg", "psycopg_pool", "Connection", "AsyncConnection", "Link", "asyncpg"}


@cache
def parsed(source: str) -> ast.Module:
    return ast.parse(source)


def opens(source: str) -> Iterator[int]:
    """Lines on which a connection or a pool is made."""
    for node in ast.walk(parsed(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in POOLS:
            yield node.lineno
        if isinstance(called, ast.Attribute) and called.attr in FACTORIES and party(called.value) in PARTIES:
            yield node.lineno


def party(node: ast.expr) -> str | None:
    """The last name: `psycopg.AsyncConnection[…]` and `AsyncConnection` are the same."""
    if isinstance(node, ast.Subscript):
        return party(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def openers(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.py") if any(opens(path.read_text()))}


@proves("G4")
def test_the_program_opens_connections_only_where_it_is_said() -> None:
    found = {each for each in openers(ROOT / "outboxd") if not each.startswith(OUTSIDERS)}
    assert found <= set(OPENERS), sorted(found - set(OPENERS))
    assert {"db/pool.py", "db/listen.py", "loops/notifier.py"} <= found


@proves("G4")
def test_only_one_module_makes_pools() -> None:
    """Tests too: they get the production pool, with its settings, from the fixture `db`."""
    made = [
        str(path.relative_to(ROOT))
        for folder in ("outboxd", "tests", "deploy")
        for path in (ROOT / folder).rglob("*.py")
        if makes_a_pool(path.read_text())
    ]
    # The peer in the benchmark wants a pool of its own kind.
    assert [each for each in made if not each.startswith("outboxd/bench/")] == ["outboxd/db/pool.py"]


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("import psycopg\nwith psycopg.connect(dsn) as conn: pass", [2]),
        ("conn = await AsyncConnection.connect(dsn)", [1]),
        ("conn = await psycopg.AsyncConnection[dict].connect(dsn)", [1]),
        ("conn = await Link.connect(dsn)", [1]),
        ("pool = AsyncConnectionPool(dsn)", [1]),
        ("probe.connect(path)\nsignals.connect(handler)", []),
        ("async with Database.open(dsn) as db: pass", []),
    ],
)
def test_an_opened_connection_is_found(source: str, lines: list[int]) -> None:
    wrapped = "async def f():\n" + "\n".join(f"  {line}" for line in source.splitlines())
    assert [line - 1 for line in opens(wrapped)] == lines


def makes_a_pool(source: str) -> bool:
    calls = (node.func for node in ast.walk(parsed(source)) if isinstance(node, ast.Call))
    return any(party(call) in POOLS for call in calls)
