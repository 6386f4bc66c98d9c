"""The console in a real browser: no errors, nothing against the policy, readable, usable by keys alone."""

from pathlib import Path
from typing import Any

import pytest

from tests.console.visitor import paths
from tests.console.windows import DESKTOP, PHONE
from tests.console.world import World

CONTRAST = (Path(__file__).parent / "looking.js").read_text()


@pytest.mark.parametrize(
    ("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop, light", "phone, dark"]
)
def test_every_page_is_whole_readable_and_no_wider_than_its_window(
    window: Any, world: World, size: tuple[int, int], scheme: str
) -> None:
    at = window(size, scheme)
    login = at.open("/console").evaluate(CONTRAST)
    at.sign_in(world.operator)
    assert login == []
    for name, path in paths(world).items():
        page = at.open(path)
        page.wait_for_load_state("load")
        assert [] == page.evaluate(CONTRAST), name
        assert [] == at.violations(), name
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is too wide"
        assert 1 == page.locator("h1").count()
    assert [] == at.faults


def test_keys_alone_lead_from_the_login_to_a_retry(window: Any, world: World) -> None:
    at = window()
    page, keys = at.open("/console"), at.page.keyboard
    before = len(world.dead())
    page.wait_for_function("document.activeElement.name === 'key'")
    keys.type(world.operator)
    keys.press("Enter")
    page.wait_for_selector("h1:has-text('Overview')")
    keys.press("Tab")
    assert "Skip to content" == focused(page)
    until(page, "Dead letters")
    keys.press("Enter")
    page.wait_for_selector("h1:has-text('Dead letters')")
    keys.press("Tab")
    keys.press("Enter")
    box = until(page, "tick")
    keys.press("Space")
    assert page.locator("input[name=id]:checked").count() == 1, box
    page.evaluate("document.querySelector('input[name=rate]').focus()")
    until(page, "Retry…")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    keys.press("Enter")
    page.wait_for_selector("h1:has-text('Retry dead letters')")
    assert "Retry 1 job" == focused(page)
    keys.press("Enter")
    page.wait_for_selector("[role=status]:has-text('1 jobs are queued again')")
    assert before - 1 == len(world.dead())
    assert [] == at.faults


def focused(page: Any) -> str:
    said: str = page.evaluate(
        "document.activeElement.name === 'id' ? 'tick' : document.activeElement.textContent.trim()"
    )
    return said


def until(page: Any, name: str) -> str:
    """Tabs on until that is focused."""
    for _ in range(120):
        page.keyboard.press("Tab")
        said = focused(page)
        if said.startswith(name):
            return said
    raise AssertionError(f"no way to {name!r} by Tab")


def test_counts_come_live_and_what_is_in_use_is_left_alone(window: Any, world: World) -> None:
    at = window().sign_in(world.operator)
    page = at.page
    page.wait_for_selector("[data-state][data-tone=good]")
    tile = page.locator(".tile:has-text('Questions') dd").first
    before = int(tile.inner_text())
    page.evaluate("window.mark = 1")
    link = page.locator("[data-region=queues] a[href^='/console/queues/']").first
    link.focus()
    world.ask("*", "One more?", None)
    page.wait_for_function(
        "wanted => document.querySelector('.tile.busy dd').textContent.trim() === wanted", arg=str(before + 1)
    )
    assert 1 == page.evaluate("window.mark"), "the page was loaded again"
    assert page.evaluate("document.activeElement.matches('[data-region=queues] a')")


def test_it_works_without_script(window: Any, world: World) -> None:
    at = window(script=False)
    page = at.open("/console")
    page.fill("#key", world.operator)
    page.press("#key", "Enter")
    page.wait_for_selector("h1:has-text('Overview')")
    assert 'http-equiv="refresh" content="10;url=/console?reloaded=1"' in page.content()
    page.goto(at.base + "/console/dead")
    page.click("button[value=purge]")
    assert "Nothing has been done yet" in page.inner_text("main")
