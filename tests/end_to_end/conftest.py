"""One running shop for all tests of a file: each has people of its own."""

from collections.abc import Iterator

import pytest
from cli.home import Home

from end_to_end.shop import Shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    home = Home(tmp_path_factory.mktemp("shop")).init()
    thanks = home.path / "campaigns" / "thanks-regulars.toml"
    terms = 'minimum_spend_cents = 2000\ncurrency = "EUR"\n'
    thanks.write_text(thanks.read_text().replace("valid_days", f"{terms}valid_days"))
    with home.role("up", "--port", "0") as role:
        yield Shop(home, role)
