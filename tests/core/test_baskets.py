"""What the products of an order are told: once, whatever comes first, and taken back when it does not stand."""

from collections import Counter
from itertools import permutations

import pytest

from core.making import SERVER, T0, handed_over, order, rules
from pipeline.core import customer
from pipeline.core.catalogue import BoughtTogether
from pipeline.core.customer.baskets import MAX_BASKETS, MAX_PRODUCTS, MAX_RETURNS
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import Output, Send
from pipeline.core.events import Product, Stimulus
from pipeline.core.limits import MAX_TEXT_CHARACTERS


def lines(text: str) -> tuple[Product, ...]:
    """`a b*2`: one a, two b, of the category `things`."""
    named = (word.partition("*") for word in text.split())
    return tuple(
        Product(product_id=name, category="things", quantity=int(count or 1), price_cents=100)
        for name, _, count in named
    )


def bought(order_id: str = "o1", contents: str = "a b", **fields: object):
    return order(order_id, products=lines(contents), total_cents=1000, **fields)


def updated(contents: str, order_id: str = "o1"):
    return bought(order_id, contents, event="Order Updated", message_id="u")


def cancelled(order_id: str = "o1"):
    return order(order_id, event="Order Cancelled", message_id="c")


def refunded(contents: str = "", cents: int = 0, refund_id: str = "r1", order_id: str = "o1"):
    return order(order_id, event="Order Refunded", message_id=refund_id, products=lines(contents), total_cents=cents)


def heard(outputs: list[Output]) -> Counter[str]:
    """`a` an order of a, `a-b` a stands beside b: how often each was told, less how often it was taken back."""
    counts: Counter[str] = Counter()
    for output in outputs:
        if isinstance(output, Send) and isinstance(output.message, BoughtTogether):
            told = output.message
            assert output.to == f"p:{told.product_id}"
            counts[told.product_id] += told.change * told.counts
            counts.update({f"{told.product_id}-{it.product_id}": told.change for it in told.others})
    return Counter({name: count for name, count in counts.items() if count})


def after(*events: Stimulus, profile: Profile | None = None, key: str = "u:ann") -> tuple[Profile, Counter[str]]:
    outputs: list[Output] = []
    for event in events:
        profile, made = customer.step(key, profile, event, T0, rules())
        outputs += made
    assert profile is not None
    return profile, heard(outputs)


def joined_with(browser: Profile, *events: Stimulus) -> tuple[Profile, Counter[str]]:
    """The person after these events, who then gets the browser's history."""
    person, _ = after(*events)
    return after(handed_over(browser), profile=person)


A_AND_B = {"a": 1, "b": 1, "a-b": 1, "b-a": 1}


@pytest.mark.parametrize(
    ("events", "told", "owned"),
    [
        ([bought()], A_AND_B, "a b"),
        ([bought(contents="a")], {"a": 1}, "a"),
        ([bought(contents="a*2 b a")], A_AND_B, "a b"),
        ([bought(contents="a b c")], {**A_AND_B, "c": 1, "a-c": 1, "b-c": 1, "c-a": 1, "c-b": 1}, "a b c"),
        ([bought(), bought(message_id="again")], A_AND_B, "a b"),
        ([bought(), bought("o2")], dict.fromkeys(A_AND_B, 2), "a b"),
        ([bought(), cancelled()], {}, ""),
        ([bought(), refunded()], {}, ""),
        ([bought(), refunded(cents=1000)], {}, ""),
        ([bought(), refunded(cents=400)], A_AND_B, "a b"),
        ([bought(), refunded("b")], {"a": 1}, "a"),
        ([bought(), refunded("b", cents=100)], {"a": 1}, "a"),
        ([bought(contents="a*2 b"), refunded("a")], A_AND_B, "a b"),
        ([bought(contents="a*2 b"), refunded("a"), refunded("a", refund_id="r2")], {"b": 1}, "b"),
        ([bought(contents="a*2 b"), refunded("a"), refunded("a")], A_AND_B, "a b"),
        ([bought(), updated("a c")], {"a": 1, "c": 1, "a-c": 1, "c-a": 1}, "a c"),
        ([bought(trusted=False)], {}, ""),
        ([order("o1", products=(Product(product_id=""), Product(product_id="a", quantity=0)))], {}, ""),
        ([order("o1", event="Order Delivered", products=lines("a"))], {}, ""),
    ],
)
def test_what_the_products_of_an_order_have_heard_and_what_is_owned(events, told, owned) -> None:
    profile, counts = after(*events)
    assert counts == told
    assert profile.baskets.owned() == set(owned.split())


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([bought(), cancelled()], {}),
        ([bought(), refunded("b")], {"a": 1}),
        ([bought(), refunded()], {}),
        ([bought(), updated("a c"), refunded("a", refund_id="r1")], {"c": 1}),
        ([bought(contents="a*3 b"), refunded("a", refund_id="r1"), refunded("a*2 b", refund_id="r2")], {}),
    ],
)
def test_whatever_comes_first_they_have_heard_the_same_in_the_end(events, told) -> None:
    for some_order in permutations(events):
        assert after(*some_order)[1] == told, [event.event for event in some_order]


def test_what_a_browser_bought_is_told_once_also_when_it_is_handed_over() -> None:
    browser, told = after(bought("o1"), bought("o2", "a"), key="a:b1")
    assert told == Counter(A_AND_B) + Counter({"a": 1})
    person, more = after(handed_over(browser), profile=Profile("u:ann", T0))
    assert more == {}
    assert person.baskets == browser.baskets
    assert after(cancelled("o1"), profile=person)[1] == dict.fromkeys(A_AND_B, -1)


def test_what_both_were_told_to_have_bought_is_taken_back_once() -> None:
    browser, _ = after(bought("o1", "a b"), key="a:b1")
    assert joined_with(browser, bought("o1", "a b"))[1] == dict.fromkeys(A_AND_B, -1)


def test_a_cancellation_that_the_person_heard_and_the_browser_did_not() -> None:
    browser, _ = after(bought("o1", "a b"), key="a:b1")
    joined, told = joined_with(browser, cancelled("o1"))
    assert told == dict.fromkeys(A_AND_B, -1)
    assert joined.baskets.owned() == set()


def test_a_browser_without_baskets_changes_nothing() -> None:
    browser, _ = after(order("o1", event="Order Cancelled"), key="a:b1")
    joined, told = joined_with(browser, bought())
    assert (joined.baskets, told) == (after(bought())[0].baskets, {})


def test_it_is_bounded() -> None:
    many = " ".join(f"p{number}" for number in range(MAX_PRODUCTS + 5))
    profile, told = after(bought(contents=many))
    assert len(profile.baskets.owned()) == MAX_PRODUCTS
    assert sum(told.values()) == MAX_PRODUCTS + MAX_PRODUCTS * (MAX_PRODUCTS - 1)
    profile, _ = after(*(bought(f"o{number}") for number in range(MAX_BASKETS + 1)))
    assert list(profile.baskets.orders) == [f"o{number}" for number in range(1, MAX_BASKETS + 1)]
    assert after(updated("z", "o0"), profile=profile)[1] == {}, "what made room is counted for good"
    profile, _ = after(bought(contents="a*100"), *(refunded("a", refund_id=f"r{n}") for n in range(MAX_RETURNS + 1)))
    assert len(profile.baskets.orders["o1"].returns) == MAX_RETURNS
    long, _ = after(order("o1", products=(Product(product_id="x" * 1000),), trust=SERVER))
    assert long.baskets.owned() == {"x" * MAX_TEXT_CHARACTERS}
