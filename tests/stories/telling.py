"""How what happened is told: effects and messages with their times, then everybody's facts. Reads, never steps."""

from datetime import UTC, datetime

from pipeline.core.budget import BudgetState
from pipeline.core.catalogue import BoughtTogether, OfProducts, ProductRanked
from pipeline.core.category import CategoryState
from pipeline.core.customer.preferences import Preferences
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import (
    ChatLine,
    ChatPrompt,
    DeadLetter,
    Decision,
    Forward,
    LoyaltyChanged,
    Message,
    Output,
    Send,
    Task,
    Voucher,
    VoucherRevoked,
)
from pipeline.core.events import BudgetAnswered, BudgetSettled, ProfileClaimed, ProfileHandedOver, VoucherRedeemed
from pipeline.core.followers import FollowersState
from pipeline.core.invitation import Invitation
from pipeline.core.product import ProductState
from pipeline.core.subjects import State
from pipeline.core.voucher import VoucherState


def moment(at: int) -> str:
    """Epoch ms as the stories write it."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def happening(at: int, key: str, output: Output) -> str:
    """One line for one output."""
    return f"{moment(at)}  {_told(key, output)}"


def is_of_products(_at: int, key: str, output: Output) -> bool:
    """Whether it concerns products only: what stories of people pass over."""
    return key.startswith(("p:", "c:", "f:")) or (isinstance(output, Send) and isinstance(output.message, OfProducts))


def _told(key: str, output: Output) -> str:
    match output:
        case Voucher():
            worth = f"{output.discount_percent}%" if output.discount_percent else money(output.discount_cents)
            what = f"{worth} off {output.category}".rstrip()
            return f"{key}  Voucher {output.campaign} for {output.occasion} by {output.channel}: {what}"
        case VoucherRevoked():
            return f"{key}  VoucherRevoked {output.campaign}: {output.reason}"
        case ChatPrompt():
            return f"{key}  ChatPrompt on {output.anonymous_id or 'the site'}: {output.reason}"
        case ChatLine():
            return f"{key}  {output.by.lower()} on {output.anonymous_id or 'any page'}: {_line(output)}"
        case Decision():
            return f"{key}  {output.outcome} {output.campaign} for {output.occasion}: {output.reason} {output.facts}"
        case Message():
            return f"{key}  Message {output.template} by {output.channel} for {output.occasion}: {output.values}"
        case LoyaltyChanged(reason="TIER_CHANGED"):
            return f"{key}  is now in {f'the tier {output.tier}' if output.tier else 'no tier'}"
        case LoyaltyChanged():
            return f"{key}  {output.points:+} points, {output.reason} {output.source}: {output.balance}".rstrip()
        case Task():
            return f"{key}  Task {output.kind} for {output.occasion}: {output.instructions}"
        case DeadLetter():
            return f"{key}  {type(output).__name__}"
        case Forward():
            return f"{key}  forwards to {output.to} ({output.trust})"
        case Send():
            return f"{key}  tells {output.to} {_message(output)}"


def _line(line: ChatLine) -> str:
    unproven = "" if line.believed else " (unproven)"
    return (f"{line.text} {line.url}".strip() if line.kind == "MESSAGE" else line.kind.lower()) + unproven


def _message(sent: Send) -> str:
    match sent.message:
        case ProfileClaimed(trust=trust):
            return f"ProfileClaimed ({trust})"
        case ProfileHandedOver(outcome=outcome):
            return f"ProfileHandedOver: {outcome}"
        case BudgetAnswered(outcome=outcome) | BudgetSettled(outcome=outcome):
            return f"{type(sent.message).__name__}: {outcome}"
        case BoughtTogether(change=change, others=others):
            with_whom = " with " + ", ".join(other.product_id for other in others) if others else ""
            return f"BoughtTogether{' no more' if change < 0 else ''}{with_whom}"
        case ProductRanked(orders=orders):
            return f"ProductRanked: {orders}"
        case VoucherRedeemed(order_id=order_id, discount_cents=discount_cents):
            return f"VoucherRedeemed for {order_id}, {money(discount_cents)} off"
        case message:
            return type(message).__name__


def facts(state: State) -> list[str]:
    """What is known of a subject at the end, without what is at its default."""
    match state:
        case Profile():
            told = _profile_facts(state)
        case VoucherState():
            told = _voucher_facts(state)
        case BudgetState():
            told = _budget_facts(state)
        case ProductState():
            told = [("orders", str(state.orders or "")), ("beside", _pairs(state.partners))]
        case FollowersState():
            told = [("followed by", ", ".join(state.customers))]
        case CategoryState():
            told = [("sells", _pairs(state.sellers))]
        case Invitation():
            told = [("of", state.customer)]
    return [state.key, *(f"  {name}: {value}" for name, value in told if value)]


def _voucher_facts(voucher: VoucherState) -> list[tuple[str, str]]:
    redeemed = f"redeemed for {voucher.order_id}, {money(voucher.redeemed_cents)} off"
    return [("of", voucher.customer), ("status", redeemed if voucher.order_id else voucher.status)]


def _budget_facts(budget: BudgetState) -> list[tuple[str, str]]:
    return [
        ("spent", str(budget.spent or "")),
        ("worth", money(budget.spent_cents) if budget.spent_cents else ""),
        ("reserved", str(len(budget.open) or "")),
        ("waiting", str(len(budget.waiting) or "")),
    ]


def _profile_facts(profile: Profile) -> list[tuple[str, str]]:
    identity, activity, bought = profile.identity, profile.activity, profile.purchases
    sources = dict.fromkeys((activity.first_source, activity.last_source))
    return [
        ("belongs to", f"{identity.owner} ({identity.owner_trust})" if identity.owner else ""),
        ("shared", "yes" if identity.shared else ""),
        ("browsers", _pairs({name: browser.status for name, browser in identity.browsers.items()})),
        ("unproven claims", str(identity.untrusted_claims or "")),
        ("traits", _pairs(identity.traits)),
        ("groups", ", ".join(identity.groups)),
        ("permissions", ", ".join(_permissions(profile))),
        ("stage", profile.lifecycle.stage if activity.events else ""),
        ("activity", _activity(profile)),
        ("from", ", ".join(source for source in sources if source)),
        ("interests", _pairs(activity.interests)),
        ("cart", _pairs({name: line.quantity for name, line in activity.cart.items()})),
        ("orders", _pairs({name: money(o.total_cents) for name, o in bought.orders.items() if o.stands()})),
        ("spent", _pairs({currency: money(cents) for currency, cents in bought.spend_cents.items()})),
        ("untrusted orders", str(bought.untrusted or "")),
        ("said", "; ".join(f"{line.by.lower()}: {line.text or line.url}" for line in profile.chat.transcript)),
        ("duplicates", str(profile.dedup.duplicates or "")),
        ("wishes", _wishes(profile.preferences)),
        ("answers", _answers(profile)),
        ("on the site", ", ".join(f"{name} by {it.campaign}" for name, it in profile.modules.shown.items())),
        ("vouchers", ", ".join(f"{held.campaign} {held.status}" for held in profile.vouchers.held.values())),
        ("points", _points(profile)),
        ("invitation", _invitation(profile)),
    ]


def _invitation(profile: Profile) -> str:
    own = profile.referral
    if own is None:
        return ""
    friends = f"{own.invited} friends, {own.fulfilled} of them bought" if own.invited else ""
    came = f"came by one: {own.status} {own.reason}".strip() if own.came_by else ""
    return "; ".join(part for part in (friends, came) if part)


def _points(profile: Profile) -> str:
    own = profile.loyalty
    if own is None:
        return ""
    lots = _pairs({moment(at)[:10] if at else "without end": points for at, points in own.account.lots.items()})
    tier = f", {own.tier} with {', '.join(own.benefits) or 'nothing'}" if own.tier else ""
    return f"{own.account.balance} of {own.account.lifetime_points} ({lots or 'none'}){tier}"


def _activity(profile: Profile) -> str:
    activity = profile.activity
    if not activity.events:
        return ""
    unproven = f", {activity.unverified_events} unproven" if activity.unverified_events else ""
    visits = f"{activity.visits} visit{'s' * (activity.visits != 1)}"
    return f"{activity.events} event{'s' * (activity.events != 1)} in {visits}{unproven}"


def _wishes(own: Preferences) -> str:
    often = f"at most every {own.every_days} days" if own.every_days else ""
    return "; ".join(part for part in (", ".join(own.interests), often, own.daytime) if part)


def _answers(profile: Profile) -> str:
    given = profile.answers.given.items()
    return "; ".join(f"{name}.{it} {answer.value}" for name, answers in given for it, answer in answers.items())


def _permissions(profile: Profile) -> list[str]:
    words = profile.consent.permissions.items()
    return [f"{'' if permission.granted else 'no '}{name}" for name, permission in words]


def _pairs(values: dict[str, object] | dict[str, str] | dict[str, int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def money(amount_cents: int) -> str:
    """`12.50`"""
    return f"{amount_cents // 100}.{amount_cents % 100:02}"
