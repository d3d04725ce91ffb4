"""A parcel of messages to records for the log: translated, encoded, keyed; what is refused becomes a dead letter.
Pure but for counting."""

from collections import defaultdict

import msgspec

from pipeline.backends.contract import NewRecord
from pipeline.core.effects import DeadLetter
from pipeline.core.events import Clickstream, Input
from pipeline.core.identifiers import customer_key, effect_id
from pipeline.envelope import Encodes, effect_record
from pipeline.producers.collector.answers import Rejected, Rejection
from pipeline.producers.collector.body import MAX_EVENT_BYTES, Message, read_message
from pipeline.producers.collector.translate import Arrival, generated_id, translate
from pipeline.producers.collector.values import text

EVENTS = "events"
CRAWLER = "crawler"
"""The code of what is left out though nothing is wrong with it: there is no dead letter of it."""


_UNREAD = Message()


class Taken(msgspec.Struct):
    """What came of some messages."""

    records: list[NewRecord]
    rejected: list[Rejection]
    outcomes: defaultdict[tuple[str, str], int]
    """How many by (outcome, reason), for the measures."""


def take(messages: list[bytes], first: int, type_: str, arrival: Arrival, codec: Encodes) -> Taken:
    """Records of these messages, `first` being the place of the first one in its batch. `type_` "": each says its
    own."""
    taken = Taken([], [], defaultdict(int))
    records, outcomes, encode = taken.records, taken.outcomes, codec.encode
    for index, raw in enumerate(messages, first):
        message = _UNREAD
        try:
            message = read_message(raw)
            record = translate(message, type_ or text(message.type), arrival, raw, index)
        except Rejected as problem:
            _reject(taken, message, raw, index, problem, arrival, codec)
            continue
        if _is_crawlers(message, record, arrival):
            taken.rejected.append(Rejection(text(message.message_id)[:100], CRAWLER, "a crawler is no customer"))
            outcomes["dropped", CRAWLER] += 1
            continue
        key = customer_key(record.user_id, record.anonymous_id).encode()
        records.append(NewRecord(EVENTS, key, encode(record)))
        outcomes["accepted", record.clamped] += 1
    return taken


def _is_crawlers(message: Message, record: Input, arrival: Arrival) -> bool:
    """Whether a crawler caused it. What a shop's server says of orders and customers it knows better."""
    if arrival.crawlers is None or (arrival.access.kind == "server" and not isinstance(record, Clickstream)):
        return False
    agent = message.context.get("userAgent") if isinstance(message.context, dict) else None
    return arrival.crawlers.is_crawler((text(agent) if agent else "") or arrival.user_agent)


def _reject(
    taken: Taken, message: Message, raw: bytes, index: int, problem: Rejected, arrival: Arrival, codec: Encodes
) -> None:
    given = text(message.message_id)
    taken.rejected.append(Rejection(given[:100], problem.code, problem.message))
    taken.outcomes["rejected", problem.code] += 1
    key = _readable_key(message)
    letter = DeadLetter(
        id=effect_id("http", given, generated_id(raw, arrival.access, index)),
        topic="http",
        partition=-1,
        offset=-1,
        reason=f"{problem.code}: {problem.message}",
        key=key,
        value=raw[:MAX_EVENT_BYTES],
        at=arrival.received_at,
    )
    taken.records.append(effect_record(letter, codec))


def _readable_key(message: Message) -> bytes:
    """The subject the refused event seems to be about, so that erasing the person finds it; b"" if it shows none."""
    user_id, anonymous_id = text(message.user_id)[:256], text(message.anonymous_id)[:256]
    return customer_key(user_id, anonymous_id).encode() if user_id or anonymous_id else b""
