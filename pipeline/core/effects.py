"""What is to be done: everything a step returns besides the new state, named in the imperative or as a thing.

Only data lives here. An effect's id is a hash of its business identity (campaign, customer, occasion), never
of a time, an offset, a version or an attempt: a replay returns the same ids. Each struct has its Avro schema in
`schemas/` (same fields, same order) and its topic in `TOPIC_OF`.
"""

import re
from typing import ClassVar, Literal

import msgspec

from pipeline.core.events import Internal, Trust

Channel = str
"""email, push, site, … or `next_visit`: shown on the site when the customer comes back."""
NEXT_VISIT = "next_visit"
WEBHOOK = "webhook"
"""A system of the shop, and not the customer."""
ACCOUNT = "account"
"""Of what reaches the customer's account, and not the customer: points, and what they asked to have for them."""
CHAT = "chat"
"""The conversation the visitor began."""
LINE_WAITS_MS = 24 * 3_600_000
_PARTICULAR = re.compile(r"[\d:'\"]")


class Voucher(msgspec.Struct, frozen=True, kw_only=True):
    """Give the customer this voucher."""

    id: str
    customer: str
    campaign: str
    occasion: str
    channel: Channel
    code: str
    redeemable: bool
    discount_percent: int
    discount_cents: int
    currency: str
    minimum_spend_cents: int
    category: str
    reason: str
    facts: str
    """JSON object of what the decision rested on."""
    decided_at: int
    expires_at: int
    not_after: int
    """A sink must not deliver it later than this."""


class VoucherRevoked(msgspec.Struct, frozen=True, kw_only=True):
    """Do not deliver this voucher: it rested on something that turned out wrong."""

    id: str
    """The voucher's id."""
    customer: str
    campaign: str
    code: str
    reason: str
    decided_at: int
    not_after: int


class ChatPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """Ask this visitor, now, whether they need help."""

    id: str
    customer: str
    anonymous_id: str
    """The browser that hesitates; "" if the events named none."""
    campaign: str
    occasion: str
    reason: str
    category: str
    product_id: str
    text: str
    facts: str
    decided_at: int
    not_after: int


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Send the customer this message."""

    id: str
    customer: str
    campaign: str
    occasion: str
    channel: Channel
    template: str
    values: str
    """JSON object for the template."""
    reason: str
    facts: str
    decided_at: int
    not_after: int
    purpose: str = "marketing"
    """What permits it: marketing, service, profiling, or transactional, which needs no permission."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Ask a person of the shop to do something for the customer (mailshot, call, visit)."""

    id: str
    customer: str
    campaign: str
    occasion: str
    kind: str
    instructions: str
    reason: str
    facts: str
    decided_at: int
    not_after: int


class TaskDone(msgspec.Struct, frozen=True, kw_only=True):
    """Take this task off the list: somebody did it."""

    id: str
    """The task's id."""
    customer: str
    outcome: str
    note: str
    decided_at: int


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Know why: a campaign was considered for the customer and this was the answer."""

    id: str
    customer: str
    campaign: str
    occasion: str
    outcome: Literal["TAKEN", "REFUSED", "DEFERRED", "REVOKED", "ENDED"]
    reason: str
    facts: str
    decided_at: int
    campaigns_version: int


class LoyaltyChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Know that a customer's points or tier changed: one line of their statement."""

    id: str
    customer: str
    reason: Literal["EARNED", "TAKEN_BACK", "EXPIRED", "CONVERTED", "TIER_CHANGED"]
    source: str
    """What it rests on: `order/ID`, `event/NAME/OCCASION`, `campaign/NAME/OCCASION`, `reward/NAME`; or the tier."""
    points: int
    """Below 0: taken."""
    balance: int
    """After it; below 0: more was taken back than there was."""
    lifetime_points: int
    tier: str
    """"" for none."""
    expires_at: int
    """Of points that were earned, or of the tier; 0: never."""
    decided_at: int


class ChatLine(msgspec.Struct, frozen=True, kw_only=True):
    """Tell the desk and the visitor's page: this was said in a conversation, or it was opened or closed."""

    id: str
    customer: str
    anonymous_id: str
    """The visitor's browser, whose page hears of it; "" if none is known: then the person's pages do."""
    conversation_id: str
    kind: Literal["OPENED", "MESSAGE", "CLOSED"]
    by: Literal["VISITOR", "AGENT"]
    agent_id: str
    agent_name: str
    text: str
    url: str
    believed: bool
    """False: it came under the customer's name from somebody who did not prove to be them."""
    message_id: str
    at: int
    """When it was said, epoch ms."""
    decided_at: int

    # What whoever delivers asks of every effect, and no campaign has said of this one.
    campaign: ClassVar[str] = ""
    occasion: ClassVar[str] = ""
    channel: ClassVar[str] = CHAT
    reason: ClassVar[str] = ""
    facts: ClassVar[str] = "{}"

    @property
    def not_after(self) -> int:
        """Nobody waits for an answer to it any longer, epoch ms."""
        return self.decided_at + LINE_WAITS_MS


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Keep this record for a human: it could not be processed."""

    id: str
    topic: str
    partition: int
    offset: int
    reason: str
    key: bytes
    value: bytes
    at: int


class DeadLetterReplayed(msgspec.Struct, frozen=True, kw_only=True):
    """Know that this dead letter's record was put back on its topic: it is never put back twice."""

    id: str
    """The dead letter's id."""
    topic: str
    partition: int
    key: bytes
    at: int


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """Keep this on the list, or take it off: somebody was erased."""

    id: str
    request_id: str
    outcome: Literal["ERASED", "LIFTED"]
    tombstone: str
    """The salted hash of the subject's key, in hexadecimal digits."""
    salt: bytes
    events_partition: int
    """Where the subject lives; each has a salt of its own."""
    at: int
    """Records before it are about who was erased."""


class Send(msgspec.Struct, frozen=True):
    """Tell another subject: append `message` to `events` under the key `to`."""

    to: str
    message: Internal


class Forward(msgspec.Struct, frozen=True):
    """Send the record that caused this step on to another subject, as `EventForwarded`: the worker has its bytes."""

    to: str
    anonymous_id: str
    trust: Trust


_ToPeople = Voucher | VoucherRevoked | ChatPrompt | Message | Task
Effect = _ToPeople | ChatLine | TaskDone | LoyaltyChanged | Decision | DeadLetter | DeadLetterReplayed | Erasure
Output = Effect | Send | Forward


def named_reason(reason: str) -> str:
    """A reason's name, without the figures some put behind a colon: `lapsed: chance … fell to 0.1998` → `lapsed`."""
    return reason.partition(":")[0]


def dead_letter_reason(reason: str) -> str:
    """The kind of a dead letter's reason, without what is particular to the record: `unknown schema id 7` →
    `unknown schema id`. One of a few, to count by."""
    return _PARTICULAR.split(reason, maxsplit=1)[0].strip()


TOPIC_OF: dict[type, str] = {
    Voucher: "vouchers",
    VoucherRevoked: "vouchers",
    ChatPrompt: "chat-prompts",
    ChatLine: "conversations",
    Message: "messages",
    Task: "tasks",
    TaskDone: "tasks",
    LoyaltyChanged: "loyalty",
    Decision: "decisions",
    DeadLetter: "dead-letters",
    DeadLetterReplayed: "dead-letters",
    Erasure: "erasures",
}
