"""News of products: who is told, once, and who is not. All subjects together on one little log."""

from typing import Any

import pytest

from core.making import DAY, T0, but, click, order, rules
from pipeline.core import subjects
from pipeline.core.catalogue import ProductChanged, ProductNews, TopicFollowed
from pipeline.core.customer.following import MAX_TOPICS
from pipeline.core.do import DoMessage
from pipeline.core.effects import Decision, Message, Output, Send
from pipeline.core.events import ConsentChange, Customer, ErasureRequested, Product, RulesChanged, Stimulus, TimerDue
from pipeline.core.followers import MAX_FOLLOWERS, SHARDS, FollowersState, shard_of
from pipeline.core.requirement import Violated
from pipeline.core.rules import Campaign, Contact, Policy, Rules, Step
from pipeline.core.when import WhenBackInStock, WhenNewProduct, WhenPriceDropped
from pipeline.rehearsal.little_log import LittleLog

BY_MAIL = {"do": DoMessage(template="news"), "contact": Contact(channels=("email",))}
CHEAPER = Campaign(name="cheaper", when=WhenPriceDropped(percent=10), **BY_MAIL)
BACK = Campaign(name="back", when=WhenBackInStock(), **BY_MAIL)
NEW = Campaign(name="new", when=WhenNewProduct(category="tea"), **BY_MAIL)
ALL = rules(CHEAPER, BACK, NEW)


def consents(key: str) -> Customer:
    granted = (ConsentChange(channel="email", purpose="marketing", granted=True),)
    return Customer(
        message_id=f"yes-{key}", type="track", occurred_at=T0, received_at=T0, trust="SERVER", trusted=True,
        consents=granted,
    )  # fmt: skip


def does(name: str, number: int = 0, product: str = "p", **fields: Any) -> Stimulus:
    told = {"trust": "SERVER", "trusted": True, "category": "tea", "product_id": product} | fields
    return click(name, message_id=f"{name}-{product}-{number}", **told)


def changed(**said: Any) -> ProductChanged:
    return ProductChanged(**({"product_id": "p", "category": "tea", "received_at": T0} | said))


def shop(*people: str, by: Rules = ALL) -> LittleLog:
    """A tea at 10.00, sold; and people who permit mail."""
    log = LittleLog(by)
    log.pass_to(T0)
    log.accept("p:p", changed(price_cents=1000, stock=5))
    for key in people:
        log.accept(key, consents(key))
    return log


def mails(log: LittleLog) -> list[str]:
    return [f"{it.customer} {it.campaign}" for it in log.effects() if isinstance(it, Message)]


LOOKS = [does("Product Viewed", number) for number in range(3)]
BUYS = order("o1", products=(Product(product_id="other", category="tea"),))
INTERESTS: list[tuple[list[Stimulus], str]] = [
    ([does("Product Added")], "cheaper"),
    ([does("Product Added to Wishlist")], "cheaper"),
    (LOOKS, "cheaper new"),
    (LOOKS[:2], ""),
    ([does("Product Added to Wishlist"), does("Product Removed from Wishlist")], ""),
    ([BUYS], "new"),
    ([does("Product Added", trust="BROWSER")], ""),
    ([but(BUYS, trusted=False, trust="BROWSER")], ""),
]


@pytest.mark.parametrize(("events", "hears_of"), INTERESTS)
def test_who_has_shown_an_interest_hears_of_it_once(events: list[Stimulus], hears_of: str) -> None:
    log = shop("u:ann")
    for event in events:
        log.accept("u:ann", event)
    for _ in range(2):  # said again, nothing has changed
        log.accept("p:p", changed(price_cents=800))
        log.accept("p:n", changed(product_id="n", is_new=True, price_cents=100))
    assert sorted(mails(log)) == [f"u:ann {name}" for name in hears_of.split()]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([{"price_cents": 901}], 0),
        ([{"price_cents": 900}], 1),
        ([{"price_cents": 900, "stock": 0}], 0),
        ([{"price_cents": 1200}], 0),
        ([{"price_cents": 900, "currency": "EUR"}], 1),
        ([{"currency": "EUR"}, {"price_cents": 900, "currency": "USD"}], 0),
        ([{"currency": "EUR"}, {"currency": "USD"}, {"price_cents": 900}], 1),
        ([{"stock": 0}, {"stock": 3}], 1),
        ([{"stock": 0}, {}], 0),
        ([{"stock": 9}], 0),
        ([{"is_new": True}], 0),
        ([{"product_id": "n", "is_new": True, "stock": 0}], 0),
        ([{"product_id": "n", "is_new": True, "category": "mugs"}], 0),
        ([{"product_id": "n"}], 0),
    ],
)
def test_what_is_news(changes: list[dict[str, Any]], told: int) -> None:
    log = shop("u:ann")
    for event in [*LOOKS, *(does("Product Viewed", number, "m", category="mugs") for number in range(3))]:
        log.accept("u:ann", event)
    for change in changes:
        log.accept(f"p:{change.get('product_id', 'p')}", changed(**change))
    assert len(mails(log)) == told


def test_a_price_that_was_not_known_has_not_dropped_by_any_share() -> None:
    log = shop("u:ann")
    log.accept("u:ann", does("Product Added"))
    log.accept("u:ann", but(NEWS, kind="PRICE_DROPPED", was_cents=0))
    assert mails(log) == []


def test_nothing_is_followed_while_no_campaign_is_about_it_and_all_is_once_one_is() -> None:
    log = shop("u:ann", by=rules())
    for event in (BUYS, *LOOKS, does("Product Added", product="q", at=T0 + 1)):
        log.accept("u:ann", event)
    assert not [key for key in log.states if key.startswith("f:")]
    log.rules = ALL
    log.accept("u:ann", RulesChanged(2, 1))
    assert set(log.states["u:ann"].following.topics) == {"p:q", "c:tea"}
    log.rules = rules(NEW)
    log.accept("u:ann", does("Product Added", product="r"))
    assert "p:r" not in log.states["u:ann"].following.topics


def test_who_owns_it_or_bought_it_while_the_news_waited_does_not_hear_of_it() -> None:
    buys = order("o2", products=(Product(product_id="p", category="tea"),))
    log = shop("u:ann")
    log.accept("u:ann", does("Product Added"))
    log.accept("u:ann", buys)
    log.accept("p:p", changed(price_cents=500))
    assert mails(log) == []
    night = Policy(quiet_from="00:00", quiet_until="23:59", per_day=0, per_week=0)
    log = shop("u:ben", by=rules(CHEAPER, policy=night))
    log.accept("u:ben", does("Product Added"))
    log.accept("p:p", changed(price_cents=500))
    log.accept("u:ben", buys)
    log.pass_to(T0 + 2 * DAY)
    assert log.states["u:ben"].decisions.answers["cheaper"].reason == "bought_meanwhile"
    assert mails(log) == []


NIGHT = Policy(quiet_from="00:00", quiet_until="23:59", per_day=0, per_week=0)
ADDED = does("Product Added to Wishlist")
DROPS, NEWER = {"price_cents": 500}, {"product_id": "n", "is_new": True, "price_cents": 100, "stock": 1}
OUT, BACK_IN = {"stock": 0}, {"stock": 3}
CHEAPER_BY_33 = "price dropped: by 33 %"
Said = list[Stimulus | dict[str, Any]]
WHILE_IT_WAITED: list[tuple[list[Stimulus], Said, Said, str, list[str]]] = [
    ([ADDED], [DROPS], [], "cheaper", ["price dropped: by 50 %"]),
    ([ADDED], [DROPS], [{"stock": 4}], "cheaper", ["price dropped: by 50 %"]),
    ([ADDED], [DROPS], [OUT], "", ["sold_out"]),
    ([ADDED], [DROPS], [{"price_cents": 501}], "", ["price_rose"]),
    ([ADDED], [DROPS], [{"price_cents": 490}], "cheaper", ["price dropped: by 50 %"]),
    ([ADDED], [DROPS], [{"price_cents": 400}], "cheaper", ["price_fell_again", "price dropped: by 20 %"]),
    ([ADDED], [DROPS], [{"currency": "USD"}, {"currency": "EUR"}], "", ["price_rose"]),
    ([ADDED], [DROPS], [{"price_cents": 999}, {"price_cents": 666}], "cheaper", ["price_rose", CHEAPER_BY_33]),
    ([ADDED], [DROPS], [OUT, BACK_IN], "back", ["sold_out", "back in stock"]),
    ([ADDED], [OUT, BACK_IN], [], "back", ["back in stock"]),
    ([ADDED], [OUT, BACK_IN], [{"price_cents": 1200}], "back", ["back in stock"]),
    ([ADDED], [OUT, BACK_IN], [OUT], "", ["sold_out"]),
    ([ADDED], [OUT, BACK_IN], [OUT, BACK_IN], "back", ["sold_out", "back in stock"]),
    (LOOKS, [NEWER], [{"product_id": "n", "price_cents": 120}], "new", ["new product: of the category tea"]),
    (LOOKS, [NEWER], [{"product_id": "n", "stock": 0}], "", ["sold_out"]),
    (LOOKS, [NEWER], [{"product_id": "p", "stock": 0}], "new", ["new product: of the category tea"]),
    ([ADDED], [DROPS], [does("Product Removed from Wishlist")], "", ["followed_no_more"]),
]  # fmt: skip


@pytest.mark.parametrize("product", ["p", "step:a:b@7"])
@pytest.mark.parametrize(("interest", "changes", "meanwhile", "hears_of", "answers"), WHILE_IT_WAITED)
def test_news_that_waited_for_the_morning_is_told_if_it_still_holds(
    interest: list[Stimulus],
    changes: Said,
    meanwhile: Said,
    hears_of: str,
    answers: list[str],
    product: str,
) -> None:
    log = shop("u:ann", by=but(ALL, policy=NIGHT))
    log.accept(f"p:{product}", changed(product_id=product, price_cents=1000, stock=5))
    for event in interest:
        log.accept("u:ann", but(event, product_id=product))
    for number, said in enumerate([*changes, *meanwhile]):
        log.pass_to(T0 + number)
        if isinstance(said, dict):
            name = said.get("product_id", "p").replace("p", product)
            log.accept(f"p:{name}", changed(**said | {"product_id": name, "received_at": T0 + number}))
        else:
            log.accept("u:ann", but(said, product_id=product))
    log.pass_to(T0 + 2 * DAY)
    assert mails(log) == [f"u:ann {name}" for name in hears_of.split()]
    decisions = [it for it in log.effects() if isinstance(it, Decision) and it.outcome != "DEFERRED"]
    assert [it.reason for it in decisions] == answers


def test_what_is_said_of_one_product_leaves_news_of_another_waiting() -> None:
    log = shop("u:ann", by=but(ALL, policy=NIGHT))
    for name in ("p", "q"):
        log.accept(f"p:{name}", changed(product_id=name, price_cents=1000))
        log.accept("u:ann", but(ADDED, message_id=name, product_id=name))
        log.accept(f"p:{name}", changed(product_id=name, **DROPS))
    log.accept("p:p", changed(**OUT))
    log.accept("p:q", changed(product_id="q", price_cents=400))
    log.pass_to(T0 + 2 * DAY)
    assert [it.occasion for it in log.effects() if isinstance(it, Message)] == [f"price:q@{T0}"]


@pytest.mark.parametrize("product", ["p", "step:later:p", "step:"])
def test_what_follows_on_news_ends_when_it_holds_no_more_and_limits_count_news(product: str) -> None:
    later = Step(name="later", wait_days=2, do=DoMessage(template="again"))
    bought = Campaign(name="other", when=WhenBackInStock(), steps=(later,), **BY_MAIL)
    log = shop("u:ann", by=rules(but(CHEAPER, steps=(later,), per_customer=1), bought))
    for price in (1000, 500):
        log.accept(f"p:{product}", changed(product_id=product, price_cents=price))
        log.accept("u:ann", does("Product Added", product=product))
    assert mails(log) == ["u:ann cheaper"]
    log.accept("p:elsewhere", changed(product_id="elsewhere", stock=0))
    assert list(log.states["u:ann"].journeys.open) == ["cheaper"]
    log.accept(f"p:{product}", changed(product_id=product, stock=0))
    assert log.states["u:ann"].journeys.open == {}
    assert log.states["u:ann"].decisions.answers["cheaper"].reason == "occasion_gone"
    log.pass_to(T0 + 1)
    for said in ({"stock": 1}, {"price_cents": 100}):
        log.accept(f"p:{product}", changed(product_id=product, **said))
    assert mails(log) == ["u:ann cheaper", "u:ann other"]
    assert log.states["u:ann"].decisions.answers["cheaper"].reason == "customer_limit"
    log.pass_to(T0 + 3 * DAY)
    assert mails(log) == ["u:ann cheaper", "u:ann other", "u:ann other"]


def test_consent_that_was_withdrawn_is_respected() -> None:
    log = shop("u:ann")
    log.accept("u:ann", does("Product Added"))
    withdrawn = (ConsentChange(channel="email", purpose="marketing", granted=False),)
    log.accept("u:ann", but(consents("u:ann"), message_id="no", consents=withdrawn))
    log.accept("p:p", changed(price_cents=500))
    assert mails(log) == []
    assert log.states["u:ann"].decisions.answers["cheaper"].reason == "no_consent"


def test_a_browser_s_interest_is_its_person_s() -> None:
    log = shop("u:ann")
    log.accept("a:b", does("Product Added to Wishlist", anonymous_id="b"))
    log.accept("u:ann", does("Page", anonymous_id="b"))
    assert "p:p" in log.states["u:ann"].following.topics
    log.accept("p:p", changed(price_cents=500))
    assert mails(log) == ["u:ann cheaper"]


@pytest.mark.parametrize("by", [ALL, rules()], ids=["in force", "not any more"])
def test_a_browser_that_was_handed_over_follows_nothing_itself(by: Rules) -> None:
    log = shop("u:ann")
    log.accept("a:b", does("Product Added to Wishlist", anonymous_id="b"))
    log.rules = by
    log.accept("u:ann", does("Page", anonymous_id="b"))
    assert {name for state in followers_of(log) for name in state.customers} == ({"u:ann"} if by is ALL else set())


def test_of_who_is_erased_no_browser_follows_either() -> None:
    log = shop("u:ann")
    log.accept("a:b", does("Product Added to Wishlist", anonymous_id="b"))
    log.accept("u:ann", does("Page", anonymous_id="b"))
    log.accept("u:ann", does("Product Removed from Wishlist", anonymous_id="b"))
    log.accept("u:ann", ErasureRequested(request_id="r", salt=b"s" * 16, source="x", received_at=T0))
    assert followers_of(log) == []


def followers_of(log: LittleLog) -> list[FollowersState]:
    return [state for state in log.states.values() if isinstance(state, FollowersState)]


NEWS = ProductNews(
    topic="p:p", product_id="p", kind="BACK_IN_STOCK", category="", price_cents=1, was_cents=1, at=T0, received_at=T0
)


def test_who_does_not_follow_says_so() -> None:
    expected = TopicFollowed(topic="p:p", customer="u:ann", follows=False, received_at=T0)
    state, outputs = subjects.step("u:ann", None, NEWS, T0, ALL)
    assert (state, outputs) == (None, [Send(shard_of("p:p", "u:ann"), expected)])
    log = shop("u:ann")
    log.accept("u:ann", NEWS)
    assert log.happened[-1][2] == Send(shard_of("p:p", "u:ann"), expected)


def test_it_is_bounded() -> None:
    log = shop("u:ann")
    for number in range(MAX_TOPICS + 1):
        log.accept("u:ann", does("Product Added to Wishlist", product=f"q{number}"))
    assert len(log.states["u:ann"].following.topics) == MAX_TOPICS
    assert shard_of("p:q0", "u:ann") not in log.states
    assert len({shard_of("p:p", f"u:{number}") for number in range(2_000)}) == SHARDS


def stepped(state: FollowersState | None, *events: Stimulus) -> tuple[FollowersState | None, list[Output]]:
    outputs: list[Output] = []
    for event in events:
        after, made = subjects.step("f:1:p:p", state, event, T0, ALL)
        assert after is None or isinstance(after, FollowersState)
        state = after
        outputs += made
    return state, outputs


def follows(name: str, *, yes: bool = True) -> TopicFollowed:
    return TopicFollowed(topic="p:p", customer=name, follows=yes, received_at=T0)


def test_followers_come_and_go() -> None:
    assert stepped(None, NEWS, follows("u:a", yes=False)) == (None, [])
    state, _ = stepped(None, follows("u:a"), follows("u:b"), follows("u:a"))
    assert state is not None
    assert list(state.customers) == ["u:b", "u:a"]
    assert stepped(state, TimerDue(T0))[0] == state
    assert [it.to for it in stepped(state, NEWS)[1] if isinstance(it, Send)] == ["u:b", "u:a"]
    erased = ErasureRequested(request_id="r", owner="u:b", salt=b"s" * 16, source="x", received_at=T0)
    assert list(stepped(state, erased)[0].customers) == ["u:a"]
    assert stepped(state, erased, follows("u:a", yes=False))[0] is None
    full, _ = stepped(None, *(follows(f"u:{number}") for number in range(MAX_FOLLOWERS + 1)))
    assert (len(full.customers), "u:0" in full.customers) == (MAX_FOLLOWERS, False)
    with pytest.raises(Violated):
        subjects.step("f:1:p:p", state, NEWS, T0 - 1, ALL)


def test_who_is_erased_is_no_follower() -> None:
    log = shop("u:ann")
    log.accept("u:ann", does("Product Added"))
    erased = ErasureRequested(request_id="r", salt=b"s" * 16, source="x", received_at=T0)
    log.accept("u:ann", erased)
    assert not [key for key in log.states if key.startswith(("f:", "u:"))]
