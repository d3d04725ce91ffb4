"""Hosted by Faust, the same history is decided the same as by the worker's own engine.

What becomes of it when it is killed: `faults/test_faust_host.py`.
"""

from collections.abc import Callable
from pathlib import Path

from agreement.conftest import OpenShop
from agreement.outcome import assert_equal, outcome

Servers = Callable[[], dict[str, str]]


def test_hosted_by_faust_the_log_is_decided_the_same(
    open_shop: OpenShop, on_servers: Servers, invented: Callable[..., Path]
) -> None:
    people = invented("faust", "--devices", "one", "--events", "1500", "--people", "100")
    embedded, hosted = open_shop(), open_shop(**on_servers())
    for shop in (embedded, hosted):
        shop.publish()
        shop.run("replay", str(people), "--format", "segment")
    worker = hosted.faust_worker()
    hosted.until_settled()
    hosted.stop(worker)

    expected = outcome(embedded.backend)
    assert expected.count("decisions") > 100
    assert len(expected.given()) > 20
    assert_equal(outcome(hosted.backend), expected)
