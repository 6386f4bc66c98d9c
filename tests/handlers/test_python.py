"""What is wrong with a user's app is said at boot, each in a sentence."""

import functools
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import outboxd
from outboxd.errors import ConfigError
from outboxd.handlers import handler, python
from outboxd.handlers.python import App


async def coroutine(job: Any, run: Any) -> None: ...


def plain(job: Any, run: Any) -> None: ...


class Acts:
    async def __call__(self, job: Any, run: Any) -> None: ...


@pytest.fixture
def module() -> Iterator[Callable[[Any], str]]:
    """Makes a module with that app and gives its name."""

    def make(app: Any) -> str:
        made = types.ModuleType("made_for_a_test")
        made.app = app  # type: ignore[attr-defined]
        sys.modules["made_for_a_test"] = made
        return "made_for_a_test:app"

    yield make
    sys.modules.pop("made_for_a_test", None)


def test_a_dict_is_an_app_and_functions_tell_whether_they_block(module: Callable[[Any], str]) -> None:
    partial = functools.partial(plain)
    given = {"a": coroutine, "b": plain, "c": Acts(), "d": partial, "e": functools.partial(coroutine)}

    app = python.load(module(given))

    assert {"a": False, "b": True, "c": False, "d": True, "e": False} == {
        each.name: each.blocking for each in python.handlers(app)
    }


def test_an_app_says_which_handlers_write_and_which_are_open(module: Callable[[Any], str]) -> None:
    app = python.load(module(App(handlers={"a": coroutine, "b": plain}, open=["a"], writes=["b"])))

    assert [("a", True, False), ("b", False, True)] == [
        (each.name, each.open, each.writes) for each in python.handlers(app)
    ]


def test_a_handler_without_a_queue_gets_one_of_its_name() -> None:
    app = App(handlers={"resize": plain, "mail": plain}, queues={"thumbs": "resize"})

    assert {"mail": "mail", "thumbs": "resize"} == python.queues(app)


@pytest.mark.parametrize(
    ("app", "sentence"),
    [
        ({"a": lambda _: None}, "handler a must take two arguments, the job and the run"),
        ({"a": lambda: None}, "handler a must take two arguments, the job and the run"),
        ({"a": 7}, "handler a is no function"),
        ({"deliver": plain}, "handler deliver has the name of a built-in one"),
        ({"sql:a.b": plain}, "handler sql:a.b: names starting with sql:, pull:, endpoint: are taken"),
        ({"": plain}, "handler '': 1 to 100 printable characters"),
        (App(handlers={"a": plain}, open=["b"]), "open names b, which is no handler of this app"),
        (
            App(handlers={"a": plain}, queues={"q": "b"}),
            "queue q names the handler b, which this app does not have",
        ),
        (
            App(handlers={"a": plain}, queues={"Q": "a"}),
            "queue 'Q': 1 to 100 of a-z 0-9 . _ : -, the first a letter or digit",
        ),
        (7, "made_for_a_test has no dict or App called app"),
    ],
)
def test_what_is_wrong_with_an_app_is_one_sentence(
    module: Callable[[Any], str], app: Any, sentence: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        python.load(module(app))

    assert (f"--app made_for_a_test:app: {sentence}",) == raised.value.problems


def test_everything_that_is_wrong_is_said_at_once(module: Callable[[Any], str]) -> None:
    with pytest.raises(ConfigError) as raised:
        python.load(module({"deliver": plain, "a": 7}))

    assert 2 == len(raised.value.problems)


def test_a_module_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(ConfigError) as raised:
        python.load("no_such_module:app")

    problem = "--app no_such_module:app: importing no_such_module raised ModuleNotFoundError"
    assert (f"{problem}: No module named 'no_such_module'",) == raised.value.problems


def test_a_module_in_the_directory_we_were_started_in_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_of_a_test.py").write_text("app = {'receipt': lambda job, run: None}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert ["receipt"] == list(python.load("shop_of_a_test:app").handlers)


def test_two_handlers_of_one_name_are_refused() -> None:
    one = python.handlers(App(handlers={"a": plain}))

    with pytest.raises(ConfigError, match="two handlers are called a"):
        handler.registry(one, one)


async def test_start_and_stop_stand_around_the_work() -> None:
    seen: list[str] = []

    async def start() -> None:
        seen.append("start")

    app = App(handlers={"a": plain}, start=start, stop=lambda: seen.append("stop"))
    async with python.running(app):
        seen.append("work")

    assert ["start", "work", "stop"] == seen


def test_users_find_what_they_need_at_the_top() -> None:
    names = {"App", "Done", "Ended", "Job", "Refused", "Run", "Snooze", "Unavailable"}

    assert names <= set(dir(outboxd))
    assert App is outboxd.App
    assert all(getattr(outboxd, name) is not None for name in names)
    with pytest.raises(AttributeError):
        outboxd.nothing  # type: ignore[attr-defined]  # noqa: B018
