"""What must hold at the end, by the names that Jepsen's test of Kafka gave these anomalies. Pure: only compares.

- lost write: acknowledged with 200, and neither on the log nor among the dead letters
- unseen: on the log, and what follows from it was never published
- duplicate: published more often than it was decided
- aborted read: published or read, and nothing that is committed explains it
- inconsistent offsets: one offset read twice, with two contents
- gap: the reader was taken past a record that stands there
- non-monotonic poll: the reader was taken back
- lost update (not Jepsen's): a stored state is not what the log comes to
- stranger (not Jepsen's): on the log, and nobody sent it
- ended by itself (not Jepsen's): a process that nobody killed is gone
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from pipeline.backends.contract import LogRecord
from pipeline.codec import Codec
from pipeline.core import subjects
from pipeline.core.events import Control, Input, Internal
from proof.ledger import Ledger
from proof.recompute import EVENTS, Published
from proof.watch import Place, Seen, digest

NAMES = (
    "lost write",
    "unseen",
    "duplicate",
    "aborted read",
    "inconsistent offsets",
    "gap",
    "non-monotonic poll",
    "lost update",
    "stranger",
    "ended by itself",
)
_codec = Codec()


class Anomaly(msgspec.Struct, frozen=True):
    """One thing that should not be."""

    name: str
    what: str


class Stored(msgspec.Struct):
    """All of one partition of the store (or what it should be)."""

    offset: int
    state: bytes
    rules: bytes
    subjects: dict[str, bytes]
    timers: dict[str, int]


def check_inputs(ledger: Ledger, log: Iterable[LogRecord]) -> list[Anomaly]:
    """Every acknowledged event is on the log, and every event there was sent. It may stand there more often: clients
    send again, spools do, and what is decided takes each once."""
    found = copies_on(log)
    anomalies = [Anomaly("lost write", f"event {it}") for it in sorted(ledger.acknowledged - set(found))]
    strangers = sorted(set(found) - set(ledger.attempts))
    return anomalies + [Anomaly("stranger", f"event {it} is on the log; nobody sent it") for it in strangers]


def copies_on(log: Iterable[LogRecord]) -> Counter[str]:
    """How often each client's event stands on the log, by its message id."""
    events = (_codec.decode(record.value) for record in log)
    return Counter(event.message_id for event in events if isinstance(event, Input))


def check_outputs(expected: Counter[Published], published: Counter[Published]) -> list[Anomaly]:
    """Effects and messages between subjects: equal to the recomputation, byte for byte, each as often."""
    anomalies = []
    for one in sorted({*expected, *published}):
        wanted, got = expected[one], published[one]
        if got == wanted:
            continue
        name = "unseen" if got < wanted else "duplicate" if wanted else "aborted read"
        anomalies.append(Anomaly(name, f"{wanted} recomputed, {got} published: {described(one)}"))
    return anomalies


def messages_on(log: Iterable[LogRecord]) -> Counter[Published]:
    """What subjects told each other."""
    found: Counter[Published] = Counter()
    for record in log:
        if isinstance(_codec.decode(record.value), Internal):
            found[EVENTS, record.key, record.value] += 1
    return found


def check_rest(log: Iterable[LogRecord], offset: int) -> list[Anomaly]:
    """Beyond the last stored offset of a partition stands nothing but its owner's clock."""
    return [
        Anomaly("unseen", f"offset {record.offset} of partition {record.partition} is beyond the stored {offset}")
        for record in log
        if record.offset >= offset and not isinstance(_codec.decode(record.value), Control)
    ]


def check_reading(seen: Mapping[Place, list[Seen]], log: Mapping[Place, list[LogRecord]]) -> list[Anomaly]:
    """What the reader saw while everything failed is what stands there now, in order, and nothing is left out."""
    anomalies = []
    for (topic, number), came in seen.items():
        there = {record.offset: digest(record.key, record.value) for record in log[topic, number]}
        last = -1
        for each in came:
            place = f"{topic} {number}:{each.offset}"
            if each.offset <= last:
                anomalies.append(Anomaly("non-monotonic poll", f"{place} came after {last}"))
            last = max(last, each.offset)
            if each.offset not in there:
                anomalies.append(Anomaly("aborted read", f"{place} was read and does not stand there"))
            elif there[each.offset] != each.digest:
                anomalies.append(Anomaly("inconsistent offsets", f"{place} was read with another content"))
        left_out = sorted(there.keys() - {each.offset for each in came})
        anomalies += [Anomaly("gap", f"{topic} {number}:{offset} never came") for offset in left_out]
    return anomalies


def check_stored(partition: int, found: Stored, expected: Stored) -> list[Anomaly]:
    """States, timers, clock and rules of one partition are what the log comes to."""

    def wrong(what: str, one: object, other: object) -> Anomaly:
        return Anomaly("lost update", f"{what} of partition {partition}:\n  stored     {one}\n  recomputed {other}")

    anomalies = []
    if found.state != expected.state:
        anomalies.append(wrong("the state", _plain(found.state), _plain(expected.state)))
    if found.rules != expected.rules:
        anomalies.append(wrong("the rules", _plain(found.rules), _plain(expected.rules)))
    for key in sorted({*found.subjects, *expected.subjects}):
        one, other = found.subjects.get(key), expected.subjects.get(key)
        if one != other:
            anomalies.append(wrong(f"subject {key}", _subject(key, one), _subject(key, other)))
    for key in sorted({*found.timers, *expected.timers}):
        if found.timers.get(key) != expected.timers.get(key):
            anomalies.append(wrong(f"the timer of {key}", found.timers.get(key), expected.timers.get(key)))
    return anomalies


def described(published: Published) -> str:
    """A record in words."""
    topic, key, value = published
    return f"{topic} {key.decode(errors='replace')}: {_codec.decode(value)}"[:600]


def _subject(key: str, stored: bytes | None) -> object:
    return None if stored is None else subjects.decode(key, stored)


def _plain(stored: bytes) -> object:
    return msgspec.msgpack.decode(stored)
