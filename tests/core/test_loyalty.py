"""Points and tiers of a customer: what earns, what takes back, what is told to campaigns."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.making import DAY, T0, but, click, handed_over, order, rules
from core.occurrences import says
from pipeline.core import customer
from pipeline.core.customer.loyalty import MAX_CONVERSIONS, Loyalty
from pipeline.core.do import DoPoints
from pipeline.core.effects import LoyaltyChanged, Send, Voucher
from pipeline.core.events import BROWSER, VERIFIED, Product, RulesChanged, TimerDue, VoucherIssued
from pipeline.core.loyalty_events import PointsConversionRequested
from pipeline.core.rules import Campaign
from pipeline.core.scheme import Earning, Reward, Scheme, Tier
from pipeline.core.when import WhenInterested, WhenPointsReached, WhenRegular, WhenSignedUp, WhenTierReached

SCHEME = Scheme(
    per_order=5,
    categories={"jazz": 3, "gift-card": 0},
    events=(Earning(event="Reviewed", points=10, once_per="product_id", at_most=2), Earning(event="Asked", points=7)),
    tiers=(Tier(name="gold", at_least=100, benefits=("free-shipping",)), Tier(name="silver", at_least=20)),
    rewards=(Reward(name="five", points=50, discount_cents=500, currency="EUR"),),
)
RULES = rules(loyalty=SCHEME)


def lived(*events, key="u:ann", by=RULES, profile=None):
    """The profile and all outputs."""
    made = []
    for event in events:
        now = max(getattr(event, "received_at", 0) or getattr(event, "at", T0), profile.now if profile else 0)
        profile, outputs = customer.step(key, profile, event, now, by)
        made += outputs
    return profile, made


def paid(order_id, euros, at=T0, event="Order Completed", message="", **fields):
    return order(
        order_id,
        at,
        event,
        **({"total_cents": euros * 100, "currency": "EUR", "message_id": message or f"{order_id}-{event}"} | fields),
    )


def balance(profile):
    return profile.loyalty.account.balance if profile.loyalty else 0


def lines(outputs):
    return [(it.reason, it.source, it.points) for it in outputs if isinstance(it, LoyaltyChanged) and it.points]


def line(category, price_cents=0, quantity=1):
    return Product(product_id=category, category=category, price_cents=price_cents, quantity=quantity)


@pytest.mark.parametrize(
    ("products", "points"),
    [
        ((), 45),
        ((line("rock", 4000),), 45),
        ((line("jazz", 3000), line("rock", 1000)), 5 + 3 * 30 + 10),
        ((line("jazz", 6000), line("rock", 2000)), 5 + 3 * 30 + 10),  # a coupon took half
        ((line("jazz"), line("rock")), 5 + 3 * 20 + 20),  # without prices: by number
        ((line("gift-card", 4000),), 5),
        ((line("", 0, 0),), 45),
    ],
)
def test_an_order_is_worth_what_was_paid_for_which_category(products, points):
    assert balance(lived(paid("o1", 40, products=products))[0]) == points


def test_money_may_earn_nothing_and_only_in_one_currency():
    none = rules(loyalty=but(SCHEME, cents_per_point=0))
    assert balance(lived(paid("o1", 40), by=none)[0]) == 5
    euros = rules(loyalty=but(SCHEME, currency="EUR"))
    assert balance(lived(paid("o1", 40, currency="USD"), by=euros)[0]) == 0


def test_without_a_scheme_nothing_is_earned_and_what_was_is_still_taken_back():
    profile, outputs = lived(paid("o1", 40), by=rules())
    assert profile.loyalty is None and not lines(outputs)
    profile, _ = lived(paid("o1", 40, event="Order Updated", message="late"), profile=profile)
    assert profile.loyalty is None  # completed before there was a scheme
    profile, _ = lived(paid("o2", 40), profile=profile)
    profile, outputs = lived(paid("o2", 0, event="Order Cancelled"), paid("o3", 9), by=rules(), profile=profile)
    assert (lines(outputs), balance(profile)) == ([("TAKEN_BACK", "order/o2", -45)], 0)


@pytest.mark.parametrize(
    ("records", "points"),
    [
        ([paid("o1", 40), paid("o1", 40, message="again")], 45),
        ([paid("o1", 40), paid("o1", 10, event="Order Refunded")], 33),
        ([paid("o1", 10, event="Order Refunded"), paid("o1", 40)], 33),
        ([paid("o1", 40), paid("o1", 0, event="Order Refunded")], 0),
        ([paid("o1", 40), paid("o1", 0, event="Order Cancelled")], 0),
        ([paid("o1", 0, event="Order Cancelled"), paid("o1", 40)], 0),
        ([paid("o1", 40), paid("o1", 20, event="Order Updated")], 25),
        ([paid("o1", 20, event="Order Updated"), paid("o1", 40)], 25),
        ([paid("o1", 0, event="Order Updated", currency=""), paid("o1", 40)], 45),
        ([paid("o1", 0)], 5),
        ([paid("o1", 0, currency=""), paid("o1", 0, event="Order Refunded", currency="")], 0),
        ([paid("o1", 40, trusted=False)], 0),
    ],
)
def test_an_order_counts_once_and_as_much_as_stands(records, points):
    assert balance(lived(*records)[0]) == points


RECORDS = st.lists(
    st.builds(
        lambda number, name, euros: paid(
            f"o{number}", euros, event=f"Order {name}", message=f"{number}-{name}-{euros}"
        ),
        st.integers(1, 3),
        st.sampled_from(["Completed", "Refunded", "Cancelled"]),
        st.integers(1, 60),
    ),
    max_size=12,
)


@given(RECORDS)
def test_the_statement_is_what_the_orders_come_to(records):
    profile, outputs = lived(*records)
    orders = profile.purchases.orders if profile else {}
    known = profile.loyalty.account.credits if profile and profile.loyalty else {}
    expected = sum(orders[name.removeprefix("order/")].share_of(it.points) for name, it in known.items())
    assert (balance(profile) if profile else 0) == sum(points for _, _, points in lines(outputs)) == expected
    assert {name.removeprefix("order/") for name in known} >= {n for n, it in orders.items() if it.stands()}
    again, outputs_again = lived(*records)
    assert (again, outputs_again) == (profile, outputs)


@given(RECORDS, RECORDS)
def test_two_histories_become_one_without_counting_twice(own, theirs):
    person, _ = lived(paid("o0", 1), *own)
    browser, _ = lived(click("Page"), *theirs, key="a:b1")
    merged, _ = lived(handed_over(browser), profile=person)
    orders, known = merged.purchases.orders, merged.loyalty.account.credits
    assert balance(merged) == sum(
        orders[name.removeprefix("order/")].share_of(it.points) for name, it in known.items()
    )
    again, outputs = lived(handed_over(browser), profile=merged)
    assert balance(again) == balance(merged) and not lines(outputs)


def asked(name, at=T0, **fields):
    given = {"message_id": f"{name}-{at}-{fields}", "trust": VERIFIED, "user_id": "ann"}
    return click(name, at, **(given | fields))


@pytest.mark.parametrize(
    ("events", "points"),
    [
        ([asked("Asked"), asked("Asked", T0 + 1)], 7),
        ([asked("Asked", trust=BROWSER)], 0),
        ([asked("Other")], 0),
        ([asked("Reviewed", T0 + n, properties=f'{{"product_id":"p{n}"}}') for n in range(4)], 20),
        ([asked("Reviewed", T0 + n, properties='{"product_id":"p"}') for n in range(4)], 10),
        ([asked("Reviewed", properties="["), asked("Reviewed", T0 + 1, properties="[[")], 10),
    ],
)
def test_an_event_earns_once_for_each_occasion(events, points):
    assert balance(lived(says(0), *events)[0]) == points


def test_a_browser_earns_nothing_by_events():
    assert balance(lived(asked("Asked", user_id=""), key="a:b1")[0]) == 0


def test_points_expire_at_the_end_of_a_day_and_are_not_taken_back_then():
    by = rules(loyalty=but(SCHEME, expire_after_days=10, tiers=()))
    profile, _ = lived(paid("o1", 40), by=by)
    due = customer.due(profile)
    assert due == (T0 // DAY + 11) * DAY
    profile, outputs = lived(TimerDue(due), by=by, profile=profile)
    assert lines(outputs) == [("EXPIRED", "", -45)]
    profile, outputs = lived(paid("o1", 0, due + 1, "Order Cancelled"), by=by, profile=profile)
    assert (lines(outputs), balance(profile)) == ([], 0)


@pytest.mark.parametrize(("tier_by", "tier_days"), [("points", 90), ("spend", 90), ("points", 0)])
def test_a_tier_holds_as_long_as_it_is_earned(tier_by, tier_days):
    tiers = (Tier(name="gold", at_least=60, benefits=("ships",)), Tier(name="base", at_least=0))
    by = rules(loyalty=but(SCHEME, per_order=0, tier_by=tier_by, tier_days=tier_days, tiers=tiers, currency="EUR"))
    dollars = paid("o3", 90, T0 + DAY, currency="USD")
    profile, outputs = lived(paid("o1", 40), paid("o2", 40, T0 + DAY), dollars, by=by)
    assert (profile.loyalty.tier, profile.loyalty.benefits) == ("gold", ("ships",))
    assert [it.tier for it in outputs if isinstance(it, LoyaltyChanged) and it.reason == "TIER_CHANGED"][-1] == "gold"
    until = profile.loyalty.tier_until
    if tier_by == "spend":
        assert until == T0 + DAY + tier_days * DAY  # 60 cents: the second order alone is enough
    else:
        assert until == (T0 + tier_days * DAY if tier_days else 0)
    if until:
        profile, _ = lived(TimerDue(until), by=by, profile=profile)
        assert (profile.loyalty.tier, profile.loyalty.benefits) == ("base", ())
        assert profile.loyalty.tier_until == 0


def test_new_rules_give_and_take_tiers():
    profile, _ = lived(paid("o1", 40))
    assert profile.loyalty.tier == "silver"
    higher = rules(loyalty=but(SCHEME, tiers=(Tier(name="silver", at_least=500),)))
    profile, _ = lived(RulesChanged(2, 1), by=higher, profile=profile)
    assert profile.loyalty.tier == ""


def campaign(name, when, points=1, **more):
    return Campaign(name=name, when=when, do=DoPoints(points=points), **more)


def test_campaigns_hear_of_points_and_tiers_that_are_reached():
    by = rules(
        campaign("hundred", WhenPointsReached(points=40)),
        campaign("ever", WhenPointsReached(points=40, count="lifetime")),
        campaign("silver", WhenTierReached(tier="silver")),
        campaign("gold", WhenTierReached(tier="gold")),
        loyalty=but(SCHEME, rewards=(Reward(name="five", points=48, discount_percent=5),)),
    )
    profile, outputs = lived(paid("o1", 40), by=by)
    assert {source for _, source, _ in lines(outputs)} == {
        "order/o1",
        "campaign/hundred/points-40-1",
        "campaign/ever/points-40",
        f"campaign/silver/silver-{T0}",
    }
    profile, outputs = lived(convert("r1"), paid("o2", 40, T0 + DAY), by=by, profile=profile)
    assert [source for _, source, _ in lines(outputs) if source.startswith("campaign")] == [
        "campaign/hundred/points-40-6"
    ]


def test_what_a_campaign_gives_is_told_by_a_timer():
    by = rules(
        campaign("thanks", WhenRegular(every_orders=1), points=100),
        campaign("hundred", WhenPointsReached(points=100)),
        loyalty=but(SCHEME, tiers=()),
    )
    profile, outputs = lived(paid("o1", 40), by=by)
    assert [source for _, source, _ in lines(outputs)] == ["order/o1", "campaign/thanks/o1"]
    assert customer.due(profile) == profile.now
    profile, outputs = lived(TimerDue(profile.now), by=by, profile=profile)
    assert [source for _, source, _ in lines(outputs)] == ["campaign/hundred/points-100-2"]
    profile, outputs = lived(paid("o1", 0, T0 + 1, "Order Cancelled"), by=by, profile=profile)
    assert [(source, points) for _, source, points in lines(outputs)] == [
        ("order/o1", -45),
        ("campaign/thanks/o1", -100),
    ]


@pytest.mark.parametrize("key", ["a:b1", "u:ann"])
def test_campaigns_give_points_to_who_is_known_without_asking_for_permission(key):
    by = rules(campaign("thanks", WhenRegular(every_orders=1)), loyalty=SCHEME)
    profile, _ = lived(paid("o1", 40), key=key, by=by)
    known = key == "u:ann"
    assert profile.decisions.answers["thanks"].reason == (
        "unverified" if not known else "regular buyer: 1 orders, a multiple of 1"
    )
    assert balance(profile) == 45 + known


def convert(request_id, reward="five", at=T0):
    return PointsConversionRequested(request_id=request_id, reward=reward, received_at=at)


def test_points_become_a_voucher_once_for_each_request():
    profile, outputs = lived(paid("o1", 60), convert("r1"))
    [voucher] = [it for it in outputs if isinstance(it, Voucher)]
    assert (voucher.campaign, voucher.occasion, voucher.channel) == ("loyalty", "r1", "account")
    assert (voucher.discount_cents, voucher.currency) == (500, "EUR")
    [issued] = [it.message for it in outputs if isinstance(it, Send) and isinstance(it.message, VoucherIssued)]
    assert (issued.code, issued.id, issued.customer) == (voucher.code, voucher.id, "u:ann")
    assert profile.vouchers.held[voucher.code].status == "sent"
    assert balance(profile) == 15
    same, outputs = lived(convert("r1", at=T0 + 1), profile=profile)
    assert (balance(same), outputs) == (15, [])
    other, _ = lived(paid("o2", 60, T0 + 2), convert("r2", at=T0 + 3), profile=same)
    assert balance(other) == 15 + 65 - 50 and len(other.vouchers.held) == 2


@pytest.mark.parametrize(
    ("by", "reward", "outcome"),
    [
        (RULES, "five", "NOT_ENOUGH_POINTS"),
        (RULES, "six", "NO_SUCH_REWARD"),
        (rules(), "five", "NO_SUCH_REWARD"),
    ],
)
def test_a_conversion_that_is_refused_may_be_asked_for_again(by, reward, outcome):
    profile, _ = lived(paid("o1", 40))
    profile, outputs = lived(convert("r1", reward), by=by, profile=profile)
    assert profile.loyalty.conversions["r1"].outcome == outcome and not lines(outputs)
    profile, outputs = lived(paid("o2", 40, T0 + 1), convert("r1", at=T0 + 2), profile=profile)
    assert profile.loyalty.conversions["r1"].outcome == "CONVERTED" and outputs


def test_refused_requests_make_room_before_what_was_converted():
    profile, _ = lived(paid("o1", 60), convert("r1"))
    requests = [convert(f"n{number}", at=T0 + 1) for number in range(MAX_CONVERSIONS)]
    profile, _ = lived(*requests, profile=profile)
    assert len(profile.loyalty.conversions) == MAX_CONVERSIONS
    assert list(profile.loyalty.conversions)[:2] == ["r1", "n1"]
    assert lived(convert("r1", at=T0 + 2), profile=profile)[1] == []
    full = {f"r{number}": profile.loyalty.conversions["r1"] for number in range(MAX_CONVERSIONS)}
    profile, _ = lived(convert("n", at=T0 + 2), profile=but(profile, loyalty=but(profile.loyalty, conversions=full)))
    assert list(profile.loyalty.conversions) == [*list(full)[1:], "n"]


def test_the_slice_is_nothing_until_there_is_something():
    profile, _ = lived(says(0), asked("Other"), TimerDue(T0))
    assert profile.loyalty is None
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(Loyalty()), type=Loyalty) == Loyalty()


def test_clicks_give_no_points_however_the_campaign_came_to_be():
    by = rules(campaign("look", WhenInterested(views=1)), loyalty=SCHEME)
    profile, _ = lived(says(0), asked("Product Viewed", product_id="p", category="c", anonymous_id=""), by=by)
    assert profile.decisions.answers["look"].reason == "unverified"
    signed, _ = lived(says(0), by=rules(campaign("hi", WhenSignedUp(), points=3), loyalty=SCHEME))
    assert balance(signed) == 3
