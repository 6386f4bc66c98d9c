"""Whatever a tenant says is text, wherever it is shown."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from tests import seed
from tests.console.visitor import paths
from tests.console.world import World

HOSTILE = "<script>document.title='broken'</script><img src=x onerror=alert(1)>\"'&{{7+5000}}"
_SAID = "<script>document.title="


def test_hostile_text_is_shown_as_text(window: Any, world: World) -> None:
    there, key = hostile(world)
    at = window().sign_in(key)
    shown = []
    for name, path in there.items():
        page = at.open(path)
        page.wait_for_load_state("load")
        if page.evaluate("said => document.body.innerText.includes(said)", _SAID):
            shown.append(name)
        assert "broken" != page.title(), name
        assert 0 == page.locator("main img").count(), name
        assert "5007" not in page.content(), name
        assert [] == at.violations(), name
    at.open("/console")
    at.page.wait_for_selector("[data-state][data-tone=good]")
    at.page.wait_for_function("said => document.querySelector('main').innerText.includes(said)", arg=_SAID)
    assert "broken" != at.page.title()
    assert sorted(there) == sorted(shown), "it has to be seen, or nothing was tried"
    assert [] == at.violations()
    assert [] == at.faults


def hostile(world: World) -> tuple[dict[str, str], str]:
    """That text as the name of a queue, a project, an endpoint, a worker, a key, and all that an event says.

    Where a check forbids it, past the check. Gives the pages that show it.
    """
    world.rows("alter table outbox.queues drop constraint if exists queues_name_check")
    world.rows("alter table outbox.endpoints drop constraint if exists endpoints_uid_check")
    world.rows("select outbox.make_project(outbox.me(), %s, %s)", world.shop.team, HOSTILE)
    world.rows("select outbox.add_route(outbox.me(), %s, 'hostile', %s)", HOSTILE, world.shop.project)
    worker = world.value("select worker_id from outbox.enlist(%s, array['pull:hostile'])", HOSTILE[:100])
    [event] = world.publish(
        world.shop.project, [{"eventType": HOSTILE, "subject": HOSTILE, "payload": {HOSTILE: HOSTILE}}]
    )
    [claimed] = world.rows("select * from outbox.claim(%s, 10)", worker)
    failed = {"outcome": "failed", "class": HOSTILE[:60], "error": HOSTILE, "final": True, "ms": 1}
    world.say(worker, claimed, failed)
    world.rows(
        "update outbox.queues set name = %s, paused_reason = %s where name = 'hostile'", HOSTILE, HOSTILE
    )
    [endpoint] = world.rows(
        "update outbox.endpoints set uid = %s, description = %s where id <> %s returning id",
        HOSTILE[:60],
        HOSTILE,
        world.endpoint,
    )
    world.rows(
        "update outbox.observations set content = %s, metadata = jsonb_build_object('title', %s::text)"
        " where kind = 'decision'",
        HOSTILE,
        HOSTILE,
    )
    world.ask("*", HOSTILE, '[{"value": "a", "label": "<b>bold</b>"}]')
    job = claimed["job_id"]
    lists = {
        name: path for name, path in paths(world).items() if path.count("/") == 2 and name != "schedules"
    }
    return lists | {
        "job": f"/console/jobs/{job}",
        "event": f"/console/events/{event}",
        "endpoint": f"/console/endpoints/{endpoint['id']}",
        "its audit": f"/console/audit?event={event}",
    }, _key(world)


def _key(world: World) -> str:
    """An operator's, which is called so."""

    async def minted() -> str:
        async with await AsyncConnection.connect(world.dsn, autocommit=True, row_factory=dict_row) as conn:
            id_, secret = await seed.key(conn, None, "admin")
            await conn.execute("update outbox.keys set name = %s where id = %s", (HOSTILE[:100], id_))
            return secret

    with ThreadPoolExecutor(1) as apart:
        return apart.submit(lambda: asyncio.run(minted())).result()
