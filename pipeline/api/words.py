"""Effects in words, for the people who watch the live feed. Pure: a table of phrases and nothing else.

A reason or fact without a phrase here is shown as it stands, so a new one is never hidden.
"""

from typing import Any

import msgspec

from pipeline.api.tail import Followed
from pipeline.core.effects import ChatPrompt, Decision, Message, Task, Voucher, VoucherRevoked
from pipeline.core.events import Clickstream, ConsentChange, Customer
from pipeline.core.identifiers import customer_key

REASONS = {
    "already_issued": "it was already given for this occasion",
    "claim_open": "a browser was just claimed: its history is awaited first",
    "condition_false": "a condition of the campaign does not hold",
    "conversation_open": "they are talking with somebody already",
    "holdout": "they are in the comparison group, which is left alone",
    "self_referral": "they came by their own invitation code, or share a browser with who invited them",
    "bought_meanwhile": "they have bought it meanwhile",
    "sold_out": "it is sold out meanwhile",
    "price_rose": "its price has risen again meanwhile",
    "price_fell_again": "its price has fallen again meanwhile, which they hear instead",
    "followed_no_more": "they have taken it off their list meanwhile",
    "bought_before": "they had bought before they came by an invitation code",
    "circular": "they came by the code of somebody they invited, or have invited friends themselves",
    "invitations_ended": "there were no invitations any more when they came by one",
    "unknown_code": "nobody has the invitation code they came by",
    "order_cancelled": "the order it rested on was cancelled",
    "lapse_disproved": "a late order shows that they had not lapsed",
    "no_longer_lapsed": "they have bought again meanwhile",
    "no_agent_free": "no agent was free to talk",
    "cart_gone": "their cart is empty or bought meanwhile",
    "complaint_open": "a complaint of theirs is open",
    "expired": "it waited until it made no sense any more",
    "capped": "they have been contacted as often as the shop allows",
    "quiet_hours": "it is a quiet hour where they are",
    "no_consent": "they have not permitted it",
    "asked_less_often": "they asked to hear from the shop less often",
    "asked_other_daytime": "they asked to hear from the shop at another time of the day",
    "products_in_category": "looked at several products of one category",
    "same_product": "came back to the same product",
    "cart_idle": "left a cart standing",
    "unverified": "nobody proved that it is them",
    "customer_limit": "they were given it as often as one customer may be",
    "budget_spent": "the campaign's budget is spent",
    "budget_busy": "the campaign's budget has too much to answer at once",
    "newsletter_stopped": "the newsletter was stopped",
    "step": "the wait for its next step was over",
    "journey_open": "its steps for an earlier occasion are not over yet",
    "bought": "they have bought since it began",
    "unsubscribed": "they took a permission back",
    "segment_entered": "they came into a segment",
    "segment_left": "they dropped out of a segment",
    "condition": "a condition that ends it holds",
    "occasion_gone": "what it began with was taken back",
    "merged": "they were on two devices in it, and one goes on",
    "campaign_paused": "the campaign is paused",
    "stood_too_long": "the campaign was paused for too long",
    "campaign_ended": "the campaign is not in force any more",
    "step_gone": "the next step is not in the campaign any more",
    "not_in_force": "the campaign is not in force any more",
}
FACTS = {
    "p": "chance to buy again {}",
    "threshold": "threshold {}",
    "horizon_days": "within {} days",
    "orders": "{} orders",
    "days_since_last_order": "{} days since the last",
    "rule": "judged as {}",
    "channel": "channel: {}",
    "not_permitted": "not permitted: {}",
    "products": "{} products",
    "minutes": "{} minutes",
    "views": "{} views",
    "hours": "{} hours",
    "category": "category {}",
    "product_id": "product {}",
    "holdout_percent": "{} % of all",
    "last_order": "their last order is {}",
    "purpose": "for {}",
    "why": "{}",
    "given": "given {} times",
    "per_customer": "at most {}",
    "days": "within {} days",
    "vouchers": "{} vouchers in all",
    "spent": "{} given",
    "reserved": "{} reserved",
    "step": "step {}",
    "waited_hours": "after {} hours",
    "stood_days": "{} days",
    "waited_days": "{} days",
    "withdrawn": "withdrawn: {}",
    "segment": "segment {}",
    "none_of": "none of: {}",
    "every_days": "at most once in {} days",
    "daytime": "in the {}",
    "questionnaire": "questionnaire {}",
    "question": "question {}",
    "answer": "answered {}",
}
HAPPENED = {
    "Email Opened": "Opened the mail",
    "Email Link Clicked": "Followed a link of the mail",
    "Email Confirmed": "Confirmed that the mailbox is theirs",
}
"""Events that are shown: what somebody did with what reached them."""
HIDDEN = frozenset({"again_at", "conversation", "cents", "agents", "not"})


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the feed."""

    kind: str
    """voucher, prompt, revoked, decision, message, task or event."""
    customer: str
    campaign: str
    outcome: str
    headline: str
    reason: str
    facts: str
    at: int
    """Epoch ms."""


def entry_of(effect: Followed) -> Entry | None:
    """The effect or event as a line; None: nothing for the feed. A decision to act is shown by what was done."""
    match effect:
        case Voucher():
            return _entry(effect, "voucher", "TAKEN", _voucher(effect), effect.facts)
        case VoucherRevoked():
            return _entry(effect, "revoked", "REVOKED", f"Voucher {effect.code} taken back", "{}")
        case ChatPrompt():
            return _entry(effect, "prompt", "TAKEN", f"“{effect.text}”", effect.facts)
        case Decision() if effect.outcome != "TAKEN":
            return _entry(effect, "decision", effect.outcome, _DECIDED[effect.outcome], effect.facts)
        case Message():
            return _entry(effect, "message", "TAKEN", f"Message {effect.template} by {effect.channel}", effect.facts)
        case Task():
            return _entry(effect, "task", "TAKEN", f"Task: {effect.kind}", effect.facts)
        case Clickstream() if effect.event in HAPPENED:
            return _event(
                effect, effect.campaign_name, HAPPENED[effect.event], f"to {effect.url}" if effect.url else ""
            )
        case Customer() if effect.consents:
            return _event(effect, "permission", ", ".join(map(_permission, effect.consents)), "")
    return None


def facts_in_words(facts: str) -> str:
    """A JSON object of facts as phrases, in the order of `FACTS`, what is unknown last."""
    try:
        found: dict[str, Any] = msgspec.json.decode(facts, type=dict[str, Any])
    except msgspec.DecodeError:
        return facts
    condition = [_condition(found)] if found.keys() >= _CONDITION else []
    named = condition + [
        FACTS[name].format(_plain(found[name])) for name in FACTS if found.get(name) not in (None, "", [])
    ]
    shown = HIDDEN | FACTS.keys() | (_CONDITION if condition else set())
    others = [f"{name} {_plain(value)}" for name, value in found.items() if name not in shown]
    return ", ".join(named + others)


_CONDITION = {"field", "op", "value", "found"}
_DECIDED = {
    "REFUSED": "Decided against it",
    "DEFERRED": "Put off",
    "REVOKED": "Taken back",
    "ENDED": "Its steps ended",
}


def _entry(
    effect: Voucher | VoucherRevoked | ChatPrompt | Decision | Message | Task,
    kind: str,
    outcome: str,
    headline: str,
    facts: str,
) -> Entry:
    return Entry(
        kind=kind,
        customer=effect.customer,
        campaign=effect.campaign,
        outcome=outcome,
        headline=headline,
        reason=REASONS.get(effect.reason, effect.reason),
        facts=facts_in_words(facts),
        at=effect.decided_at,
    )


def _event(event: Clickstream | Customer, campaign: str, headline: str, facts: str) -> Entry:
    return Entry(
        kind="event",
        customer=customer_key(event.user_id, event.anonymous_id),
        campaign=campaign,
        outcome="HAPPENED",
        headline=headline,
        reason="",
        facts=facts,
        at=event.received_at,
    )


def _permission(change: ConsentChange) -> str:
    what = f"{change.channel} for {change.purpose}".replace("*", "anything")
    return f"{'Permits' if change.granted else 'Takes back'} {what}"


def _voucher(voucher: Voucher) -> str:
    if voucher.discount_cents:
        off = f"{voucher.discount_cents / 100:.2f} {voucher.currency}".rstrip()
    else:
        off = f"{voucher.discount_percent} %"
    on = f" {voucher.category}" if voucher.category else ""
    return f"{off} off{on}: {voucher.code}"


def _condition(facts: dict[str, Any]) -> str:
    """What a campaign demands, and what was found instead."""
    operator = str(facts["op"]).replace("_", " ")
    demanded = "not " if facts.get("not") else ""
    return f"{demanded}{facts['field']} {operator} {_plain(facts['value'])}, found {_plain(facts['found'])}"


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace("next_visit", "the next visit")
