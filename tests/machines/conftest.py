"""Settings of the machines: `ci`, small and the same every time, or `deep`, by HYPOTHESIS_PROFILE."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
PROFILES = {
    "ci": settings(
        max_examples=30,
        stateful_step_count=40,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=SLOW,
    ),
    "deep": settings(
        max_examples=2000,
        stateful_step_count=200,
        deadline=None,
        suppress_health_check=SLOW,
    ),
}


@pytest.fixture
def machine_settings() -> settings:
    """Return the settings that a machine is to be run with."""
    return PROFILES[os.environ.get("HYPOTHESIS_PROFILE", "ci")]
