"""A product counts the orders it is in and what stands beside it, and tells its category when that matters."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.making import T0
from pipeline.core import subjects
from pipeline.core.catalogue import BoughtTogether, Companion, ProductChanged, ProductRanked
from pipeline.core.category import MAX_SELLERS, CategoryState
from pipeline.core.effects import Send
from pipeline.core.events import TimerDue
from pipeline.core.product import MAX_PARTNERS, ProductState
from pipeline.core.requirement import Violated
from pipeline.core.rules import Rules


def bought(*others: str, change: int = 1, counts: bool = True, category: str = "") -> BoughtTogether:
    return BoughtTogether(
        product_id="p", category=category, change=change, counts=counts,
        others=tuple(Companion(name) for name in others), received_at=T0,
    )  # fmt: skip


def changed(**said: Any) -> ProductChanged:
    return ProductChanged(product_id="p", received_at=T0, **said)


def stepped(
    *events: BoughtTogether | ProductChanged, state: ProductState | None = None
) -> tuple[ProductState, list[str]]:
    """The product after these, and what it told which category: `tea 3`."""
    told = []
    for event in events:
        after, outputs = subjects.step("p:p", state, event, T0, Rules())
        assert isinstance(after, ProductState)
        state = after
        assert subjects.decode("p:p", subjects.encode(state)) == state
        for send in outputs:
            assert isinstance(send, Send)
            assert isinstance(send.message, ProductRanked)
            assert send.message.product_id == "p"
            told.append(f"{send.to.removeprefix('c:')} {send.message.orders}".strip())
    assert state is not None
    return state, told


@pytest.mark.parametrize(
    ("events", "orders", "partners"),
    [
        ([bought()], 1, {}),
        ([bought("a", "b"), bought("a")], 2, {"a": 2, "b": 1}),
        ([bought("a", "b"), bought("a", "b", change=-1)], 0, {}),
        ([bought("a", "b"), bought("b", change=-1, counts=False)], 1, {"a": 1}),
        ([bought("a", change=-1), bought("a")], 1, {"a": 1}),
    ],
)
def test_it_counts_orders_and_partners(events, orders, partners) -> None:
    state, _ = stepped(*events)
    assert (state.orders, state.partners) == (orders, partners)
    assert subjects.due(state) == 0


def test_of_anything_else_it_makes_nothing() -> None:
    assert subjects.step("p:p", None, TimerDue(T0), T0, Rules()) == (None, ())
    assert subjects.step("c:tea", None, TimerDue(T0), T0, Rules()) == (None, ())


def test_its_category_and_the_shop_hear_of_it_at_first_often_and_then_rarely() -> None:
    _, told = stepped(*[bought(category="tea")] * 1000)
    assert told[:6] == ["1", "tea 1", "2", "tea 2", "3", "tea 3"]
    assert len(told) < 80
    known = int(told[-1].split()[1])
    assert known * 5 / 4 >= 1000


def test_it_tells_when_it_is_bought_no_more_and_when_it_changes_its_category() -> None:
    state, told = stepped(bought(category="tea"), bought(change=-1))
    assert told == ["1", "tea 1", "0", "tea 0"]
    assert state.category == "tea"
    _, told = stepped(bought(), bought(category="tea"), bought(category="coffee"))
    assert told == ["1", "2", "tea 2", "tea 0", "3", "coffee 3"]
    _, told = stepped(bought(category="tea"), bought(change=-1), bought(change=-1, category="coffee"))
    assert told == ["1", "tea 1", "0", "tea 0"]


def test_the_shop_says_what_it_is_and_what_is_left_out_stays() -> None:
    state, _ = stepped(
        changed(name="Assam", category="tea", price_cents=740, currency="EUR", stock=3, url="https://s")
    )
    assert (state.name, state.category, state.price_cents, state.stock) == ("Assam", "tea", 740, 3)
    later, _ = stepped(changed(stock=0, image_url="https://i"), state=state)
    assert (later.name, later.price_cents, later.stock, later.url) == ("Assam", 740, 0, "https://s")
    free, _ = stepped(changed(price_cents=0), state=later)
    assert (free.price_cents, free.stock, free.image_url) == (0, 0, "https://i")


def test_its_category_is_what_the_shop_says_and_not_what_orders_say() -> None:
    state, told = stepped(bought(category="drinks"), changed(category="tea"), bought(category="drinks"))
    assert told == ["1", "drinks 1", "drinks 0", "1", "tea 1", "2", "tea 2"]
    assert state.category == "tea"


@given(st.lists(st.integers(0, MAX_PARTNERS * 2).map(lambda n: min(n, n * n // MAX_PARTNERS)), max_size=2_000))
def test_of_too_many_partners_the_often_bought_ones_stay_and_none_is_far_too_high(numbers: list[int]) -> None:
    state, _ = stepped(bought(), *(bought(f"q{number}") for number in numbers))
    true = Counter(f"q{number}" for number in numbers)
    assert len(state.partners) <= MAX_PARTNERS
    assert {name for name, count in true.items() if count > len(numbers) / MAX_PARTNERS} <= set(state.partners)
    for name, count in state.partners.items():
        assert true[name] <= count <= true[name] + len(numbers) // MAX_PARTNERS


def test_the_rarest_partner_makes_room() -> None:
    many = [f"q{number}" for number in range(MAX_PARTNERS)]
    state, _ = stepped(bought(*many), bought(*many[1:]), bought("new"))
    assert "q0" not in state.partners
    assert state.partners["new"] == 2
    unknown, _ = stepped(bought("q0", change=-1, counts=False), state=state)
    assert unknown.partners == state.partners


def ranked(name: str, orders: int) -> ProductRanked:
    return ProductRanked(product_id=name, orders=orders, received_at=T0)


def category(*events: ProductRanked) -> CategoryState:
    state: CategoryState | None = None
    for event in events:
        after, outputs = subjects.step("c:tea", state, event, T0, Rules())
        assert isinstance(after, CategoryState)
        assert not outputs
        state = after
    assert state is not None
    assert subjects.decode("c:tea", subjects.encode(state)) == state
    assert subjects.due(state) == 0
    return state


def test_a_category_knows_its_best_sellers() -> None:
    assert category(ranked("a", 1), ranked("b", 3), ranked("c", 3), ranked("a", 2)).best() == ["b", "c", "a"]
    assert category(ranked("a", 1), ranked("b", 3), ranked("b", 0)).best() == ["a"]
    full = category(*(ranked(f"q{n}", n) for n in range(1, MAX_SELLERS + 2)))
    assert len(full.best()) == MAX_SELLERS
    assert "q1" not in full.sellers


@pytest.mark.parametrize(
    ("key", "state", "event"),
    [
        ("p:p", ProductState("p:p", T0 + 1), bought()),
        ("c:tea", CategoryState("c:tea", T0 + 1), ranked("a", 1)),
    ],
)
def test_time_never_goes_back(key, state, event) -> None:
    with pytest.raises(Violated):
        subjects.step(key, state, event, T0, Rules())
