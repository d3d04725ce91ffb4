"""One `rapport up` for all hostile clients of this folder: whoever breaks it, breaks it for those after."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cli.home import Home

from edge.target import Target


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Its callers' addresses are what they say in `X-Forwarded-For`: this machine is its proxy."""
    home = Home(tmp_path_factory.mktemp("edge")).init(
        trusted_proxies=["127.0.0.1"],
        allowed_origins=["https://shop.example"],
        limit_address_requests_per_second=50,
        limit_unknown_codes_per_minute=30,
        previous_server_key="sk_that-was-replaced",
        kafka_sasl_password="a-password-of-kafka",
        kafka_ssl_key_password="a-password-of-a-key",
        log_level="DEBUG",
    )
    with home.role("up", "--port", "0") as role:
        yield Target(home, role)
