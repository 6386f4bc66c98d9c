"""Where to claim next: shares in turn, by weight, from where the last claim left off.

A look at the database finds the shares with due work. Between looks each share remembers the due
time it has come to, less a margin: so a claim does not wade through rows that are gone but kept by
somebody's old snapshot. What commits late, with an older due time, is found by the next look.

Turns are deficit round robin: a share whose credit is used up gets some by its weight when its turn
comes, and keeps its turn until that is used up, so that weights 3 : 1 give 3 : 1 however the claims
are cut. Keyed lanes of a queue are one
share here; the database takes the oldest first, and half of a claim when both kinds wait.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

from outboxd.model import Claimed
from outboxd.store.jobs import Spot, Want

_MARGIN = timedelta(milliseconds=500)
_FRESH = 1.0
_KEYED = 0


class Share:
    """One place to claim from, with its credit and how far we have come there."""

    __slots__ = ("asked", "credit", "got", "priority", "run_at", "spot")

    def __init__(self, spot: Spot) -> None:
        self.spot = spot
        self.credit = 0.0
        self.priority = spot.priority
        self.run_at = spot.run_at
        self.asked = 0
        self.got = 0

    @property
    def key(self) -> tuple[int, int]:
        return self.spot.queue_id, self.spot.lane

    def want(self) -> Want:
        return Want(self.spot.queue_id, self.spot.lane, self.priority, self.run_at, self.asked)


class Spots:
    """The shares found by the last look, in the order of their turns."""

    def __init__(
        self, group: Callable[[str], str] = lambda _: "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`group`: handler → the name of what its jobs need besides a slot, empty for nothing."""
        self._group = group
        self._clock = clock
        self._turns: list[Share] = []
        self._looked_at = float("-inf")

    def __len__(self) -> int:
        return len(self._turns)

    @property
    def stale(self) -> bool:
        """A look is due: nothing is left, or the last one is a second old."""
        return not self._turns or self._clock() - self._looked_at >= _FRESH

    def forget(self) -> None:
        """Something happened elsewhere: the next claim looks first."""
        self._looked_at = float("-inf")

    def fill(self, found: Iterable[Spot]) -> None:
        """What a look found. Shares that were there keep their credit and their turn."""
        fresh = {(spot.queue_id, spot.lane): spot for spot in found}
        kept: list[Share] = []
        for share in self._turns:
            spot = fresh.pop(share.key, None)
            if spot is not None:
                again = Share(spot)
                again.credit = share.credit
                kept.append(again)
        kept.extend(Share(spot) for spot in fresh.values())
        self._turns = kept
        self._looked_at = self._clock()

    def pick(self, limit: int, rooms: Mapping[str, int] | None = None) -> list[Want]:
        """Whom to ask for how much: `limit` in all, no queue more than its lease size.

        `rooms`: group → how many of its jobs may be claimed now.
        """
        left = dict(rooms or {})
        sizes: dict[int, int] = {}
        for share in self._turns:
            share.asked = share.got = 0
            sizes[share.spot.queue_id] = share.spot.lease_size
        lanes = [share for share in self._turns if share.spot.lane == _KEYED]
        others = [share for share in self._turns if share.spot.lane != _KEYED]
        self._deal(lanes, max(1, limit // 2) if others else limit, sizes, left)
        self._deal(others, limit - sum(share.asked for share in lanes), sizes, left)
        # Whose turn is over stands at the end: the next claim begins behind him.
        self._turns.sort(key=lambda share: share.asked > 0 and share.credit < 1)
        return [share.want() for share in (*lanes, *others) if share.asked]

    def took(self, jobs: Sequence[Claimed]) -> None:
        """What the claim gave. Shares that gave less than they were asked for are exhausted."""
        shares = {share.key: share for share in self._turns if share.asked}
        for job in jobs:
            share = shares.get((job.queue_id, max(job.lane, _KEYED)))
            if share is None:
                continue
            share.got += 1
            # Claims come in claim order, so the first of a priority has its lowest due time.
            if share.spot.lane != _KEYED and (share.got == 1 or -job.priority != share.priority):
                share.priority, share.run_at = -job.priority, job.run_at - _MARGIN
        self._turns = [share for share in self._turns if share.got == share.asked]

    def _deal(
        self, shares: Sequence[Share], limit: int, sizes: dict[int, int], rooms: dict[str, int]
    ) -> None:
        """Gives `limit` out in turns, by credit; takes it off `sizes` and `rooms`."""
        quanta = _quanta(shares, limit, sizes)
        open_ = list(shares)
        while limit > 0 and open_:
            turn, open_ = open_, []
            for share in turn:
                if limit <= 0:
                    return
                spot = share.spot
                group = self._group(spot.handler)
                room = min(limit, sizes[spot.queue_id], rooms.get(group, limit))
                if room <= 0:
                    continue
                open_.append(share)
                if share.credit < 1:
                    share.credit += quanta[spot.queue_id] * spot.weight
                n = min(int(share.credit), room)
                share.credit -= n
                share.asked += n
                limit -= n
                sizes[spot.queue_id] -= n
                if group in rooms:
                    rooms[group] -= n


def _quanta(shares: Sequence[Share], limit: int, sizes: Mapping[int, int]) -> dict[int, float]:
    """Credit for each unit of weight, by queue: a round should about use up the claim, and no lease size."""
    weights: Counter[int] = Counter()
    for share in shares:
        weights[share.spot.queue_id] += share.spot.weight
    fair = limit / max(1, weights.total())
    return {queue: max(1.0, min(fair, sizes[queue] / weight)) for queue, weight in weights.items()}
