"""What a page is told of an effect: the events `prompt`, `voucher`, `revoked`, `module`, `chat` of its stream. Pure.

Only what the visitor may see is in them: neither why it was decided nor who they are.
"""

import msgspec

from pipeline.api.sse import event_text
from pipeline.core.customer.chat import CONVERSATION_ENDS_AFTER_MS
from pipeline.core.customer.transcript import Line
from pipeline.core.customer.vouchers import Held
from pipeline.core.effects import NEXT_VISIT, ChatLine, ChatPrompt, Effect, Message, Voucher, VoucherRevoked

SITE = "site"
ON_SITE = frozenset({SITE, NEXT_VISIT})
"""Channels that the site itself delivers."""
VOUCHER_KEPT_MS = 60_000
"""So long a voucher just decided is remembered here: the store may learn of it after the log."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One event for the streams of one visitor."""

    id: str
    """The effect's id (of a revocation: the voucher's)."""
    address: str
    """Whose streams it is for: `a:` a browser, `u:` a verified person."""
    customer: str
    """Who hears that it was delivered."""
    name: str
    text: str
    not_after: int
    """Epoch ms."""
    kept_until: int
    """Until when a stream that opens later gets it too."""
    to_report: bool
    """Whether its delivery is news to the customer."""
    campaign: str = ""
    """Whose voucher it is."""


def item_of(effect: Effect, now: int) -> Item | None:
    """What the site shows of an effect at `now`; None: nothing (any more)."""
    match effect:
        case ChatPrompt() if now <= effect.not_after:
            address = f"a:{effect.anonymous_id}" if effect.anonymous_id else effect.customer
            return _item(effect, address, "prompt", _prompt(effect), effect.not_after, effect.not_after)
        case Voucher() if effect.channel in ON_SITE and now <= effect.not_after:
            kept_until = min(effect.not_after, now + VOUCHER_KEPT_MS)
            return _item(
                effect, effect.customer, "voucher", _voucher(effect.code, effect), effect.not_after, kept_until
            )
        case VoucherRevoked():
            data = {"id": effect.id, "code": effect.code}
            return _item(effect, effect.customer, "revoked", data, effect.not_after, now + VOUCHER_KEPT_MS)
        case Message(channel="site") if now <= effect.not_after:
            data = {"id": effect.id, **msgspec.json.decode(effect.values)}
            kept_until = min(effect.not_after, now + VOUCHER_KEPT_MS)
            return _item(effect, effect.customer, "module", data, effect.not_after, kept_until)
        case ChatLine(by="AGENT"):
            address = f"a:{effect.anonymous_id}" if effect.anonymous_id else effect.customer
            kind = "closed" if effect.kind == "CLOSED" else "message"
            line = Line(
                effect.id,
                effect.at,
                "AGENT",
                effect.agent_name,
                effect.text,
                effect.url,
                effect.conversation_id,
                effect.anonymous_id,
                effect.believed,
            )
            return _chat_item(line, kind, address, effect.customer)
    return None


def said_item(customer: str, line: Line, browser: str) -> Item | None:
    """What a stream that opens is told of a line of the transcript: what an agent said to this browser. What the
    visitor said the page knows itself."""
    if line.by != "AGENT" or line.browser != browser:
        return None
    return _chat_item(line, "message", f"a:{browser}", customer)


def held_item(customer: str, code: str, held: Held, now: int) -> Item | None:
    """What a stream that opens is told of a voucher the visitor holds. One that is used up or taken back is
    revoked, so that a page which still shows it stops."""
    if held.channel not in ON_SITE or held.expires_at <= now:
        return None
    is_open = held.status in ("issued", "sent")
    data: object = _voucher(code, held) if is_open else {"id": held.id, "code": code}
    name = "voucher" if is_open else "revoked"
    return Item(
        id=held.id,
        address=customer,
        customer=customer,
        name=name,
        text=event_text(name, data, held.id),
        not_after=held.expires_at,
        kept_until=0,
        to_report=held.status == "issued",
        campaign=held.campaign,
    )


def _chat_item(line: Line, kind: str, address: str, customer: str) -> Item:
    data = {
        "id": line.id,
        "conversation_id": line.conversation,
        "kind": kind,
        "agent": line.agent,
        "text": line.text,
        "url": line.url,
        "at": line.at,
    }
    over_at = line.at + CONVERSATION_ENDS_AFTER_MS
    return Item(
        id=line.id,
        address=address,
        customer=customer,
        name="chat",
        text=event_text("chat", data, line.id),
        not_after=over_at,
        kept_until=over_at,
        to_report=False,
    )


def _item(
    effect: ChatPrompt | Voucher | VoucherRevoked | Message,
    address: str,
    name: str,
    data: object,
    not_after: int,
    kept_until: int,
) -> Item:
    return Item(
        id=effect.id,
        address=address,
        customer=effect.customer,
        name=name,
        text=event_text(name, data, effect.id),
        not_after=not_after,
        kept_until=kept_until,
        to_report=name in ("prompt", "voucher"),
        campaign=effect.campaign,
    )


def _prompt(prompt: ChatPrompt) -> dict[str, str]:
    return {
        "id": prompt.id,
        "reason": prompt.reason,
        "category": prompt.category,
        "product_id": prompt.product_id,
        "text": prompt.text,
    }


def _voucher(code: str, voucher: Voucher | Held) -> dict[str, object]:
    return {
        "id": voucher.id,
        "code": code,
        "campaign": voucher.campaign,
        "discount_percent": voucher.discount_percent,
        "discount_cents": voucher.discount_cents,
        "currency": voucher.currency,
        "minimum_spend_cents": voucher.minimum_spend_cents,
        "category": voucher.category,
        "expires_at": voucher.expires_at,
        "text": "",
        "redeemable": voucher.redeemable,
    }
