"""Conversations, and the signs of hesitation that earn a visitor an offer of one.

Owns the slice `chat`. A sign only makes a candidate; whether the visitor is asked is for `decisions` to say, which
is why a conversation under way does not silence the signs here. Views are measured by `occurred_at`, silence by
`now`; what arrives late is history and earns no prompt.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from pipeline.core.customer.notes import Candidate, Fact, Note, facts_json
from pipeline.core.customer.transcript import ENDED, MESSAGES, Line, merged, told, with_line
from pipeline.core.effects import Output
from pipeline.core.events import (
    Chat,
    Clickstream,
    EffectDelivered,
    HandedOver,
    Purchase,
    RulesChanged,
    Stimulus,
    TimerDue,
)
from pipeline.core.limits import MAX_TEXT_CHARACTERS
from pipeline.core.rules import Campaign, Rules
from pipeline.core.when import WhenHesitating

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

CONVERSATION_ENDS_AFTER_MS = 30 * 60_000
"""Without a message for so long, a conversation is over, whether or not anybody said so."""
LATE_AFTER_MS = 10 * 60_000
"""An event that occurred longer than this before `now` says nothing about a visitor who is here."""
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
VIEWED = "Product Viewed"
"""What `activity.recent` remembers; a click on a product is followed by the view of it and is not counted twice."""


class Chatting(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Slice of the profile."""

    open_conversation: str = ""
    """The last conversation nobody ended; whether it is still open depends on the time: `conversation_open`."""
    opened_at: int = 0
    conversations: int = 0
    messages: int = 0
    last_message_at: int = 0
    prompts: int = 0
    """How many prompts were shown to the visitor."""
    last_prompt_id: str = ""
    cart_touched: int = 0
    """When the visitor was last heard from while a cart of theirs waited to be idle."""
    idle_due: int = 0
    """When an idle cart earns a prompt; 0: not armed."""
    ended_conversation: str = ""
    """The last one that was ended: a straggling message does not open it again."""
    transcript: tuple[Line, ...] = ()
    """What was said last, within the bounds of `transcript`."""

    def conversation_open(self, now: int) -> bool:
        """Whether the customer is talking with somebody at `now`, epoch ms."""
        return bool(self.open_conversation) and now - self.last_message_at < CONVERSATION_ENDS_AFTER_MS


HEARS: frozenset[type] = frozenset({Clickstream, Purchase, Chat, TimerDue, HandedOver, EffectDelivered, RulesChanged})

Stepped = tuple[Chatting, Sequence[Output | Note]]
_Sign = tuple[str, dict[str, Fact]]
"""Reason and facts."""


def step(profile: "Profile", event: Stimulus, now: int, rules: Rules, _notes: Sequence[Note]) -> Stepped:
    """Follow conversations; notice the three signs; keep the timer of the idle cart."""
    if isinstance(event, Clickstream):
        return _on_click(profile, event, now, rules)
    if isinstance(event, TimerDue):
        return _on_timer(profile, now, rules)
    if isinstance(event, Chat):
        return _on_chat(profile, event, now, rules)
    if isinstance(event, HandedOver):
        return _on_hand_over(profile, event, now, rules)
    own = profile.chat
    if isinstance(event, Purchase):
        return _disarmed(own, profile), ()
    if isinstance(event, EffectDelivered):
        return _shown(own, profile, event), ()
    if isinstance(event, RulesChanged):
        return _waiting_anew(profile, now, rules), ()
    return own, ()


def due(profile: "Profile") -> int:
    """When the cart has been idle for long enough."""
    return profile.chat.idle_due


def _on_click(profile: "Profile", event: Clickstream, now: int, rules: Rules) -> Stepped:
    if event.occurred_at < now - LATE_AFTER_MS:
        return profile.chat, ()
    own = _armed(profile, profile.chat, now, rules)
    if event.event != VIEWED:
        return own, ()
    category, product_id = event.category[:MAX_TEXT_CHARACTERS], event.product_id[:MAX_TEXT_CHARACTERS]
    return own, [
        _candidate(profile, campaign, sign, category, product_id, event.anonymous_id)
        for campaign, when in rules.waiting_for(WhenHesitating)
        if (sign := _looking_around(when, category, product_id, profile)) and not _has_acted(profile, campaign)
    ]


def _has_acted(profile: "Profile", campaign: Campaign) -> bool:
    """In this visit: it would be told so at every further sign."""
    occasions = profile.decisions.issued.get(campaign.name)
    return occasions is not None and profile.activity.visit() in occasions


def _looking_around(when: WhenHesitating, category: str, product_id: str, profile: "Profile") -> _Sign | None:
    """The sign this view completes, if it does. Late neighbours count: the windows end at the latest view."""
    recent = profile.activity.recent
    if len(recent) < when.products_in_category and len(recent) < when.product_views:
        return None
    category_ms, product_ms = when.category_minutes * MINUTE_MS, when.product_hours * HOUR_MS
    products: set[str] = set()
    views = 0
    for view in recent:
        age_ms = recent[-1].at - view.at
        if view.category == category and age_ms < category_ms:
            products.add(view.product_id)
        if view.product_id == product_id and age_ms < product_ms:
            views += 1
    if category and 0 < when.products_in_category <= len(products):
        return "products_in_category", {"products": len(products), "minutes": when.category_minutes}
    if product_id and 0 < when.product_views <= views:
        return "same_product", {"views": views, "hours": when.product_hours}
    return None


def _on_timer(profile: "Profile", now: int, rules: Rules) -> Stepped:
    """The cart has been idle: each campaign waits for its own time, one after the other on the one timer."""
    own, cart = profile.chat, profile.activity.cart
    if not 0 < own.idle_due <= now:
        return own, ()
    if not cart:
        return replace(own, idle_due=0), ()
    rested = replace(own, idle_due=_next_idle(profile, own.cart_touched, own.idle_due, rules))
    product_id = max(cart, key=lambda product: (cart[product].added_at, product))
    return rested, [
        _candidate(profile, campaign, _idle(when, profile), cart[product_id].category, product_id, "")
        for campaign, when in rules.waiting_for(WhenHesitating)
        if when.cart_idle_minutes
        and own.cart_touched + when.cart_idle_minutes * MINUTE_MS == own.idle_due
        and not _has_acted(profile, campaign)
    ]


def _idle(when: WhenHesitating, profile: "Profile") -> _Sign:
    lines = profile.activity.cart.values()
    cents = sum(line.price_cents * line.quantity for line in lines)
    return "cart_idle", {"minutes": when.cart_idle_minutes, "products": len(lines), "cents": cents}


def _candidate(
    profile: "Profile", campaign: Campaign, sign: _Sign, category: str, product_id: str, anonymous_id: str
) -> Candidate:
    reason, facts = sign
    return Candidate(
        campaign=campaign.name,
        occasion=profile.activity.visit(),
        reason=reason,
        facts=facts_json(facts | {"category": category, "product_id": product_id}),
        category=category,
        product_id=product_id,
        anonymous_id=anonymous_id or profile.activity.anonymous_id,
    )


def _on_chat(profile: "Profile", event: Chat, now: int, rules: Rules) -> Stepped:
    own, at = profile.chat, min(event.occurred_at, now)
    conversation = event.conversation_id[:MAX_TEXT_CHARACTERS]
    if event.event == ENDED:
        if conversation == own.open_conversation:
            own = replace(own, open_conversation="", opened_at=0)
        own = replace(own, ended_conversation=conversation)
    elif conversation != own.ended_conversation:
        if conversation != own.open_conversation:
            own = replace(own, open_conversation=conversation, opened_at=at, conversations=own.conversations + 1)
        own = replace(own, last_message_at=max(own.last_message_at, at))
    if event.event in MESSAGES:
        own = replace(own, messages=own.messages + 1)
    said = told(profile, event, now)
    if said is not None:
        own = replace(own, transcript=with_line(own.transcript, said))
    if event.occurred_at < now - LATE_AFTER_MS:
        return own, ()  # history: it is kept, and nobody waits for an answer to it
    return _armed(profile, own, now, rules), (said,) if said is not None else ()


def _disarmed(own: Chatting, profile: "Profile") -> Chatting:
    """An order empties the cart; a refund of an old one says nothing about it."""
    return own if profile.activity.cart or not own.idle_due else replace(own, idle_due=0)


def _shown(own: Chatting, profile: "Profile", event: EffectDelivered) -> Chatting:
    """A prompt was shown: what the site shows and no voucher of the customer is."""
    if event.outcome != "SENT" or event.channel != "site" or event.effect_id == own.last_prompt_id:
        return own
    if any(voucher.id == event.effect_id for voucher in profile.vouchers.held.values()):
        return own
    return replace(own, prompts=own.prompts + 1, last_prompt_id=event.effect_id)


def _on_hand_over(profile: "Profile", event: HandedOver, now: int, rules: Rules) -> Stepped:
    """Counts add up; the conversation that was spoken in last goes on, and so does the cart's silence."""
    own = profile.chat
    if event.history is None:
        return own, ()
    theirs = event.history.chat
    spoken = theirs if theirs.last_message_at > own.last_message_at else own
    touched = max(own.cart_touched, theirs.cart_touched)
    waits = bool(profile.activity.cart) and bool(own.idle_due or theirs.idle_due)
    return (
        replace(
            own,
            open_conversation=spoken.open_conversation,
            opened_at=spoken.opened_at,
            conversations=own.conversations + theirs.conversations,
            messages=own.messages + theirs.messages,
            last_message_at=spoken.last_message_at,
            prompts=own.prompts + theirs.prompts,
            last_prompt_id=own.last_prompt_id or theirs.last_prompt_id,
            cart_touched=touched,
            idle_due=_next_idle(profile, touched, now, rules) if waits else 0,
            ended_conversation=spoken.ended_conversation,
            transcript=merged(own.transcript, theirs.transcript),
        ),
        (),
    )


def _waiting_anew(profile: "Profile", now: int, rules: Rules) -> Chatting:
    """The silence under way is measured by the new rules."""
    own = profile.chat
    if not own.idle_due:
        return own
    idle_due = _next_idle(profile, own.cart_touched, now, rules)
    return own if idle_due == own.idle_due else replace(own, idle_due=idle_due)


def _armed(profile: "Profile", own: Chatting, now: int, rules: Rules) -> Chatting:
    """The visitor was heard from at `now`: an idle cart is idle from here on."""
    idle_due = _next_idle(profile, now, now, rules) if profile.activity.cart else 0
    if not idle_due:
        return replace(own, idle_due=0) if own.idle_due else own
    return replace(own, cart_touched=now, idle_due=idle_due)


def _next_idle(profile: "Profile", touched: int, after: int, rules: Rules) -> int:
    """When the next campaign that can still act in this visit finds a cart idle that was touched then; 0: none."""
    for idle_ms in rules.cart_idle_ms:
        if touched + idle_ms > after:
            can_act = any(not _has_acted(profile, campaign) for campaign, _ in rules.waiting_for(WhenHesitating))
            return touched + idle_ms if can_act else 0
    return 0
