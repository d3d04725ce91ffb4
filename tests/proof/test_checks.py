"""Each check finds what it is named for, and nothing where all is well."""

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from pipeline.backends.contract import LogRecord
from pipeline.codec import Codec
from pipeline.core.events import Clickstream, Tick
from proof.checks import Stored, check_inputs, check_outputs, check_reading, check_rest, check_stored
from proof.ledger import Ledger
from proof.watch import Seen, digest

CODEC = Codec()
ONE = ("vouchers", b"u:1", CODEC.encode(Tick(source="x", received_at=1)))


def on_log(offset: int, message_id: str) -> LogRecord:
    """A click."""
    click = Clickstream(message_id=message_id, type="page", event="", occurred_at=1, received_at=1)
    return LogRecord("events", 0, offset, b"a:1", CODEC.encode(click))


@pytest.mark.parametrize(
    ("sent", "acknowledged", "log", "names"),
    [
        ([["1"]], ["1"], ["1"], []),
        ([["1"]], [], [], []),
        ([["1"]], [], ["1"], []),
        ([["1"], ["1"]], ["1"], ["1", "1"], []),
        ([["1"]], ["1"], [], ["lost write"]),
        ([["1"]], ["1"], ["1", "1"], []),
        ([], [], ["1"], ["stranger"]),
    ],
)
def test_inputs(
    sent: list[list[str]], acknowledged: list[str], log: list[str], names: list[str], tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "ledger")
    for ids in sent:
        number = ledger.attempt("here", ids, 0.0)
        ledger.answer(number, ids, 200 if ids[0] in acknowledged else 0, "", 0.0)
    ledger.close()
    found = check_inputs(ledger, [on_log(offset, message_id) for offset, message_id in enumerate(log)])
    assert [anomaly.name for anomaly in found] == names


@pytest.mark.parametrize(
    ("expected", "published", "names"),
    [(1, 1, []), (1, 0, ["unseen"]), (1, 2, ["duplicate"]), (0, 1, ["aborted read"])],
)
def test_outputs(expected: int, published: int, names: list[str]) -> None:
    found = check_outputs(Counter({ONE: expected}), Counter({ONE: published}))
    assert [anomaly.name for anomaly in found] == names


@pytest.mark.parametrize(
    ("seen", "names"),
    [
        ([(0, b"x"), (2, b"y")], []),
        ([(0, b"x")], ["gap"]),
        ([(0, b"x"), (1, b"?"), (2, b"y")], ["aborted read"]),
        ([(0, b"x"), (2, b"?")], ["inconsistent offsets"]),
        ([(0, b"x"), (2, b"y"), (0, b"x"), (2, b"y")], ["non-monotonic poll", "non-monotonic poll"]),
    ],
)
def test_reading(seen: list[tuple[int, bytes]], names: list[str]) -> None:
    log = {("vouchers", 0): [LogRecord("vouchers", 0, 0, b"k", b"x"), LogRecord("vouchers", 0, 2, b"k", b"y")]}
    came = [Seen(offset, digest(b"k", value)) for offset, value in seen]
    assert [anomaly.name for anomaly in check_reading({("vouchers", 0): came}, log)] == names


def test_what_follows_the_stored_offset_is_the_owners_clock_only() -> None:
    tick = LogRecord("events", 0, 5, b"", CODEC.encode(Tick(source="x", received_at=1)))
    assert not check_rest([on_log(4, "1"), tick], 5)
    assert [anomaly.name for anomaly in check_rest([on_log(4, "1"), tick], 4)] == ["unseen"]


def test_a_stored_state_that_is_not_what_the_log_comes_to_is_found() -> None:
    nothing = Stored(1, msgspec.msgpack.encode([]), msgspec.msgpack.encode([]), {}, {})
    assert not check_stored(0, nothing, nothing)
    for wrong in (
        msgspec.structs.replace(nothing, state=msgspec.msgpack.encode([1])),
        msgspec.structs.replace(nothing, rules=msgspec.msgpack.encode([1])),
        msgspec.structs.replace(nothing, timers={"u:1": 5}),
    ):
        assert [anomaly.name for anomaly in check_stored(0, wrong, nothing)] == ["lost update"]
