"""Two sessions, driven step by step through every order of their statements and commits.

    for seen in every(engine, dsn, scene, left=[lambda e, s: e.claim(s.worker)], right=[…]): ...

Each session is one transaction: its steps, then COMMIT. A step that waits for the other session is left
waiting and the order goes on; its session's further steps follow when it is let go. A deadlock fails at
once, and so does whatever breaks C1. What a step raises is its result.

`every_point` is finer: the left side is halted before and after each statement that writes, also inside
functions, and the right side runs meanwhile.
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Generic, TypeVar

import psycopg
from psycopg.rows import dict_row

from tests import invariants
from tests.engine import Engine

S = TypeVar("S")
Step = Callable[[Engine, Any], Any]

_GATE = 4242
_LIMIT = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen(Generic[S]):
    """How one order went."""

    order: str
    """l and r, a letter a step, the last of each its COMMIT; for a point, its number."""
    scene: S
    left: list[Any]
    right: list[Any]
    waited: set[str]
    """The sides that had to wait for the other, `l` or `r`."""


class Session:
    """A connection with a thread of its own, so that it can be left waiting."""

    def __init__(self, dsn: str) -> None:
        self.engine = Engine(conn=psycopg.connect(dsn, row_factory=dict_row))
        self.pid = self.engine.conn.info.backend_pid
        self.results: list[Any] = []
        self._steps: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._open = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._steps.put(None)
        self._thread.join(_LIMIT)
        self.engine.close()

    def push(self, step: Callable[[], Any]) -> None:
        self._open += 1
        self._steps.put(step)

    def commit(self) -> None:
        self.push(self.engine.conn.commit)

    @property
    def idle(self) -> bool:
        return self._open == len(self.results)

    def settled(self, watch: Engine) -> bool:
        """Waits until it has nothing to do (True) or waits for somebody (False)."""
        until = time.monotonic() + _LIMIT
        while time.monotonic() < until:
            if self.idle:
                return True
            if watch.one("select cardinality(pg_blocking_pids(%s)) > 0", self.pid):
                return False
            time.sleep(0.0005)
        raise TimeoutError(f"session {self.pid} neither waits nor gets on")

    def finish(self) -> None:
        """Waits until all its steps are done; of two that wait for each other one ends with a deadlock."""
        until = time.monotonic() + _LIMIT
        while not self.idle and time.monotonic() < until:
            time.sleep(0.0005)
        assert self.idle, "still waiting at the end"

    def _run(self) -> None:
        while (step := self._steps.get()) is not None:
            try:
                result = step()
            except psycopg.Error as refused:
                result = refused
            self.results.append(result)


def every(
    engine: Engine, dsn: str, scene: Callable[[], S], left: Sequence[Step], right: Sequence[Step]
) -> Iterator[Seen[S]]:
    """Each order of both sides' steps, on a scene of its own."""
    a, b = len(left) + 1, len(right) + 1
    for chosen in itertools.combinations(range(a + b), a):
        order = "".join("l" if at in chosen else "r" for at in range(a + b))
        yield _one(engine, dsn, scene(), {"l": left, "r": right}, order)


def _one(engine: Engine, dsn: str, scene: S, sides: dict[str, Sequence[Step]], order: str) -> Seen[S]:
    waited: set[str] = set()
    with Session(dsn) as left, Session(dsn) as right:
        sessions = {"l": left, "r": right}
        done = dict.fromkeys("lr", 0)
        for letter in order:
            session, at = sessions[letter], done[letter]
            done[letter] += 1
            if at < len(sides[letter]):
                session.push(_bound(sides[letter][at], session.engine, scene))
            else:
                session.commit()
            waited |= {name for name, one in sessions.items() if not one.settled(engine)}
        left.finish()
        right.finish()
    check(engine, order, left.results + right.results)
    return Seen(order=order, scene=scene, left=left.results, right=right.results, waited=waited)


def _bound(step: Step, engine: Engine, scene: Any) -> Callable[[], Any]:
    return lambda: step(engine, scene)


def check(engine: Engine, order: str, results: list[Any]) -> None:
    """No deadlock, nothing unforeseen raised, and every job stands in one place."""
    for result in results:
        if isinstance(result, psycopg.Error):
            assert (result.sqlstate or "").startswith("OX"), f"{order}: {result!r}"
    assert invariants.broken(engine.conn) == [], order


_HALT = """
create function public.halt() returns trigger language plpgsql as $$
declare
  v_seen int := coalesce(nullif(current_setting('test.seen', true), ''), '0')::int + 1;
begin
  if coalesce(current_setting('test.halt', true), '') <> '' then
    perform set_config('test.seen', v_seen::text, false);
    if v_seen = current_setting('test.halt')::int then
      perform pg_advisory_lock_shared(4242);
    end if;
  end if;
  return null;
end
$$
"""
_HALTED = (
    *("ready", "later", "leases", "lanes", "attempts", "unplaced", "placing", "pending", "streams"),
    *("dead_letters", "job_keys", "expiries", "workers", "gates"),
)


def install_halts(engine: Engine) -> None:
    """Triggers before and after each statement that writes; they do nothing until a session says where."""
    engine.do(_HALT)
    for table in _HALTED:
        for when in ("before", "after"):
            engine.do(
                f"create trigger halt_{when} {when} insert or update or delete on outbox.{table}"
                " for each statement execute function public.halt()"
            )
    # Between two keys of one statement, too.
    engine.do(
        "create trigger halt_row after insert on outbox.event_keys"
        " for each row execute function public.halt()"
    )


def every_point(
    engine: Engine, dsn: str, scene: Callable[[], S], left: Step, right: Step
) -> Iterator[Seen[S]]:
    """`left` halted at each of its writes while `right` runs and commits; then left goes on."""
    for point in itertools.count(1):
        seen, halted = _at_point(engine, dsn, scene(), left, right, point)
        yield seen
        if not halted:
            return


def _at_point(
    engine: Engine, dsn: str, scene: S, left: Step, right: Step, point: int
) -> tuple[Seen[S], bool]:
    waited: set[str] = set()
    with Session(dsn) as one, Session(dsn) as other:
        engine.do("select pg_advisory_lock(%s)", _GATE)
        one.push(lambda: one.engine.do("select set_config('test.halt', %s, false)", str(point)))
        one.push(_bound(left, one.engine, scene))
        halted = not one.settled(engine)
        other.push(_bound(right, other.engine, scene))
        other.commit()
        if not other.settled(engine):
            waited.add("r")
        engine.do("select pg_advisory_unlock(%s)", _GATE)
        if not one.settled(engine):
            waited.add("l")
        one.commit()
        one.finish()
        other.finish()
    check(engine, f"point {point}", one.results + other.results)
    seen = Seen(order=str(point), scene=scene, left=one.results[1:], right=other.results, waited=waited)
    return seen, halted
