"""The two handlers that ask a model, as a process offers them."""

from outboxd.config import Config
from outboxd.db.pool import Database
from outboxd.handlers.memory import observe, redaction, summarize
from outboxd.handlers.memory.asking import Asking
from outboxd.handlers.memory.calling import Calling, Woken
from outboxd.model.contract import Handler
from outboxd.providers import Providers


def handlers(db: Database, providers: Providers, config: Config, woken: Woken) -> list[Handler]:
    """Raises ConfigError for a redact file that cannot be used."""
    redactor = redaction.read(config.redact_file)
    calling = Calling(db, providers, woken)
    return [
        observe.handler(db, Asking(calling, config.max_output_tokens), redactor, config.observe_batch),
        summarize.handler(
            db,
            calling,
            redactor,
            max_output_tokens=config.max_output_tokens,
            limit=config.summary_input_bytes,
        ),
    ]
