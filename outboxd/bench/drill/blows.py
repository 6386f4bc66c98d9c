"""Faults that reach a whole server: only ever one that the drill made itself. All on the main thread."""

import time

from outboxd.bench.drill.pair import Pair
from outboxd.bench.drill.scene import Hit, Scene

_FULL_FOR = 2.0


def restart(scene: Scene) -> Hit:
    """`pg_ctl restart -m immediate`."""
    _own(scene).restart()
    return Hit(whom="server")


def failover(scene: Scene) -> Hit | None:
    """The primary is killed, the standby promoted, the other made anew. None: nobody to promote."""
    pair = _own(scene)
    if not pair.ready_to_fail_over():
        return None
    pair.fail_over(scene.blow_at)
    return Hit(whom="primary")


def disk(scene: Scene) -> Hit | None:
    """No room for WAL, then room again. None: there is no small file system."""
    pair = _own(scene)
    if not pair.fill_disk():
        return None
    time.sleep(_FULL_FOR)
    pair.free_disk()
    return Hit(whom="disk of the primary", lasts=_FULL_FOR)


def _own(scene: Scene) -> Pair:
    assert scene.world.pair is not None  # noqa: S101 - chosen only where there is one
    return scene.world.pair
