"""What `outboxd check --providers` finds: one small call of each provider that is configured.

The call costs a few tokens. Neither the key nor what the provider said is told.
"""

import asyncio

from outboxd import providers
from outboxd.cli.finding import Finding, Level
from outboxd.config import Config
from outboxd.errors import ConfigError, Error
from outboxd.providers import Kind, Prompt, ProviderFailed, Providers, choosing

_LIMIT = 20.0
"""Seconds for one call; a model that is loaded first may need them."""
_PROMPT = Prompt(system="Answer with the word ok.", user="ok?", max_output_tokens=256)
_JUDGED: dict[Kind, tuple[Level, str]] = {
    "auth_invalid": ("fail", "set its right key: {key}"),
    "quota_exhausted": ("fail", "fill its account, or name another with OUTBOXD_PROVIDER_FALLBACK"),
    "unrecoverable": ("fail", "name a model that it has with OUTBOXD_MODEL; check its base URL"),
    "parse_error": ("fail", "check its base URL: what answers there does not speak its protocol"),
    "rate_limit": ("warn", "nothing: jobs wait until it takes calls again"),
    "timeout": ("warn", "look whether it can be reached from here, and OUTBOXD_PROVIDER_PROXY"),
    "transient": ("warn", "look whether it can be reached from here, and OUTBOXD_PROVIDER_PROXY"),
}


async def all_of(config: Config) -> list[Finding]:
    """One a provider, in the order of the table; the calls run side by side."""
    try:
        async with providers.opened(config) as known:
            return list(await asyncio.gather(*[_of(known, name, config) for name in known.names]))
    except ConfigError as wrong:
        return [Finding(level="fail", subject="providers", finding=each) for each in wrong.problems]


async def _of(known: Providers, name: str, config: Config) -> Finding:
    subject = f"provider {name}"
    if name == choosing.OFFLINE:
        said = "asks no model" + ("; it is the one that is meant" if known.default == name else "")
        return Finding(level="ok", subject=subject, finding=said)
    model = known.model(name)
    if model is None:
        cure = "projects that choose it have to set generation.model"
        return Finding(level="warn", subject=subject, finding="no model is named for it", cure=cure)
    try:
        limit = min(_LIMIT, config.provider_timeout.total_seconds())
        await known.generate(name, _PROMPT, asyncio.get_running_loop().time() + limit)
    except ProviderFailed as failed:
        return _failed(subject, name, failed)
    except Error as failed:
        return Finding(level="fail", subject=subject, finding=failed.detail)
    meant = ", the one that is meant" if known.default == name else ""
    return Finding(level="ok", subject=subject, finding=f"{model} answers{meant}")


def _failed(subject: str, name: str, failed: ProviderFailed) -> Finding:
    level, cure = _JUDGED.get(failed.kind, ("warn", "try again"))
    told = cure.format(key=choosing.key_setting(name))
    return Finding(level=level, subject=subject, finding=failed.detail, cure=told)
