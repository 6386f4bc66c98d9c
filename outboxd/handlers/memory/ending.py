"""What becomes of a job of generation that was not simply answered.

problem of the rows     expunged: completed; scope, key, archive: failed, final, told to the audit trail
revoked keys of some    done without their events, told to the audit trail
HeldError               snoozed, no attempt spent
ProviderFailed          transient, timeout, unknown: again by backoff
                        parse_error: again once; the others are final
"""

import random
from datetime import timedelta
from typing import Any

from outboxd.handlers.memory.calling import HeldError
from outboxd.handlers.memory.material import Member
from outboxd.model.contract import Ended
from outboxd.providers import ProviderFailed
from outboxd.store import generation
from outboxd.store.generation import SessionWork, Work

_AGAIN = frozenset({"transient", "timeout", "unknown"})
_PARSED = 2
_MOST_JITTER = 30.0

_SENTENCES = {
    "scope_violation": "team or project of the job's rows differ",
    "revoked_key": "the key that asked for this was revoked",
    "project_archived": "the project is archived",
}

_PARTLY = "keys that published some of its events were revoked"

EXPUNGED = Ended(outcome="completed", output={"outcome": "expunged", "observationCount": 0})


def of_problem(work: Work | SessionWork | None) -> Ended | None:
    """None: it may be done."""
    if work is None or work.problem == "expunged":
        return EXPUNGED
    if work.problem is None:
        return None
    problem = work.problem
    denied = problem != "project_archived"

    async def tell(conn: Any) -> None:
        details = {"reason": _SENTENCES[problem], "found": work.found}
        await generation.audit_refusal(
            conn, work, f"generation_job.{problem}", work.found.get("keyId"), details
        )

    return Ended(
        outcome="failed",
        class_=problem,
        error=_SENTENCES[problem],
        final=True,
        write=tell if denied else None,
    )


def silent(member: Member) -> Ended:
    """Nothing in it could be shown, so nothing was sent."""
    output: dict[str, Any] = {
        "outcome": "private" if member.private else "empty",
        "privateContentDetected": member.private,
        "observationCount": 0,
    }
    work = member.work
    if not work.revoked:
        return Ended(outcome="completed", output=output)

    async def tell(conn: Any) -> None:
        await tell_left_out(conn, work)

    return Ended(outcome="completed", output={**output, "leftOut": work.revoked}, write=tell)


async def tell_left_out(conn: Any, work: Work) -> None:
    """A job that is done without some of its events says whose they were."""
    if work.revoked:
        details = {
            "reason": _PARTLY,
            "leftOut": work.revoked,
            "found": {"keyIds": [str(key) for key in work.revoked_keys]},
        }
        await generation.audit_refusal(
            conn, work, "generation_job.revoked_key", work.revoked_keys[0], details
        )


def held(why: HeldError) -> Ended:
    """Until about then; not all at the same moment."""
    jitter = random.uniform(0, min(why.wait.total_seconds() * 0.1, _MOST_JITTER))  # noqa: S311  no secret
    return Ended(
        outcome="snoozed", class_=why.class_, reason=why.held, delay=why.wait + timedelta(seconds=jitter)
    )


def failed(why: ProviderFailed, attempt: int) -> Ended:
    final = why.kind not in _AGAIN and (why.kind != "parse_error" or attempt >= _PARSED)
    return Ended(outcome="failed", class_=why.kind, status=why.answered, error=why.detail, final=final)
