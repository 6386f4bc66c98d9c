"""Faults that reach processes, wires, clocks and the one database; they do no harm to a server of yours."""

import signal

import msgspec

from outboxd.bench.drill.crew import Member
from outboxd.bench.drill.scene import Hit, Scene
from outboxd.bench.drill.world import BEAT

_CLOCK = """
  create or replace function outbox.clock() returns timestamptz
  language sql stable parallel safe as $$ select clock_timestamp() + interval '{} s' $$
"""
MOST_STEP = 3.0
"""Seconds: less than `dead_after`, so that a step alone makes nobody look dead for long."""
TERMINATE = """
  select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and usename = current_user and pid <> pg_backend_pid()
    and backend_type = 'client backend'
  order by random() limit 1
"""


def kill(scene: Scene) -> Hit:
    """SIGKILL of one."""
    return _hit(scene.crew.pick(scene.choice), signal.SIGKILL)


def freeze(scene: Scene) -> Hit:
    """SIGSTOP for longer than `dead_after`, then SIGCONT."""
    member = scene.crew.pick(scene.choice)
    seconds = BEAT * scene.choice.uniform(6, 8)
    scene.later(seconds, lambda: member.signal(signal.SIGCONT))
    return _hit(member, signal.SIGSTOP, seconds)


def term(scene: Scene) -> Hit:
    """SIGTERM, and again half a second later."""
    member = scene.crew.pick(scene.choice)
    scene.later(0.5, lambda: member.signal(signal.SIGTERM))
    return _hit(member, signal.SIGTERM)


def skew(scene: Scene) -> Hit:
    """Killed, and started with a clock up to 5 s wrong."""
    member = scene.crew.pick(scene.choice)
    member.skew = scene.choice.uniform(-5, 5)
    return _hit(member, signal.SIGKILL)


def deaf(scene: Scene) -> Hit:
    """Half-open LISTEN connections, all of them."""
    seconds = scene.choice.uniform(2, 6)
    for member in scene.crew.members:
        _for(scene, member, seconds, "ear", "swallowing")
    return Hit(whom="ears", lasts=seconds)


def partition(scene: Scene) -> Hit:
    """One worker reaches nothing, for longer than `dead_after`."""
    member = scene.choice.choice(scene.crew.workers)
    seconds = BEAT * scene.choice.uniform(6, 15)
    for which in ("wire", "ear"):
        _for(scene, member, seconds, which, "swallowing")
    return Hit(whom=member.name, pid=member.pid, lasts=seconds)


def delay(scene: Scene) -> Hit:
    """200 ms ± 200 ms each way for one process."""
    member = scene.crew.pick(scene.choice)
    for which in ("wire", "ear"):
        _for(scene, member, 4, which, "delay", 0.2)
    return Hit(whom=member.name, pid=member.pid, lasts=4)


def cut(scene: Scene) -> Hit:
    """The answer to each process's next COMMIT is lost with its connection."""
    for member in scene.crew.members:
        if member.wire is not None:
            member.wire.cutting = True
    return Hit(whom="commits")


def mute(scene: Scene) -> Hit:
    """SQL producers notify nobody."""
    name = scene.world.database
    if scene.say(f"alter database {name} set outbox.notify = 'off'"):
        scene.later(3, lambda: scene.insist(f"alter database {name} reset outbox.notify"))
    return Hit(whom="producers", lasts=3)


def hush(scene: Scene) -> Hit:
    """Half of all notifications are lost, or every one."""
    share = scene.choice.choice((0.5, 1.0))
    for member in scene.crew.members:
        _for(scene, member, 5, "ear", "dropping", share)
    return Hit(whom=f"{share:.0%} of hints", lasts=5)


def step(scene: Scene) -> Hit:
    """The database's clock jumps, and back some seconds later."""
    by = scene.choice.choice((-1, 1)) * scene.choice.uniform(1, MOST_STEP)
    if scene.say(_CLOCK.format(f"{by:.3f}")):
        scene.later(4, lambda: scene.insist(_CLOCK.format(0)))
    return Hit(whom=f"database clock {by:+.1f} s", lasts=4)


def lock(scene: Scene) -> Hit:
    """Somebody locks `jobs` for two seconds, whoever needs it waits."""
    scene.neighbour(2, "lock table outbox.jobs in access exclusive mode")
    return Hit(whom="jobs", lasts=2)


def snapshot(scene: Scene) -> Hit:
    """An old snapshot that keeps dead rows."""
    scene.neighbour(
        10, "set transaction isolation level repeatable read", "select count(*) from outbox.leases"
    )
    return Hit(whom="everybody", lasts=10)


def loiter(scene: Scene) -> Hit:
    """A producer that publishes and commits much later."""
    payload = msgspec.json.encode({"n": 1, "ledger": str(scene.world.ledger)}).decode()
    publish = f"select outbox.publish('drill.order', '{payload}', p_project => '{scene.world.project}')"
    scene.neighbour(6, publish, end="commit")
    return Hit(whom="a producer", lasts=6)


def _hit(member: Member, number: signal.Signals, lasts: float = 0) -> Hit:
    pid = member.pid
    member.signal(number)
    return Hit(whom=member.name, pid=pid, lasts=lasts)


def _for(
    scene: Scene, member: Member, seconds: float, which: str, name: str, value: float | bool = True
) -> None:
    """A wire of that member misbehaves for a while."""
    wire = getattr(member, which)
    if wire is not None:
        setattr(wire, name, value)
        scene.later(seconds, lambda: setattr(wire, name, type(value)(0)))
