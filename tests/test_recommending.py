"""What is recommended, from a little shop: what goes together first, never what is owned, in the cart or sold out."""

import pytest
from core.making import T0, but, order, visitor

from pipeline.core import customer
from pipeline.core.category import CategoryState
from pipeline.core.customer.consent import Permission
from pipeline.core.customer.profile import Profile
from pipeline.core.events import Product
from pipeline.core.product import ProductState
from pipeline.core.rules import Rules
from pipeline.core.subjects import State
from pipeline.recommending import MAX_LOOKED, for_customer, for_product, shown_to


def product(name: str, together: str = "", orders: int = 10, stock: int = -1, category: str = "tea") -> ProductState:
    """`b*5 c`: of its orders five also hold b, one also holds c."""
    partners = {word.partition("*")[0]: int(word.partition("*")[2] or 1) for word in together.split()}
    return ProductState(
        f"p:{name}", T0, category, orders, partners, is_listed=True, name=name.upper(), price_cents=100, stock=stock
    )


SHOP: dict[str, State] = {
    state.key: state
    for state in (
        product("a", "b*5 c d*2"),
        product("b", "a*5 e*6"),
        product("c", "a"),
        product("d", "a*2", stock=0),
        product("e", "b*6", category="mugs"),
        product("f", category="mugs", orders=0),
        CategoryState("c:tea", T0, {"a": 10, "b": 9, "d": 8, "c": 2}),
        CategoryState("c:mugs", T0, {"e": 7}),
        CategoryState("c:", T0, {"a": 10, "b": 9, "d": 8, "e": 7, "c": 2, "gone": 1}),
    )
}
look = SHOP.get


def told(found) -> str:
    """`b 0.5 a`: b, at 0.5, because of a; best sellers in brackets."""
    lines = [(it.reason, f"{it.product_id} {it.score} {it.because}".strip()) for it in found]
    return ", ".join(f"({line})" if reason == "best_seller" else line for reason, line in lines)


def owner(*names: str) -> Profile:
    products = tuple(Product(product_id=name, category="tea") for name in names)
    profile, _ = customer.step("u:ann", None, order("o1", products=products), T0, Rules())
    assert profile is not None
    return profile


@pytest.mark.parametrize(
    ("name", "profile", "expected"),
    [
        ("a", None, "b 0.5 a, c 0.1 a, (e 0.7)"),
        ("a", owner("b"), "c 0.1 a, (e 0.7)"),
        ("e", None, "b 0.6 e, (a 1.0), (c 0.2)"),
        ("c", visitor(cart="tea:a"), "(b 0.9 tea), (e 0.7)"),
        ("f", None, "(e 1.0 mugs), (a 1.0), (b 0.9), (c 0.2)"),
        ("unknown", None, "(a 1.0), (b 0.9), (e 0.7), (c 0.2)"),
    ],
)
def test_what_goes_with_a_product(name: str, profile: Profile | None, expected: str) -> None:
    assert told(for_product(look, name, 4, profile)) == expected


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (None, "(a 1.0), (b 0.9), (e 0.7)"),
        (owner("a"), "b 0.5 a, c 0.1 a, (e 0.7)"),
        (owner("a", "b"), "e 0.6 b, c 0.1 a"),
        (visitor(views="tea:a tea:b"), "e 0.6 b, a 0.5 b, b 0.5 a"),
        (visitor(views="mugs:e", cart="tea:a"), "b 1.1 e, c 0.1 a, (e 0.7)"),
        (owner("z"), "(a 1.0 tea), (b 0.9 tea), (c 0.2 tea)"),
    ],
)
def test_what_goes_with_a_customer(profile: Profile | None, expected: str) -> None:
    assert told(for_customer(look, profile, 3)) == expected


def test_who_does_not_permit_profiling_gets_what_sells_best_and_still_not_what_they_own() -> None:
    objects = Permission(granted=False, at=T0, wording="", place="")
    person = but(owner("a"), consent=but(Profile("u:x").consent, permissions={"*.profiling": objects}))
    assert person.consent.allows("site", "profiling") is False
    assert told(for_customer(look, person, 2)) == "(b 0.9), (e 0.7)"


def test_a_shop_that_is_sold_out_is_not_searched_for_ever() -> None:
    asked: list[str] = []
    sold_out = {f"q{number}": 1000 - number for number in range(100)}

    def all_gone(key: str) -> State | None:
        asked.append(key)
        return CategoryState("c:", T0, sold_out) if key == "c:" else product(key, stock=0)

    assert for_customer(all_gone, None, 3) == []
    assert len(asked) == MAX_LOOKED + 1


@pytest.mark.parametrize(
    ("channel", "refused", "expected"),
    [
        ("email", "", "e 0.6 b, c 0.1 a"),
        ("email", "push.profiling", "e 0.6 b, c 0.1 a"),
        ("email", "email.profiling", "(e 0.7), (c 0.2)"),
        ("email", "site.profiling", "(e 0.7), (c 0.2)"),
        ("site", "email.profiling", "e 0.6 b, c 0.1 a"),
        ("site", "*.profiling", "(e 0.7), (c 0.2)"),
    ],
)
def test_who_refuses_profiling_where_it_is_learnt_or_told_is_not_asked_what_they_did(
    channel: str, refused: str, expected: str
) -> None:
    profile = owner("a", "b")
    if refused:
        profile = but(profile, consent=but(profile.consent, permissions={refused: Permission(False, T0)}))
    assert told(shown_to(look, profile, 4, channel)) == expected


def test_what_has_no_name_is_not_shown() -> None:
    nameless = {**SHOP, "p:b": but(SHOP["p:b"], name="")}
    assert told(for_customer(nameless.get, owner("a"), 2)) == "b 0.5 a, c 0.1 a"
    assert told(shown_to(nameless.get, owner("a"), 2)) == "c 0.1 a, (e 0.7)"
