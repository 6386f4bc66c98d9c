"""What replies say about what was used."""

import msgspec


class UsageGroup(msgspec.Struct, frozen=True, kw_only=True):
    key: str | None
    """A project's id, a model, a day; null: what belongs to none, as requests of a team's key do."""
    usage: dict[str, int]


class Usage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    since: str
    """ISO 8601, the month's first moment; `until` is the next month's."""
    until: str
    usage: dict[str, int]
    """By kind: request, event, observation, call, call_failed, tokens, tokens_in, tokens_out, cost_micros."""
    cost_unknown_calls: int
    """Calls that `cost_micros` leaves out, since nobody told us the price of their model."""
    caps: dict[str, int]
    remaining: dict[str, int]
    """Of each cap, in the month or hour that is now."""
    groups: list[UsageGroup]
