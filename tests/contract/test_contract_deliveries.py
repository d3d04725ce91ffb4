"""What deliverers rest on, on every backend: whole appends, cursors that come with them, one owner."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.backends.contract import Backend, DeliveryLog, NewRecord, Reader

from .moves import until

LEDGER = "deliveries"


@pytest.fixture
def opened(backend: Backend) -> Iterator[tuple[DeliveryLog, tuple[int, ...], list[str]]]:
    """A deliverer's side of the log, the partitions it was given, and what it heard."""
    heard: list[str] = []
    log = backend.deliveries("test", lambda: heard.append("released"))
    served = wait_for(log)
    yield log, served, heard
    log.close()


@pytest.fixture
def reader(backend: Backend) -> Iterator[Reader]:
    made = backend.reader()
    yield made
    made.close()


def wait_for(log: DeliveryLog) -> tuple[int, ...]:
    found: list[tuple[int, ...]] = []

    def told() -> bool:
        served = log.poll()
        if served:
            found.append(served)
        return bool(found)

    until("the partitions are told", told)
    return found[-1]


def test_all_partitions_of_the_ledger_are_served_and_told_once(
    opened: tuple[DeliveryLog, tuple[int, ...], list[str]], reader: Reader
) -> None:
    log, served, _ = opened
    assert served == tuple(range(reader.topic_partitions(LEDGER)))
    assert log.poll() is None


def test_what_was_never_given_is_no_cursor(opened: tuple[DeliveryLog, tuple[int, ...], list[str]]) -> None:
    log, _, _ = opened
    assert log.cursors([(LEDGER, 0), ("vouchers", 0)]) == {}


def test_records_and_cursors_stand_there_together(
    opened: tuple[DeliveryLog, tuple[int, ...], list[str]], reader: Reader
) -> None:
    """Also the cursors of topics this group never reads, and records of other topics."""
    log, _, _ = opened
    records = [NewRecord(LEDGER, b"u:ada", b"claimed", partition=0), NewRecord("events", b"u:ada", b"told")]
    log.append(records, {(LEDGER, 0): 3, ("vouchers", 0): 7})
    log.append([], {("vouchers", 0): 8})
    assert log.cursors([(LEDGER, 0), ("vouchers", 0), ("events", 0)]) == {(LEDGER, 0): 3, ("vouchers", 0): 8}
    assert [record.value for record in reader.read(LEDGER, 0, 0, 10, 10.0)[0]] == [b"claimed"]
    assert log.end(0) >= 1


def test_after_a_reset_the_partitions_are_told_again_and_the_cursors_are_as_they_were(
    opened: tuple[DeliveryLog, tuple[int, ...], list[str]],
) -> None:
    log, served, _ = opened
    log.append([], {(LEDGER, 0): 3})
    log.reset()
    assert wait_for(log) == served
    assert log.cursors([(LEDGER, 0)]) == {(LEDGER, 0): 3}
    log.append([], {(LEDGER, 0): 4})


def test_a_successor_has_the_cursors_and_another_destination_its_own(
    backend: Backend, opened: tuple[DeliveryLog, tuple[int, ...], list[str]]
) -> None:
    log, served, _ = opened
    log.append([], {(LEDGER, 0): 3})
    log.close()
    successor, other = backend.deliveries("test", lambda: None), backend.deliveries("other", lambda: None)
    try:
        assert wait_for(successor) == wait_for(other) == served
        assert successor.cursors([(LEDGER, 0)]) == {(LEDGER, 0): 3}
        assert other.cursors([(LEDGER, 0)]) == {}
    finally:
        successor.close()
        other.close()
