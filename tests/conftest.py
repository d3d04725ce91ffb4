"""What every test may use: the fixture modules and the options."""

import pytest
from hypothesis import settings
from servers.kafka import KafkaServer

pytest_plugins = ["servers.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of this project's tests."""
    parser.addoption("--api-examples", default="5", help="Generated requests for each call of the HTTP API.")
    parser.addoption("--year-people", default="1000", help="People of the simulated year.")
    parser.addoption("--seed", default="20261122", help="Seed of the simulated runs.")


def pytest_configure() -> None:
    """Brokers of tests come and go: for the little that each does, compiling its code well costs more than it brings
    (a start takes half the processor time). Those of the benches do."""
    KafkaServer.java_options = ("-XX:TieredStopAtLevel=1",)
    # No assertion is timed: on a busy machine a case of a millisecond may take a second.
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")
