"""A voucher: redeemed once, for one order, on its terms; the answer is the same before and after."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.occurrences import DAY, at, click, lived
from pipeline.core import subjects, voucher
from pipeline.core.effects import Output, Send
from pipeline.core.events import (
    BudgetSettled,
    Product,
    RedemptionRequested,
    Stimulus,
    TimerDue,
    VoucherIssued,
    VoucherRedeemed,
    VoucherReleased,
    VoucherWithdrawn,
)
from pipeline.core.requirement import Violated
from pipeline.core.rules import Rules
from pipeline.core.voucher import VoucherState

ISSUED = VoucherIssued(
    id="id",
    code="CODE",
    customer="u:ann",
    campaign="win-back",
    discount_percent=10,
    discount_cents=0,
    currency="EUR",
    minimum_spend_cents=2000,
    category="",
    redeemable=True,
    expires_at=at(30 * DAY),
    received_at=at(0),
)


def request(
    order_id: str = "o-1", total_cents: int = 2500, minutes: float = 1, **values: object
) -> RedemptionRequested:
    terms = {"currency": "EUR", **values}
    return RedemptionRequested(
        code="CODE", order_id=order_id, total_cents=total_cents, received_at=at(minutes), **terms
    )


def stepped(state: VoucherState | None, event: Stimulus, minutes: float = 1) -> tuple[VoucherState, list[Output]]:
    after, outputs = subjects.step("v:CODE", state, event, at(minutes), Rules())
    assert isinstance(after, VoucherState)
    return after, list(outputs)


def issued(**terms: object) -> VoucherState:
    return stepped(None, msgspec.structs.replace(ISSUED, **terms), 0)[0]


def test_it_exists_once_it_is_issued() -> None:
    assert subjects.step("v:CODE", None, request(), at(0), Rules()) == (None, ())
    state = issued()
    assert (state.key, state.status, voucher.due(state)) == ("v:CODE", "open", at((30 + 730) * DAY))
    redeemed, _ = stepped(state, request())
    again, outputs = stepped(redeemed, ISSUED, 2)
    assert (again.status, outputs) == ("redeemed", [])


JAZZ = Product(product_id="cd-1", category="jazz", price_cents=333, quantity=2)
ROCK = Product(product_id="cd-2", category="rock", price_cents=1000)
NO_JAZZ = "no product of the order is in the category 'jazz'"
DEMO = "it was minted with the public demo secret and can't be redeemed"


@pytest.mark.parametrize(
    ("terms", "asked", "status", "discount_cents", "reason"),
    [
        ({}, request(), 200, 250, "redeemed"),
        ({}, request(total_cents=2004), 200, 200, "redeemed"),
        ({}, request(total_cents=2005), 200, 201, "redeemed"),
        ({}, request(total_cents=1999), 422, 0, "the order is below the minimum spend of 20.00 EUR"),
        ({}, request(currency="USD"), 422, 0, "it is for orders in EUR, this one is in USD"),
        ({}, request(currency=""), 422, 0, "it is for orders in EUR, this one is in ?"),
        ({"currency": ""}, request(currency="USD"), 200, 250, "redeemed"),
        ({"currency": ""}, request(total_cents=1), 422, 0, "the order is below the minimum spend of 20.00"),
        ({"minimum_spend_cents": 0}, request(currency="USD"), 200, 250, "redeemed"),
        ({"discount_cents": 500, "discount_percent": 0}, request(), 200, 500, "redeemed"),
        ({"discount_cents": 9000, "discount_percent": 0}, request(), 200, 2500, "redeemed"),
        ({"category": "jazz"}, request(products=(JAZZ, ROCK)), 200, 67, "redeemed"),
        (
            {"category": "jazz"},
            request(products=(ROCK,)),
            422,
            0,
            "no product of the order is in the category 'jazz'",
        ),
        ({"category": "jazz", "discount_percent": 100}, request(products=(JAZZ,)), 200, 666, "redeemed"),
        ({"category": "jazz", "discount_cents": 900}, request(products=(JAZZ,)), 200, 666, "redeemed"),
        ({"redeemable": False}, request(), 422, 0, DEMO),
        ({}, request(minutes=30 * DAY), 410, 0, "it has expired"),
    ],
)
def test_what_a_redemption_is_answered(
    terms: dict[str, object], asked: RedemptionRequested, status: int, discount_cents: int, reason: str
) -> None:
    state = issued(**terms)
    now = asked.received_at
    answer = voucher.assess(state, asked, now)
    assert (answer.status, answer.discount_cents, answer.reason) == (status, discount_cents, reason)
    after, outputs = stepped(state, asked, (now - at(0)) / 60_000)
    assert voucher.assess(after, asked, now) == answer
    assert after.status == ("redeemed" if status == 200 else "open")
    assert len(outputs) == (status == 200)


def test_it_is_redeemed_once_and_the_customer_is_told() -> None:
    redeemed, outputs = stepped(issued(), request())
    told = VoucherRedeemed(id="id", code="CODE", order_id="o-1", discount_cents=250, received_at=at(1))
    assert outputs == [Send("u:ann", told)]
    again, outputs = stepped(redeemed, request(total_cents=1), 2)
    assert (outputs, voucher.assess(again, request(), at(90 * DAY)).discount_cents) == ([], 250)
    other, outputs = stepped(again, request("o-2"), 3)
    assert (outputs, voucher.assess(other, request("o-2"), at(3)).status, other.order_id) == ([], 409, "o-1")


@pytest.mark.parametrize(
    ("order_id", "minutes", "status"), [("o-1", 2, "open"), ("o-2", 2, "redeemed"), ("o-1", 30 * DAY, "open")]
)
def test_a_cancelled_order_releases_it(order_id: str, minutes: int, status: str) -> None:
    redeemed, _ = stepped(issued(), request())
    released = VoucherReleased(code="CODE", order_id=order_id, received_at=at(minutes))
    after, _ = stepped(redeemed, released, minutes)
    assert (after.status, bool(after.order_id)) == (status, status == "redeemed")


def test_it_is_forgotten_two_years_after_its_end() -> None:
    early, _ = stepped(issued(), TimerDue(at(DAY)), DAY)
    assert early == msgspec.structs.replace(issued(), now=at(DAY))
    assert voucher.due(early) == at((30 + 730) * DAY)
    assert voucher.step(early, TimerDue(voucher.due(early)), voucher.due(early), Rules()) == (None, ())


def test_only_an_open_one_is_withdrawn() -> None:
    withdrawn = VoucherWithdrawn(code="CODE", reason="a late order", received_at=at(2))
    gone, _ = stepped(issued(), withdrawn, 2)
    answer = voucher.assess(gone, request(), at(3))
    assert (answer.status, answer.reason) == (410, "it was withdrawn")
    redeemed, _ = stepped(issued(), request())
    assert stepped(redeemed, withdrawn, 2)[0].status == "redeemed"


def test_time_never_goes_back() -> None:
    with pytest.raises(Violated, match="time never goes back"):
        stepped(issued(), request(), -1)


@given(
    st.integers(0, 100),
    st.integers(0, 10_000),
    st.sampled_from(["", "jazz"]),
    st.integers(0, 10_000),
    st.integers(1, 9),
)
def test_a_discount_is_never_more_than_the_order(
    percent: int, cents: int, category: str, total_cents: int, quantity: int
) -> None:
    state = issued(discount_percent=percent, discount_cents=cents, category=category, minimum_spend_cents=0)
    jazz = msgspec.structs.replace(JAZZ, quantity=quantity)
    answer = voucher.assess(state, request(total_cents=total_cents, products=(jazz,)), at(1))
    assert answer.status == 200
    assert 0 <= answer.discount_cents <= total_cents


def test_subjects_are_written_down_and_read_again() -> None:
    for key, state in (("v:CODE", issued()), ("u:ann", lived("u:ann", click(0, anonymous_id="phone")))):
        assert subjects.decode(key, subjects.encode(state)) == state
    assert subjects.due(issued()) == at((30 + 730) * DAY)
    assert subjects.due(lived("u:ann", click(0, anonymous_id="phone"))) == at(1)


def test_a_state_of_another_subject_is_refused() -> None:
    with pytest.raises(TypeError, match="v:CODE"):
        subjects.step("u:ann", issued(), TimerDue(at(1)), at(1), Rules())
    with pytest.raises(TypeError, match="u:ann"):
        subjects.step("v:CODE", lived("u:ann", click(0)), TimerDue(at(1)), at(1), Rules())


def test_one_that_is_never_used_gives_its_place_in_the_budget_back_once() -> None:
    returned = Send(
        "m:win-back",
        BudgetSettled(id="id", campaign="win-back", outcome="RETURNED", cents=500, received_at=at(30 * DAY)),
    )
    state = issued(returns=True, discount_cents=500)
    assert voucher.due(state) == at(30 * DAY)
    over, outputs = stepped(state, TimerDue(at(30 * DAY)), 30 * DAY)
    assert (over.status, outputs, voucher.due(over)) == ("expired", [returned], at((30 + 730) * DAY))
    assert voucher.assess(over, request(), at(29 * DAY)).reason == "it has expired"
    assert stepped(over, request(minutes=30 * DAY), 30 * DAY) == (over, [])
    withdrawn = VoucherWithdrawn(code="CODE", reason="a late order", received_at=at(2))
    gone, outputs = stepped(state, withdrawn, 2)
    assert ([send.message.outcome for send in outputs], voucher.due(gone)) == (["RETURNED"], at((30 + 730) * DAY))
    assert stepped(gone, withdrawn, 3)[1] == []


def test_one_whose_order_was_cancelled_after_its_end_gives_its_place_back_then() -> None:
    redeemed, _ = stepped(issued(returns=True), request())
    assert voucher.due(redeemed) == at((30 + 730) * DAY)
    released = VoucherReleased(code="CODE", order_id="o-1", received_at=at(40 * DAY))
    after, _ = stepped(redeemed, released, 40 * DAY)
    assert voucher.due(after) == at(30 * DAY)
    _, outputs = stepped(after, TimerDue(voucher.due(after)), 40 * DAY)
    assert [type(send.message) for send in outputs] == [BudgetSettled]
