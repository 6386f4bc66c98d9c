"""Bars of an hour, as numbers for SVG attributes: no style, no library, nothing that a policy forbids."""

from collections.abc import Sequence

import msgspec

WIDTH, GAP = 6, 2


class Bar(msgspec.Struct, frozen=True):
    """Failures stand on top of what was completed."""

    x: int
    good_y: float
    good: float
    bad_y: float
    bad: float
    title: str


class Bars(msgspec.Struct, frozen=True):
    width: int
    height: int
    bar: int
    most: int
    """What a bar of full height stands for."""
    bars: Sequence[Bar]
    total: int
    failed: int


def bars(minutes: Sequence[tuple[int, int]], height: int = 48) -> Bars:
    """`minutes`: (completed, failed), oldest first. A failure is seen, however few they are among many."""
    most = max((good + bad for good, bad in minutes), default=0)
    last = len(minutes) - 1
    return Bars(
        width=len(minutes) * (WIDTH + GAP),
        height=height,
        bar=WIDTH,
        most=most,
        bars=[_bar(n, last - n, each, most, height) for n, each in enumerate(minutes) if sum(each)],
        total=sum(good for good, _ in minutes),
        failed=sum(bad for _, bad in minutes),
    )


def _bar(n: int, age: int, of: tuple[int, int], most: int, height: int) -> Bar:
    good, bad = of
    high = max(2.0, height * (good + bad) / most)
    red = max(2.0, high * bad / (good + bad)) if bad else 0.0
    when = "this minute" if age == 0 else f"{age} min ago"
    return Bar(
        x=n * (WIDTH + GAP),
        good_y=round(height - high + red, 1),
        good=round(high - red, 1),
        bad_y=round(height - high, 1),
        bad=round(red, 1),
        title=f"{when}: {good:,} completed, {bad:,} failed",
    )
