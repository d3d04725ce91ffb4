"""All that is kept of one person: whom it concerns, the request to erase it, and the document that hands it over.

Reads, and writes the words of a request; what erasing does is `pipeline.core.erasure`'s.
"""

import itertools
import os
import secrets
from collections.abc import Iterator
from typing import Any

import msgspec

from pipeline.api.described import described
from pipeline.api.view import customer_view, voucher_view
from pipeline.backends.contract import LogRecord, NewRecord, Reader
from pipeline.backends.reading import blocks
from pipeline.codec import Codec
from pipeline.core import erasure, subjects
from pipeline.core.bounds import SALT_BYTES
from pipeline.core.customer.profile import Profile
from pipeline.core.deliveries import DELIVERIES
from pipeline.core.effects import TOPIC_OF, Erasure
from pipeline.core.events import ErasureRequested
from pipeline.core.partitioner import partition_of
from pipeline.core.voucher import VoucherState
from pipeline.erased import ErasureFilter, ErasureList

VERSION = 1
"""Of the exported document: rises when a field changes its meaning or goes."""
EVENTS = "events"
TOPICS = (EVENTS, *dict.fromkeys(topic for kind, topic in TOPIC_OF.items() if kind is not Erasure), DELIVERIES)

_encode = msgspec.json.encode


class Person(msgspec.Struct, frozen=True):
    """A person or browser with what is theirs."""

    key: str
    profile: Profile
    browsers: dict[str, Profile | None]
    """By key, those that would go with them; None: forgotten already, but the log may have its records."""
    vouchers: dict[str, VoucherState]
    """By key."""

    def subjects(self) -> list[str]:
        """All subjects."""
        return [self.key, *self.browsers, *self.vouchers]


def find_person(reader: Reader, key: str) -> Person | None:
    """The person or browser `key` (`u:…`, `a:…`); None if nobody is known by it. Raises Unavailable."""
    profile = _state(reader, key)
    if not isinstance(profile, Profile):
        return None
    passed_on = ErasureRequested(request_id="", owner=key, salt=b"", source="", received_at=0)
    browsers: dict[str, Profile | None] = {}
    for name in erasure.browsers_of(profile):
        state = _state(reader, name)
        if erasure.obeys(name, state, passed_on):
            browsers[name] = state if isinstance(state, Profile) else None
    vouchers = {name: _state(reader, name) for name in erasure.vouchers_of(profile)}
    return Person(key, profile, browsers, {k: v for k, v in vouchers.items() if isinstance(v, VoucherState)})


def erasure_request(key: str, codec: Codec, source: str, now: int) -> tuple[str, NewRecord]:
    """The request's id and the record that asks for it; `now` is epoch ms."""
    request_id = secrets.token_hex(16)
    request = ErasureRequested(request_id=request_id, salt=os.urandom(SALT_BYTES), source=source, received_at=now)
    return request_id, NewRecord(EVENTS, key.encode(), codec.encode(request))


def exported(reader: Reader, codec: Codec, person: Person, now: int) -> Iterator[bytes]:
    """The document in pieces, as UTF-8: what the store holds, then every record the log still has, read as it is
    written out. Raises Unavailable in the middle if the log cannot be read to its end."""
    head: dict[str, Any] = {
        "version": VERSION,
        "exported_at": now,
        "id": person.key,
        "profile": customer_view(person.profile, now, last_orders=None),
        "browsers": [
            {"id": name, "profile": customer_view(profile, now, last_orders=None) if profile else None}
            for name, profile in person.browsers.items()
        ],
        "vouchers": [voucher_view(state, now) for state in person.vouchers.values()],
    }
    yield _encode(head)[:-1] + b',"records":['
    separator = itertools.chain([b"\n"], itertools.repeat(b",\n"))
    for record in _records(reader, codec, person):
        yield next(separator) + _encode({"topic": record.topic, **described(record, codec)})
    yield b"\n]}\n"


def _records(reader: Reader, codec: Codec, person: Person) -> Iterator[LogRecord]:
    """All records with a key of theirs: of each topic only the partitions that can have them are read."""
    erased = ErasureFilter(ErasureList(codec).refresh(reader), codec)
    keys = {key.encode() for key in person.subjects()}
    for topic in TOPICS:
        count = reader.topic_partitions(topic)
        for number in sorted({partition_of(key, count) for key in keys}):
            start, end = reader.start_offset(topic, number), reader.end_offset(topic, number)
            for records, _ in blocks(reader, topic, number, start, end):
                yield from (it for it in records if it.key in keys and not erased.hides(it))


def _state(reader: Reader, key: str) -> subjects.State | None:
    _, stored = reader.subject(key)
    return subjects.decode(key, stored) if stored else None
