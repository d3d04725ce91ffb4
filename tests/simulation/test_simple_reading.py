"""The simplest reading of a log (`proof.recompute`) comes to what the worker comes to; they share only the core."""

from collections import Counter

import msgspec
from proof.recompute import EVENTS, Fold
from simulation.test_simulation import CODEC, EFFECT_TOPICS, PARTITIONS, decided_again, disturbed, shoppers

from pipeline.core import subjects


def test_the_simple_reading_comes_to_what_the_worker_comes_to() -> None:
    log, _ = disturbed(7, shoppers(7, 800), rate=0.05)
    _, store = decided_again(log, 5_000)
    outputs: Counter[tuple[str, bytes, bytes]] = Counter()
    for number in range(PARTITIONS):
        fold = Fold(CODEC, b"simulation").take_all(log.records[EVENTS, number])
        outputs += fold.outputs
        assert {key: subjects.encode(state) for key, state in fold.subjects.items()} == store.subjects[number]
        assert fold.timers == store.timers[number]
        assert msgspec.msgpack.encode(fold.state) == store.states[number]
        assert msgspec.msgpack.encode(fold.active) == store.rules[number]
    effects = Counter({one: count for one, count in outputs.items() if one[0] != EVENTS})
    assert effects == Counter((r.topic, r.key, r.value) for topic in EFFECT_TOPICS for r in log.of(topic))
    assert sum(effects.values()) > 50
