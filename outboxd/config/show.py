"""The settings for people: an example file, a table for documentation, and what is in force."""

from collections.abc import Iterator

import msgspec

from outboxd.config.kinds import Kind
from outboxd.config.settings import SETTINGS, Config


class Effective(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: str
    """Secrets as `***`; empty for none."""
    source: str
    """The variable it came from, else `default`."""


def effective(config: Config) -> Iterator[Effective]:
    for setting in SETTINGS:
        yield Effective(
            name=setting.name,
            value=_shown(setting.kind, getattr(config, setting.field)),
            source=config.sources.get(setting.name, "default"),
        )


def example() -> str:
    """A file for `--env-file`, with every setting at its default and commented out."""
    head = "# Every setting of outboxd, at its default. X_FILE reads a secret from a file.\n"
    return head + "".join(
        f"\n# {setting.text[0].upper()}{setting.text[1:]}. Wants {setting.kind.wants}. "
        f"Default: {setting.default}.\n#{setting.name}={setting.plain}\n"
        for setting in SETTINGS
    )


def markdown() -> str:
    rows = (
        f"| `{setting.name}`{' s' if setting.secret else ''} | {setting.default} | {setting.text} |\n"
        for setting in SETTINGS
    )
    return "| name | default | what it says |\n|---|---|---|\n" + "".join(rows)


def _shown(kind: Kind, value: object) -> str:
    return "" if value == () or (value is None and not kind.nothing) else kind.show(value)
