"""The seed of the simulation is an option, so that a failure can be run again."""

import pytest


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """`--seed N`; a fixed one otherwise, so that a build does not fail by chance."""
    return int(request.config.getoption("--seed"))
