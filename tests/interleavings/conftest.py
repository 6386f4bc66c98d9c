"""The engine at hand, on one server: what races here does not depend on its version."""

from tests.engine_fixtures import engine, tenant, worker
from tests.interleavings.scenes import race, scene

__all__ = ["engine", "race", "scene", "tenant", "worker"]
