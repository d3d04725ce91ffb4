"""A running API for each test of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.running import Running


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """The API; nobody works yet."""
    with Running(tmp_path / "data").serving() as served:
        yield served


@pytest.fixture
def at_work(running: Running) -> Iterator[Running]:
    """The API with a worker."""
    with running.working():
        yield running


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One API for all questions of a module that change nothing."""
    with Running(tmp_path_factory.mktemp("idle")).serving() as served:
        yield served
