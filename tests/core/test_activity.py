"""Visits, sources, interests, cart: measured by when things happened, bounded, and one history after a merge."""

from typing import Any

import msgspec
import pytest

from core.occurrences import DAY, at, chat, click, lived, order, says
from pipeline.core.customer import activity
from pipeline.core.customer.activity import MAX_CART, MAX_INTERESTS, MAX_RECENT, Activity, CartLine, View
from pipeline.core.customer.decisions import Decisions
from pipeline.core.customer.profile import Profile
from pipeline.core.customer.purchases import Purchases
from pipeline.core.events import BROWSER, VERIFIED, HandedOver, ProfileClaimed, ProfileHandedOver, Tracked, Trust
from pipeline.core.rules import Rules

U, A = "u:ann", "a:phone"


def seen(*events: Tracked) -> Activity:
    return lived(U, *events).activity


def late(minutes: float, happened: float) -> Tracked:
    return click(minutes, occurred_at=at(happened))


@pytest.mark.parametrize(
    ("events", "visits", "visit_started", "visit_events"),
    [
        ([click(0)], 1, 0, 1),
        ([click(0), chat(29)], 1, 0, 2),
        ([click(0), click(30)], 2, 30, 1),
        ([click(0), click(29), click(58)], 1, 0, 3),
        ([click(0), says(100), order(101, "o-1")], 2, 100, 2),
        ([click(100), late(101, 0)], 1, 100, 2),
        ([click(0), late(200, 10)], 1, 0, 2),
    ],
)
def test_visits(events: list[Tracked], visits: int, visit_started: int, visit_events: int) -> None:
    now = seen(*events)
    assert (now.visits, now.visit_started, now.visit_events) == (visits, at(visit_started), visit_events)
    assert now.events == len(events)


def test_first_and_last_seen_follow_what_happened() -> None:
    now = seen(click(100, anonymous_id="phone"), late(101, 0))
    assert (now.first_seen, now.last_seen, now.anonymous_id) == (at(0), at(100), "phone")


@pytest.mark.parametrize(
    ("values", "source"),
    [
        ({}, "direct"),
        ({"campaign_name": "spring", "referrer": "https://mail.example/"}, "campaign:spring"),
        ({"referrer": "https://www.search.example:8080/q?x=1", "url": "https://shop.example/"}, "search.example"),
        ({"referrer": "https://SHOP.example/a", "url": "https://www.shop.example/b"}, "direct"),
        ({"referrer": "https://me:secret@search.example/q"}, "search.example"),
        ({"referrer": "no address"}, "direct"),
        ({"referrer": "http://["}, "["),
        ({"campaign_name": "x" * 200}, "campaign:" + "x" * 91),
    ],
)
def test_where_a_visit_came_from(values: dict[str, Any], source: str) -> None:
    assert seen(click(0, **values)).last_source == source


def test_the_first_source_stays_and_only_a_new_visit_has_another() -> None:
    now = seen(
        says(-1),
        click(40, campaign_name="one"),
        click(41, campaign_name="two"),
        click(90, campaign_name="three"),
    )
    assert (now.first_source, now.last_source) == ("campaign:one", "campaign:three")


def product(minutes: float, name: str, number: int = 1, **values: Any) -> Tracked:
    return click(minutes, name, **{"product_id": f"cd-{number}", "category": "jazz", **values})


def test_interests_count_what_was_looked_at() -> None:
    names = ("Product Viewed", "Product Clicked", "Product Added", "Product Removed", "Page")
    now = seen(*(product(i, name) for i, name in enumerate(names)), product(9, "Product Viewed", category=""))
    assert now.interests == {"jazz": 3}


def test_of_too_many_interests_the_smallest_makes_room() -> None:
    views = [product(0, "Product Viewed", category="c-0", message_id="again")]
    views += [product(i, "Product Viewed", category=f"c-{i}") for i in range(MAX_INTERESTS + 1)]
    now = seen(*views)
    assert len(now.interests) == MAX_INTERESTS
    assert "c-1" not in now.interests
    assert now.interests["c-0"] == 2


def test_recent_views_are_in_order_of_time_and_bounded() -> None:
    views = [product(i, "Product Viewed", i) for i in range(MAX_RECENT)]
    now = seen(
        *views, product(100, "Product Viewed", 99, occurred_at=at(0.5)), product(101, "Product Viewed", product_id="")
    )
    assert [view.product_id for view in now.recent[:2]] == ["cd-99", "cd-1"]
    assert len(now.recent) == MAX_RECENT


@pytest.mark.parametrize(
    ("events", "cart", "checkout"),
    [
        ([product(0, "Product Added")], {"cd-1": 1}, False),
        ([product(0, "Product Added", quantity=2), product(1, "Product Added")], {"cd-1": 3}, False),
        ([product(0, "Product Added"), product(1, "Product Removed")], {}, False),
        ([product(0, "Product Added", quantity=3), product(1, "Product Removed", quantity=2)], {"cd-1": 1}, False),
        ([product(0, "Product Added"), product(1, "Product Removed", 2)], {"cd-1": 1}, False),
        ([product(0, "Product Added"), click(1, "Checkout Started")], {"cd-1": 1}, True),
        ([product(0, "Product Added"), click(1, "Checkout Started"), product(2, "Product Removed")], {}, False),
        ([product(0, "Product Added"), click(1, "Checkout Started"), order(2, "o-1")], {}, False),
        ([product(0, "Product Added"), order(2, "o-1", trust=BROWSER)], {}, False),
        ([product(0, "Product Added"), order(2, "o-1", "Order Updated")], {"cd-1": 1}, False),
        ([order(2, "o-1"), product(3, "Product Added", occurred_at=at(1))], {}, False),
        ([order(2, "o-1"), click(3, "Checkout Started", occurred_at=at(1))], {}, False),
        ([product(0, "Product Added", product_id="")], {}, False),
    ],
)
def test_the_cart(events: list[Tracked], cart: dict[str, int], checkout: bool) -> None:
    now = seen(*events)
    assert ({name: line.quantity for name, line in now.cart.items()}, now.checkout) == (cart, checkout)


def test_of_too_full_a_cart_the_oldest_line_makes_room() -> None:
    now = seen(*(product(i, "Product Added", i) for i in range(MAX_CART + 1)))
    assert len(now.cart) == MAX_CART
    assert "cd-0" not in now.cart


def test_what_rests_on_a_mere_claim_is_counted() -> None:
    assert seen(click(0), click(1, trust=BROWSER)).unverified_events == 1
    assert lived(A, click(0, trust=BROWSER)).activity.unverified_events == 0


def test_a_claim_shows_that_somebody_is_there() -> None:
    def claimed(minutes: float) -> Activity:
        event = ProfileClaimed(claimant=U, trust=VERIFIED, received_at=at(minutes))
        return activity.step(Profile(A, activity=Activity(last_seen=at(5))), event, at(minutes), Rules(), [])[0]

    assert (claimed(9).last_seen, claimed(4).last_seen) == (at(9), at(5))


def merged(own: Activity, handed: Activity | None, trust: Trust = VERIFIED, last_order: float = -1) -> Activity:
    message = ProfileHandedOver(anonymous_id="phone", outcome="HANDED_OVER", trust=trust, received_at=at(0))
    history = None if handed is None else Profile(A, activity=handed)
    profile = Profile(U, activity=own, purchases=Purchases(last_at=at(last_order)))
    return activity.step(profile, HandedOver(message=message, history=history), at(0), Rules(), [])[0]


BROWSED = Activity(
    first_seen=at(0),
    last_seen=at(5),
    events=4,
    visits=1,
    visit_started=at(0),
    visit_events=4,
    first_source="campaign:spring",
    last_source="campaign:spring",
    interests={"jazz": 2},
    recent=(View(at(1), "cd-1", "jazz"),),
    cart={"cd-1": CartLine("jazz", 100, 1, at(2))},
    checkout=True,
    unverified_events=1,
)


def test_a_visit_that_goes_on_under_the_persons_name_is_one_visit() -> None:
    own = lived(U, click(6, anonymous_id="phone")).activity
    now = merged(own, BROWSED)
    assert (now.visits, now.visit_started, now.visit_events, now.events) == (1, at(0), 5, 5)
    assert (now.first_source, now.last_source) == ("campaign:spring", "campaign:spring")
    assert (now.first_seen, now.last_seen, now.anonymous_id) == (at(0), at(6), "phone")
    assert (now.interests, now.recent, now.cart, now.checkout) == (
        BROWSED.interests,
        BROWSED.recent,
        BROWSED.cart,
        True,
    )


@pytest.mark.parametrize("own_minute", [-DAY, DAY])
def test_visits_apart_add_up_and_the_later_one_is_the_current_one(own_minute: int) -> None:
    own = lived(U, click(own_minute, campaign_name="own")).activity
    now = merged(own, BROWSED)
    later, earlier = (own, BROWSED) if own_minute > 0 else (BROWSED, own)
    assert (now.visits, now.visit_started, now.visit_events) == (2, later.visit_started, later.visit_events)
    assert (now.first_source, now.last_source) == (earlier.first_source, later.last_source)


def test_a_person_without_a_visit_takes_the_browsers() -> None:
    assert merged(Activity(), BROWSED).visits == 1
    assert merged(Activity(), BROWSED) == BROWSED


def test_the_same_line_in_both_carts_adds_up_and_what_was_ordered_does_not_come_back() -> None:
    own = Activity(cart={"cd-1": CartLine("jazz", 100, 2, at(3))})
    assert merged(own, BROWSED).cart == {"cd-1": CartLine("jazz", 100, 3, at(3))}
    ordered = merged(Activity(), BROWSED, last_order=9)
    assert (ordered.cart, ordered.checkout) == ({}, False)


def test_handed_over_on_a_mere_claim_all_of_it_is_unproven() -> None:
    assert merged(Activity(), BROWSED, VERIFIED).unverified_events == 1
    assert merged(Activity(), BROWSED, BROWSER).unverified_events == 4


def test_nothing_handed_over_changes_nothing() -> None:
    assert merged(BROWSED, None) is BROWSED
    bare = merged(BROWSED, Activity(first_seen=at(1), last_seen=at(1), events=1, visits=1, visit_started=at(1)))
    assert bare.recent == BROWSED.recent


@pytest.mark.parametrize(
    ("own_decided", "handed_decided", "visit_started"),
    [(False, False, 0), (True, False, 6), (True, True, 6), (False, True, 0)],
)
def test_a_joint_visit_is_the_one_for_which_something_was_decided(
    own_decided: bool, handed_decided: bool, visit_started: int
) -> None:
    def decided(profile: Profile, was_decided: bool) -> Profile:
        issued = {"help": ("visit-1", profile.activity.visit())} if was_decided else {"help": ("visit-1",)}
        return msgspec.structs.replace(profile, decisions=Decisions(issued))

    own = decided(lived(U, click(6)), own_decided)
    history = decided(Profile(A, activity=BROWSED), handed_decided)
    message = ProfileHandedOver(anonymous_id="phone", outcome="HANDED_OVER", trust=VERIFIED, received_at=at(7))
    after, _ = activity.step(own, HandedOver(message=message, history=history), at(7), Rules(), [])
    assert after.visit_started == at(visit_started)
