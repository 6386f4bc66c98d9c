"""Nothing is missed and nothing comes twice, wherever a reader stops and goes on."""

import asyncio

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.store import feed
from tests import seed
from tests.proofs import proves
from tests.streams import pods
from tests.streams.pods import Pod, seq
from tests.waiting import until

Conn = AsyncConnection[DictRow]

MANY = 500


@proves("F3")
async def test_resume_is_exact_from_every_position(pod: Pod, conn: Conn, tenant: seed.Tenant) -> None:
    """By header, by query and by the JSON feed."""
    await pods.publish(conn, tenant.project, MANY)
    await pods.sequence(conn, tenant.project)
    whole = await pod.feed(tenant, limit=MANY)
    epoch = whole["position"].split("-")[0]
    assert list(range(1, MANY + 1)) == [seq(each["position"]) for each in whole["events"]]
    for cut in range(0, MANY, 50):
        position = f"{epoch}-{cut}"
        async with pod.stream(tenant, last_event_id=position) as stream:
            by_header = await pods.taken(stream, MANY - cut)
        async with pod.stream(tenant, f"last_event_id={position}") as stream:
            by_query = await pods.taken(stream, min(MANY - cut, 7))
        assert list(range(cut + 1, MANY + 1)) == by_header
        assert by_header[:7] == by_query
    for cut in range(MANY):
        page = await pod.feed(tenant, after=f"{epoch}-{cut}", limit=3)
        assert list(range(cut + 1, min(cut + 4, MANY + 1))) == [
            seq(each["position"]) for each in page["events"]
        ]


@proves("F3")
async def test_who_saw_nothing_yet_misses_nothing_when_it_comes_again(
    pod: Pod, conn: Conn, tenant: seed.Tenant
) -> None:
    async with pod.stream(tenant) as stream:
        await stream.message()
        last = stream.last_id
    await pods.publish(conn, tenant.project, 3)
    async with pod.stream(tenant, last_event_id=last) as stream:
        assert [1, 2, 3] == await pods.taken(stream, 3)


@proves("F3")
async def test_replay_meets_live_without_a_seam(pod: Pod, conn: Conn, tenant: seed.Tenant) -> None:
    """Publishing goes on while readers come, from everywhere."""
    await pods.publish(conn, tenant.project, 300)
    await pods.sequence(conn, tenant.project)
    epoch = (await pod.feed(tenant))["position"].split("-")[0]
    last = 1200

    async def publish() -> None:
        for _ in range(90):
            await pods.publish(conn, tenant.project, 10)
            await asyncio.sleep(0.005)

    async def follow(start: int) -> list[int]:
        async with pod.stream(
            tenant, f"last_event_id={epoch}-{start}", key=keys[start % len(keys)]
        ) as stream:
            return await pods.taken(stream, last - start)

    keys = [(await seed.key(conn, tenant.team, "streams:read", project=tenant.project))[1] for _ in range(2)]
    publishing = asyncio.create_task(publish())
    following = []
    for n in range(40):
        following.append(asyncio.create_task(follow(n * 7)))
        await asyncio.sleep(0.01)
    for n, found in enumerate(await asyncio.gather(*following)):
        assert list(range(n * 7 + 1, last + 1)) == found
    await publishing


async def test_filters_hide_and_checkpoints_move(pod: Pod, conn: Conn, tenant: seed.Tenant) -> None:
    await pods.publish(conn, tenant.project, 2500, "noise")
    await pods.publish(conn, tenant.project, 1, "order.paid")
    await pods.publish(conn, tenant.project, 2500, "noise")
    await pods.sequence(conn, tenant.project)
    async with pod.stream(tenant, "type=order.*&last_event_id=earliest") as stream:
        got = await stream.event()
        assert 2501 == seq(got.id)
        told = [await stream.message(), await stream.message()]
    positions = [seq(each.id) for each in told if each is not None]
    assert [3500, 4500] == positions or all(each > 2501 for each in positions)
    assert max(positions) > 5001 - 2000


async def test_a_resume_behind_a_rare_match_reads_few_rows(pod: Pod, conn: Conn, tenant: seed.Tenant) -> None:
    """A page looks at 20,000 rows and says how far it came."""
    await conn.execute(
        "insert into outbox.feed (project_id, seq, sequenced_at, event_id, bytes, type)"
        " select %s, g, outbox.clock(), gen_random_uuid(), 10, 'noise' from generate_series(1, 100000) g",
        (tenant.project,),
    )
    await conn.execute("update outbox.streams set head = 100000")
    await pods.publish(conn, tenant.project, 1, "rare")
    await pods.sequence(conn, tenant.project)
    page = await pod.feed(tenant, type="rare")
    assert (0, True, 20_000) == (len(page["events"]), page["more"], seq(page["position"]))
    read = 0
    real = feed.after

    async def counted(*given: object) -> object:
        nonlocal read
        found = await real(*given)  # type: ignore[arg-type]
        read += len(found)
        return found

    position = page["position"].split("-")[0] + "-99500"
    feed.after = counted  # type: ignore[assignment]
    try:
        async with pod.stream(tenant, f"type=rare&last_event_id={position}") as stream:
            assert 100_001 == seq((await stream.event()).id)
            last = stream.last_id
        async with pod.stream(tenant, "type=rare", last_event_id=last) as stream:
            await stream.message()
    finally:
        feed.after = real
    assert read < 2000


async def test_all_filters_hold_at_once_live_and_replayed(pod: Pod, tenant: seed.Tenant) -> None:
    made = await pod.post("/v1/sessions/start", tenant.key, {"externalSessionId": "s"})
    session = made.json()["session"]["id"]
    query = f"type=a.*&type=b&session={session}&subject=order/*"
    right = {"serverSessionId": session, "subject": "order/1"}
    async with pod.stream(tenant, query) as stream:
        wanted = []
        for kind, more, fits in (
            ("a.x", right, True), ("b", right, True), ("b.x", right, False), ("a", right, False),
            ("a.x", right | {"subject": "other"}, False), ("a.x", {"subject": "order/1"}, False),
            ("a.x", {"serverSessionId": session}, False), ("a.y.z", right, True),
        ):  # fmt: skip
            event = await pod.publish(tenant, kind, **more)
            wanted += [event] if fits else []
        live = [each.json["id"] for each in await stream.events(len(wanted))]
    page = await pod.get(f"/v1/projects/{tenant.project}/feed?{query}", tenant.key)
    assert wanted == live == [each["id"] for each in page.json()["events"]]


@proves("F3")
async def test_pages_follow_one_another_and_wait_for_what_comes(
    pod: Pod, conn: Conn, tenant: seed.Tenant
) -> None:
    await pods.publish(conn, tenant.project, 5)
    await pods.sequence(conn, tenant.project)
    first = await pod.feed(tenant, limit=3)
    second = await pod.feed(tenant, limit=3, after=first["position"])
    assert (True, False, 5) == (first["more"], second["more"], second["head"])
    waiting = asyncio.create_task(pod.feed(tenant, after=second["position"], wait=20, type="b"))
    await asyncio.sleep(0.1)
    await pods.publish(conn, tenant.project, 1, "a")
    await pods.publish(conn, tenant.project, 1, "b")
    found = await waiting
    assert [7] == [seq(each["position"]) for each in found["events"]]
    moved = await pod.feed(tenant, after=found["position"], wait=1, type="c")
    assert ([], 7) == (moved["events"], seq(moved["position"]))
    assert 0 == pod.hub.tails


async def test_a_page_ends_early_when_it_is_large(pod: Pod, tenant: seed.Tenant) -> None:
    for _ in range(18):
        await pod.publish(tenant, payload={"t": "x" * 250_000})

    async def numbered() -> bool:
        found = await pod.get(f"/v1/projects/{tenant.project}/position", tenant.key)
        return bool(found.json()["head"] == 18)

    await until(numbered)
    page = await pod.feed(tenant)
    assert page["more"]
    assert len(page["events"]) == 17
    assert [18] == [
        seq(each["position"]) for each in (await pod.feed(tenant, after=page["position"]))["events"]
    ]


async def test_without_subscribers_nothing_is_read(pod: Pod, conn: Conn, tenant: seed.Tenant) -> None:
    async with pod.stream(tenant) as stream, pod.stream(tenant, "type=none") as other:
        await stream.message()
        await other.message()
        assert 1 == pod.hub.tails
    await until(lambda: not pod.hub.tails)


@proves("F6")
async def test_a_page_of_an_old_position_is_said_to_be_reset(
    pod: Pod, conn: Conn, tenant: seed.Tenant
) -> None:
    """Retention takes what a reader was about to read."""
    await pods.publish(conn, tenant.project, 10)
    await pods.sequence(conn, tenant.project)
    epoch = (await pod.feed(tenant))["position"].split("-")[0]
    await conn.execute("delete from outbox.feed where seq <= 5")
    await conn.execute("update outbox.streams set floor = 5")
    page = await pod.feed(tenant, after=f"{epoch}-2")
    assert ("expired", 6) == (page["reset"]["reason"], seq(page["events"][0]["position"]))
