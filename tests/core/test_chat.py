"""Conversations, and the three signs of hesitation."""

import json

import pytest

from core.making import (
    DAY,
    HOUR,
    MINUTE,
    PROMPT,
    T0,
    WIN_BACK,
    but,
    click,
    delivered,
    handed_over,
    order,
    rules,
    said,
    visitor,
)
from pipeline.core.customer import chat
from pipeline.core.customer.activity import View
from pipeline.core.customer.chat import Chatting
from pipeline.core.customer.decisions import Decisions
from pipeline.core.customer.vouchers import Held, Vouchers
from pipeline.core.events import Customer, RulesChanged, TimerDue
from pipeline.core.when import WhenHesitating

RULES = rules(PROMPT, WIN_BACK)
NEW_RULES = RulesChanged(campaigns_version=2, model_version=0)


def prompts(profile, event, now=None, by=RULES):
    return list(chat.step(profile, event, now or event.occurred_at, by, [])[1])


def talked(*events, start=None):
    profile = start or visitor()
    for event in events:
        profile = but(profile, chat=chat.step(profile, event, event.received_at, RULES, [])[0])
    return profile.chat


@pytest.mark.parametrize(
    ("views", "reason"),
    [
        ("tea:p1 tea:p2 tea:p3", "products_in_category"),
        ("tea:p1 cups:p2 tea:p3", None),
        ("tea:p1 tea:p2 tea:p2", None),
        ("tea:p1 cups:c1 tea:p2 cups:c2 tea:p3", "products_in_category"),
        ("tea:p3 cups:c1 tea:p3 cups:c1 tea:p3", "same_product"),
        ("tea:p1 tea:p2 tea:p3 tea:p3 tea:p3", "products_in_category"),
        (":p3 :p2 :p1", None),
        (":p3 :p3 :p3", "same_product"),
        ("tea: tea: tea:", None),
    ],
)
def test_a_view_completes_a_sign(views, reason):
    category, product = views.split()[-1].split(":")
    made = prompts(visitor(views), click(category=category, product_id=product))
    assert [one.reason for one in made] == ([reason] if reason else [])
    for one in made:
        assert (one.campaign, one.occasion) == ("prompt", f"visit-{T0}")
        assert (one.category, one.product_id, one.anonymous_id) == (category, product, "b1")


def test_a_candidate_says_what_was_seen_and_on_which_browser():
    seen = visitor("tea:p1 tea:p2 tea:p3")
    (one,) = prompts(seen, click(category="tea", product_id="p3", anonymous_id="b7"))
    assert json.loads(one.facts) == {"products": 3, "minutes": 10, "category": "tea", "product_id": "p3"}
    assert one.anonymous_id == "b7"
    (one,) = prompts(visitor("tea:p3 tea:p3 tea:p3"), click(category="tea", product_id="p3"))
    assert json.loads(one.facts) == {"views": 3, "hours": 24, "category": "tea", "product_id": "p3"}


@pytest.mark.parametrize(
    ("ago", "category", "product", "expected"),
    [
        ((9, 4), "tea", "other", True),
        ((10, 4), "tea", "other", False),
        ((24 * 60 - 1, 4), "", "same", True),
        ((24 * 60, 4), "", "same", False),
    ],
)
def test_views_count_within_their_window(ago, category, product, expected):
    names = ["p1", "p2", "p3"] if product == "other" else ["p3"] * 3
    times = [T0 - ago[0] * MINUTE, T0 - ago[1] * MINUTE, T0]
    recent = tuple(View(at, name, category) for at, name in zip(times, names, strict=True))
    profile = visitor()
    profile = but(profile, activity=but(profile.activity, recent=recent))
    assert bool(prompts(profile, click(category=category, product_id="p3"))) is expected


def test_a_sign_is_switched_off_with_0_and_other_events_complete_none():
    profile = visitor("tea:p3 tea:p3 tea:p3 tea:p1 tea:p2")
    off = but(PROMPT, when=WhenHesitating(products_in_category=0, product_views=0))
    assert not prompts(profile, click(category="tea", product_id="p3"), by=rules(off))
    assert not prompts(profile, click("Product List Viewed", category="tea"))


def test_what_arrives_late_is_no_hesitation():
    profile = visitor("tea:p1 tea:p2 tea:p3", cart="tea:p9")
    event = click(category="tea", product_id="p3")
    late = T0 + chat.LATE_AFTER_MS
    assert chat.step(profile, event, late, RULES, [])[1]
    after, made = chat.step(profile, event, late + 1, RULES, [])
    assert after is profile.chat
    assert not made


def test_an_idle_cart_waits_from_the_last_sign_of_the_visitor():
    profile = visitor(cart="tea:p8 tea:p9")
    for at in (T0, T0 + MINUTE):
        profile = but(profile, chat=chat.step(profile, click("Cart Viewed", at), at, RULES, [])[0])
    assert profile.chat == Chatting(cart_touched=T0 + MINUTE, idle_due=T0 + 6 * MINUTE)
    assert chat.due(profile) == T0 + 6 * MINUTE
    assert chat.step(profile, TimerDue(T0), T0 + 5 * MINUTE, RULES, [])[0] is profile.chat
    after, (one,) = chat.step(profile, TimerDue(T0 + 6 * MINUTE), T0 + 6 * MINUTE, RULES, [])
    assert after == Chatting(cart_touched=T0 + MINUTE)
    assert (one.reason, one.category, one.product_id, one.anonymous_id) == ("cart_idle", "tea", "p9", "b1")
    facts = {"minutes": 5, "products": 2, "cents": 2000, "category": "tea", "product_id": "p9"}
    assert json.loads(one.facts) == facts


def test_several_campaigns_wait_one_after_the_other():
    patient = but(PROMPT, name="patient", when=WhenHesitating(cart_idle_minutes=8))
    never = but(PROMPT, name="never", when=WhenHesitating(cart_idle_minutes=0))
    three = rules(PROMPT, patient, never, WIN_BACK)
    profile, asked = visitor(cart="tea:p9"), []
    profile = but(profile, chat=chat.step(profile, click("Cart Viewed"), T0, three, [])[0])
    while at := chat.due(profile):
        own, made = chat.step(profile, TimerDue(at), at, three, [])
        profile = but(profile, chat=own)
        asked += [(one.campaign, (at - T0) // MINUTE) for one in made]
    assert asked == [("prompt", 5), ("patient", 8)]


def test_a_campaign_that_has_acted_in_this_visit_waits_for_no_sign_and_no_timer():
    profile = visitor("tea:p1 tea:p2 tea:p3", cart="tea:p9")
    event = click(category="tea", product_id="p3")
    asked = but(profile, decisions=Decisions(issued={"prompt": {profile.activity.visit(): T0}}))
    own, made = chat.step(asked, event, T0, RULES, [])
    assert (own.idle_due, made) == (0, [])
    patient = rules(PROMPT, but(PROMPT, name="patient", when=WhenHesitating(cart_idle_minutes=8)))
    own, made = chat.step(asked, event, T0, patient, [])
    assert [one.campaign for one in made] == ["patient"]
    waits = but(asked, chat=own)
    while at := chat.due(waits):
        own, made = chat.step(waits, TimerDue(at), at, patient, [])
        waits = but(waits, chat=own)
    assert [one.campaign for one in made] == ["patient"]
    next_visit = but(asked, activity=but(asked.activity, visit_started=T0 + HOUR))
    assert chat.step(next_visit, event, T0, RULES, [])[0].idle_due == T0 + 5 * MINUTE


@pytest.mark.parametrize("cart", ["", "tea:p9"])
def test_an_empty_cart_disarms(cart):
    profile = visitor(cart=cart, chat=Chatting(cart_touched=T0, idle_due=T0 + MINUTE))
    for event in (click("Product Removed"), order("o1")):
        assert bool(chat.step(profile, event, T0, RULES, [])[0].idle_due) is bool(cart)
    after, made = chat.step(profile, TimerDue(T0 + MINUTE), T0 + MINUTE, RULES, [])
    assert after.idle_due == (T0 + 5 * MINUTE if cart else 0)
    assert not made
    idle = visitor()
    for event in (click("Product Removed"), order("o1"), NEW_RULES):
        assert chat.step(idle, event, T0, RULES, [])[0] is idle.chat


def test_without_a_campaign_nothing_waits():
    profile = visitor(cart="tea:p9")
    assert chat.step(profile, click("Cart Viewed"), T0, rules(WIN_BACK), [])[0].idle_due == 0


def test_new_rules_measure_the_silence_under_way():
    profile = visitor(cart="tea:p9", chat=Chatting(cart_touched=T0, idle_due=T0 + 5 * MINUTE))
    assert chat.step(profile, NEW_RULES, T0 + MINUTE, RULES, [])[0] is profile.chat
    eager = rules(but(PROMPT, when=WhenHesitating(cart_idle_minutes=2)))
    assert chat.step(profile, NEW_RULES, T0 + MINUTE, eager, [])[0].idle_due == T0 + 2 * MINUTE
    assert chat.step(profile, NEW_RULES, T0 + 3 * MINUTE, eager, [])[0].idle_due == 0


def test_a_conversation_is_open_from_its_first_message_to_its_end():
    own = talked(said("Conversation Started"), said("Message Received", at=T0 + MINUTE))
    assert own == Chatting(
        open_conversation="c1", opened_at=T0, conversations=1, messages=1, last_message_at=T0 + MINUTE
    )
    assert own.conversation_open(T0 + 2 * MINUTE)
    ended = talked(
        said("Conversation Started"), said("Message Sent"), said("Conversation Ended"), said("Message Sent")
    )
    assert not ended.conversation_open(T0)
    assert (ended.conversations, ended.messages, ended.ended_conversation) == (1, 2, "c1")
    assert not Chatting().conversation_open(T0)


def test_a_conversation_ends_by_itself_after_30_minutes_without_a_message():
    own = talked(said("Message Sent"))
    assert own.conversation_open(T0 + 30 * MINUTE - 1)
    assert not own.conversation_open(T0 + 30 * MINUTE)
    again = talked(said("Message Sent"), said("Message Sent", at=T0 + HOUR))
    assert (again.conversations, again.conversation_open(T0 + HOUR)) == (1, True)


def test_the_end_of_another_conversation_ends_nothing():
    own = talked(said("Message Sent", "c2"), said("Conversation Ended", "c1"))
    assert (own.open_conversation, own.ended_conversation) == ("c2", "c1")


def test_an_old_message_opens_nothing_now_and_a_message_keeps_the_cart_from_being_idle():
    own = talked(said("Message Sent", at=T0 - DAY, received_at=T0), start=visitor(cart="tea:p9"))
    assert (own.last_message_at, own.idle_due, own.conversation_open(T0)) == (T0 - DAY, 0, False)
    own = talked(said("Message Sent"), start=visitor(cart="tea:p9"))
    assert own.idle_due == T0 + 5 * MINUTE


def test_a_prompt_that_was_shown_counts_once():
    profile = visitor()
    shown = talked(delivered("e1"), delivered("e1"), start=profile)
    assert (shown.prompts, shown.last_prompt_id) == (1, "e1")
    assert talked(delivered("e1", outcome="SKIPPED"), start=profile) is profile.chat
    assert talked(delivered("e1", channel="email"), start=profile) is profile.chat
    voucher = Held("e1", "win-back", "o1", "site", "issued", T0, T0 + DAY, 15, 0, "EUR", 0, "")
    holder = but(profile, vouchers=Vouchers({"CODE": voucher}))
    assert talked(delivered("e1"), start=holder) is profile.chat
    assert talked(delivered("e2"), start=holder).prompts == 1


def test_a_merge_adds_up_and_goes_on_where_they_spoke_last():
    browser = visitor(
        cart="tea:p9",
        chat=Chatting("c2", T0 + MINUTE, 2, 5, T0 + 2 * MINUTE, 1, "e1", T0 + MINUTE, T0 + 6 * MINUTE, "c0"),
    )
    person = but(browser, key="u:ann", chat=Chatting("c1", T0, 1, 1, T0, 1, "", T0, 0, "c8"))
    after, _ = chat.step(person, handed_over(browser), T0 + 3 * MINUTE, RULES, [])
    expected = Chatting("c2", T0 + MINUTE, 3, 6, T0 + 2 * MINUTE, 2, "e1", T0 + MINUTE, T0 + 6 * MINUTE, "c0")
    assert after == expected
    assert chat.step(person, handed_over(None), T0, RULES, [])[0] is person.chat
    quiet = visitor(chat=Chatting("c1", T0, 1, 1, T0))
    after, _ = chat.step(quiet, handed_over(visitor()), T0, RULES, [])
    assert after == quiet.chat


def test_what_is_none_of_its_business_changes_nothing():
    profile = visitor(cart="tea:p9")
    event = Customer(message_id="m", type="identify", occurred_at=T0, received_at=T0)
    assert chat.step(profile, event, T0, RULES, []) == (profile.chat, ())
