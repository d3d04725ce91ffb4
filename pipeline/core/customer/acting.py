"""What a campaign that may act does: by which way, and the prompt, message or task it comes to.

Pure making of effects from a candidate that passed; whether it passes is for `decisions`. Vouchers are minted by
`vouchers`, which keeps them; `modules` keeps what is to be shown.
"""

from typing import TYPE_CHECKING

import msgspec

from pipeline.core.customer.notes import Candidate, Fact, facts_json
from pipeline.core.do import DoChatPrompt, DoMessage, DoModule, DoPoints, DoTask, DoVoucher, DoWebhook
from pipeline.core.effects import ACCOUNT, NEXT_VISIT, WEBHOOK, ChatPrompt, Message, Output, Task
from pipeline.core.identifiers import effect_id
from pipeline.core.rules import Campaign

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

DAY_MS = 86_400_000
PROMPT_LIVES_MS = 5 * 60_000
SITE = "site"
EMAIL = "email"
CHANNEL_OF_TASK = {"mailshot": "post", "phone": "phone", "visit": "phone"}
"""What the customer must have permitted for a task of each kind: a visit is arranged by telephone."""


def way(profile: "Profile", campaign: Campaign) -> tuple[str, list[str]]:
    """The first channel the customer permits, and those before it that they do not. With none a voucher waits for the
    next visit; anything else has no way: ""."""
    do = campaign.do
    if isinstance(do, DoPoints):
        return ACCOUNT, []
    if isinstance(do, DoChatPrompt | DoModule | DoWebhook):
        open_to_all = WEBHOOK if isinstance(do, DoWebhook) else SITE
        refused = profile.consent.allows(open_to_all, campaign.contact.purpose) is False
        return ("", [open_to_all]) if refused else (open_to_all, [])
    closed: list[str] = []
    for channel in (CHANNEL_OF_TASK[do.task],) if isinstance(do, DoTask) else campaign.contact.channels:
        if _permits(profile, campaign, channel):
            return channel, closed
        closed.append(channel)
    return NEXT_VISIT if isinstance(do, DoVoucher) else "", closed


def _permits(profile: "Profile", campaign: Campaign, channel: str) -> bool:
    contact = campaign.contact
    allowed = profile.consent.allows(channel, contact.purpose)
    if allowed is None:
        return contact.soft_opt_in and channel == EMAIL and profile.purchases.count > 0
    return allowed


def effects(campaign: Campaign, candidate: Candidate, channel: str, key: str, now: int) -> list[Output]:
    """What is to be done now; vouchers and content modules are not among it: the profile keeps those."""
    match campaign.do:
        case DoChatPrompt() as do:
            return [_prompt(do, candidate, key, now)]
        case DoMessage() | DoWebhook() as do:
            return [_message(campaign, do, candidate, channel, key, now)]
        case DoTask() as do:
            return [_task(do, candidate, key, now)]
        case _:
            return []


def _prompt(do: DoChatPrompt, candidate: Candidate, key: str, now: int) -> ChatPrompt:
    return ChatPrompt(
        id=effect_id(candidate.campaign, key, candidate.occasion),
        customer=key,
        anonymous_id=candidate.anonymous_id,
        campaign=candidate.campaign,
        occasion=candidate.occasion,
        reason=candidate.reason,
        category=candidate.category,
        product_id=candidate.product_id,
        text=do.text,
        facts=candidate.facts,
        decided_at=now,
        not_after=now + PROMPT_LIVES_MS,
    )


def _message(
    campaign: Campaign, do: DoMessage | DoWebhook, candidate: Candidate, channel: str, key: str, now: int
) -> Message:
    return Message(
        id=effect_id(candidate.campaign, key, candidate.occasion),
        customer=key,
        campaign=candidate.campaign,
        occasion=candidate.occasion,
        channel=channel,
        template=do.event if isinstance(do, DoWebhook) else do.template,
        values=_values(do, candidate),
        reason=candidate.reason,
        facts=candidate.facts,
        decided_at=now,
        not_after=now + do.valid_days * DAY_MS,
        purpose=campaign.contact.purpose,
    )


def _values(do: DoMessage | DoWebhook, candidate: Candidate) -> str:
    """What the campaign's file says, and what it is about if that is known."""
    about = {"category": candidate.category, "product_id": candidate.product_id}
    values: dict[str, Fact] = {name: value for name, value in about.items() if value}
    return facts_json(values | dict(do.values))


def _task(do: DoTask, candidate: Candidate, key: str, now: int) -> Task:
    return Task(
        id=effect_id(candidate.campaign, key, candidate.occasion),
        customer=key,
        campaign=candidate.campaign,
        occasion=candidate.occasion,
        kind=do.task,
        instructions=do.instructions,
        reason=candidate.reason,
        facts=candidate.facts,
        decided_at=now,
        not_after=now + do.valid_days * DAY_MS,
    )


def with_way(candidate: Candidate, channel: str, closed: list[str]) -> Candidate:
    """The candidate, its facts also saying by which channel, and which others the customer does not permit."""
    facts: dict[str, Fact] = msgspec.json.decode(candidate.facts)
    facts["channel"] = channel
    if closed:
        facts["not_permitted"] = closed
    return msgspec.structs.replace(candidate, facts=facts_json(facts))
