"""Timers come to rest: whatever was armed, and whatever the rules are by then, a timer that fired is over. One that
stays due would be fired by every record of its partition, for ever."""

import pytest

from core.making import DAY, HOUR, MINUTE, T0, but, buyer, candidate, click, rules
from core.test_journeys import CARE, JOURNEY, PERMITTED, ruled
from core.test_referral import ann, answered, bought, identified
from pipeline.core import customer
from pipeline.core.condition import Condition
from pipeline.core.customer import WAITING
from pipeline.core.customer.decisions import Decisions
from pipeline.core.customer.identity import Browser, Identity
from pipeline.core.customer.journeys import Journeys
from pipeline.core.customer.pending import put_off
from pipeline.core.customer.profile import Profile
from pipeline.core.do import DoChatPrompt, DoMessage
from pipeline.core.events import RulesChanged, TimerDue
from pipeline.core.rules import Campaign, Rules, Segment
from pipeline.core.scheme import Referral, Scheme, Tier
from pipeline.core.when import WhenCartAbandoned, WhenDate, WhenHesitating, WhenLapsed, WhenScheduled

OLD = Segment(name="old", all_of=(Condition(field="purchases.days_since_last", op="at_least", value=30),))
SAID = DoMessage(template="said")
RICH = rules(
    CARE,
    Campaign(name="win-back", when=WhenLapsed(), do=SAID),
    Campaign(name="cart", when=WhenCartAbandoned(hours=2), do=SAID),
    Campaign(name="day", when=WhenScheduled(on="2023-12-24"), do=SAID),
    Campaign(name="birthday", when=WhenDate(), do=SAID),
    Campaign(name="ask", when=WhenHesitating(), do=DoChatPrompt()),
    segments=(OLD,),
    loyalty=Scheme(expire_after_days=9, tiers=(Tier(name="gold", at_least=1),), referral=Referral(days=10)),
)
HELD = put_off(candidate(CARE, "step:tips:o1", step="tips"), None, T0 + 3 * DAY, T0)
WAITS = {
    "a friend's first order": ann(identified("S0MEB0DYSC0DE"), answered(), bought("o1"), by=RICH)[0],
    "an order, a birthday": ann(identified(properties='{"birthday":"1990-05-01"}'), bought("o1"), by=RICH)[0],
    "a cart": ann(identified(), click("Product Added", product_id="p", trust="SERVER"), by=RICH)[0],
    "a journey": buyer(0, consent=PERMITTED, journeys=Journeys({"care": JOURNEY})),
    "a step that is put off": buyer(
        0, consent=PERMITTED, journeys=Journeys({"care": JOURNEY}), decisions=Decisions(pending=(HELD,))
    ),
    "an open claim": Profile("u:ann", T0, identity=Identity(browsers={"b1": Browser("open", "SERVER", T0)})),
}
RULES = {"as they were": RICH, "none": Rules(), "paused": ruled(but(CARE, state="paused"))}


def left_due(profile, by, until):
    """Which features still wait for what is over, after all timers until then."""
    for _ in range(100):
        due = customer.due(profile)
        if not 0 < due <= until:
            return []
        profile, _ = customer.step(profile.key, profile, TimerDue(due), max(due, profile.now), by)
    return [of.__module__.rpartition(".")[2] for of in WAITING if 0 < of(profile) <= profile.now]


@pytest.mark.parametrize("shown", [True, False], ids=["everybody was shown the rules", "the sweep is under way"])
@pytest.mark.parametrize("by", RULES)
@pytest.mark.parametrize("who", WAITS)
def test_a_timer_that_fired_is_over(who, by, shown):
    profile, later = WAITS[who], T0 + MINUTE
    assert customer.due(profile)
    if shown:
        profile, _ = customer.step(profile.key, profile, RulesChanged(2, 0), later, RULES[by])
    assert left_due(profile, RULES[by], T0 + 100 * DAY + HOUR) == []
