"""A profile and a voucher as the documented JSON. Pure; the same dict whichever backend held them.

Amounts are integer minor units beside their currency, times are epoch milliseconds in fields ending in `_at`
(0: never). No offset, partition or other trace of where it was stored is in here.
"""

from typing import Any

import msgspec

from pipeline.api.statement import invitations, statement
from pipeline.core.customer.pending import Pending
from pipeline.core.customer.profile import Profile
from pipeline.core.customer.purchases import Order
from pipeline.core.customer.vouchers import Held
from pipeline.core.voucher import VoucherState

LAST_ORDERS = 50

Json = dict[str, Any]


def customer_view(profile: Profile, now: int | None = None, *, last_orders: int | None = LAST_ORDERS) -> Json:
    """The customer; `now` (epoch ms) only decides which vouchers have expired, None takes the profile's own time.
    At most `last_orders` orders are listed; None: all."""
    at = profile.now if now is None else now
    stage = profile.lifecycle
    return {
        "id": profile.key,
        "kind": "browser" if profile.is_browser() else "person",
        "updated_at": profile.now,
        "stage": stage.stage,
        "stage_since_at": stage.since,
        "times_lapsed": stage.times_lapsed,
        "times_won_back": stage.times_won_back,
        "identity": _identity(profile),
        "consent": _consent(profile),
        "activity": _activity(profile),
        "purchases": _purchases(profile, last_orders),
        "lapse": _lapse(profile),
        "vouchers": _vouchers(profile, at),
        "decisions": _decisions(profile),
        "journeys": _journeys(profile),
        "chat": _chat(profile, at),
        "reach": _reach(profile),
        "tasks_done": _tasks_done(profile),
        "preferences": _preferences(profile),
        "answers": {
            name: {question: {"value": it.value, "answered_at": it.at} for question, it in answers.items()}
            for name, answers in sorted(profile.answers.given.items())
        },
        "modules": {
            name: {"campaign": it.campaign, "occasion": it.occasion, "shown_until_at": it.until}
            for name, it in sorted(profile.modules.shown.items())
        },
        "loyalty": statement(profile),
        "referral": invitations(profile),
    }


def voucher_view(state: VoucherState, now: int) -> Json:
    """The voucher's terms and fate at `now`, epoch ms."""
    over = state.status == "open" and state.expires_at <= now
    return {
        "code": state.code,
        "id": state.id,
        "status": "expired" if over else state.status,
        "customer": state.customer,
        "campaign": state.campaign,
        "discount_percent": state.discount_percent,
        "discount_cents": state.discount_cents,
        "currency": state.currency,
        "minimum_spend_cents": state.minimum_spend_cents,
        "category": state.category,
        "redeemable": state.redeemable,
        "issued_at": state.issued_at,
        "expires_at": state.expires_at,
        "order_id": state.order_id,
        "redeemed_cents": state.redeemed_cents,
        "redeemed_at": state.redeemed_at,
    }


def held_status(held: Held, now: int) -> str:
    """issued, sent, redeemed, revoked, or expired."""
    return "expired" if held.status in ("issued", "sent") and held.expires_at <= now else held.status


def _identity(profile: Profile) -> Json:
    identity = profile.identity
    browsers = sorted(identity.browsers.items(), key=lambda item: (item[1].claimed_at, item[0]))
    return {
        "traits": dict(identity.traits),
        "groups": list(identity.groups),
        "browsers": [
            {
                "anonymous_id": anonymous_id,
                "status": browser.status,
                "trust": browser.trust,
                "claimed_at": browser.claimed_at,
                "events": browser.events,
            }
            for anonymous_id, browser in browsers
        ],
        "owner": identity.owner,
        "shared": identity.shared,
        "untrusted_claims": identity.untrusted_claims,
    }


def _consent(profile: Profile) -> list[Json]:
    permissions = sorted(profile.consent.permissions.items())
    return [
        {
            "channel": name.partition(".")[0],
            "purpose": name.partition(".")[2],
            "granted": word.granted,
            "said_at": word.at,
            "wording": word.wording,
            "place": word.place,
        }
        for name, word in permissions
    ]


def _activity(profile: Profile) -> Json:
    activity = profile.activity
    return {
        "first_seen_at": activity.first_seen,
        "last_seen_at": activity.last_seen,
        "events": activity.events,
        "unverified_events": activity.unverified_events,
        "visits": activity.visits,
        "visit_started_at": activity.visit_started,
        "visit_events": activity.visit_events,
        "anonymous_id": activity.anonymous_id,
        "first_source": activity.first_source,
        "last_source": activity.last_source,
        "interests": dict(activity.interests),
        "recent_views": [
            {"product_id": view.product_id, "category": view.category, "viewed_at": view.at}
            for view in activity.recent
        ],
        "cart": [
            {
                "product_id": product_id,
                "category": line.category,
                "price_cents": line.price_cents,
                "quantity": line.quantity,
                "added_at": line.added_at,
            }
            for product_id, line in sorted(activity.cart.items())
        ],
        "checkout_open": activity.checkout,
    }


def _purchases(profile: Profile, last_orders: int | None) -> Json:
    purchases = profile.purchases
    in_order = sorted(purchases.orders.items(), key=lambda item: (item[1].at, item[0]))
    listed = in_order if last_orders is None else in_order[-last_orders:]
    return {
        "orders": purchases.count,
        "spend_cents": dict(purchases.spend_cents),
        "categories": dict(purchases.categories),
        "first_order_at": purchases.first_at,
        "last_order_at": purchases.last_at,
        "last_order_id": purchases.last_order_id,
        "untrusted_orders": purchases.untrusted,
        "last_orders": [_order(order_id, order) for order_id, order in listed],
    }


def _order(order_id: str, order: Order) -> Json:
    return {
        "order_id": order_id,
        "ordered_at": order.at,
        "total_cents": order.total_cents,
        "spent_cents": order.spent_cents(),
        "currency": order.currency,
        "coupon": order.coupon,
        "categories": dict(order.categories),
        "refunds_cents": dict(order.refunds),
        "cancelled": order.cancelled,
    }


def _lapse(profile: Profile) -> list[Json]:
    """One entry a rule; the rule named "" is the shop's own, the others are campaigns."""
    lapse = profile.lapse
    return [
        {
            "rule": rule,
            "due_at": lapse.due.get(rule, 0),
            "lapsed_at": lapse.fired_at.get(rule, 0),
            "lapsed_after_order": lapse.fired.get(rule, ""),
        }
        for rule in sorted({*lapse.due, *lapse.fired})
    ]


def _vouchers(profile: Profile, now: int) -> list[Json]:
    held = sorted(profile.vouchers.held.items(), key=lambda item: (item[1].issued_at, item[0]))
    return [
        {
            "code": code,
            "id": it.id,
            "campaign": it.campaign,
            "occasion": it.occasion,
            "channel": it.channel,
            "status": held_status(it, now),
            "discount_percent": it.discount_percent,
            "discount_cents": it.discount_cents,
            "currency": it.currency,
            "minimum_spend_cents": it.minimum_spend_cents,
            "category": it.category,
            "redeemable": it.redeemable,
            "issued_at": it.issued_at,
            "expires_at": it.expires_at,
            "order_id": it.order_id,
            "redeemed_cents": it.redeemed_cents,
        }
        for code, it in held
    ]


def _decisions(profile: Profile) -> Json:
    """The last answer of every campaign with its reason, what was acted on, and what waits."""
    decisions = profile.decisions
    return {
        "answers": [
            {
                "campaign": campaign,
                "occasion": answer.occasion,
                "outcome": answer.outcome,
                "reason": answer.reason,
                "facts": msgspec.json.decode(answer.facts),
                "decided_at": answer.at,
                "campaigns_version": answer.campaigns_version,
            }
            for campaign, answer in sorted(decisions.answers.items())
        ],
        "issued": {campaign: list(occasions) for campaign, occasions in sorted(decisions.issued.items())},
        "waiting": [
            {
                "campaign": it.campaign,
                "occasion": it.occasion,
                "reason": it.reason,
                "waits_for": _waits_for(it),
                "again_at": it.again_at,
            }
            for it in decisions.pending
        ],
    }


def _waits_for(pending: Pending) -> str:
    """What: the budget's answer, its campaign (which is paused), the time the contact policy named, or a claim."""
    if pending.is_asked():
        return "budget"
    if pending.stands():
        return "campaign"
    return "time" if pending.put_off_until else "claim"


def _journeys(profile: Profile) -> list[Json]:
    """Where they stand in each campaign of several steps; `due_at` 0: the next step is being decided, or stands."""
    again_at = {(it.campaign, it.occasion): it.again_at for it in profile.decisions.pending}
    return [
        {
            "campaign": campaign,
            "occasion": it.occasion,
            "began_at": it.began,
            "next_step": it.step,
            "due_at": it.due or again_at.get((campaign, it.step_occasion()), 0),
            "paused_since_at": it.stood_since,
            "left_alone": it.walk != "",
        }
        for campaign, it in sorted(profile.journeys.open.items())
    ]


def _tasks_done(profile: Profile) -> list[Json]:
    return [
        {"task_id": task_id, "outcome": done.outcome, "note": done.note, "done_at": done.at}
        for task_id, done in profile.tasks.done.items()
    ]


def _preferences(profile: Profile) -> Json:
    own = profile.preferences
    return {
        "interests": list(own.interests),
        "every_days": own.every_days,
        "daytime": own.daytime,
        "said_at": own.said_at,
    }


def _reach(profile: Profile) -> Json:
    reach, address = profile.reach, profile.identity.traits.get("email", "")
    return {
        "email": address,
        "email_bounced": bool(address) and not reach.takes_mail(address),
        "push_endpoints": [each.endpoint for each in reach.subscriptions],
    }


def _chat(profile: Profile, now: int) -> Json:
    chat = profile.chat
    return {
        "conversation_open": chat.conversation_open(now),
        "conversation_id": chat.open_conversation,
        "conversations": chat.conversations,
        "messages": chat.messages,
        "last_message_at": chat.last_message_at,
        "prompts": chat.prompts,
        "last_prompt_id": chat.last_prompt_id,
        "cart_idle_due_at": chat.idle_due,
        "transcript": [
            {
                "said_at": line.at,
                "by": line.by.lower(),
                "agent": line.agent,
                "text": line.text,
                "url": line.url,
                "conversation_id": line.conversation,
                "proven": line.believed,
            }
            for line in chat.transcript
        ],
    }
