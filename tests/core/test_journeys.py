"""Campaigns of several steps: what comes when, what ends it, and that a person walks one at a time."""

from itertools import pairwise

import pytest

from core.making import DAY, HOUR, SECRET, T0, but, buyer, candidate, click, delivered, order
from pipeline.core import customer, subjects
from pipeline.core.condition import Condition
from pipeline.core.customer import journeys
from pipeline.core.customer.consent import Consent, Permission
from pipeline.core.customer.journeys import Journey, Journeys
from pipeline.core.customer.notes import (
    Concluded,
    LapseDisproved,
    OccasionGone,
    SegmentMoved,
    begun_with,
    order_occasion,
    step_occasion,
)
from pipeline.core.customer.profile import Profile
from pipeline.core.customer.segments import Segments
from pipeline.core.do import DoMessage, DoVoucher
from pipeline.core.effects import Decision, Message, Send, Voucher
from pipeline.core.events import BudgetAnswered, BudgetSettled, RulesChanged, TimerDue
from pipeline.core.rules import (
    Budget,
    Campaign,
    Contact,
    ExitBought,
    ExitCartGone,
    ExitCondition,
    ExitSegmentEntered,
    ExitSegmentLeft,
    ExitUnsubscribed,
    Policy,
    Rules,
    Step,
    live,
    paused,
)
from pipeline.core.when import WhenNthOrder, WhenRegular

U = "u:ann"
MAIL = Contact(channels=("email",))
PERMITTED = Consent({"email.marketing": Permission(True, 1)})
TIPS = Step(name="tips", wait_days=2, do=DoMessage(template="tips"))
GIFT = Step(name="gift", wait_days=1, wait_hours=1, do=DoVoucher(discount_percent=5))
CARE = Campaign(
    name="care",
    when=WhenNthOrder(order=1),
    do=DoMessage(template="thanks"),
    contact=MAIL,
    steps=(TIPS, GIFT),
)


def ruled(*campaigns, **more):
    return Rules(campaigns=live(campaigns), paused=paused(campaigns), campaigns_version=1, code_secret=SECRET, **more)


class Life:
    """One customer's steps under rules that can change; what was decided, told as (reason, occasion)."""

    def __init__(self, *campaigns, profile=None, **more):
        self.rules = ruled(*campaigns, **more)
        self.profile = profile or Profile(U, T0, consent=PERMITTED)
        self.outputs = []

    def step(self, event, now):
        self.profile, made = customer.step(self.profile.key, self.profile, event, now, self.rules)
        assert subjects.decode(U, subjects.encode(self.profile)) == self.profile
        self.outputs += made

    def until(self, now):
        while 0 < customer.due(self.profile) <= now:
            due = max(customer.due(self.profile), self.profile.now)
            self.step(TimerDue(due), due)
        return self

    def hears(self, event):
        self.until(event.received_at).step(event, event.received_at)
        return self

    def change(self, now, *campaigns, shown=True, **more):
        self.until(now).rules = ruled(*campaigns, **more)
        if shown:
            self.step(RulesChanged(2, 1), now)
        return self

    def told(self):
        decided = [one for one in self.outputs if isinstance(one, Decision)]
        return [
            (one.outcome if one.outcome == "TAKEN" else one.reason, one.occasion.removesuffix("o1"), one.decided_at)
            for one in decided
        ]

    def did(self, kind):
        return [one for one in self.outputs if isinstance(one, kind)]


def begun(*campaigns, **more):
    return Life(*(campaigns or (CARE,)), **more).hears(order("o1", T0))


def at(days, hours=0):
    return T0 + days * DAY + hours * HOUR


def test_one_step_follows_the_other_after_its_wait_and_then_it_is_over():
    life = begun().until(at(30))
    assert life.told() == [
        ("TAKEN", "", T0),
        ("TAKEN", "step:tips:", at(2)),
        ("TAKEN", "step:gift:", at(3, 1)),
    ]
    assert [message.template for message in life.did(Message)] == ["thanks", "tips"]
    assert len({one.id for one in (*life.did(Message), *life.did(Voucher))}) == 3
    assert life.profile.journeys == Journeys()


def test_a_step_is_known_by_campaign_occasion_and_name_whatever_came_between():
    bare = Life(but(CARE, steps=(TIPS,))).hears(order("o1", T0)).until(at(30))
    long = begun().until(at(30))
    assert [one.id for one in bare.did(Message)] == [one.id for one in long.did(Message)]


def test_what_a_step_asks_is_asked_then_and_one_left_out_is_passed_over():
    twice = Condition(field="purchases.orders", op="at_least", value=2)
    bought = Condition(field="journey.bought", op="is", value=True)
    old = Condition(field="journey.days", op="at_least", value=2)
    asking = but(CARE, steps=(but(TIPS, conditions=(twice,)), but(GIFT, any_of=(twice, old), none_of=(bought,))))
    assert begun(asking).until(at(9)).told() == [
        ("TAKEN", "", T0),
        ("condition_false", "step:tips:", at(2)),
        ("TAKEN", "step:gift:", at(3, 1)),
    ]
    life = begun(asking).hears(order("o2", T0 + HOUR)).until(at(9))
    assert [reason for reason, *_ in life.told()] == ["TAKEN", "TAKEN", "condition_false"]


@pytest.mark.parametrize(
    ("exit_", "happens", "reason"),
    [
        (ExitBought(), order("o2", at(1)), "bought"),
        (ExitUnsubscribed(), click("Email Unsubscribed", at(1)), "unsubscribed"),
        (
            ExitCondition(field="cart.products", op="at_least", value=1),
            click("Product Added", at(1), product_id="p", category="tea"),
            "condition",
        ),
        (
            ExitCondition(field="categories.most_bought", op="one_of", value=("tea", "")),
            click("Page", at(1)),
            "condition",
        ),
    ],
)
def test_an_exit_ends_it_at_once(exit_, happens, reason):
    life = begun(but(CARE, exits=(ExitSegmentLeft(segment="x"), exit_))).hears(happens).until(at(9))
    assert life.told() == [("TAKEN", "", T0), (reason, "", at(1))]
    assert life.profile.journeys == Journeys()


def test_what_does_not_end_it_lets_it_go_on():
    exits = (ExitBought(), ExitUnsubscribed(), ExitSegmentEntered(segment="x"), ExitSegmentLeft(segment="x"))
    none = ExitCondition(field="purchases.orders", op="above", value=1)
    life = begun(but(CARE, exits=(*exits, none))).hears(click("Page", at(1))).until(at(9))
    assert [reason for reason, *_ in life.told()] == ["TAKEN"] * 3


JOURNEY = Journey("o1", T0, "tips", T0, T0 + 2 * DAY)
WALKING = buyer(0, consent=PERMITTED, journeys=Journeys({"care": JOURNEY}))


@pytest.mark.parametrize(
    ("exits", "slices", "notes", "reason"),
    [
        (ExitSegmentEntered(segment="x"), {"segments": Segments({"x": T0 + 1})}, (), "segment_entered"),
        (ExitSegmentEntered(segment="x"), {"segments": Segments({"x": T0})}, (), ""),
        (ExitSegmentLeft(segment="x"), {}, (SegmentMoved("x", False),), "segment_left"),
        (ExitSegmentLeft(segment="x"), {}, (SegmentMoved("x", True),), ""),
        (ExitCartGone(), {}, (), "cart_gone"),
        (ExitBought(), {}, (OccasionGone("care", "o1", "cancelled"),), "occasion_gone"),
        (ExitBought(), {}, (OccasionGone("care", "o2", "cancelled"),), ""),
        (ExitBought(), {}, (LapseDisproved("care", "o1", "late"),), "occasion_gone"),
        (ExitUnsubscribed(), {"consent": Consent({"*.*": Permission(False, T0 + 1)})}, (), "unsubscribed"),
        (ExitUnsubscribed(), {"consent": Consent({"email.service": Permission(False, T0 + 1)})}, (), ""),
        (ExitUnsubscribed(), {"consent": Consent({"email.marketing": Permission(False, T0)})}, (), ""),
    ],
)
def test_exits(exits, slices, notes, reason):
    profile = but(WALKING, now=T0 + HOUR, **slices)
    after, made = journeys.step(profile, click(), T0 + HOUR, ruled(but(CARE, exits=(exits,))), notes)
    assert [one.reason for one in made] == ([reason] if reason else [])
    assert after == (Journeys() if reason else profile.journeys)


def test_who_walks_does_not_begin_again_and_may_when_it_is_over():
    regular = but(CARE, when=WhenRegular(every_orders=1))
    life = begun(regular).hears(order("o2", T0 + HOUR)).hears(order("o3", at(9)))
    assert ("journey_open", "o2", T0 + HOUR) in life.told()
    assert life.told()[-1] == ("TAKEN", "o3", at(9))


def test_who_is_held_out_walks_through_without_contact_as_it_was_decided_once():
    held_out = but(CARE, holdout_percent=100)
    life = begun(held_out).change(at(1), CARE).until(at(9))
    assert [reason for reason, *_ in life.told()] == ["holdout"] * 3
    assert not [one for one in life.outputs if isinstance(one, Message | Voucher)]
    acting = begun().change(at(1), held_out).until(at(9))
    assert [reason for reason, *_ in acting.told()] == ["TAKEN"] * 3


def test_a_shadow_walks_to_its_end_as_one():
    life = begun(but(CARE, state="shadow")).change(at(1), CARE).until(at(9))
    assert [reason for reason, *_ in life.told()] == ["shadow"] * 3
    acting = begun().change(at(1), but(CARE, state="shadow")).until(at(9))
    assert [reason for reason, *_ in acting.told()] == ["TAKEN", "shadow", "shadow"]


def test_steps_are_contacts_like_any_other_and_wait_for_their_hour():
    policy = Policy(per_day=1, per_week=2, quiet_from="21:00", quiet_until="08:00")
    quick = but(CARE, steps=(but(TIPS, wait_days=0, wait_hours=1), but(GIFT, wait_days=0), but(TIPS, name="last")))
    life = begun(quick, policy=policy).until(at(30))
    assert [reason for reason, *_ in life.told()][:3] == ["quiet_hours", "TAKEN", "capped"]
    taken = [moment for reason, _, moment in life.told() if reason == "TAKEN"]
    assert len(taken) == 4
    assert all(later - earlier >= DAY for earlier, later in pairwise(taken))
    assert all(8 <= moment // HOUR % 24 < 21 for moment in taken)


def test_what_was_put_off_when_the_journey_ended_is_not_said():
    policy = Policy(per_day=1, per_week=0, quiet_from="00:00", quiet_until="00:00")
    quick = but(CARE, steps=(but(TIPS, wait_days=0, wait_hours=1),), exits=(ExitBought(),))
    life = begun(quick, policy=policy).hears(order("o2", at(0, 2))).until(at(9))
    assert [reason for reason, *_ in life.told()] == ["TAKEN", "capped", "bought"]
    assert life.profile.decisions.pending == ()


def test_the_last_day_of_a_campaign_is_the_last_of_its_journeys():
    last = but(CARE, until="2023-11-15")  # T0 is the day before
    assert [reason for reason, *_ in begun(last).until(at(9)).told()] == ["TAKEN", "expired"]


def test_a_limit_for_each_customer_counts_journeys_and_not_their_steps():
    limited = but(CARE, when=WhenRegular(every_orders=1), per_customer=2)
    life = begun(limited).hears(order("o2", at(9))).until(at(20)).hears(order("o3", at(30)))
    assert [reason for reason, *_ in life.told()] == ["TAKEN"] * 6 + ["customer_limit"]


# The file in force counts.


def test_a_wait_that_was_changed_counts_from_where_it_began():
    longer = but(CARE, steps=(but(TIPS, wait_days=5), GIFT))
    assert begun().change(at(1), longer).until(at(9)).told()[1] == ("TAKEN", "step:tips:", at(5))
    assert begun().change(at(1), longer, shown=False).until(at(9)).told()[1] == ("TAKEN", "step:tips:", at(5))
    assert begun(longer).change(at(3), CARE).until(at(9)).told()[1] == ("TAKEN", "step:tips:", at(3))


def test_a_step_is_found_again_by_its_name_and_one_that_is_gone_ends_the_journey():
    moved = but(CARE, steps=(GIFT, TIPS))
    assert [one[1] for one in begun().change(at(1), moved).until(at(9)).told()] == ["", "step:tips:"]
    life = begun().change(at(1), but(CARE, steps=(GIFT,))).until(at(9))
    assert life.told() == [("TAKEN", "", T0), ("step_gone", "", at(1))]


@pytest.mark.parametrize("campaigns", [(), (but(CARE, state="ended"),), (but(CARE, steps=()),)])
def test_a_campaign_that_is_over_ends_its_journeys(campaigns):
    life = begun().change(at(1), *campaigns).until(at(9))
    assert life.told() == [("TAKEN", "", T0), ("campaign_ended", "", at(1))]


def test_a_pause_stands_still_and_goes_on():
    still = but(CARE, state="paused")
    short = begun().change(at(1), still).change(at(4), CARE).until(at(30))
    assert [one[2] for one in short.told()] == [T0, at(4), at(5, 1)]
    before_due = begun().change(at(1), still).hears(click("Page", at(1, 5))).change(at(1, 9), CARE).until(at(30))
    assert [one[2] for one in before_due.told()] == [T0, at(2), at(3, 1)]
    long = begun().change(at(1), still).change(at(20), CARE).until(at(30))
    assert long.told() == [("TAKEN", "", T0), ("stood_too_long", "", at(20))]


def test_what_waited_for_its_hour_when_the_campaign_was_paused_is_asked_again():
    policy = Policy(per_day=1, per_week=0, quiet_from="00:00", quiet_until="00:00")
    quick = but(CARE, steps=(but(TIPS, wait_days=0, wait_hours=1),))
    life = begun(quick, policy=policy).change(at(0, 2), but(quick, state="paused"), policy=policy)
    assert life.profile.decisions.pending == ()
    life.change(at(0, 3), quick, policy=policy).until(at(9))
    assert [one[::2] for one in life.told()] == [("TAKEN", T0), ("capped", at(0, 1)), ("TAKEN", at(1))]


# Budgets.


def granted(life):
    (question,) = [one.message for one in life.did(Send) if type(one.message).__name__ == "BudgetRequested"][-1:]
    return BudgetAnswered(
        id=question.id, campaign="care", outcome="GRANTED", reason="", facts="{}", received_at=life.profile.now
    )


BUDGETED = but(CARE, budget=Budget(vouchers=1), steps=(GIFT, TIPS), exits=(ExitBought(),))


def test_a_step_asks_the_campaign_s_budget_and_goes_on_with_the_answer():
    life = begun(BUDGETED).until(at(1, 1))
    assert not life.did(Voucher)
    life.hears(granted(life)).until(at(9))
    assert len(life.did(Voucher)) == 1
    assert life.told()[-1][1] == "step:tips:"
    refused = begun(BUDGETED).until(at(1, 1))
    refused.hears(but(granted(refused), outcome="REFUSED", reason="budget_spent")).until(at(9))
    assert [reason for reason, *_ in refused.told()] == ["TAKEN", "budget_spent", "TAKEN"]


def test_a_grant_for_a_journey_that_ended_meanwhile_is_given_back():
    life = begun(BUDGETED).until(at(1, 1))
    answer = granted(life)
    life.hears(order("o2", at(1, 2))).hears(but(answer, received_at=at(1, 3)))
    settled = [one.message for one in life.did(Send) if isinstance(one.message, BudgetSettled)]
    assert [message.outcome for message in settled] == ["RELEASED"]
    assert not life.did(Voucher)


def test_an_answer_for_a_step_that_is_gone_and_was_not_seen_to_be_gives_nothing():
    life = begun(BUDGETED).until(at(1, 1))
    life.change(at(1, 2), but(BUDGETED, steps=(TIPS,)), shown=False).hears(but(granted(life), received_at=at(1, 3)))
    assert not life.did(Voucher)
    assert [one.message.outcome for one in life.did(Send) if isinstance(one.message, BudgetSettled)] == ["RELEASED"]


# What cannot be mistaken for another.


def test_the_name_of_a_step_s_occasion_leads_back_to_what_it_began_with():
    assert begun_with(step_occasion("tips", "a:b:c")) == "a:b:c"
    assert begun_with("o1") == "o1"


def test_a_conclusion_about_another_step_moves_nothing():
    other = candidate(CARE, "step:gift:o1", step="gift")
    after, made = journeys.walked(WALKING, delivered("e"), T0, ruled(CARE), [other, Concluded(other, "TAKEN")])
    assert (after, made) == (WALKING.journeys, ())


def test_a_voucher_of_a_step_goes_with_what_the_journey_began_with():
    generous = but(CARE, steps=(GIFT, TIPS))
    life = begun(generous).until(at(1, 2)).hears(order("o1", at(1, 3), event="Order Cancelled")).until(at(9))
    assert [held.status for held in life.profile.vouchers.held.values()] == ["revoked"]
    assert [reason for reason, *_ in life.told()] == ["TAKEN", "TAKEN", "order_cancelled", "occasion_gone"]


def test_an_order_whose_id_looks_like_a_step_is_an_order():
    thanks = Campaign(name="thanks", when=WhenRegular(every_orders=1), do=DoVoucher(discount_percent=5))
    life = Life(thanks).hears(order("o1", T0)).hears(order("step:tips:o1", at(1)))
    life.hears(order("o1", at(2), event="Order Cancelled"))
    statuses = {held.occasion: held.status for held in life.profile.vouchers.held.values()}
    assert statuses == {"o1": "revoked", "=step:tips:o1": "issued"}
    life.hears(order("step:tips:o1", at(3), event="Order Cancelled"))
    assert {held.status for held in life.profile.vouchers.held.values()} == {"revoked"}


def test_no_two_orders_are_one_occasion_and_none_is_a_step():
    ids = ("o1", "step:a:o1", "=step:a:o1", "==step:a:o1", "=o1", "steps", "")
    occasions = [order_occasion(name) for name in ids]
    assert len(set(occasions)) == len(ids)
    assert [begun_with(one) for one in occasions] == occasions
    assert begun_with(step_occasion("tips", "=step:a:o1")) == "=step:a:o1"
