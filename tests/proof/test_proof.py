"""The proof, as short as it can be told, and the proof that it can fail."""

from pathlib import Path

import pytest
from servers.kafka import KafkaServer

from proof.command import told
from proof.run import Plan, prove
from proof.scenes import SCENES, play


@pytest.mark.timeout(900)
def test_under_random_faults_nothing_is_lost_and_nothing_happens_twice(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seed = int(request.config.getoption("--seed"))
    result = prove(Plan(seed=seed, seconds=90, faults=12, gap_seconds=(1.0, 3.0), recoveries=1), tmp_path)
    assert result.holds, told(result)
    assert len(result.faults) >= 5, told(result)
    assert result.published["vouchers"] > 50 and result.published["chat-prompts"] > 50, told(result)
    assert len(result.recoveries_seconds) == 1, told(result)


@pytest.mark.timeout(600)
def test_at_the_moments_each_guard_is_for_all_of_them_together_hold(
    tmp_path: Path, kafka: KafkaServer, prefix: str
) -> None:
    result = play(tmp_path, list(SCENES), kafka=kafka, prefix=prefix)
    assert result.holds, told(result)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("guard", "anomaly"), [("transaction", "duplicate"), ("check", "unseen"), ("fence", "lost update")]
)
def test_without_one_guard_the_proof_fails(
    guard: str, anomaly: str, tmp_path: Path, kafka: KafkaServer, prefix: str
) -> None:
    result = play(tmp_path, [guard], without=guard, kafka=kafka, prefix=prefix)
    assert result.anomalies[anomaly], told(result)
