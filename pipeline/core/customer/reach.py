"""Where the customer can be reached: which e-mail address is dead, which browsers take Web Push.

Owns the slice `reach`. The address itself is a trait (`email`, said with proof); here stands what was learned of it.
A stranger can neither add a browser to a person nor declare their address dead. Bounded.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from pipeline.core.customer.notes import Note
from pipeline.core.effects import Output
from pipeline.core.events import BROWSER, Clickstream, EffectDelivered, HandedOver, Stimulus
from pipeline.core.identifiers import address_name
from pipeline.core.rules import Rules

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

BOUNCED = "Email Bounced"
SUBSCRIBED = "Push Subscribed"
UNSUBSCRIBED = "Push Unsubscribed"
MAX_SUBSCRIPTIONS = 5
"""The oldest makes room."""
MAX_ENDPOINT_CHARACTERS = 1_000
KEY_CHARACTERS = range(80, 93)
"""Of 65 bytes in base64url; an `auth` of 16 bytes has at most 24."""
MAX_AUTH_CHARACTERS = 24

HEARS: frozenset[type | str] = frozenset({BOUNCED, SUBSCRIBED, UNSUBSCRIBED, EffectDelivered, HandedOver})
_NOTHING: tuple[()] = ()


class Subscription(msgspec.Struct, frozen=True, array_like=True):
    """A browser that takes Web Push (W3C Push API: `PushSubscription`)."""

    endpoint: str
    p256dh: str
    auth: str

    def name(self) -> str:
        """What stands for it where the endpoint need not be known."""
        return address_name(self.endpoint)


class Reach(msgspec.Struct, frozen=True, array_like=True):
    """Slice of the profile."""

    bounced: str = ""
    """The name (`address_name`) of the e-mail address that takes no mail; another address is another name."""
    subscriptions: tuple[Subscription, ...] = ()
    """At most `MAX_SUBSCRIPTIONS`, the one that was heard of last at the end."""

    def takes_mail(self, address: str) -> bool:
        """Whether nothing is known against this e-mail address."""
        return bool(address) and address_name(address) != self.bounced


class _Keys(msgspec.Struct, frozen=True):
    p256dh: str = ""
    auth: str = ""


class _Said(msgspec.Struct, frozen=True):
    """The properties that count here."""

    endpoint: str = ""
    keys: _Keys = _Keys()
    email: str = ""
    type: str = ""


_said = msgspec.json.Decoder(_Said)


def step(
    profile: "Profile", event: Stimulus, _now: int, _rules: Rules, _notes: Sequence[Note]
) -> tuple[Reach, Sequence[Output | Note]]:
    """The slice after `event`."""
    reach = profile.reach
    if isinstance(event, Clickstream):
        if event.event in _HEARD and profile.believes(event.trust):
            return _HEARD[event.event](profile, _read(event)), _NOTHING
    elif isinstance(event, EffectDelivered):
        for gone in event.gone.split():
            reach = _without(profile, reach, gone)
    elif isinstance(event, HandedOver) and event.history is not None and event.message.trust != BROWSER:
        for subscription in event.history.reach.subscriptions:
            reach = _with(reach, subscription)
    return reach, _NOTHING


def _bounced(profile: "Profile", said: _Said) -> Reach:
    """An address that bounced for good; one that is full or busy today is not dead (`type` soft or transient)."""
    address = said.email or profile.identity.traits.get("email", "")
    if not address or said.type.lower() in ("soft", "transient"):
        return profile.reach
    return msgspec.structs.replace(profile.reach, bounced=address_name(address))


def _subscribed(profile: "Profile", said: _Said) -> Reach:
    keys = said.keys
    whole = (
        said.endpoint.startswith("https://")
        and len(said.endpoint) <= MAX_ENDPOINT_CHARACTERS
        and len(keys.p256dh) in KEY_CHARACTERS
        and 0 < len(keys.auth) <= MAX_AUTH_CHARACTERS
    )
    return _with(profile.reach, Subscription(said.endpoint, keys.p256dh, keys.auth)) if whole else profile.reach


def _unsubscribed(profile: "Profile", said: _Said) -> Reach:
    return _without(profile, profile.reach, address_name(said.endpoint))


def _with(reach: Reach, subscription: Subscription) -> Reach:
    if subscription in reach.subscriptions[-1:]:
        return reach
    others = tuple(each for each in reach.subscriptions if each.endpoint != subscription.endpoint)
    return msgspec.structs.replace(reach, subscriptions=(*others, subscription)[-MAX_SUBSCRIPTIONS:])


def _without(profile: "Profile", reach: Reach, gone: str) -> Reach:
    """Whatever has this name is not to be tried again."""
    kept = tuple(each for each in reach.subscriptions if each.name() != gone)
    if len(kept) != len(reach.subscriptions):
        return msgspec.structs.replace(reach, subscriptions=kept)
    if gone == address_name(profile.identity.traits.get("email", "")):
        return msgspec.structs.replace(reach, bounced=gone)
    return reach


def _read(event: Clickstream) -> _Said:
    """What the properties say; nothing where they are not of that shape."""
    try:
        return _said.decode(event.properties or "{}")
    except (msgspec.DecodeError, RecursionError):
        return _Said()


_HEARD = {BOUNCED: _bounced, SUBSCRIBED: _subscribed, UNSUBSCRIBED: _unsubscribed}
