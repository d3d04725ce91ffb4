"""A voucher is minted once, followed until it is used, and taken back only while nobody has seen it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.making import (
    DAY,
    PROMPT,
    SECRET,
    T0,
    WIN_BACK,
    but,
    buyer,
    candidate,
    click,
    delivered,
    handed_over,
    order,
    rules,
)
from pipeline.core import customer
from pipeline.core.customer import vouchers
from pipeline.core.customer.notes import Granted, LapseDisproved, LapseFired, Ordered
from pipeline.core.customer.vouchers import MAX_CLOSED, MAX_FORMER, Held, Vouchers
from pipeline.core.do import DoVoucher
from pipeline.core.effects import Send, Voucher, VoucherRevoked
from pipeline.core.events import (
    Product,
    RedemptionRequested,
    TimerDue,
    VoucherIssued,
    VoucherRedeemed,
    VoucherReleased,
    VoucherWithdrawn,
)
from pipeline.core.identifiers import effect_id, voucher_code

RULES = rules(WIN_BACK, PROMPT)
ID = effect_id("win-back", "u:ann", "o1")
CODE = voucher_code(SECRET, ID)
GRANT = Granted(candidate=candidate(), channel="email", campaign=WIN_BACK)


def stepped(profile, *notes, event=None, now=T0, by=RULES):
    own, outputs = vouchers.step(profile, event or TimerDue(now), now, by, notes)
    return but(profile, vouchers=own), list(outputs)


def holder(status="issued", **fields):
    """Ann with her one voucher in that state."""
    profile, _ = stepped(buyer(0), GRANT)
    held = profile.vouchers.held[CODE]
    return but(profile, vouchers=Vouchers({CODE: but(held, status=status, **fields)}))


def ordered(profile, order_id, cancelled=False):
    """With one order, cancelled or not."""
    orders = {order_id: but(profile.purchases.orders["o1"], cancelled=cancelled)}
    return but(profile, purchases=but(profile.purchases, orders=orders))


def redeemed(code=CODE, order_id="o9"):
    return VoucherRedeemed(id=ID, code=code, order_id=order_id, discount_cents=300, received_at=T0)


def test_what_was_granted_is_minted_with_a_code_that_follows_from_who_and_why():
    profile, (effect, send) = stepped(buyer(0), GRANT)
    terms = {
        "discount_percent": 15,
        "discount_cents": 0,
        "currency": "EUR",
        "minimum_spend_cents": 0,
        "category": "",
        "redeemable": True,
        "expires_at": T0 + 30 * DAY,
    }
    who = {"id": ID, "code": CODE, "customer": "u:ann", "campaign": "win-back"}
    why = {"occasion": "o1", "channel": "email", "reason": "a sign", "facts": '{"p":0.1}'}
    assert effect == Voucher(decided_at=T0, not_after=T0 + 30 * DAY, **who, **why, **terms)
    assert send == Send(f"v:{CODE}", VoucherIssued(received_at=T0, **who, **terms))
    assert profile.vouchers.held == {
        CODE: Held(ID, "win-back", "o1", "email", "issued", T0, T0 + 30 * DAY, 15, 0, "EUR", 0, "")
    }


def test_the_same_grant_again_mints_nothing_and_a_prompt_is_no_voucher():
    profile = holder("redeemed", order_id="o9")
    assert stepped(profile, GRANT) == (profile, [])
    prompt = Granted(candidate=candidate(PROMPT), channel="site", campaign=PROMPT)
    assert stepped(buyer(0), prompt) == (buyer(0), [])


@pytest.mark.parametrize(
    ("do", "spent", "bought", "currency", "category"),
    [
        ({"discount_cents": 500, "currency": "USD"}, {"EUR": 10}, {}, "USD", ""),
        ({"discount_percent": 5}, {"EUR": 10, "USD": 30, "CHF": 30}, {}, "CHF", ""),
        ({"discount_percent": 5}, {}, {}, "", ""),
        ({"discount_percent": 5, "category": "cups"}, {}, {"tea": 9}, "", "cups"),
        ({"discount_percent": 5, "category": "most_bought"}, {}, {"tea": 9, "cups": 9, "art": 1}, "", "cups"),
        ({"discount_percent": 5, "category": "most_bought"}, {}, {}, "", ""),
    ],
)
def test_currency_and_category_are_the_campaign_s_or_the_customer_s(do, spent, bought, currency, category):
    profile = buyer(0)
    profile = but(profile, purchases=but(profile.purchases, spend_cents=spent, categories=bought))
    campaign = but(WIN_BACK, do=DoVoucher(minimum_spend_cents=900, valid_days=3, **do))
    after, (effect, _) = stepped(profile, but(GRANT, campaign=campaign), by=rules(campaign, redeemable=False))
    assert (effect.currency, effect.category, effect.minimum_spend_cents) == (currency, category, 900)
    assert (effect.redeemable, effect.expires_at) == (False, T0 + 3 * DAY)
    assert not after.vouchers.held[CODE].redeemable


@pytest.mark.parametrize(
    ("status", "event", "after"),
    [
        ("issued", delivered(ID, "push"), ("sent", "push")),
        ("sent", delivered(ID, "push"), ("sent", "email")),
        ("revoked", delivered(ID, "push"), ("revoked", "email")),
        ("issued", delivered(ID, "push", "FAILED"), ("issued", "email")),
        ("issued", delivered(ID, "push", "UNCERTAIN"), ("sent", "push")),
        ("issued", delivered("another"), ("issued", "email")),
    ],
)
def test_delivery_is_followed(status, event, after):
    profile, outputs = stepped(holder(status), event=event)
    held = profile.vouchers.held[CODE]
    assert (held.status, held.channel) == after
    assert outputs == []


def test_redemption_is_followed():
    profile, outputs = stepped(holder("sent"), event=redeemed())
    held = profile.vouchers.held[CODE]
    assert (held.status, held.order_id, held.redeemed_cents) == ("redeemed", "o9", 300)
    assert outputs == []
    profile = holder()
    assert stepped(profile, event=redeemed("another")) == (profile, [])


def test_a_cancelled_order_releases_what_it_redeemed():
    cancels = order("o9", event="Order Cancelled")
    profile = holder("redeemed", order_id="o9", redeemed_cents=300)
    after, outputs = stepped(ordered(profile, "o9", cancelled=True), event=cancels)
    held = after.vouchers.held[CODE]
    assert (held.status, held.order_id, held.redeemed_cents) == ("sent", "", 0)
    assert outputs == [Send(f"v:{CODE}", VoucherReleased(code=CODE, order_id="o9", received_at=T0))]
    for unmoved in (ordered(profile, "o8", cancelled=True), ordered(profile, "o9"), ordered(holder("sent"), "o9")):
        assert stepped(unmoved, event=cancels) == (unmoved, [])


def test_a_cancelled_order_that_was_never_completed_releases_it_too():
    """Redeemed at the till, and the customer walks away: all the log ever sees of the order is its cancellation."""
    profile = holder("redeemed", order_id="o9", redeemed_cents=300)
    after, outputs = customer.step(profile.key, profile, order("o9", event="Order Cancelled"), T0, RULES)
    assert after is not None
    assert after.vouchers.held[CODE].status == "sent"
    assert [output.message for output in outputs] == [VoucherReleased(code=CODE, order_id="o9", received_at=T0)]


@pytest.mark.parametrize(("cancelled", "status", "sends"), [(True, "sent", 1), (False, "redeemed", 0)])
def test_a_cancellation_that_overtook_the_redemption_releases_it_too(cancelled, status, sends):
    after, outputs = stepped(ordered(holder("sent"), "o9", cancelled=cancelled), event=redeemed())
    assert after.vouchers.held[CODE].status == status
    assert [type(send.message) for send in outputs] == [VoucherReleased] * sends


def typed(code):
    return f" {code[:4].lower()}-{code[4:]} "


def test_an_order_that_names_the_code_asks_the_voucher():
    event = order("o9", total_cents=4000, currency="EUR", products=(Product(product_id="p1"),), source="collect@x")
    profile = holder("sent")
    after, outputs = stepped(profile, Ordered("o9", T0, typed(CODE)), event=event)
    assert after == profile
    request = RedemptionRequested(
        code=CODE,
        order_id="o9",
        total_cents=4000,
        currency="EUR",
        products=event.products,
        source="collect@x",
        received_at=T0,
    )
    assert outputs == [Send(f"v:{CODE}", request)]


@pytest.mark.parametrize(
    ("profile", "coupon", "event"),
    [
        (holder(), "", order("o9")),
        (holder(), "SUMMER", order("o9")),
        (holder(), voucher_code(SECRET, effect_id("win-back", "u:bob", "o1")), order("o9")),
        (holder(redeemable=False), CODE, order("o9")),
        (holder(), CODE, click()),
    ],
)
def test_any_other_coupon_asks_nobody(profile, coupon, event):
    assert stepped(profile, Ordered("o9", T0, coupon), event=event) == (profile, [])


def test_what_was_wrong_is_taken_back_while_nobody_has_seen_it():
    note = LapseDisproved("win-back", "o1", "an order came late")
    after, outputs = stepped(holder(), note)
    assert after.vouchers.held[CODE].status == "revoked"
    assert outputs == [
        VoucherRevoked(
            id=ID,
            customer="u:ann",
            campaign="win-back",
            code=CODE,
            reason="an order came late",
            decided_at=T0,
            not_after=T0 + 30 * DAY,
        ),
        Send(f"v:{CODE}", VoucherWithdrawn(code=CODE, reason="an order came late", received_at=T0)),
    ]


@pytest.mark.parametrize(
    ("status", "rule", "occasion"),
    [("sent", "win-back", "o1"), ("redeemed", "win-back", "o1"), ("issued", "", "o1"), ("issued", "win-back", "o0")],
)
def test_what_reached_the_customer_or_rests_on_something_else_stays_valid(status, rule, occasion):
    profile = holder(status)
    assert stepped(profile, LapseDisproved(rule, occasion, "late")) == (profile, [])


def test_a_merge_joins_what_both_hold():
    browser = but(holder("sent"), key="a:b1")
    after, _ = stepped(buyer(0), event=handed_over(browser))
    assert after.vouchers == browser.vouchers
    own = holder("redeemed")
    assert stepped(own, event=handed_over(browser))[0] == own
    assert stepped(own, event=handed_over(None))[0] == own


def test_what_is_closed_is_bounded_and_the_oldest_goes_first():
    def one(number, status="redeemed", expires=T0 + 30 * DAY):
        return Held(f"id{number}", "x", f"o{number}", "email", status, T0 + number, expires, 5, 0, "", 0, "")

    held = {f"C{number:02}": one(number) for number in reversed(range(MAX_CLOSED - 1))}
    held |= {"OPEN": one(-3, "sent"), "PAST": one(-2, "sent", T0), "GONE": one(-1, "revoked")}
    after, _ = stepped(buyer(0, vouchers=Vouchers(held)), GRANT)
    assert held.keys() - after.vouchers.held.keys() == {"PAST"}
    assert {"OPEN", "GONE", CODE} <= after.vouchers.held.keys()


def test_what_is_open_is_never_dropped():
    held = {
        f"C{number:02}": Held(f"id{number}", "x", f"o{number}", "email", "sent", T0, T0 + DAY, 5, 0, "", 0, "")
        for number in range(MAX_CLOSED + 1)
    }
    after, _ = stepped(buyer(0, vouchers=Vouchers(held)), GRANT)
    assert after.vouchers.held.keys() == {*held, CODE}


def test_what_is_none_of_its_business_changes_nothing():
    profile = holder()
    assert vouchers.step(profile, click(), T0, RULES, []) == (profile.vouchers, [])
    assert vouchers.step(profile, TimerDue(T0), T0, RULES, [LapseFired("o1")])[0] is profile.vouchers


@given(st.lists(st.sampled_from(["o1", "o2", "o3"]), max_size=12), st.integers(0, 10**9))
def test_however_often_it_is_granted_an_occasion_has_one_voucher_and_one_code_whenever_it_is(occasions, elapsed):
    def story(now):
        profile, made = buyer(0), []
        for occasion in occasions:
            profile, outputs = stepped(
                profile, Granted(candidate=candidate(occasion=occasion), channel="email", campaign=WIN_BACK), now=now
            )
            made += [one for one in outputs if isinstance(one, Voucher)]
        return [(one.id, one.code, one.occasion) for one in made]

    assert sorted(occasion for _, _, occasion in story(T0)) == sorted(set(occasions))
    assert story(T0) == story(T0 + elapsed)


def test_the_terms_are_json_a_marketer_can_read():
    _, (effect, _) = stepped(buyer(0), GRANT)
    assert json.loads(effect.facts) == {"p": 0.1}


def test_codes_that_are_dropped_are_remembered_also_those_a_browser_brings():
    over = holder().vouchers.held[CODE]
    held = {f"C{n:02}": but(over, issued_at=T0 - DAY + n, expires_at=T0 - 1) for n in range(MAX_CLOSED + 3)}
    browser = but(buyer(0, key="a:b1"), vouchers=Vouchers(held, ("B1",)))
    profile, _ = stepped(but(buyer(0), vouchers=Vouchers({}, ("A1",))), event=handed_over(browser))
    assert len(profile.vouchers.held) == MAX_CLOSED
    assert profile.vouchers.former == ("B1", "A1", "C00", "C01", "C02")
    crowded = but(buyer(0), vouchers=Vouchers({}, tuple(map(str, range(MAX_FORMER)))))
    profile, _ = stepped(crowded, event=handed_over(browser))
    assert (len(profile.vouchers.former), profile.vouchers.former[-1]) == (MAX_FORMER, "C02")
