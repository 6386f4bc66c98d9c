"""Which providers there are, and which of them the settings mean."""

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from urllib.parse import urlsplit

import msgspec

from outboxd.config import Config
from outboxd.config.kinds import Secret
from outboxd.errors import ConfigError
from outboxd.providers import claude, gemini, offline, openai_compatible
from outboxd.providers.claude import Claude
from outboxd.providers.gemini import Gemini
from outboxd.providers.openai_compatible import OPENAI, OPENROUTER, OpenAiCompatible
from outboxd.providers.over_http import Wire

OFFLINE = "offline"
_ALIASES = {"anthropic": "claude"}


class Row(msgspec.Struct, frozen=True):
    wire: Callable[[Config], Wire | None]
    """None: there is no key to it."""
    secret: Callable[[Config], Secret | None]
    key: str
    """What is missing then."""
    model: str | None
    """None: one has to be named."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    default: str
    fallback: str | None
    models: Mapping[str, str | None]
    """Every provider that can be called → the model that is meant where nobody names one."""


def choice(config: Config) -> Choice:
    """Raises ConfigError: generation is never silently off."""
    default = _default(config)
    models = {name: _TABLE[name].model for name in configured(config)}
    if default != OFFLINE:
        models[default] = config.model or models[default]
    if models[default] is None:
        raise ConfigError([f"OUTBOXD_MODEL: not set; wants a model of {default}, which has no default"])
    fallback, model = _fallback(config, default)
    if fallback is not None:
        models[fallback] = model
    return Choice(default=default, fallback=fallback, models=models)


def configured(config: Config) -> tuple[str, ...]:
    """The names that a project may choose from."""
    return tuple(name for name in _TABLE if name == OFFLINE or wire(name, config) is not None)


def key_setting(name: str) -> str:
    """Where its key is set."""
    return _TABLE[name].key


def closing(config: Config) -> str | None:
    """The provider without which nothing can be generated; None: another stands in for it."""
    chosen = choice(config)
    return None if chosen.fallback else chosen.default


def prints(config: Config) -> dict[str, str]:
    """Provider → a print of its key, by which another key is told from it, and nothing else."""
    found = {name: _TABLE[name].secret(config) for name in configured(config)}
    return {name: _print(name, secret) for name, secret in found.items() if secret is not None}


def _print(name: str, secret: Secret) -> str:
    return sha256(f"outboxd {name} {secret.reveal()}".encode()).hexdigest()[:16]


def wire(name: str, config: Config) -> Wire | None:
    return _TABLE[name].wire(config)


def _default(config: Config) -> str:
    if config.provider is None:
        return next(iter(configured(config)))
    return _named("OUTBOXD_PROVIDER", config.provider, config)


def _fallback(config: Config, default: str) -> tuple[str | None, str | None]:
    if config.provider_fallback is None:
        return None, None
    setting = "OUTBOXD_PROVIDER_FALLBACK"
    said, _, model = config.provider_fallback.partition(":")
    name = _named(setting, said, config)
    if name == default:
        raise ConfigError([f"{setting}: got {said!r}; wants another than the first provider"])
    if name == OFFLINE:
        return name, offline.MODEL
    if not (model or _TABLE[name].model):
        raise ConfigError([f"{setting}: got {said!r}; wants its model too, as {said}:<model>"])
    return name, model or _TABLE[name].model


def _named(setting: str, said: str, config: Config) -> str:
    name = _ALIASES.get(said, said)
    if name not in _TABLE:
        raise ConfigError([f"{setting}: got {said!r}; wants {' or '.join(_TABLE)}"])
    if name not in configured(config):
        raise ConfigError([f"{setting}: got {said!r}; wants its key too: {_TABLE[name].key} is not set"])
    return name


def _claude(config: Config) -> Wire | None:
    key = config.anthropic_api_key
    return Claude(config.anthropic_base_url or claude.BASE_URL, key) if key else None


def _gemini(config: Config) -> Wire | None:
    key = config.gemini_api_key
    return Gemini(config.gemini_base_url or gemini.BASE_URL, key) if key else None


def _openai(config: Config) -> Wire | None:
    return _compatible(config, OPENAI, _key(config, config.openai_api_key))


def _openrouter(config: Config) -> Wire | None:
    return _compatible(config, OPENROUTER, _key(config, config.openrouter_api_key))


def _key(config: Config, own: Secret | None) -> Secret | None:
    base = config.openai_base_url
    keys = iter([own] if base is None else _keys(config, base, own))
    return next((key for key in keys if key is not None), None)


def _compatible(config: Config, usual: str, key: Secret | None) -> Wire | None:
    base = config.openai_base_url
    if key is None and not (base and openai_compatible.is_local(base)):
        return None
    return OpenAiCompatible(base or usual, key)


def _keys(config: Config, base: str, own: Secret | None) -> Iterator[Secret | None]:
    """A server that the operator named gets the key that is there, but nobody another's if he has his own."""
    if urlsplit(base).hostname == "openrouter.ai":
        yield config.openrouter_api_key
    yield from (own, config.openai_api_key, config.openrouter_api_key)


# In the order in which they are looked for where none is named.
_TABLE: Mapping[str, Row] = {
    "claude": Row(
        _claude, lambda config: config.anthropic_api_key, "OUTBOXD_ANTHROPIC_API_KEY", claude.MODEL
    ),
    "gemini": Row(_gemini, lambda config: config.gemini_api_key, "OUTBOXD_GEMINI_API_KEY", gemini.MODEL),
    "openai": Row(
        _openai, lambda config: _key(config, config.openai_api_key), "OUTBOXD_OPENAI_API_KEY", None
    ),
    "openrouter": Row(
        _openrouter,
        lambda config: _key(config, config.openrouter_api_key),
        "OUTBOXD_OPENROUTER_API_KEY",
        None,
    ),
    OFFLINE: Row(lambda _: None, lambda _: None, "", offline.MODEL),
}
