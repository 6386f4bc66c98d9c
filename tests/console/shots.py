"""Pictures of every page, for people to look at: `python -m tests.console.shots FOLDER`.

Run by hand. Desktop and phone, light and dark, of a world that has worked for an hour.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests import cluster
from tests.console.conftest import find_browser
from tests.console.world import World
from tests.daemon.daemons import Daemon

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


def pages(world: World) -> dict[str, str]:
    job = world.dead()[-1]
    event = world.value("select event_id from outbox.jobs where id = %s", job)
    return {
        "overview": "/console",
        "queues": "/console/queues",
        "queue": "/console/queues/fulfil",
        "dead": "/console/dead",
        "jobs": "/console/jobs",
        "job": f"/console/jobs/{job}",
        "events": "/console/events",
        "event": f"/console/events/{event}",
        "streams": "/console/streams",
        "endpoints": "/console/endpoints",
        "endpoint": f"/console/endpoints/{world.endpoint}",
        "schedules": "/console/schedules",
        "interactions": "/console/interactions",
        "memory": f"/console/memory?project={world.agents.project}",
        "audit": "/console/audit",
        "refused": "/console/jobs/none",
    }


def sign_in(page: Page, base: str, key: str) -> None:
    page.goto(f"{base}/console")
    page.fill("#key", key)
    page.click("button.primary")
    page.wait_for_selector("main h1")


def take(browser: Any, base: str, world: World, folder: Path, only: set[str]) -> None:
    for size, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=1
            )
            page = context.new_page()
            page.on("console", lambda said: print("  console:", said.text))
            page.goto(f"{base}/console")
            page.screenshot(path=folder / f"login-{size}-{scheme}.png")
            sign_in(page, base, world.operator)
            for name, path in pages(world).items():
                if only and name not in only:
                    continue
                page.goto(base + path)
                if name in {"overview", "queues"}:
                    page.wait_for_timeout(2500)
                page.screenshot(path=folder / f"{name}-{size}-{scheme}.png", full_page=True)
            if not only or "look" in only:
                page.goto(f"{base}/console/dead")
                page.click("button[value=retry]")
                page.screenshot(path=folder / f"look-{size}-{scheme}.png", full_page=True)
            context.close()
            print(size, scheme)


def main(folder: Path, only: set[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with cluster.private(cluster.FAST) as server, tempfile.TemporaryDirectory() as logs:
        made = cluster.executor(server.dsn("postgres"))
        cluster.template(made)
        with cluster.clone(made) as database, sync_playwright() as driver:
            world = World(database.dsn).tell()
            daemon = Daemon(Path(logs), database.dsn, "serve").ready()
            try:
                browser = driver.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
                take(browser, f"http://127.0.0.1:{daemon.port}", world, folder, only)
            finally:
                print(daemon.log[-3000:])
                daemon.close()
                world.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), set(sys.argv[2:]))
