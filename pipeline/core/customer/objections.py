"""What can speak against a candidate, each with its reason and facts. They only object: `decisions` asks in order.

Whether the moment is right is another question (`permitted`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import msgspec

from pipeline.core import zones
from pipeline.core.customer import acting, permitted
from pipeline.core.customer.conditions import unmet
from pipeline.core.customer.notes import Candidate, Fact, begun_with, order_occasion
from pipeline.core.do import DoChatPrompt, DoPoints, DoVoucher
from pipeline.core.events import HandedOver, ProfileHandedOver, Stimulus, Tracked
from pipeline.core.identifiers import category_key, product_key, stable_percent
from pipeline.core.rules import Campaign, Rules
from pipeline.core.when import (
    WhenAnswered,
    WhenBackInStock,
    WhenCartAbandoned,
    WhenHesitating,
    WhenInterested,
    WhenLapsed,
    WhenNewProduct,
    WhenPriceDropped,
)

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

DAY_MS = 86_400_000
NEWS = WhenPriceDropped | WhenBackInStock | WhenNewProduct
"""What they are about is the candidate's product."""


class Refusal(msgspec.Struct, frozen=True):
    """Why a candidate may not act, and what that rests on."""

    reason: str
    facts: dict[str, Fact]


class Sitting(Protocol):
    """What is known while candidates are answered."""

    profile: "Profile"
    event: Stimulus
    now: int
    rules: Rules
    issued: dict[str, dict[str, int]]


def outdated(sitting: Sitting, campaign: Campaign, candidate: Candidate) -> Refusal | None:
    """What came true when it began to wait is so no longer."""
    occasion = candidate.occasion
    if (campaign.name, occasion) in sitting.rules.stopped:
        return Refusal("newsletter_stopped", {"edition": occasion})
    if isinstance(campaign.when, NEWS):
        return _old_news(sitting, candidate, is_new=isinstance(campaign.when, WhenNewProduct))
    last_order_id = sitting.profile.purchases.last_order_id
    if isinstance(campaign.when, WhenLapsed) and occasion != order_occasion(last_order_id):
        return Refusal("no_longer_lapsed", {"last_order": last_order_id})
    if isinstance(campaign.when, WhenCartAbandoned) and occasion != sitting.profile.activity.cart_occasion():
        return Refusal("cart_gone", {"last_order": last_order_id})
    return None


def _old_news(sitting: Sitting, candidate: Candidate, *, is_new: bool) -> Refusal | None:
    """They have it, or follow it no more. (What does not hold of the product any more, it says: `following`.)"""
    product_id = candidate.product_id
    if product_id in sitting.profile.baskets.owned():
        return Refusal("bought_meanwhile", {"product": product_id})
    topic = category_key(candidate.category) if is_new else product_key(product_id)
    return None if topic in sitting.profile.following.topics else Refusal("followed_no_more", {"topic": topic})


def is_unverified(sitting: Sitting, campaign: Campaign) -> bool:
    """What leaves the page rests on what a stranger cannot fake: never on a mere claim to be somebody, and a voucher
    never on clicks. Points, and vouchers for answers, are for who is known: there is no end of unknown browsers."""
    event, do, when = sitting.event, campaign.do, campaign.when
    said = event.message if isinstance(event, HandedOver) else event
    if isinstance(said, Tracked | ProfileHandedOver) and not sitting.profile.believes(said.trust):
        return True
    if not isinstance(do, DoVoucher | DoPoints):
        return False
    for_the_known = isinstance(do, DoPoints) or isinstance(when, WhenAnswered)
    return isinstance(when, WhenHesitating | WhenInterested | NEWS) or (
        for_the_known and sitting.profile.is_browser()
    )


def _expired(sitting: Sitting, campaign: Campaign) -> Refusal | None:
    if not campaign.until:
        return None
    today = zones.local(sitting.now, permitted.zone_of(sitting.profile, sitting.rules.policy)).date().isoformat()
    return Refusal("expired", {"until": campaign.until, "today": today}) if today > campaign.until else None


def _conversation_open(sitting: Sitting, campaign: Campaign) -> Refusal | None:
    chat = sitting.profile.chat
    if not isinstance(campaign.do, DoChatPrompt) or not chat.conversation_open(sitting.now):
        return None
    return Refusal("conversation_open", {"conversation": chat.open_conversation})


def _journey_open(sitting: Sitting, campaign: Campaign) -> Refusal | None:
    """One journey after the other: who is on one does not begin another of the same campaign."""
    journey = sitting.profile.journeys.open.get(campaign.name) if campaign.steps else None
    return Refusal("journey_open", {"occasion": journey.occasion, "step": journey.step}) if journey else None


def _condition_false(sitting: Sitting, campaign: Campaign) -> Refusal | None:
    journey = sitting.profile.journeys.open.get(campaign.name)
    facts = unmet(campaign, sitting.profile, sitting.now, journey.began if journey else 0)
    return None if facts is None else Refusal("condition_false", facts)


def _no_consent(sitting: Sitting, campaign: Campaign) -> Refusal | None:
    """There is no way that the customer permits. (A voucher without a channel waits for a visit.)"""
    channel, closed = acting.way(sitting.profile, campaign)
    return None if channel else Refusal("no_consent", {"not_permitted": closed, "purpose": campaign.contact.purpose})


def _no_agent_free(sitting: Sitting, campaign: Campaign) -> Refusal | None:
    """Who accepts a prompt is to be answered. It is asked again at the next sign."""
    do, presence = campaign.do, sitting.rules.presence
    if not isinstance(do, DoChatPrompt) or not do.needs_agent or presence.answers(sitting.now):
        return None
    return Refusal("no_agent_free", {"agents": 0})


def _complaint_open(sitting: Sitting, campaign: Campaign) -> Refusal | None:
    """Who has cause to complain is not advertised to."""
    complaints = sitting.profile.contacts.complaints
    if not complaints or campaign.contact.purpose != permitted.MARKETING or isinstance(campaign.do, DoPoints):
        return None
    return Refusal("complaint_open", {"complaint": complaints[-1]})


def _customer_limit(sitting: Sitting, campaign: Campaign) -> Refusal | None:
    """It has acted for this customer as often as it may, within the days that count."""
    if not campaign.per_customer:
        return None
    days = campaign.per_customer_days
    since = max(sitting.now - days * DAY_MS, 0) if days else 0
    occasions = sitting.issued.get(campaign.name, {}).items()
    given = sum(at > since and begun_with(occasion) == occasion for occasion, at in occasions)
    if given < campaign.per_customer:
        return None
    return Refusal("customer_limit", {"given": given, "per_customer": campaign.per_customer, "days": days})


def holdout(sitting: Sitting, campaign: Campaign, walk: str | None) -> Refusal | None:
    """Whether the customer is one of those who are left alone, to measure against; in a journey (`walk`: how it is
    walked) that was decided when it began."""
    percent = campaign.holdout_percent
    if walk is not None:
        return Refusal("holdout", {"holdout_percent": percent}) if walk == "holdout" else None
    if not percent or stable_percent(campaign.name, sitting.profile.key, "holdout") >= percent:
        return None
    return Refusal("holdout", {"holdout_percent": percent})


CHECKS: tuple[Callable[[Sitting, Campaign], Refusal | None], ...] = (
    _expired,
    _conversation_open,
    _journey_open,
    _condition_false,
    _no_consent,
    _no_agent_free,
    _complaint_open,
    _customer_limit,
)
