"""What Postgres really did inside a call: every nested statement's plan, with the rows it read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from psycopg.errors import Diagnostic

from tests.engine import Engine

LISTED = (
    *("events", "jobs", "ready", "later", "attempts", "dead_letters", "lanes", "pending", "feed"),
    *("event_keys", "job_keys", "expiries", "checkpoints", "gatherings", "members", "sessions"),
)
"""Tables that grow with the work. Those that do not (queues, workers, leases, …) may be read whole."""

_SCANS = ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Bitmap Index Scan", "Tid Scan")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """One node of a plan; rows over all its loops."""

    kind: str
    table: str
    index: str
    condition: bool
    rows: float
    """Returned and filtered away, all loops together."""
    loops: float
    query: str


class Explained:
    """Collects the plans of what runs on this connection."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._plans: list[dict[str, Any]] = []
        engine.do("load 'auto_explain'")
        for setting, value in {
            "auto_explain.log_min_duration": "0",
            "auto_explain.log_nested_statements": "on",
            "auto_explain.log_analyze": "on",
            "auto_explain.log_timing": "off",
            "auto_explain.log_format": "json",
            "client_min_messages": "log",
        }.items():
            engine.do(f"set {setting} = {value}")
        engine.conn.add_notice_handler(self._notice)

    def _notice(self, said: Diagnostic) -> None:
        text = said.message_primary or ""
        if "plan:\n" in text:
            self._plans.append(json.loads(text.split("plan:\n", 1)[1]))

    def nodes(self, sql: str, *args: Any) -> list[Node]:
        """Runs it, rolls it back, and gives every node that was executed."""
        self._plans.clear()
        with self.engine.conn.transaction(force_rollback=True):
            self.engine.do(sql, *args)
        return [node for plan in self._plans for node in _walk(plan["Plan"], plan["Query Text"])]


def _walk(plan: dict[str, Any], query: str) -> Iterator[Node]:
    loops = plan.get("Actual Loops", 0)
    if loops:
        removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        yield Node(
            kind=plan["Node Type"],
            table=_parent(plan.get("Relation Name", "")),
            index=plan.get("Index Name", ""),
            condition=any(key in plan for key in ("Index Cond", "TID Cond", "Recheck Cond")),
            rows=(plan["Actual Rows"] + removed) * loops,
            loops=loops,
            query=query,
        )
    for child in plan.get("Plans", ()):
        yield from _walk(child, query)


def _parent(table: str) -> str:
    """jobs_20260101 is jobs."""
    head, _, tail = table.rpartition("_")
    return head if tail.isdigit() else table


def faults(nodes: list[Node], asked: int, partitions: int) -> list[str]:
    """What a hot call must not do that was asked for so many things, a line each."""
    most = 3 * asked + 50
    found = []
    for node in nodes:
        counts = f"rows={node.rows:g} loops={node.loops:g}"
        what = f"{node.kind} {node.table} {node.index} {counts} in {node.query[:300]}"
        listed = node.table in LISTED
        if listed and node.kind == "Seq Scan":
            found.append(f"reads a whole table: {what}")
        elif listed and node.kind in _SCANS and node.rows > most:
            found.append(f"reads more than {most} rows: {what}")
        elif listed and node.kind.startswith("Index") and not node.condition and node.rows > asked + 10:
            found.append(f"walks a whole index: {what}")
        elif node.kind in ("Sort", "Incremental Sort") and node.rows > most:
            found.append(f"sorts more than {most} rows: {what}")
        elif node.kind == "Function Scan" and node.rows > 20 * most:
            found.append(f"joins lists quadratically: {what}")
    for table in ("jobs", "events", "attempts"):
        for query in {node.query for node in nodes}:
            probes = sum(n.loops for n in nodes if n.table == table and n.query == query and n.kind in _SCANS)
            if probes > 2 * asked + partitions + 10:
                found.append(f"prunes no partitions of {table}: {probes:g} probes in {query[:300]}")
    return found
