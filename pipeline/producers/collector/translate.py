"""One message of the tracking protocol to one record of the log. Pure: the same message, the same record.

What can come out is `Clickstream`, `Purchase`, `Chat` or `Customer`, never a record the system writes itself. The
sender's `properties` (of identify and group: `traits`) and `context` stay in it as JSON, but for `userHash`: it
is as good as a password, and `trust` says what it was worth.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from pipeline.core.events import (
    BROWSER,
    SERVER,
    VERIFIED,
    Chat,
    Clickstream,
    ConsentChange,
    Customer,
    Input,
    Purchase,
    Trust,
)
from pipeline.producers.collector import consents, orders
from pipeline.producers.collector.answers import Rejected
from pipeline.producers.collector.body import Message
from pipeline.producers.collector.crawlers import Crawlers
from pipeline.producers.collector.keys import Access
from pipeline.producers.collector.names import Kind, recognised
from pipeline.producers.collector.times import occurred
from pipeline.producers.collector.values import (
    first_text,
    identifier,
    json_text,
    mapping,
    message_id,
    quantity,
    text,
)
from pipeline.tokens import verified

TYPES = ("track", "page", "screen", "identify", "group", "alias")


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What a request tells about all its messages, and what the shop's settings say of them."""

    access: Access
    received_at: int
    sent_at: object = None
    context: dict[str, Any] = {}
    gpc: bool = False
    """The header `Sec-GPC: 1` came from a browser."""
    user_agent: str = ""
    """Of a browser's request; messages may carry their own."""
    crawlers: Crawlers | None = None
    """None: nobody is taken for a crawler."""
    source: str = ""
    identity_secret: bytes = b""
    trust_browser_purchases: bool = False


_Common = tuple[str, str, int, int, str, str, str, int, str, str, Trust, bool, str, str]
"""`Tracked`'s fields, in their order: by place a struct is made three times as fast as by name."""


class _Said(msgspec.Struct):
    """A message whose common fields have been read."""

    common: _Common
    user_id: str
    anonymous_id: str
    trust: Trust
    properties: dict[str, Any]
    context: dict[str, Any]
    page: dict[str, Any]


def translate(message: Message, type_: str, arrival: Arrival, raw: bytes, index: int) -> Input:
    """The record of a message of the given type; `raw` and `index` (its bytes, its place in the batch) give it an
    id if it has none. Raises Rejected, and nothing else whatever the message holds."""
    if type_ not in TYPES:
        raise Rejected("unknown_type", f"the event's type is none of: {', '.join(TYPES)}")
    if type_ == "track":
        return _tracked(message, arrival, raw, index)
    said = _common(message, type_, "", "click", arrival, raw, index)
    if type_ in ("page", "screen"):
        return _viewed(said)
    return _customer(message, type_, said)


def generated_id(raw: bytes, access: Access, index: int) -> str:
    """The id of a message without one: the same when the same bytes come again at the same place."""
    digest = hashlib.blake2b(raw, digest_size=16, key=access.name.encode(), salt=index.to_bytes(16))
    return f"http-{digest.hexdigest()}"


def _common(message: Message, type_: str, name: str, kind: Kind, arrival: Arrival, raw: bytes, index: int) -> _Said:
    user_id = identifier(message.user_id, "userId")
    anonymous_id = identifier(message.anonymous_id, "anonymousId")
    if not user_id and not anonymous_id:
        raise Rejected("id_missing", "neither `userId` nor `anonymousId`: one of the two must be text")
    context = mapping(message.context, "context")
    if arrival.context:
        context = {**arrival.context, **context}
    trust = _trust(arrival, user_id, context.pop("userHash", None))
    if kind == "purchase":
        trusted = trust == SERVER or arrival.trust_browser_purchases
    else:
        trusted = trust != BROWSER or not user_id
    if type_ == "track":
        properties = mapping(message.properties, "properties")
    else:
        properties = _properties(message, type_, context)
    if arrival.gpc:
        context["gpc"] = True
    timestamp = message.original_timestamp if message.timestamp is None else message.timestamp
    sent_at = arrival.sent_at if message.sent_at is None else message.sent_at
    occurred_at, clamped = occurred(timestamp, sent_at, arrival.received_at)
    page = context.get("page")
    common: _Common = (
        message_id(message.message_id) or generated_id(raw, arrival.access, index),
        type_,
        occurred_at,
        arrival.received_at,
        name,
        user_id,
        anonymous_id,
        0,  # accepted_at: when it was received
        clamped,
        arrival.source,
        trust,
        trusted,
        json_text(context),
        json_text(properties),
    )
    page = page if isinstance(page, dict) else {}
    return _Said(common, user_id, anonymous_id, trust, properties, context, page)


def _trust(arrival: Arrival, user_id: str, user_hash: object) -> Trust:
    if arrival.access.kind == "server":
        return SERVER
    return VERIFIED if user_hash is not None and verified(arrival.identity_secret, user_id, user_hash) else BROWSER


def _properties(message: Message, type_: str, context: dict[str, Any]) -> dict[str, Any]:
    if type_ == "identify" and message.traits is None:
        # RudderStack's Python and browser SDKs say them here only.
        traits = context.get("traits")
        return traits if isinstance(traits, dict) else {}
    if type_ in ("identify", "group"):
        return mapping(message.traits, "traits")
    properties = mapping(message.properties, "properties")
    if type_ in ("page", "screen"):
        for name, value in (("name", message.name), ("category", message.category)):
            if value is not None:
                properties.setdefault(name, value)
    return properties


def _tracked(message: Message, arrival: Arrival, raw: bytes, index: int) -> Input:
    event = message.event
    name, kind = recognised(event) if isinstance(event, str) else ("", "click")
    said = _common(message, "track", name, kind, arrival, raw, index)
    if not name:
        raise Rejected("event_missing", "`event` is missing: a track event needs a name")
    build = _BUILD.get(kind)
    return build(name, said) if build else _clicked(said, kind)


def _viewed(said: _Said) -> Clickstream:
    properties, page = said.properties, said.page
    url = text(properties.get("url") or page.get("url"))
    referrer = text(properties.get("referrer") or page.get("referrer"))
    return Clickstream(*said.common, url, referrer, *_campaign(said), opted_out=_opts_out(said))


def _clicked(said: _Said, kind: Kind) -> Clickstream:
    """Another event's `id` or `name` need not be a product's."""
    properties, page = said.properties, said.page
    url, referrer, campaign = text(page.get("url")), text(page.get("referrer")), _campaign(said)
    category, opted_out = text(properties.get("category")), _opts_out(said)
    product_id = first_text(properties, *(orders.PRODUCT_ID if kind == "product" else orders.PRODUCT_ID[:2]))
    if not product_id:
        return Clickstream(*said.common, url, referrer, *campaign, "", "", category, opted_out=opted_out)
    name, code = text(properties.get("name")), orders.lenient_currency(properties)
    cents, pieces = orders.lenient_cents(properties, code), quantity(properties.get("quantity"), 1)
    return Clickstream(
        *said.common, url, referrer, *campaign, product_id, name, category, cents, code, pieces, opted_out
    )


def _campaign(said: _Said) -> tuple[str, str, str]:
    """Source, medium and name."""
    campaign = said.context.get("campaign")
    if campaign is None or not isinstance(campaign, dict):
        return "", "", ""
    return text(campaign.get("source")), text(campaign.get("medium")), text(campaign.get("name"))


def _purchase(name: str, said: _Said) -> Purchase:
    properties = said.properties
    code = orders.currency(properties)
    lines = orders.products(properties, code)
    return Purchase(
        *said.common,
        order_id=orders.order_id(properties),
        refund_id=first_text(properties, "refund_id", "refundId"),
        total_cents=orders.total_cents(properties, lines, code, refund=name == "Order Refunded"),
        currency=code,
        coupon=first_text(properties, "coupon"),
        products=lines,
    )


def _chat(_name: str, said: _Said) -> Chat:
    """A page speaks for its visitor: what it says of an agent stays in `properties` alone."""
    properties = said.properties
    agent = properties if said.trust == SERVER else {}
    named = first_text(properties, "conversation_id", "conversationId")
    return Chat(
        *said.common,
        # A desk that numbers no conversations leads one at a time with each visitor.
        conversation_id=named or said.anonymous_id or said.user_id,
        agent_id=first_text(agent, "agent_id", "agentId"),
        agent_name=first_text(agent, "agent_name", "agentName", "agent_username"),
        body=first_text(properties, "message_body", "messageBody"),
        url=first_text(agent, "url"),
    )


def _consent(name: str, said: _Said) -> Customer:
    return Customer(*said.common, consents=consents.of_event(name, said.properties) + _signalled(said))


def _preferences(_name: str, said: _Said) -> Customer:
    stated = consents.of_preferences(said.context, text(said.page.get("url")))
    return Customer(*said.common, consents=stated + _signalled(said))


def _customer(message: Message, type_: str, said: _Said) -> Customer:
    previous_id = identifier(message.previous_id, "previousId")
    group_id = identifier(message.group_id, "groupId")
    if type_ == "alias" and not previous_id:
        # The browser's SDK leaves it out where it means the browser itself.
        previous_id = said.anonymous_id
        if not previous_id:
            raise Rejected("previous_id_missing", "`previousId` is missing: an alias names the id it replaces")
    if type_ == "group" and not group_id:
        raise Rejected("group_id_missing", "`groupId` is missing: a group call names the group")
    stated: tuple[ConsentChange, ...] = ()
    if type_ == "identify":
        stated = consents.of_traits(said.properties, text(said.page.get("url")))
    return Customer(*said.common, previous_id=previous_id, group_id=group_id, consents=stated + _signalled(said))


def _signalled(said: _Said) -> tuple[ConsentChange, ...]:
    return (consents.OPTED_OUT_BY_SIGNAL,) if _opts_out(said) else ()


def _opts_out(said: _Said) -> bool:
    return said.context.get("gpc") is True


_BUILD: dict[str, Callable[[str, _Said], Input]] = {
    "purchase": _purchase,
    "chat": _chat,
    "consent": _consent,
    "preferences": _preferences,
}
