"""The engine against its oracle, by random walks through every verb."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from pytest_postgresql.executors import NoopExecutor

from tests.model.machine import EngineMachine
from tests.proofs import proves

COMMON = settings(
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)


@proves("C1", "C2", "C3", "C9", "C11", "C13", "C14", "C15", "C16", "L1", "L3", "L9", "L10", "L17", "E11")
def test_the_engine_does_what_its_oracle_says(migrated: NoopExecutor) -> None:
    EngineMachine.server = migrated
    run_state_machine_as_test(
        EngineMachine, settings=settings(COMMON, max_examples=30, stateful_step_count=50)
    )


@pytest.mark.nightly
@pytest.mark.timeout(4 * 3600)
@proves("C1", "C2", "C3", "C14", "C15")
def test_the_engine_does_what_its_oracle_says_at_length(migrated: NoopExecutor) -> None:
    EngineMachine.server = migrated
    examples = int(os.environ.get("OUTBOXD_MODEL_EXAMPLES", "1000"))
    run_state_machine_as_test(
        EngineMachine, settings=settings(COMMON, max_examples=examples, stateful_step_count=300)
    )
