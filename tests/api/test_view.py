"""The customer as JSON: where they stand in a journey, what they wait for."""

from typing import Any

import pytest

from pipeline.api.specimens import AT, CUSTOMER
from pipeline.api.view import customer_view
from pipeline.core.customer.decisions import Decisions
from pipeline.core.customer.journeys import HOLDOUT, Journey, Journeys
from pipeline.core.customer.pending import Pending
from pipeline.core.customer.profile import Profile

TIPS = "step:tips:signed-up"


def waiting(campaign: str = "welcome", occasion: str = TIPS, **more: Any) -> Pending:
    return Pending(campaign, occasion, "", "{}", "", "", "", **({"again_at": AT + 5} | more))


def journey(**more: Any) -> Journey:
    return Journey(**({"occasion": "signed-up", "began": AT, "step": "tips", "since": AT + 1, "due": AT + 2} | more))


@pytest.mark.parametrize(
    ("own", "pending", "due_at", "paused_since_at", "left_alone"),
    [
        (journey(), (), AT + 2, 0, False),
        (journey(due=0), (waiting(),), AT + 5, 0, False),
        (journey(due=0), (waiting(occasion="o1"), waiting("other")), 0, 0, False),
        (journey(due=0, stood_since=AT + 3), (), 0, AT + 3, False),
        (journey(walk=HOLDOUT), (), AT + 2, 0, True),
    ],
)
def test_a_journey_tells_what_comes_next_and_when(
    own: Journey, pending: tuple[Pending, ...], due_at: int, paused_since_at: int, left_alone: bool
) -> None:
    profile = Profile("u:ann", AT, journeys=Journeys({"welcome": own}), decisions=Decisions(pending=pending))
    assert customer_view(profile)["journeys"] == [
        {
            "campaign": "welcome",
            "occasion": "signed-up",
            "began_at": AT,
            "next_step": "tips",
            "due_at": due_at,
            "paused_since_at": paused_since_at,
            "left_alone": left_alone,
        }
    ]


def test_the_example_is_on_a_journey() -> None:
    assert [it["campaign"] for it in customer_view(CUSTOMER)["journeys"]] == ["cart-reminder"]


@pytest.mark.parametrize(
    ("pending", "waits_for"),
    [
        (waiting(), "claim"),
        (waiting(budget_id="b1"), "budget"),
        (waiting(put_off_until=AT + 5, since=AT), "time"),
        (waiting(again_at=0, since=AT), "campaign"),
    ],
)
def test_what_waits_tells_for_what(pending: Pending, waits_for: str) -> None:
    profile = Profile("u:ann", AT, decisions=Decisions(pending=(pending,)))
    assert [it["waits_for"] for it in customer_view(profile)["decisions"]["waiting"]] == [waits_for]
