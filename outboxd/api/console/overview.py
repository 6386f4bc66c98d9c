"""The first page: how it stands, and whether somebody has to do something."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from markupsafe import Markup

from outboxd.api.console import render
from outboxd.api.console.figures import Counts, Picture
from outboxd.api.console.visit import Visit
from outboxd.api.exchange import Reply
from outboxd.store.depths import Depth

_REGIONS = ("tiles", "hour", "queues", "workers", "feed", "holds", "chores", "trail")
_TABLE_REGIONS = ("table",)
_SHOWN = 12
_NONE: Counts = [(0, 0)] * 60


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A queue, or all webhooks as one."""

    name: str
    href: str
    depth: Depth
    minutes: Counts
    targets: int = 0


async def show(visit: Visit) -> Reply:
    """GET /console"""
    picture = await visit.figures.of(visit.caller)
    return render.page(
        "overview.html",
        visit=visit,
        section="overview",
        title="Overview",
        regions={name: Markup(html) for name, html in regions(picture, visit.operator).items()},  # noqa: S704
        picture=picture,
    )


def regions(picture: Picture, operator: bool) -> Mapping[str, str]:
    """Parts of the page that change, made by the same templates whether the page asks or the stream does."""
    return _made("overview_parts.html", _REGIONS, picture, operator, lines(picture)[:_SHOWN])


def table(picture: Picture, operator: bool) -> Mapping[str, str]:
    """The same of the page of queues."""
    return _made("queues_parts.html", _TABLE_REGIONS, picture, operator, _each(picture))


def lines(picture: Picture) -> list[Line]:
    """Queues with the most work first; webhooks are one line, however many targets there are."""
    own = [each for each in _each(picture) if each.depth.class_ != "endpoint"]
    hooks = [each for each in _each(picture) if each.depth.class_ == "endpoint"]
    if not hooks:
        return own
    summed = [
        (sum(good for good, _ in minute), sum(bad for _, bad in minute))
        for minute in zip(*(each.minutes for each in hooks), strict=True)
    ]
    line = Line(
        name="webhooks",
        href="/console/endpoints",
        depth=_summed([each.depth for each in hooks]),
        minutes=summed,
        targets=len(hooks),
    )
    return sorted([*own, line], key=lambda each: (-each.depth.due, -each.depth.failed, each.name))


def _each(picture: Picture) -> list[Line]:
    return [
        Line(
            name=each.queue,
            href=f"/console/queues/{render.segment(each.queue)}",
            depth=each,
            minutes=picture.hour.by_queue.get(each.queue, _NONE),
        )
        for each in picture.queues
    ]


def _summed(depths: Sequence[Depth]) -> Depth:
    counts = {
        name: sum(getattr(each, name) for each in depths)
        for name in ("due", "later", "held", "running", "failed", "paused_shares")
    }
    return msgspec.structs.replace(
        depths[0],
        **counts,
        capped=any(each.capped for each in depths),
        lag=max((each.lag for each in depths if each.lag is not None), default=None),
        paused=all(each.paused for each in depths),
        closed_until=max((each.closed_until for each in depths if each.closed_until), default=None),
        workers=max(each.workers for each in depths),
    )


def _made(
    template: str, names: Sequence[str], picture: Picture, operator: bool, shown: Sequence[Line]
) -> dict[str, str]:
    module: Any = render.environment().get_template(template).module
    return {name: str(getattr(module, name)(picture, operator, shown)) for name in names}
