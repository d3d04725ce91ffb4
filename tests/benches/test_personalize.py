"""What a page waits: the figures of the section, and that the bench asks as a person's own page does."""

import json

from bench.latency import KEYS
from bench.personalize import question, section
from pipeline.tokens import verified


def test_a_page_that_waits_too_long_is_a_target_that_does_not_hold() -> None:
    found = section({"embedded": [2.0] * 100, "distributed": [2.0] * 98 + [80.0] * 2})
    assert [(target.what, target.holds) for target in found.targets] == [
        ("p99 in ms, embedded", True),
        ("p99 in ms, on Kafka and Redis", False),
    ]


def test_it_is_asked_with_a_proof() -> None:
    asked = json.loads(question("ada"))
    assert verified(KEYS["identity_secret"].encode(), asked["userId"], asked["userHash"])
