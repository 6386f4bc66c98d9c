"""Handlers that users write: `module:app`, a dict of functions, or an App.

    async def resize(job, run): ...       a coroutine, on the event loop
    def resize(job, run): ...             a plain function, in a thread
    app = {"resize": resize}
    app = App(handlers={…}, queues={"thumbs": "resize"}, open=["resize"], writes=[…], start=…, stop=…)

Everything that can be wrong with an app is found at boot, and said in one sentence each.
"""

import importlib
import inspect
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from outboxd.errors import ConfigError
from outboxd.handlers.handler import is_queue, problems_of_names
from outboxd.model.contract import Handler

Hook = Callable[[], Awaitable[None] | None]


class App(msgspec.Struct, frozen=True, kw_only=True):
    """What a user's module offers."""

    handlers: Mapping[str, Callable[..., Any]]
    queues: Mapping[str, str] = {}
    """Queue → its handler; made at boot. A handler without one gets a queue of its own name."""
    open: Sequence[str] = ()
    """Handlers that tenants may route to."""
    writes: Sequence[str] = ()
    """Handlers that usually return writes or events: each of their jobs gets a lease of its own."""
    start: Hook | None = None
    """Called before the first job."""
    stop: Hook | None = None
    """Called after the last one."""


def load(name: str) -> App:
    """The app that `module:app` names, installed or in the directory that we were started in.

    Raises ConfigError with everything that is wrong with it.
    """
    module, _, attribute = name.partition(":")
    _look_here_too()
    try:
        found = importlib.import_module(module)
    except Exception as failed:
        # What an import says is names of modules; other exceptions may hold anything.
        words = f": {failed}" if isinstance(failed, ImportError) else ""
        problem = f"--app {name}: importing {module} raised {type(failed).__name__}{words}"
        raise ConfigError([problem]) from failed
    given = getattr(found, attribute or "app", None)
    if isinstance(given, Mapping):
        given = App(handlers=given)
    if not isinstance(given, App):
        raise ConfigError([f"--app {name}: {module} has no dict or App called {attribute or 'app'}"])
    problems = problems_of_names(given.handlers, (*given.open, *given.writes), given.queues)
    problems += [fault for each, call in given.handlers.items() if (fault := _fault(each, call))]
    if problems:
        raise ConfigError([f"--app {name}: {problem}" for problem in problems])
    return given


def _look_here_too() -> None:
    """Last, so that no file that lies here stands before a module of ours or of the standard library."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def handlers(app: App) -> list[Handler]:
    """The app's functions as handlers."""
    return [
        Handler(
            name=name,
            call=call,
            blocking=not _is_coroutine(call),
            writes=name in app.writes,
            open=name in app.open,
        )
        for name, call in app.handlers.items()
    ]


def queues(app: App) -> dict[str, str]:
    """Queue → handler, for every queue that the app wants to exist."""
    named = set(app.queues.values())
    own = (name for name in app.handlers if name not in named and is_queue(name))
    return {name: name for name in own} | dict(app.queues)


@asynccontextmanager
async def running(app: App) -> AsyncIterator[None]:
    """`start` before, `stop` after."""
    await _call(app.start)
    try:
        yield
    finally:
        await _call(app.stop)


async def _call(hook: Hook | None) -> None:
    if hook is not None:
        result = hook()
        if inspect.isawaitable(result):
            await result


def _fault(name: str, call: Any) -> str | None:
    if not callable(call):
        return f"handler {name} is no function"
    try:
        inspect.signature(call).bind(object(), object())
    except TypeError:
        return f"handler {name} must take two arguments, the job and the run"
    except ValueError:  # a builtin without a signature: it will be seen when it is called
        return None
    return None


def _is_coroutine(call: Any) -> bool:
    """Also of callable objects and of partials."""
    while hasattr(call, "func"):
        call = call.func
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004
