"""Whom a campaign could reach: the same answers that a decision would give."""

import pytest

from core.making import DAY, NEWS, T0, but, buyer, rules
from pipeline.core.customer.consent import Consent, Permission
from pipeline.core.customer.contacts import Contacts
from pipeline.core.customer.decisions import Decisions
from pipeline.core.customer.reachable import could_reach
from pipeline.core.rules import Condition, Policy

PERMITTED = Consent({"email.marketing": Permission(True, 1)})
ONCE_A_DAY = Policy(per_day=1, quiet_from="00:00", quiet_until="23:59")


@pytest.mark.parametrize(
    ("campaign", "slices", "reached"),
    [
        (NEWS, {}, True),
        (NEWS, {"consent": Consent()}, False),
        (NEWS, {"contacts": Contacts(complaints=("c",))}, False),
        (but(NEWS, conditions=(Condition(field="purchases.orders", op="above", value=1),)), {}, False),
        (but(NEWS, holdout_percent=100), {}, False),
        (but(NEWS, until="2020-01-01"), {}, False),
        (but(NEWS, per_customer=1), {"decisions": Decisions({"news": {"o1": T0}})}, False),
        (NEWS, {"decisions": Decisions(contacted=(T0 + DAY - 1,))}, False),
        (NEWS, {"decisions": Decisions(contacted=(T0,))}, True),
    ],
)
def test_nothing_but_its_moment_is_missing(campaign, slices, reached):
    profile = buyer(0, **({"consent": PERMITTED} | slices))
    assert could_reach(campaign, profile, T0 + DAY, rules(policy=ONCE_A_DAY)) is reached
