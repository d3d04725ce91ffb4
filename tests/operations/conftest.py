"""The watched shop, one for all tests of this folder that need it."""

from collections.abc import Iterator

import pytest

from .running import WatchedShop


@pytest.fixture(scope="package")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedShop]:
    """Every role runs and is scraped."""
    made = WatchedShop(tmp_path_factory.mktemp("shop"))
    try:
        yield made.start()
    finally:
        made.close()
