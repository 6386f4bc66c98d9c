"""The nouns, as structs; this page gathers those that everybody names. What one route alone replies stands
with its noun.

Views are what replies show: camelCase, epoch milliseconds, a field that may be null always there,
one that may be UNSET left out. The others are what functions hand each other. JSON that nobody
here looks into stays `Raw`.
"""

from outboxd.model.endpoints import Endpoint
from outboxd.model.events import Event
from outboxd.model.handlers import Done, Job, Snooze, Write, job_of
from outboxd.model.jobs import (
    Attempt,
    Claimed,
    JobDescriptor,
    JobEntry,
    JobError,
    JobFull,
    JobWait,
    Outcome,
    SourceType,
    State,
    Transport,
)
from outboxd.model.tenants import Caller, Key, Project, Team
from outboxd.model.times import Epoch, epoch

__all__ = [
    "Attempt",
    "Caller",
    "Claimed",
    "Done",
    "Endpoint",
    "Epoch",
    "Event",
    "Job",
    "JobDescriptor",
    "JobEntry",
    "JobError",
    "JobFull",
    "JobWait",
    "Key",
    "Outcome",
    "Project",
    "Snooze",
    "SourceType",
    "State",
    "Team",
    "Transport",
    "Write",
    "epoch",
    "job_of",
]
