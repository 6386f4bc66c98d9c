"""Subscribers of the whole feed, and whether each of them got it: all of it, in order, every number once."""

import http.client
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from outboxd.bench.drill import ledger
from outboxd.bench.drill.ledger import Ledger
from outboxd.bench.drill.world import World, first


class Subscriber(threading.Thread):
    """Follows from the earliest event on; cut off, it comes again with the last position that it saw."""

    def __init__(self, world: World, name: str, seed: int, ports: Callable[[], list[int]]) -> None:
        super().__init__(name=name, daemon=True)
        self._world, self._ports, self._random = world, ports, random.Random(seed)
        self._ledger = Ledger(world.ledger / f"seen-{name}.jsonl", synced=False)
        self.at = "earliest"
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            with suppress(OSError, http.client.HTTPException):
                self._follow()
            self.stopping.wait(0.2)

    def _follow(self) -> None:
        link = http.client.HTTPConnection("127.0.0.1", self._random.choice(self._ports()), timeout=3)
        try:
            headers = {"Authorization": f"Bearer {self._world.key}", "Accept": "text/event-stream"}
            path = f"/v1/projects/{self._world.project}/stream?last_event_id={self.at}"
            link.request("GET", path, headers=headers)
            answer = link.getresponse()
            if answer.status == 200:
                self._read(answer)
        finally:
            link.close()

    def _read(self, answer: http.client.HTTPResponse) -> None:
        """Until it ends, or the seeded dice end it: coming again is what is tried."""
        frame: dict[str, str] = {}
        while (line := answer.readline()) and not self.stopping.is_set():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                frame[name] = value
            elif frame:
                self._take(frame)
                frame = {}
                if self._random.random() < 0.002:
                    return

    def _take(self, frame: dict[str, str]) -> None:
        kind = frame.get("event")
        if kind == "outboxd.reset":
            self._ledger.write(reset=msgspec.json.decode(frame["data"])["reason"])
        elif kind is None and "data" in frame:
            event: Any = msgspec.json.decode(frame["data"])
            self._ledger.write(position=frame["id"], event=event["id"])
        self.at = frame.get("id", self.at)


def behind(world: World, readers: list[Subscriber]) -> int:
    """How many have not come to the end of the feed."""
    with world.connect() as conn:
        head = first(conn, "select max(head) from outbox.streams")
    return sum(reader.at == "earliest" or int(reader.at.partition("-")[2]) < head for reader in readers)


def judge(conn: psycopg.Connection[Any], folder: Path, *, told: bool) -> list[str]:
    """What a subscriber missed, or got out of order. `told`: a failover may reset whoever was ahead."""
    feed = [str(row[0]) for row in conn.execute("select event_id from outbox.feed order by seq")]
    return [line for file in sorted(folder.glob("seen-*.jsonl")) for line in _judged(file, feed, told=told)]


def _judged(file: Path, feed: list[str], *, told: bool) -> list[str]:
    seen: list[str] = []
    meanings: dict[str, str] = {}
    broken = []
    last = 0
    for entry in ledger.read(file.parent, file.name):
        if "reset" in entry:
            last, seen = 0, []
            if not told:
                broken.append(f"{file.stem} was reset: {entry['reset']}")
            continue
        seq = int(entry["position"].partition("-")[2])
        if seq <= last:
            broken.append(f"{file.stem} got {entry['position']} after {last}")
        if meanings.setdefault(entry["position"], entry["event"]) != entry["event"]:
            broken.append(f"{file.stem}: {entry['position']} means two events")
        last = seq
        seen.append(entry["event"])
    if seen != feed:
        missed = len(set(feed) - set(seen))
        broken.append(f"{file.stem} got {len(seen)} of {len(feed)} events, {missed} never")
    return broken[:20]
