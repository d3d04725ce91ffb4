"""What the customer permits, by channel and purpose, with proof. Unknown means no.

Owns the slice `consent`. Anyone may take a permission back in a person's name; only proof gives one.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from pipeline.core.customer.notes import Note, facts_json
from pipeline.core.effects import Message, Output
from pipeline.core.events import BROWSER, SERVER, Clickstream, ConsentChange, Customer, HandedOver, Stimulus
from pipeline.core.identifiers import effect_id
from pipeline.core.rules import Rules

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

ANY = "*"
MAX_PROOF_CHARACTERS = 500
"""Of the wording that was agreed to, and of the place where."""
CHANNELS = frozenset({"email", "push", "site", "sms", "phone", "post"})
PURPOSES = frozenset({"marketing", "service", "profiling"})
"""Nothing can be permitted for any other name, so the slice is bounded."""
WITHDRAWN_BY = {
    "Email Unsubscribed": "email.marketing",
    "Email Marked as Spam": "email.marketing",
}
"""Clickstream events that take a permission back."""
CONFIRMED_BY = "Email Confirmed"
"""A Clickstream event of somebody trusted: the mailbox's owner followed the link of the confirmation mail."""
CONFIRMATION = "double-opt-in"
"""In the place of a campaign's name: whose message that mail is. Its template is `confirm-email`."""
CONFIRM_WITHIN_MS = 7 * 86_400_000

OPTED_OUT = "Sec-GPC"
"""What is heard of a click whose browser asks not to be profiled, and the wording that stands for it."""
_PROFILING = f"{ANY}.profiling"

HEARS: frozenset[type | str] = frozenset({*WITHDRAWN_BY, CONFIRMED_BY, OPTED_OUT, Customer, HandedOver})
_NOTHING: tuple[()] = ()


class Permission(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The last word on one channel and purpose, and where it was said."""

    granted: bool
    at: int
    wording: str = ""
    place: str = ""
    unconfirmed: bool = False
    """It was given by a form and is not granted before the mailbox's owner has confirmed it."""


class Consent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Slice of the profile."""

    permissions: dict[str, Permission] = {}
    """By `channel.purpose`, for example `email.marketing`; `*` stands for all in a withdrawal."""

    def allows(self, channel: str, purpose: str) -> bool | None:
        """The latest word on this channel and purpose (at the same time: the withdrawal); None: never a word."""
        if not self.permissions:
            return None
        names = (f"{channel}.{purpose}", f"{channel}.{ANY}", f"{ANY}.{purpose}", f"{ANY}.{ANY}")
        words = [word for name in names if (word := self.permissions.get(name))]
        return max(words, key=lambda word: (word.at, not word.granted)).granted if words else None


def step(
    profile: "Profile", event: Stimulus, now: int, rules: Rules, _notes: Sequence[Note]
) -> tuple[Consent, Sequence[Output | Note]]:
    """The slice after `event`."""
    consent = profile.consent
    if isinstance(event, Clickstream):
        if event.opted_out:
            consent = _opted_out(consent, now)
        name = WITHDRAWN_BY.get(event.event)
        if name is None:
            return (_confirmed(consent, now) if event.event == CONFIRMED_BY and event.trusted else consent), _NOTHING
        return _with(consent, {name: Permission(False, now, place=event.event)}), _NOTHING
    if isinstance(event, Customer) and event.consents:
        after = _changed(consent, event, now, profile.believes(event.trust))
        if not rules.policy.double_opt_in or event.trust == SERVER:
            return after, _NOTHING
        return _with_confirmations(profile, after, event, now)
    if isinstance(event, HandedOver) and event.history is not None:
        return _merged(consent, event.history.consent, now, event.message.trust != BROWSER), _NOTHING
    return consent, _NOTHING


def _opted_out(consent: Consent, now: int) -> Consent:
    """Without profiling: as long as the browser asks for that, it is the last word."""
    words = consent.permissions
    last = words.get(_PROFILING)
    since = [name for name, word in words.items() if last and word.granted and word.at > last.at]
    if last and not any(name.endswith(".profiling") for name in since):
        return consent
    return _with(consent, {_PROFILING: Permission(False, now, OPTED_OUT)})


def _changed(consent: Consent, event: Customer, now: int, believed: bool) -> Consent:
    """What the person said; said both ways at once, it is withdrawn. `*` can only withdraw."""
    said: dict[str, Permission] = {}
    for change in event.consents:
        name = f"{change.channel}.{change.purpose}"
        if change.granted:
            known = said.get(name) or consent.permissions.get(name)
            withdrawn_now = known is not None and known.at == now and not known.granted
            counts = believed and not withdrawn_now and _names(change, CHANNELS, PURPOSES)
        else:
            counts = _names(change, CHANNELS | {ANY}, PURPOSES | {ANY})
        if counts:
            wording, place = change.wording[:MAX_PROOF_CHARACTERS], change.place[:MAX_PROOF_CHARACTERS]
            said[name] = Permission(change.granted, now, wording, place)
    return _with(consent, said)


def _with_confirmations(
    profile: "Profile", after: Consent, event: Customer, now: int
) -> tuple[Consent, Sequence[Output | Note]]:
    """Each new permission to write e-mail waits until it is confirmed; the mail that asks for that. One that stood is
    not asked about again, and who was asked is not asked again within the time they have."""
    before = profile.consent.permissions
    waiting: dict[str, Permission] = {}
    questions: list[Output | Note] = []
    for name, word in after.permissions.items():
        last = before.get(name)
        if word is last or not word.granted or not name.startswith("email.") or (last and last.granted):
            continue
        asked = last is not None and last.unconfirmed and now - last.at < CONFIRM_WITHIN_MS
        at = last.at if last and asked else now
        waiting[name] = msgspec.structs.replace(word, granted=False, at=at, unconfirmed=True)
        if not asked:
            questions.append(_question(profile.key, name, event.message_id, now))
    return _with(after, waiting), questions


def _question(key: str, name: str, message_id: str, now: int) -> Message:
    occasion = f"{name}:{message_id}"
    return Message(
        id=effect_id(CONFIRMATION, key, occasion),
        customer=key,
        campaign=CONFIRMATION,
        occasion=occasion,
        channel="email",
        template="confirm-email",
        values=facts_json({"permission": name}),
        reason="consent_unconfirmed",
        facts=facts_json({"permission": name}),
        decided_at=now,
        not_after=now + CONFIRM_WITHIN_MS,
        purpose="transactional",
    )


def _confirmed(consent: Consent, now: int) -> Consent:
    """Every permission that waits for it and was not withdrawn meanwhile."""
    return _with(
        consent,
        {
            name: msgspec.structs.replace(word, granted=True, at=now, unconfirmed=False)
            for name, word in consent.permissions.items()
            if word.unconfirmed and now - word.at < CONFIRM_WITHIN_MS
        },
    )


def _names(change: ConsentChange, channels: frozenset[str], purposes: frozenset[str]) -> bool:
    return change.channel in channels and change.purpose in purposes


def _merged(consent: Consent, handed: Consent, now: int, believed: bool) -> Consent:
    """The stricter of both: a browser's withdrawal wins, its grant counts where the person has not said a word."""
    taken: dict[str, Permission] = {}
    for name, word in handed.permissions.items():
        channel, _, purpose = name.partition(".")
        if not word.granted and not word.unconfirmed:
            taken[name] = msgspec.structs.replace(word, at=now)
        elif believed and consent.allows(channel, purpose) is None:
            taken[name] = word
    return _with(consent, taken)


def _with(consent: Consent, words: dict[str, Permission]) -> Consent:
    return Consent({**consent.permissions, **words}) if words else consent
