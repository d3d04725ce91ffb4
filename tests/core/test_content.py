"""What stands in a slot: a campaign's word, the person's own, what is known of them; at last what is for all."""

import msgspec
import pytest

from core.making import DAY, NEWS, T0, THANKS, but, buyer, candidate, click, handed_over, rules
from pipeline.core.condition import Condition
from pipeline.core.customer import content, modules
from pipeline.core.customer.account import Account
from pipeline.core.customer.consent import Consent, Permission
from pipeline.core.customer.content import chosen
from pipeline.core.customer.identity import Identity
from pipeline.core.customer.lifecycle import Lifecycle
from pipeline.core.customer.loyalty import Loyalty
from pipeline.core.customer.modules import Modules, Shown
from pipeline.core.customer.notes import Granted
from pipeline.core.customer.preferences import Preferences
from pipeline.core.customer.purchases import Purchases
from pipeline.core.customer.segments import Segments
from pipeline.core.do import DoModule
from pipeline.core.effects import Message
from pipeline.core.events import TimerDue
from pipeline.core.site import Content, Module, Site, Variant

BOUGHT = Condition(field="purchases.orders", op="at_least", value=1)
TICKED = Condition(field="preferences.interests", op="contains", value="jazz")
ORDERS = Module(
    name="orders",
    slot="hero",
    priority=2,
    variants=(
        Variant(name="greeted", title="Hello {traits.name}", text="{purchases.orders} times", conditions=(BOUGHT,)),
        Variant(name="plain", title="Hello", conditions=(BOUGHT,)),
    ),
)
JAZZ = Module(
    name="jazz",
    slot="hero",
    priority=1,
    purpose="marketing",
    variants=(
        Variant(name="ticked", title="Jazz you asked for", conditions=(TICKED,)),
        Variant(name="listed", title="{categories.bought}", text="{cart.cents}{traits.city}"),
    ),
    fallback=Content(title="Jazz", link_url="/jazz", link_text="Look"),
)
DRAFT = Module(name="draft", slot="hero", priority=9, state="draft", fallback=Content(title="?"))
ELSE = Module(name="else", slot="foot", variants=(Variant(name="x", title="{purchases.currency}"),))
SITE = Site(modules=(DRAFT, ORDERS, JAZZ, ELSE))
ANN = Identity(traits={"name": "Ann"})
JAZZ_SHOWN = Modules({"jazz": Shown("fans", "o1", T0 + DAY)})
JAZZ_TICKED = Preferences(interests=("jazz",), said_at=T0)


def refused(what: str) -> Consent:
    return Consent({f"site.{what}": Permission(False, T0)})


@pytest.mark.parametrize(
    ("profile", "at", "expected"),
    [
        (None, T0, "jazz/ by fallback: Jazz"),
        (buyer(), T0, "jazz/ by fallback: Jazz"),
        (buyer(0, 1), T0, "orders/plain by profile: Hello"),
        (buyer(0, 1, identity=ANN), T0, "orders/greeted by profile: Hello Ann"),
        (buyer(0, preferences=JAZZ_TICKED), T0, "jazz/ticked by choice: Jazz you asked for"),
        (buyer(0, modules=JAZZ_SHOWN), T0, "jazz/ by campaign: Jazz"),
        (buyer(0, modules=JAZZ_SHOWN, preferences=JAZZ_TICKED), T0, "jazz/ticked by campaign: Jazz you asked for"),
        (buyer(0, modules=JAZZ_SHOWN), T0 + DAY, "orders/plain by profile: Hello"),
        (buyer(0, modules=JAZZ_SHOWN, consent=refused("marketing")), T0, "orders/plain by profile: Hello"),
        (buyer(0, consent=refused("profiling")), T0, "jazz/ by fallback: Jazz"),
        (
            buyer(0, consent=refused("profiling"), preferences=JAZZ_TICKED),
            T0,
            "jazz/ticked by choice: Jazz you asked for",
        ),
        (buyer(0, modules=Modules({"orders": Shown("c", "o", T0 + 1)})), T0, "orders/plain by campaign: Hello"),
        (buyer(modules=Modules({"orders": Shown("c", "o", T0 + 1)})), T0, "jazz/ by fallback: Jazz"),
    ],
)
def test_who_sees_what_and_why(profile, at, expected):
    found = chosen("hero", profile, at, SITE)
    assert found is not None
    assert f"{found.module.name}/{found.face.variant} by {found.by}: {found.face.content.title}" == expected


def test_what_is_not_known_is_not_filled_in_and_a_slot_can_stay_as_it_is():
    assert chosen("foot", buyer(), T0, SITE) is None
    assert chosen("nowhere", buyer(0), T0, SITE) is None
    found = chosen("foot", buyer(0), T0, SITE)
    assert found is not None
    assert found.face.content.title == "EUR"


def test_the_reason_has_what_was_found_and_the_page_only_what_is_said():
    found = chosen("hero", buyer(0, identity=ANN), T0, SITE)
    assert found is not None
    assert found.face.facts == {"purchases.orders": 1}
    data = msgspec.json.decode(content.as_json(found.module, found.face))
    assert data == {
        "slot": "hero",
        "module": "orders",
        "variant": "greeted",
        "content": {"title": "Hello Ann", "text": "1 times"},
    }


def test_a_list_is_filled_in_with_commas_and_values_are_not_read_as_placeholders():
    module = Module(name="m", slot="s", variants=(Variant(name="v", title="{categories.bought} {traits.name}"),))
    profile = buyer(0, identity=Identity(traits={"name": "{purchases.orders}"}))
    face = content.face_of(module, profile, T0)
    assert face is not None
    assert face.content.title == "tea {purchases.orders}"


SHOW = but(NEWS, name="fans", do=DoModule(module="jazz", valid_days=2))


def granted(campaign):
    return (Granted(candidate=candidate(campaign), channel="site", campaign=campaign),)


def test_a_campaign_shows_a_module_and_an_open_page_hears_of_it():
    own, made = modules.step(buyer(0), TimerDue(T0), T0, rules(SHOW, site=SITE), granted(SHOW))
    assert own == Modules({"jazz": Shown("fans", "o1", T0 + 2 * DAY)})
    [message] = made
    assert isinstance(message, Message)
    assert (message.channel, message.template, message.not_after) == ("site", "jazz", T0 + 2 * DAY)
    assert msgspec.json.decode(message.values)["content"]["title"] == "Jazz"


GOODS = Module(
    name="goods", slot="hero", priority=5, recommendations=3, fallback=Content(title="For you"), purpose="none"
)
RECOMMENDING = Site(modules=(GOODS, *SITE.modules))


def test_a_module_that_recommends_is_passed_over_where_there_is_nothing_to_recommend():
    assert chosen("hero", None, T0, RECOMMENDING).module is GOODS
    assert chosen("hero", None, T0, RECOMMENDING, recommends=False).module is JAZZ
    assert chosen("hero", None, T0, Site(modules=(GOODS,)), recommends=False) is None


def test_an_open_page_hears_how_many_products_belong_to_a_module():
    show = but(SHOW, do=DoModule(module="goods"))
    _, [message] = modules.step(buyer(0), TimerDue(T0), T0, rules(show, site=RECOMMENDING), granted(show))
    assert msgspec.json.decode(message.values) == {
        "slot": "hero", "module": "goods", "variant": "", "content": {"title": "For you"}, "recommends": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "op", "value", "fits", "fits_not"),
    [
        ("lifecycle.stage", "is", "repeat", {"lifecycle": Lifecycle(stage="repeat")}, {}),
        ("lifecycle.times_won_back", "at_least", 1, {"lifecycle": Lifecycle(times_won_back=1)}, {}),
        ("purchases.spend_cents", "at_least", 4_000, {}, {"purchases": buyer(0).purchases}),
        ("purchases.days_since_last", "at_most", 0, {}, {"purchases": Purchases()}),
        ("loyalty.tier", "one_of", ("gold", "silver"), {"loyalty": Loyalty(tier="gold")}, {"loyalty": None}),
        ("loyalty.points", "above", 99, {"loyalty": Loyalty(Account(balance=100))}, {"loyalty": Loyalty()}),
        ("segments", "contains", "fans", {"segments": Segments({"fans": T0})}, {}),
    ],
)
def test_a_score_of_the_profile_decides_who_sees_a_module(field, op, value, fits, fits_not):
    asked = Condition(field=field, op=op, value=value)
    site = Site(modules=(Module(name="m", slot="s", variants=(Variant(name="v", title="!", conditions=(asked,)),)),))
    seen = chosen("s", buyer(0, 0, **fits), T0, site)
    assert seen is not None
    assert seen.by == "profile"
    assert chosen("s", buyer(0, 0, **fits_not), T0, site) is None


@pytest.mark.parametrize("module", ["gone", "draft", "else"])
def test_of_a_module_that_says_nothing_no_page_is_told(module):
    show = but(SHOW, do=DoModule(module=module))
    own, made = modules.step(buyer(), TimerDue(T0), T0, rules(show, site=SITE), granted(show))
    assert module in own.shown
    assert not made


def test_other_grants_and_events_are_none_of_its_business():
    profile = buyer(0, modules=JAZZ_SHOWN)
    assert modules.step(profile, click(), T0, rules(THANKS), granted(THANKS)) == (JAZZ_SHOWN, [])
    assert modules.step(profile, handed_over(None), T0, rules(), ()) == (JAZZ_SHOWN, [])


def test_it_is_bounded_and_what_a_browser_was_shown_goes_on():
    many = {f"m{number:02}": Shown("c", "o", T0 + number) for number in range(modules.MAX_SHOWN + 2)}
    theirs = buyer(key="a:b1", modules=Modules(many | {"jazz": Shown("c", "o", T0 + 1)}))
    own, _ = modules.step(buyer(0, modules=JAZZ_SHOWN), handed_over(theirs), T0, rules(), ())
    assert len(own.shown) == modules.MAX_SHOWN
    assert own.shown["jazz"] == JAZZ_SHOWN.shown["jazz"]
    assert "m00" not in own.shown
