"""What a person asked for is kept as they said it, and obeyed by the contact policy."""

import pytest

from core.making import DAY, HOUR, NEWS, T0, but, buyer, click, handed_over, rules
from pipeline.core.customer import permitted, preferences
from pipeline.core.customer.preferences import UPDATED, Preferences
from pipeline.core.events import BROWSER, VERIFIED
from pipeline.core.rules import NO_POLICY, Policy

SAID = '{"interests":["tea","jazz","tea"],"every_days":7,"daytime":"evening"}'
KEPT = Preferences(interests=("jazz", "tea"), every_days=7, daytime="evening", said_at=T0)
SET = buyer(0, preferences=KEPT)


def stepped(profile, event):
    after, made = preferences.step(profile, event, T0, rules(), ())
    assert not made
    return after


def test_what_was_said_is_kept_and_what_was_not_said_stays():
    assert stepped(buyer(0), click(UPDATED, trust=VERIFIED, properties=SAID)) == KEPT
    said = stepped(SET, click(UPDATED, trust=VERIFIED, properties='{"every_days":0}'))
    assert said == but(KEPT, every_days=0)


@pytest.mark.parametrize(
    "said",
    ["", "[]", "{", '{"every_days":32}', '{"every_days":-1}', '{"daytime":"night"}', '{"interests":"tea"}',
     '{"interests":[1]}', f'{{"interests":["{"x" * 65}"]}}'],
)  # fmt: skip
def test_half_a_wish_is_none(said):
    after = stepped(SET, click(UPDATED, trust=VERIFIED, properties=said))
    assert after == KEPT


def test_nobody_speaks_for_somebody_else_and_a_browser_speaks_for_itself():
    assert stepped(SET, click(UPDATED, trust=BROWSER, properties='{"every_days":0}')) is KEPT
    assert stepped(buyer(key="a:b1"), click(UPDATED, properties=SAID)) == KEPT
    assert stepped(SET, click("Product Viewed")) is KEPT


def test_of_a_handed_over_browser_the_later_word_counts():
    earlier, later = but(KEPT, said_at=T0 - 1, daytime=""), but(KEPT, said_at=T0 + 1, daytime="")
    for theirs, expected in ((earlier, KEPT), (later, later)):
        assert stepped(SET, handed_over(buyer(key="a:b1", preferences=theirs))) == expected
    assert stepped(SET, handed_over(None)) is KEPT


@pytest.mark.parametrize(
    ("own", "contacted", "reason", "until"),
    [
        (Preferences(), (T0 - HOUR,), "", 0),
        (Preferences(every_days=7), (), "", 0),
        (Preferences(every_days=7), (T0 - 7 * DAY,), "", 0),
        (Preferences(every_days=7), (T0 - 9 * DAY, T0 - 2 * DAY), "asked_less_often", T0 + 5 * DAY),
        (Preferences(every_days=30), (T0 - 29 * DAY,), "asked_less_often", T0 + DAY),
    ],
)
def test_how_often(own, contacted, reason, until):
    found = permitted.hindrance(buyer(0, preferences=own), NEWS, "email", contacted, T0, NO_POLICY)
    assert (found.reason, found.until) == (reason, until) if found else not reason
    assert permitted.remembered((T0 - 32 * DAY, *contacted), T0) == contacted


@pytest.mark.parametrize(
    ("daytime", "hour", "until_hour"),
    [
        ("morning", 7, 8),
        ("morning", 8, 0),
        ("morning", 12, 32),
        ("afternoon", 12, 0),
        ("evening", 21, 42),
        ("", 3, 0),
    ],
)
def test_when(daytime, hour, until_hour):
    midnight = T0 // DAY * DAY
    profile = buyer(0, preferences=Preferences(daytime=daytime, said_at=T0))
    at = midnight + hour * HOUR
    found = permitted.hindrance(profile, NEWS, "email", (), at, NO_POLICY)
    assert (found.until if found else 0) == (midnight + until_hour * HOUR if until_hour else 0)
    service = but(NEWS, contact=but(NEWS.contact, purpose="service"))
    assert permitted.hindrance(profile, service, "email", (), at, NO_POLICY) is None
    assert permitted.hindrance(profile, NEWS, "site", (), at, NO_POLICY) is None


def test_the_stricter_of_shop_and_person_holds():
    policy = Policy(per_day=1, per_week=0, quiet_from="00:00", quiet_until="00:00")
    for every_days, until in ((1, T0 + DAY - HOUR), (0, T0 + DAY - HOUR), (7, T0 + 7 * DAY - HOUR)):
        profile = buyer(0, preferences=Preferences(every_days=every_days))
        found = permitted.hindrance(profile, NEWS, "email", (T0 - HOUR,), T0, policy)
        assert found is not None
        assert found.until == until
