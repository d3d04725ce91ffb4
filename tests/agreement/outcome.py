"""What a run came to, as plain data that can be compared: every effect and every final state.

Nothing is left out and nothing is repaired: effects are read as a downstream system reads them (committed records,
no deduplication), states are the JSON that the API and `rapport profile` answer. Only of what many customers tell (a
product, a category) it does not count when it was told and in which order: partitions keep no step with each other.
"""

import json
from collections import defaultdict
from collections.abc import Mapping

import msgspec

from pipeline.api.view import customer_view, voucher_view
from pipeline.backends.contract import Backend, Reader
from pipeline.backends.reading import blocks
from pipeline.codec import Codec
from pipeline.core import subjects
from pipeline.core.category import CategoryState
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import ChatPrompt, Effect, Voucher
from pipeline.core.product import ProductState
from pipeline.core.subjects import State
from pipeline.core.voucher import VoucherState

TOPICS = ("decisions", "vouchers", "chat-prompts", "conversations", "messages", "tasks", "loyalty", "dead-letters")


class Outcome(msgspec.Struct):
    """All of one run."""

    effects: dict[str, dict[str, list[Effect]]]
    """By topic and customer, in the order of the log."""
    states: dict[str, str]
    """By subject key: its JSON."""

    def count(self, topic: str) -> int:
        """How many effects the topic has."""
        return sum(map(len, self.effects[topic].values()))

    def codes(self) -> list[str]:
        """Of all vouchers given."""
        return [it.code for its in self.effects["vouchers"].values() for it in its if isinstance(it, Voucher)]

    def given(self) -> list[str]:
        """The id of every voucher and every prompt, as often as it was published."""
        everything = [*self.effects["vouchers"].values(), *self.effects["chat-prompts"].values()]
        return [it.id for its in everything for it in its if isinstance(it, Voucher | ChatPrompt)]


def outcome(backend: Backend) -> Outcome:
    """Read all of it."""
    reader = backend.reader()
    try:
        return Outcome({topic: _effects(reader, topic) for topic in TOPICS}, _states(backend, reader))
    finally:
        reader.close()


def _effects(reader: Reader, topic: str) -> dict[str, list[Effect]]:
    codec = Codec()
    found: dict[str, list[Effect]] = defaultdict(list)
    for number in range(reader.topic_partitions(topic)):
        start, end = reader.start_offset(topic, number), reader.end_offset(topic, number)
        for records, _ in blocks(reader, topic, number, start, end):
            for record in records:
                effect = codec.decode(record.value)
                assert isinstance(effect, Effect), effect
                found[record.key.decode()].append(effect)
    return dict(found)


def _states(backend: Backend, reader: Reader) -> dict[str, str]:
    found = {}
    for number in range(reader.partitions()):
        for key in backend.keys(number):
            _, stored = reader.subject(key)
            assert stored, f"{key} is listed in partition {number}, but it is not there"
            state = subjects.decode(key, stored)
            found[key] = json.dumps(_view(state), ensure_ascii=False)
    return found


def _view(state: State) -> object:
    if isinstance(state, Profile):
        return customer_view(state)
    if isinstance(state, ProductState | CategoryState):
        told = msgspec.structs.asdict(state)
        return {name: _in_order(told[name]) for name in told if name != "now"}
    return voucher_view(state, 0) if isinstance(state, VoucherState) else msgspec.to_builtins(state)


def _in_order(value: object) -> object:
    return dict(sorted(value.items())) if isinstance(value, dict) else value


def assert_equal(one: Outcome, other: Outcome) -> None:
    """Raises AssertionError with the first few differences, each with both sides."""
    differences = []
    for topic in TOPICS:
        differences += _different(topic, one.effects[topic], other.effects[topic])
    differences += _different("state of", one.states, other.states)
    assert not differences, f"{len(differences)} differences\n" + "\n".join(differences[:5])


def _different(what: str, one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    keys = [key for key in sorted({*one, *other}) if one.get(key) != other.get(key)]
    return [f"{what} {key}:\n  {one.get(key)}\n  {other.get(key)}" for key in keys]
