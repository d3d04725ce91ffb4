"""Delivering to the outbox: each effect one file, told to its customer, again after any crash, never what is over."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api.running import CODEC, EVENTS, revoked, voucher

from pipeline.backends.contract import NewRecord, Unavailable
from pipeline.backends.sqlite import Embedded
from pipeline.core.effects import TOPIC_OF, Effect, Task
from pipeline.core.events import EffectDelivered
from pipeline.observe import DeliverMeasures, exposition, new_registry
from pipeline.sinks.deliver import Deliverer
from pipeline.sinks.outbox import Outbox, render
from pipeline.sinks.positions import Positions

NOW = 1_800_000_000_000
LATER = NOW + 1_000


class World:
    """A log, an outbox, and deliverers that come and go."""

    def __init__(self, folder: Path) -> None:
        self.backend = Embedded(folder / "data", partitions=2)
        self.appender = self.backend.appender("test")
        self.folder = folder / "outbox"
        self.registry = new_registry()
        self.measures = DeliverMeasures(self.registry)

    def deliverer(self, **parts: Any) -> Deliverer:
        given: dict[str, Any] = {
            "reader": self.backend.reader(),
            "appender": self.appender,
            "codec": CODEC,
            "sink": Outbox(self.folder),
            "positions": Positions(self.folder.parent / "positions.json"),
            "clock": lambda: NOW,
            "measures": self.measures,
        }
        return Deliverer(**(given | parts))

    def emit(self, *effects: Effect) -> None:
        for effect in effects:
            record = NewRecord(TOPIC_OF[type(effect)], b"u:ada", CODEC.encode(effect))
            self.appender.append([record])

    def files(self) -> set[str]:
        return {file.name for file in self.folder.iterdir()} if self.folder.exists() else set()

    def reports(self) -> list[tuple[str, str, str]]:
        reader = self.backend.reader()
        events = [
            CODEC.decode(record.value)
            for partition in range(reader.partitions())
            for record in reader.read(EVENTS, partition, 0, 1_000, 0.0)[0]
        ]
        return [(it.effect_id, it.outcome, it.reason) for it in events if isinstance(it, EffectDelivered)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.backend.close()


def mail(number: int = 1, **terms: Any) -> Any:
    return voucher(number, **({"channel": "email", "not_after": LATER, "decided_at": NOW} | terms))


def test_an_effect_is_a_file_by_its_id(world: World) -> None:
    world.emit(mail(1), mail(2, channel="post"))
    world.deliverer().turn()
    assert world.files() == {"voucher-1.json", "voucher-2.json"}
    found = json.loads((world.folder / "voucher-1.json").read_bytes())
    assert (found["kind"], found["code"], found["channel"]) == ("voucher", "CODE1", "email")
    assert found["facts"]["orders"] == 2
    assert world.reports() == [("voucher-1", "SENT", ""), ("voucher-2", "SENT", "")]
    assert b'rapport_sink_effects_out_total{outcome="SENT",reason="",sink="outbox"} 2.0' in exposition(world.registry)


def test_what_the_site_shows_is_left_to_it(world: World) -> None:
    world.emit(voucher(1), voucher(2, channel="site"))
    world.deliverer().turn()
    assert (world.files(), world.reports()) == (set(), [])


def test_what_is_over_is_not_sent_and_said(world: World) -> None:
    world.emit(mail(1, not_after=NOW - 1))
    world.deliverer().turn()
    assert (world.files(), world.reports()) == (set(), [("voucher-1", "SKIPPED", "expired")])


def test_what_was_taken_back_before_is_not_sent(world: World) -> None:
    world.emit(mail(1), revoked(mail(1)))
    world.deliverer().turn()
    assert (world.files(), world.reports()) == (set(), [("voucher-1", "SKIPPED", "revoked")])


def test_what_is_taken_back_later_is_removed_if_nobody_took_it(world: World) -> None:
    world.emit(mail(1), mail(2))
    deliverer = world.deliverer()
    deliverer.turn()
    (world.folder / "voucher-2.json").unlink()  # the mailer has it
    world.emit(revoked(mail(1)), revoked(mail(2)))
    deliverer.turn()
    assert world.files() == set()


def test_the_next_one_goes_on_where_the_last_one_stopped(world: World) -> None:
    world.emit(mail(1))
    world.deliverer().turn()
    (world.folder / "voucher-1.json").unlink()
    world.emit(mail(2))
    world.deliverer().turn()
    assert world.files() == {"voucher-2.json"}
    assert len(world.reports()) == 2


def test_a_crash_before_the_position_repeats_and_harms_nothing(world: World) -> None:
    class LogAway:
        """Appends nothing."""

        def append(self, _records: object) -> None:
            raise Unavailable("the log is away")

    world.emit(mail(1))
    with pytest.raises(Unavailable):
        world.deliverer(appender=LogAway()).turn()
    assert (world.files(), world.reports()) == ({"voucher-1.json"}, [])
    world.deliverer().turn()
    assert (world.files(), world.reports()) == ({"voucher-1.json"}, [("voucher-1", "SENT", "")])


def test_a_full_disk_leaves_no_part_of_a_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    world.emit(mail(1))
    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space"):
        patched.setattr("os.fsync", full)
        world.deliverer().turn()
    assert (world.files(), world.reports()) == (set(), [])
    world.deliverer().turn()
    assert world.files() == {"voucher-1.json"}


def test_a_record_nobody_can_read_is_left_out(world: World) -> None:
    world.appender.append([NewRecord("vouchers", b"u:ada", b"rubbish")])
    world.emit(mail(1, id="../evil"), mail(2))
    world.deliverer().turn()
    assert world.files() == {"voucher-2.json"}
    assert world.reports() == [("../evil", "FAILED", "unrenderable"), ("voucher-2", "SENT", "")]


def test_tasks_are_delivered_too(world: World) -> None:
    task = Task(
        id="t1", customer="u:ada", campaign="c", occasion="o", kind="call", instructions="Call them", reason="r",
        facts="{}", decided_at=NOW, not_after=LATER,
    )  # fmt: skip
    world.emit(task)
    world.deliverer().turn()
    assert world.files() == {"t1.json"}
    assert json.loads(render(task).content)["kind"] == "call"


def test_positions_of_another_log_are_not_believed(world: World) -> None:
    file = world.folder.parent / "positions.json"
    file.write_text('{"version":1,"next_offsets":{"vouchers":{"0":500}}}')
    world.emit(mail(1))
    world.deliverer().turn()
    assert world.files() == {"voucher-1.json"}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"next_offsets":{"vouchers":{"0":"x"}}}', '{"next_offsets":1}']
)
def test_a_file_that_holds_no_positions_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(ValueError, match="remove it"):
        Positions(tmp_path / "p.json")
