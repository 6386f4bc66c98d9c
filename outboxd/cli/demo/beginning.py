"""From an empty database to processes that wait for work."""

from datetime import timedelta

from outboxd.cli.demo import shop
from outboxd.cli.demo.sight import until
from outboxd.cli.demo.stage import LIMIT, Step, Unmet, expect
from outboxd.cli.demo.world import World
from outboxd.cli.server import Server
from outboxd.db import migrate
from outboxd.errors import Unavailable
from outboxd.store import declared, first_keys, partitions, routes, steering, tenants

_ROUTES = (
    ("github.*", "activity", shop.ACTIVITY),
    ("github.*", "notes", "note"),
    ("ci.build", "builds", "build"),
    ("ci.deploy", "deploys", "deploy"),
)
_QUEUES = (
    ("builds", {"handler": "build", "perWorker": 8}),
    ("deploys", {"handler": "deploy", "backoff": {"baseMs": 1000, "capMs": 1000}}),
)


async def schema(world: World, step: Step) -> None:
    await migrate.migrate(world.place.dsn)
    found = await world.sight.objects()
    expect(found["tables"] > 0, "there are no tables")
    step.saw(
        f"{found['tables']} tables, {found['functions']} functions, {found['views']} views, no extension"
    )


async def keys(world: World, step: Step) -> None:
    async with world.db.transaction() as conn:
        await partitions.make_partitions(conn)
        made = await first_keys.make(conn, world.operator)
    if made is None:
        raise Unmet("a new database had keys")
    world.keys = made
    step.saw(f"project default, key {made.project_key.prefix}… (only its hash is stored)")


async def business(world: World, step: Step) -> None:
    """Somebody's own tables beside ours, a SQL handler, routes, and a login that may only publish."""
    async with world.db.transaction() as conn:
        world.shop_dsn = await shop.open_shop(conn, world.project, world.place.dsn)
        for name in dict.fromkeys(handler for _, _, handler in _ROUTES):
            await declared.add(conn, world.operator, name, is_open=True)
        for pattern, queue, handler in _ROUTES:
            await routes.add(conn, world.operator, pattern, queue, world.project, {"handler": handler})
        for queue, settings in _QUEUES:
            await steering.configure(conn, world.operator, queue, settings)
        await tenants.allow_egress(conn, world.operator, world.project, on=True)
    step.saw(
        f"a shop's tables; its login {shop.LOGIN} may publish and nothing else",
        *(f"{pattern:<10} → {handler}" for pattern, _, handler in _ROUTES),
    )


async def processes(world: World, step: Step) -> None:
    place = world.place
    pids = place.start_servers()
    world.workers = [place.start_worker(f"worker-{n}") for n in (1, 2)]
    patience = timedelta(seconds=LIMIT.total_seconds() + 5)
    world.servers = [Server(url=url, key=world.keys.project_secret, timeout=patience) for url in place.urls]

    def ready() -> bool:
        try:
            return all(server.call("GET", "/readyz")[0] == 200 for server in world.servers)
        except Unavailable:
            return False

    async def working() -> bool:
        return await world.sight.workers() == set(world.workers)

    await until(place, "the servers to be ready", ready)
    await until(place, "both workers to be there", working)
    first, second = world.workers
    step.saw(
        *(f"server {url} (pid {pid})" for url, pid in zip(place.urls, pids, strict=True)),
        f"workers {first} and {second}; what these four know of each other stands in Postgres",
    )


async def endpoint(world: World, step: Step) -> None:
    made = await world.post(
        "/v1/endpoints",
        {
            "url": world.receiver.url,
            "types": ["github.*", "order.*"],
            "retrySchedule": [0, 0] + [1] * 10,
        },
    )
    world.receiver.secret = made["secret"]
    step.saw(f"{world.receiver.url}, where one call in five fails on purpose")
