"""What of an answer is kept: content, metadata and keys of observations and summaries."""

import hashlib
from collections.abc import Callable
from typing import Any
from uuid import UUID

from msgspec import structs

from outboxd.handlers.memory import privacy
from outboxd.handlers.memory.grammar import SUMMARY_FIELDS, Observation, Summary
from outboxd.handlers.memory.prompt import PROMPT_VERSION
from outboxd.handlers.memory.redaction import Redactor


def cleaned(observation: Observation, redactor: Redactor | None) -> Observation | None:
    """Without what is private, noise or secret, also where the model wrote it; None: nothing is left."""
    clean = _cleaner(redactor)
    changed = structs.replace(
        observation,
        title=_one(observation.title, clean),
        subtitle=_one(observation.subtitle, clean),
        narrative=_one(observation.narrative, clean),
        facts=_many(observation.facts, clean),
        concepts=_many(observation.concepts, clean),
        files_read=_many(observation.files_read, clean),
        files_modified=_many(observation.files_modified, clean),
    )
    return changed if changed.survives else None


def cleaned_summary(summary: Summary, redactor: Redactor | None) -> Summary | None:
    clean = _cleaner(redactor)
    changed = Summary(**{name: _one(getattr(summary, name), clean) for name in SUMMARY_FIELDS})
    return changed if changed.survives else None


def content(observation: Observation) -> str:
    """Title, subtitle, narrative and facts; of an observation that has none of them, its concepts."""
    facts = "\n".join(f"- {fact}" for fact in observation.facts)
    parts = (observation.title, observation.subtitle, observation.narrative, facts)
    return "\n\n".join(part for part in parts if part) or f"Concepts: {', '.join(observation.concepts)}"


def metadata(observation: Observation, provider: str, model: str) -> dict[str, Any]:
    return {
        "title": observation.title,
        "subtitle": observation.subtitle,
        "facts": observation.facts,
        "narrative": observation.narrative,
        "concepts": observation.concepts,
        "files_read": observation.files_read,
        "files_modified": observation.files_modified,
        "provider": provider,
        "model": model,
        "promptVersion": PROMPT_VERSION,
    }


def generation_key(lead: UUID, index: int, content: str) -> str:
    """The same answer of the same job makes no second row. `lead` is the call's first job."""
    return f"generation:v1:{lead}:{index}:{hashlib.sha256(content.strip().encode()).hexdigest()}"


def summary_content(summary: Summary) -> str:
    said = ((name, getattr(summary, name)) for name in SUMMARY_FIELDS)
    return "\n\n".join(f"{_TITLES[name]}: {text}" for name, text in said if text)


def summary_metadata(
    summary: Summary, provider: str, model: str, *, events: int, observations: int, left_out: int
) -> dict[str, Any]:
    return {
        **structs.asdict(summary),
        "provider": provider,
        "model": model,
        "promptVersion": PROMPT_VERSION,
        "eventCount": events,
        "observationCount": observations,
        "leftOut": left_out,
    }


def summary_key(session: UUID) -> str:
    """A session has one summary, which is renewed."""
    return f"summary:v1:{session}"


_TITLES = {name: name.replace("_", " ").capitalize() for name in SUMMARY_FIELDS}


def _cleaner(redactor: Redactor | None) -> Callable[[str], str]:
    def clean(text: str) -> str:
        left = privacy.strip_text(text, privacy.ALL)[0].strip()
        return redactor.text(left) if redactor else left

    return clean


def _one(text: str | None, clean: Callable[[str], str]) -> str | None:
    return clean(text) or None if text else None


def _many(texts: tuple[str, ...], clean: Callable[[str], str]) -> tuple[str, ...]:
    return tuple(left for text in texts if (left := clean(text)))
