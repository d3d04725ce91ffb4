"""What happened in the demonstration: a figure a line, read from the log and the store as they stand."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import msgspec
from rich.table import Table

from pipeline.backends.contract import LogRecord, Reader
from pipeline.backends.reading import blocks
from pipeline.codec import Codec
from pipeline.core import subjects
from pipeline.core.customer.profile import Profile
from pipeline.core.customer.transcript import STARTED
from pipeline.core.effects import ChatLine, ChatPrompt, Voucher, named_reason
from pipeline.core.events import Chat, Clickstream

BY_TIMER = ("lapsed", "cart_idle")
"""Named reasons of triggers that a timer causes, not an event."""


class _Answering(msgspec.Struct):
    prompt_id: str = ""


_answering = msgspec.json.Decoder(_Answering).decode


class Beginning(msgspec.Struct, frozen=True):
    """Where the live part began."""

    at: int
    """Epoch ms."""
    offsets: Mapping[int, int]
    """The next record of each partition of `events`."""

    @classmethod
    def of(cls, reader: Reader, at: int) -> "Beginning":
        """It begins now."""
        return cls(at, {number: reader.end_offset("events", number) for number in range(reader.partitions())})


def summary(reader: Reader, keys: Callable[[int], Iterable[str]], live: Beginning, mails: int) -> Table:
    """The table. `mails`: how many came to the mailbox."""
    codec = Codec()
    profiles = [p for number in range(reader.partitions()) for p in _profiles(reader, keys(number))]
    vouchers = list(_records(reader, "vouchers"))
    prompts = list(_records(reader, "chat-prompts"))
    latencies = sorted(_latencies([*vouchers, *prompts], codec, live.at))
    came_back = _came_back(reader, codec, live)
    table = Table("what", "figure", title="What happened")
    for name, figure in (
        ("events", f"{sum(p.activity.events for p in profiles):,}"),
        ("customers", f"{len(profiles):,}"),
        ("lapsed", f"{sum(p.lifecycle.times_lapsed for p in profiles):,}"),
        ("won back", f"{sum(p.lifecycle.times_won_back for p in profiles):,}"),
        ("vouchers", f"{len(vouchers):,}"),
        ("mails sent", f"{mails:,}"),
        ("mails opened", f"{came_back['Email Opened']:,}"),
        ("links followed", f"{came_back['Email Link Clicked']:,}"),
        ("prompts", f"{len(prompts):,}"),
        ("prompts answered", f"{came_back[STARTED]:,}"),
        ("chats answered at the desk", f"{_answered(reader, codec):,}"),
        ("event-to-trigger p50", _milliseconds(latencies, 50)),
        ("event-to-trigger p99", _milliseconds(latencies, 99)),
    ):
        table.add_row(name, figure)
    return table


def _profiles(reader: Reader, keys: Iterable[str]) -> Iterable[Profile]:
    for key in keys:
        if key.startswith(("u:", "a:")):
            _, stored = reader.subject(key)
            state = subjects.decode(key, stored) if stored else None
            if isinstance(state, Profile):
                yield state


def _records(reader: Reader, topic: str, since: Mapping[int, int] | None = None) -> Iterable[LogRecord]:
    for number in range(reader.topic_partitions(topic)):
        start = (since or {}).get(number, 0)
        for records, _ in blocks(reader, topic, number, start, reader.end_offset(topic, number)):
            yield from records


def _came_back(reader: Reader, codec: Codec, live: Beginning) -> Counter[str]:
    """What people did with what reached them, by the name of the event; of chats those that began with a prompt."""
    counts: Counter[str] = Counter()
    for record in _records(reader, "events", live.offsets):
        event = codec.decode(record.value)
        if isinstance(event, Clickstream) or (
            isinstance(event, Chat) and _answering(event.properties or "{}").prompt_id
        ):
            counts[event.event] += 1
    return counts


def _answered(reader: Reader, codec: Codec) -> int:
    """Conversations in which an agent said something."""
    lines = (codec.decode(record.value) for record in _records(reader, "conversations"))
    return len({line.conversation_id for line in lines if isinstance(line, ChatLine) and line.by == "AGENT"})


def _latencies(records: list[LogRecord], codec: Codec, since: int) -> Iterable[int]:
    """From the event's arrival at the collector to its trigger on the log, ms; those a timer caused do not count."""
    for record in records:
        effect = codec.decode(record.value)
        if isinstance(effect, Voucher | ChatPrompt) and effect.decided_at >= since:
            if named_reason(effect.reason) in BY_TIMER:
                continue
            yield record.timestamp - effect.decided_at


def _milliseconds(values: list[int], percent: int) -> str:
    if len(values) < 2:
        return "–"
    return f"{statistics.quantiles(values, n=100, method='inclusive')[percent - 1]:.0f} ms of {len(values)}"
