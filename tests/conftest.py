"""What every test may use: the fixture modules and the options."""

import pytest

pytest_plugins = ["servers.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of this project's tests."""
    parser.addoption("--api-examples", default="5", help="Generated requests for each call of the HTTP API.")
    parser.addoption("--seed", default="20261122", help="Seed of the simulated runs.")
