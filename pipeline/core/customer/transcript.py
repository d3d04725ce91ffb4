"""What was said in conversations: the lines that are kept, within bounds, and those that are told.

Part of the slice `chat`. Nobody speaks for an agent but who holds the server key: what a page says an agent said is
neither kept nor told. The collector takes an `agent_id` under that key only, so that the agent's word stays one when
it is forwarded with the lesser trust of a browser.
"""

from typing import TYPE_CHECKING, Literal

import msgspec

from pipeline.core.effects import ChatLine
from pipeline.core.events import SERVER, Chat
from pipeline.core.identifiers import effect_id
from pipeline.core.limits import MAX_TEXT_CHARACTERS

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

MAX_LINES = 100
MAX_LINE_CHARACTERS = 2_000
MAX_CHARACTERS = 20_000
"""Of all lines kept."""
MAX_URL_CHARACTERS = 1_000
STARTED = "Live Chat Conversation Started"
ENDED = "Live Chat Conversation Ended"
SENT = "Live Chat Message Sent"
RECEIVED = "Live Chat Message Received"
MESSAGES = frozenset({SENT, RECEIVED})


class Line(msgspec.Struct, frozen=True, array_like=True):
    """One thing that was said."""

    id: str
    at: int
    by: Literal["VISITOR", "AGENT"]
    agent: str
    """The agent's name; "" unless an agent said it."""
    text: str
    url: str
    conversation: str
    browser: str
    """Where the visitor sat, as far as it is known."""
    believed: bool
    """False: it came under the customer's name from somebody who did not prove to be them."""


def told(profile: "Profile", event: Chat, now: int) -> ChatLine | None:
    """What desk and page are to hear of the event; None: nothing, a page speaks for an agent."""
    by_agent = bool(event.agent_id) or (event.event == RECEIVED and event.trust == SERVER)
    if event.event == RECEIVED and not by_agent:
        return None
    return ChatLine(
        id=effect_id("chat line", profile.key, event.message_id),
        customer=profile.key,
        anonymous_id=event.browser or event.anonymous_id,
        conversation_id=event.conversation_id[:MAX_TEXT_CHARACTERS],
        kind={STARTED: "OPENED", ENDED: "CLOSED"}.get(event.event, "MESSAGE"),  # type: ignore[arg-type]  # a literal
        by="AGENT" if by_agent else "VISITOR",
        agent_id=event.agent_id[:MAX_TEXT_CHARACTERS] if by_agent else "",
        agent_name=event.agent_name[:MAX_TEXT_CHARACTERS] if by_agent else "",
        text=event.body[:MAX_LINE_CHARACTERS],
        url=event.url if len(event.url) <= MAX_URL_CHARACTERS and event.url.startswith("https://") else "",
        believed=by_agent or profile.believes(event.trust),
        message_id=event.message_id,
        at=min(event.occurred_at, now),
        decided_at=now,
    )


def with_line(lines: tuple[Line, ...], said: ChatLine) -> tuple[Line, ...]:
    """The lines kept once this was said; openings and closings are no lines."""
    if said.kind != "MESSAGE":
        return lines
    line = Line(
        said.id,
        said.at,
        said.by,
        said.agent_name,
        said.text,
        said.url,
        said.conversation_id,
        said.anonymous_id,
        said.believed,
    )
    return bounded((*lines, line))


def merged(ours: tuple[Line, ...], theirs: tuple[Line, ...]) -> tuple[Line, ...]:
    """Both, in the order of their times."""
    if not theirs:
        return ours
    return bounded(tuple(sorted((*theirs, *ours), key=lambda line: (line.at, line.id))))


def bounded(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """The last ones that fit."""
    characters, kept = 0, 0
    for line in reversed(lines[-MAX_LINES:]):
        characters += len(line.text) + len(line.url)
        if characters > MAX_CHARACTERS:
            break
        kept += 1
    return lines[len(lines) - kept :]
