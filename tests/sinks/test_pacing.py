"""When to try again: later and later, never all at once; a dead destination is only probed."""

from pipeline.sinks.pacing import HOUR_MS, Circuit, Schedule


def test_the_schedule_grows_to_its_longest_and_ends_after_75_hours() -> None:
    schedule, at, waits = Schedule(), 0, []
    for attempt in range(1, 100):
        waits.append(schedule.delay_ms("voucher-1", attempt))
        at += waits[-1]
        if schedule.is_over(0, at):
            break
    plain = [5_000, 20_000, 80_000, 320_000, 1_280_000, 5_120_000, 20_480_000]
    for wait, expected in zip(waits, plain, strict=False):
        assert 0.75 * expected <= wait <= 1.25 * expected
    assert all(0.75 * 10 * HOUR_MS <= wait <= 1.25 * 10 * HOUR_MS for wait in waits[7:])
    assert 12 <= len(waits) <= 18


def test_what_failed_together_does_not_come_back_together() -> None:
    schedule = Schedule()
    waits = [schedule.delay_ms(f"voucher-{number}", 3) for number in range(1_000)]
    assert len(set(waits)) > 900
    assert abs(sum(waits) / 1_000 - 80_000) < 2_000
    assert waits == [schedule.delay_ms(f"voucher-{number}", 3) for number in range(1_000)]


def test_a_circuit_opens_after_failures_in_a_row_and_closes_with_a_success() -> None:
    circuit = Circuit(opens_after=3, first_pause_ms=1_000, longest_pause_ms=5_000)
    for _ in range(2):
        circuit.failed(0)
    circuit.succeeded()
    for _ in range(2):
        circuit.failed(0)
    assert not circuit.is_open
    assert circuit.may_start(0, under_way=99)
    pauses, now = [], 0
    for _ in range(5):
        circuit.failed(now)
        assert circuit.is_open
        assert not circuit.may_start(circuit.probe_at - 1, under_way=0)
        assert circuit.may_start(circuit.probe_at, under_way=0)
        assert not circuit.may_start(circuit.probe_at, under_way=1), "one probe at a time"
        pauses.append(circuit.probe_at - now)
        now = circuit.probe_at
    assert pauses == [1_000, 2_000, 4_000, 5_000, 5_000]
    circuit.succeeded()
    assert circuit.may_start(now, under_way=99)
    for _ in range(3):
        circuit.failed(now)
    assert circuit.probe_at - now == 1_000


def test_many_that_fail_together_are_one_failure_to_a_circuit_that_has_opened() -> None:
    circuit = Circuit(opens_after=3, first_pause_ms=1_000, longest_pause_ms=60_000)
    for _ in range(250):
        circuit.failed(10)
    assert circuit.probe_at == 1_010
