"""Configuration: read once from the environment, handed on as values. No other module reads it."""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from outboxd.config import checks
from outboxd.config.checks import DAEMONS, SELF_SUFFICIENT, Machine
from outboxd.config.settings import SETTINGS, Config, Setting
from outboxd.config.supervisor import supervisor
from outboxd.errors import ConfigError

__all__ = ["Config", "Machine", "machine_here", "read", "read_env_file"]

_PREFIX = "OUTBOXD_"
# What Kubernetes sets in every pod for a Service whose name starts with "outboxd".
_SERVICE_LINK = re.compile(
    r"OUTBOXD_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://.*")


def read(environ: Mapping[str, str], *, command: str, machine: Machine | None = None) -> Config:
    """The settings that `environ` and `command` (the first word after `outboxd`) make together.

    Raises ConfigError with every problem at once; no line of it holds a secret.
    """
    machine = machine or machine_here(environ)
    ours = {name: text for name, text in environ.items() if name.startswith(_PREFIX)}
    links = {name for name, text in ours.items() if _is_service_link(name, text)}
    reading = _Reading({name: text for name, text in ours.items() if name not in links}, environ, command)
    config = _filled(reading.values(), reading.sources, command, machine)
    found = [
        *reading.unknown(),
        *reading.problems,
        *checks.problems(config, command, machine, reading.faulty),
        *_unauthenticated(environ, command),
    ]
    if found:
        raise ConfigError(found)
    return msgspec.structs.replace(
        config,
        warnings=(*_told(links), *checks.warnings(config, command)),
        supervisor=supervisor(environ),
    )


def machine_here(environ: Mapping[str, str], top: Path = Path("/")) -> Machine:
    marked = any((top / mark).exists() for mark in (".dockerenv", "run/.containerenv"))
    named = "KUBERNETES_SERVICE_HOST" in environ or "container" in environ
    return Machine(root=os.geteuid() == 0, home=_home(environ), container=marked or named)


def read_env_file(path: Path) -> dict[str, str]:
    """`KEY=value` lines; blank ones and those that start with # say nothing. Raises ConfigError."""
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError):
        raise ConfigError([f"{path}: cannot be read"]) from None
    said = [(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
    bad = [f"{path}: line {number} is not KEY=value" for number, line in said if "=" not in line]
    if bad:
        raise ConfigError(bad)
    pairs = (line.removeprefix("export ").partition("=") for _, line in said)
    return {name.strip(): _unquoted(text.strip()) for name, _, text in pairs}


class _Reading:
    """One pass over the environment; gathers what is wrong instead of stopping at it."""

    def __init__(self, ours: Mapping[str, str], environ: Mapping[str, str], command: str) -> None:
        self.ours = ours
        self.environ = environ
        self.command = command
        self.problems: list[str] = []
        self.faulty: set[str] = set()
        self.sources: dict[str, str] = {}

    def values(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for setting in SETTINGS:
            text = self._text(setting)
            if text is None:
                continue
            try:
                found[setting.field] = setting.kind.parse(text)
            except ValueError:
                got = "***" if setting.secret else repr(text)
                self._fault(setting, f"{setting.name}: got {got}; wants {setting.kind.wants}")
        return found

    def unknown(self) -> Iterator[str]:
        known = {name for setting in SETTINGS for name in _names(setting)}
        for name in sorted(self.ours):
            if name not in known and not name.startswith("OUTBOXD_TEST_"):
                near = difflib.get_close_matches(name, known, n=1, cutoff=0)
                yield f"{name}: no such setting; the nearest is {near[0]}"

    def _text(self, setting: Setting) -> str | None:
        names = [name for name in _names(setting) if name in self.ours]
        if len(names) > 1:
            self._fault(setting, f"{names[0]}: set, and {names[1]} too; wants one of them")
            return None
        if not names:
            return self._elsewhere(setting)
        self.sources[setting.name] = names[0]
        text = self.ours[names[0]]
        if names[0] != setting.name:
            return self._in_file(setting, names[0], text)
        if text or setting.kind.empty:
            return text
        self._fault(setting, f"{setting.name}: got nothing; wants {setting.kind.wants}, or not to be set")
        return None

    def _elsewhere(self, setting: Setting) -> str | None:
        looks = setting.elsewhere and setting.only_for in {"", self.command}
        text = self.environ.get(setting.elsewhere) if looks else None
        if text:
            self.sources[setting.name] = setting.elsewhere
        return text or None

    def _in_file(self, setting: Setting, name: str, path: str) -> str | None:
        try:
            text = Path(path).read_text().removesuffix("\n")
        except (OSError, UnicodeDecodeError, ValueError):
            text = ""
        if not text:
            self._fault(setting, f"{name}: got {path!r}; wants a file that can be read and is not empty")
        return text or None

    def _fault(self, setting: Setting, sentence: str) -> None:
        self.faulty.add(setting.field)
        self.problems.append(sentence)


def _names(setting: Setting) -> tuple[str, ...]:
    return (setting.name, f"{setting.name}_FILE") if setting.secret else (setting.name,)


def _is_service_link(name: str, text: str) -> bool:
    address = name.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(text)
    return bool(address or _SERVICE_LINK.fullmatch(name))


def _told(links: set[str]) -> Iterator[str]:
    if links:
        example = min(links)
        yield f"{example} comes from Kubernetes and is ignored: set enableServiceLinks: false in the pod"


def _unauthenticated(environ: Mapping[str, str], command: str) -> Iterator[str]:
    mode = environ.get("CLAUDE_MEM_AUTH_MODE", "api-key")
    bypass = "CLAUDE_MEM_ALLOW_LOCAL_DEV_BYPASS" in environ
    if command in DAEMONS and (mode != "api-key" or bypass):
        yield (
            "CLAUDE_MEM_AUTH_MODE=local-dev is not allowed in Docker, nor anywhere else: "
            "there is no unauthenticated mode"
        )


def _filled(values: dict[str, Any], sources: dict[str, str], command: str, machine: Machine) -> Config:
    """Defaults that depend on the command, the machine, or another setting."""
    depends: dict[str, Any] = {"data": _data(machine)}
    if "database_url" in values:
        depends["listen_url"] = values["database_url"]
    if "max_body_bytes" in values:
        depends["max_event_bytes"] = values["max_body_bytes"]
    return Config(**{**depends, **_BY_COMMAND.get(command, {}), **values}, sources=sources)


def _data(machine: Machine) -> Path:
    return Path("/var/lib/outboxd") if machine.root else machine.home / "outboxd"


def _home(environ: Mapping[str, str]) -> Path:
    """Where programs of this user keep their data (XDG base directories)."""
    named = Path(environ.get("XDG_DATA_HOME") or "")
    return named if named.is_absolute() else Path(environ.get("HOME") or "/") / ".local/share"


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text


_ALONE = {"roles": ("api", "work"), "partition_days": timedelta(days=7)}
_BY_COMMAND: dict[str, dict[str, Any]] = {
    **dict.fromkeys(SELF_SUFFICIENT, _ALONE),
    "dev": {**_ALONE, "log_level": "debug", "log_format": "text"},
    "serve": {"roles": ("api",)},
    "work": {"roles": ("work",)},
}
