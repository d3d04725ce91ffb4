"""What customers say and do outside the site, as records: consent by a link, opened mails, what is reported."""

import uuid
from collections.abc import Callable
from typing import Any

import msgspec

from pipeline.backends.contract import NewRecord
from pipeline.codec import Codec
from pipeline.core.customer.consent import CONFIRMED_BY
from pipeline.core.customer.preferences import UPDATED
from pipeline.core.events import SERVER, Clickstream, ConsentChange, Customer, Trust
from pipeline.links import Link

EVENTS = "events"
OUTCOMES = {
    "Email Delivered": "delivered",
    "Email Opened": "opened",
    "Email Link Clicked": "clicked",
    "Email Bounced": "bounced",
    "Email Marked as Spam": "complained",
    CONFIRMED_BY: "confirmed",
}
"""What became of a message, by the event that says so."""


class Scribe:
    """Makes the records. `clock` returns epoch ms; `told` is called with the channel, what became of a message
    (`OUTCOMES`, or `unsubscribed`) and the campaign."""

    def __init__(
        self, codec: Codec, clock: Callable[[], int], source: str, told: Callable[[str, str, str], None]
    ) -> None:
        self._codec = codec
        self._clock = clock
        self._source = source
        self._told = told

    def consent(self, link: Link, changes: tuple[ConsentChange, ...]) -> NewRecord:
        """The customer of a link changes what they permit: whoever has the link has the mailbox, which is as good as
        a second opt-in. Said again it is said again: another id each time."""
        if any(each.channel in (link.channel, "*") and not each.granted for each in changes):
            self._told(link.channel, "unsubscribed", link.campaign)
        now = self._clock()
        user, browser = _ids(link.customer)
        event = Customer(
            message_id=uuid.uuid4().hex,
            type="track",
            event="Consent Granted" if any(each.granted for each in changes) else "Consent Withdrawn",
            user_id=user,
            anonymous_id=browser,
            occurred_at=now,
            received_at=now,
            source=self._source,
            trust=SERVER,
            trusted=True,
            consents=changes,
        )
        return NewRecord(EVENTS, link.customer.encode(), self._codec.encode(event))

    def wishes(self, link: Link, wishes: dict[str, Any]) -> NewRecord:
        """The customer of a link says what interests them, how often they want to hear of it, and when."""
        now = self._clock()
        user, browser = _ids(link.customer)
        record = Clickstream(
            message_id=uuid.uuid4().hex,
            type="track",
            event=UPDATED,
            user_id=user,
            anonymous_id=browser,
            occurred_at=now,
            received_at=now,
            source=self._source,
            trust=SERVER,
            trusted=True,
            properties=msgspec.json.encode(wishes).decode(),
        )
        return NewRecord(EVENTS, link.customer.encode(), self._codec.encode(record))

    def mail(
        self, link: Link, event: str, message_id: str, trust: Trust = SERVER, at: int = 0, **properties: str
    ) -> NewRecord:
        """Something became of a mail (Segment's e-mail events); the same `message_id` is the same happening."""
        softly = "soft_" if properties.get("type") == "soft" else ""
        self._told(link.channel, softly + OUTCOMES[event], link.campaign)
        now = self._clock()
        user, browser = _ids(link.customer)
        said = {"effect_id": link.effect_id, "channel": link.channel, "campaign": link.campaign} | properties
        record = Clickstream(
            message_id=message_id,
            type="track",
            event=event,
            user_id=user,
            anonymous_id=browser,
            occurred_at=min(at, now) if at else now,
            received_at=now,
            source=self._source,
            trust=trust,
            trusted=trust != "BROWSER",
            campaign_source="rapport",
            campaign_medium=link.channel,
            campaign_name=link.campaign,
            url=properties.get("link_url", ""),
            properties=msgspec.json.encode({name: value for name, value in said.items() if value}).decode(),
        )
        return NewRecord(EVENTS, link.customer.encode(), self._codec.encode(record))


def _ids(key: str) -> tuple[str, str]:
    """User id and anonymous id of a subject key; one of them is ""."""
    kind, _, name = key.partition(":")
    return (name, "") if kind == "u" else ("", name)
