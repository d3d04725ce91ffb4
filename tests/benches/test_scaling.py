"""The plan past one machine: its arithmetic by hand, its page word for word, its record as large as the bench's."""

from pathlib import Path

import pytest

from bench.scaling import (
    STEPS,
    Load,
    Measured,
    hottest,
    longest_lag_seconds,
    outages,
    planned,
    table,
    unevenness,
    weights,
)
from bench.traffic import traffic
from pipeline.codec import Codec

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")
SHARES = weights()


def test_the_page_quotes_what_is_computed() -> None:
    for computed in (table([(name, planned(load, SHARES)) for name, load in STEPS]), unevenness(SHARES), outages()):
        assert computed in PAGE


def test_a_plan_by_hand() -> None:
    """8.64 million a day are 100 a second and 200 at the peak; at 10 ms each and half busy a worker does 50: four,
    and one more for the hottest partition, so the first number with two partitions for each is 16."""
    load = Load(events_per_day=8_640_000, profiles=1_000_000, peak=2, use=0.5, retention_days=10, replicas=1)
    plan = planned(load, SHARES, Measured(worker_us=10_000, redis_us=1_000, record_bytes=1_000, redis_bytes=64_000))
    assert (plan.mean_per_second, plan.peak_per_second, plan.partitions, plan.workers) == (100, 200, 16, 5)
    assert plan.redis_processor_cores == pytest.approx(0.4)
    assert (plan.redis_gigabytes, plan.redis_nodes) == (64, 2)
    assert plan.log_terabytes == pytest.approx(0.0864)


def test_what_no_number_of_partitions_carries_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 1024 partitions"):
        planned(Load(events_per_day=10**12, profiles=1), SHARES)


def test_an_event_of_the_bench_is_as_large_as_the_plan_says() -> None:
    records = list(traffic(Codec(), 500, 100, seed=1))
    mean = sum(len(record.key) + len(record.value) for record in records) / len(records)
    assert mean == pytest.approx(Measured().record_bytes, rel=0.1)


def test_the_hottest_partition_is_the_whole_of_one_and_more_than_the_mean_of_many() -> None:
    assert hottest(1, SHARES) == pytest.approx(1)
    assert 1 < hottest(8, SHARES) < hottest(256, SHARES)


def test_a_lag_by_hand() -> None:
    """Ten seconds of 60 a second are 600 waiting; at 100 a second 40 of them go each second: 15 s."""
    assert longest_lag_seconds(60, 100, 10) == (10, 25)
    with pytest.raises(ValueError, match="never"):
        longest_lag_seconds(100, 100, 10)
