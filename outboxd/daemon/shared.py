"""What functions in the database need to know of our configuration: the rows of `outbox.settings`.

The empty text says that there is no value; a row that is not there, that nobody has said anything.
"""

from datetime import timedelta

from outboxd.config import Config
from outboxd.providers.choosing import configured


def shared(config: Config) -> dict[str, str]:
    return {
        "hold_days": str(config.hold_days.days),
        "event_key_days": str(config.event_key_days.days),
        "debezium_table": "on" if config.debezium_table else "off",
        "partition_days": str(config.partition_days.days),
        "job_days": str(config.job_days.days),
        "event_days": _days(config.event_days),
        "memory_days": _days(config.memory_days),
        "generation": config.generation,
        "generation_attempts": str(config.generation_attempts),
        "providers": ",".join(configured(config)),
        "provider": config.provider or "",
        "model": config.model or "",
        "max_output_tokens": str(config.max_output_tokens),
        "budget_tokens_per_month": _number(config.budget_tokens_per_month),
        "budget_cost_micros_per_month": _number(config.budget_cost_micros_per_month),
        "budget_calls_per_hour": _number(config.budget_calls_per_hour),
        "search_language": config.search_language,
    }


def _days(kept: timedelta | None) -> str:
    """0: for ever."""
    return str(kept.days) if kept is not None else "0"


def _number(cap: int | None) -> str:
    return "" if cap is None else str(cap)
