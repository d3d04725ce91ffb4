"""Directed faults: for each guard of the commit contract the one moment at which only that guard helps.

Chance meets these moments too seldom to show that the proof would notice a missing guard. So workers that freeze
themselves at a named point (`proof.worker`) are brought there on purpose: with all guards everything must hold, and
with the guard of a scene taken out the proof must fail.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.backends.contract import NewRecord
from pipeline.codec import Codec
from pipeline.core.events import SERVER, Product, Purchase
from pipeline.core.partitioner import partition_of
from proof.drain import until
from proof.ledger import Ledger
from proof.recompute import EVENTS
from proof.run import Result, cast, reckon
from proof.stage import TESTS, Stage
from proof.worker import POLLED, PUBLISHED, WRITTEN

PARTITIONS = 8
SECONDS = 60.0


class Scene:
    """A stage whose workers can be brought to a point, and what is done there."""

    def __init__(self, stage: Stage, ledger: Ledger, stops: Path) -> None:
        self.stage = stage
        self._ledger = ledger
        self._stops = stops
        self._appender = stage.backend.appender("proof")
        self._reader = stage.backend.reader()
        self._orders = 0

    def order(self, user: str) -> None:
        """The customer orders something; it stands on the log as a collector writes it."""
        self._orders += 1
        message_id = f"order-{self._orders}"
        now = time.time_ns() // 1_000_000
        order = Purchase(
            message_id=message_id,
            user_id=user,
            type="track",
            event="Order Completed",
            order_id=message_id,
            total_cents=990,
            currency="EUR",
            products=(Product(product_id="tea", category="tea", quantity=1, price_cents=990),),
            trusted=True,
            trust=SERVER,
            occurred_at=now,
            received_at=now,
            source="collect@proof",
        )
        number = self._ledger.attempt("the log itself", [message_id], 0.0)
        self._appender.append([NewRecord(EVENTS, f"u:{user}".encode(), Codec().encode(order))])
        self._ledger.answer(number, [message_id], 200, "", 0.0)

    def until_decided(self, user: str) -> None:
        """All that lies in the customer's partition is decided."""
        until(lambda: self.offset(user) >= self._reader.end_offset("events", place(user)), "decided", SECONDS)

    def offset(self, user: str) -> int:
        """Where the store stands in the customer's partition."""
        return self._reader.stored(place(user))[0] or 0

    def stopped_at(self, point: str, user: str, do: Callable[[], None]) -> int:
        """Have a worker freeze at the point with a record of this customer, do what brings it there; its pid."""
        taken = self._stops / f"{point}.taken"
        taken.unlink(missing_ok=True)
        (self._stops / point).write_text(f"u:{user}")
        do()
        until(lambda: taken.exists() and taken.read_text().isdigit(), f"a worker stops when {point}", SECONDS)
        pid = int(taken.read_text())
        until(lambda: _state_of(pid) == "T", f"process {pid} is frozen", SECONDS)
        return pid

    def close(self) -> None:
        """Let go."""
        self._reader.close()
        self._appender.close()


def killed_before_its_transaction_ends(scene: Scene) -> None:
    """Effects are written, the input offsets are not; the worker dies. Its successor decides the same again: without
    a transaction, which would have taken the first ones back, they count twice."""
    scene.order("written")
    scene.until_decided("written")
    pid = scene.stopped_at(WRITTEN, "written", lambda: scene.order("written"))
    worker = next(role for role in scene.stage.workers if role.pid == pid)
    worker.kill()
    scene.until_decided("written")
    worker.start()


def store_emptied_before_it_is_read(scene: Scene) -> None:
    """A batch is polled; the store loses everything before the batch is loaded. Without the check of the stored
    offset it is decided as if the customer had never been seen, and that is published."""
    scene.order("polled")
    scene.until_decided("polled")
    pid = scene.stopped_at(POLLED, "polled", lambda: scene.order("polled"))
    client = scene.stage.redis.client()
    client.flushall()
    client.close()
    os.kill(pid, signal.SIGCONT)
    # A partition notices what happened to its store with its next record; without one, with its owner's next tick.
    for user in one_in_each_partition():
        scene.order(user)


def zombie_commits_between_anothers_steps(scene: Scene) -> None:
    """A worker is frozen between publishing and storing until another has taken over and gone on; it wakes while
    that one stands at the same place. Without the fence its old states are stored, and nobody ever looks again."""
    user, other = neighbours()
    first = scene.stopped_at(PUBLISHED, user, lambda: scene.order(user))
    scene.until_decided(user)  # by the successor
    scene.order(user)
    scene.until_decided(user)
    stands = scene.offset(user)
    second = scene.stopped_at(PUBLISHED, other, lambda: scene.order(other))
    assert first != second, "the successor is another process"
    zombie = next(role for role in scene.stage.workers if role.pid == first)
    said = zombie.log_file.read_text().count("recovering")
    os.kill(first, signal.SIGCONT)
    until(
        lambda: scene.offset(user) != stands or zombie.log_file.read_text().count("recovering") > said,
        "the zombie's commit is refused, or taken",
        SECONDS,
    )
    os.kill(second, signal.SIGCONT)
    scene.until_decided(other)


SCENES = {
    "transaction": killed_before_its_transaction_ends,
    "check": store_emptied_before_it_is_read,
    "fence": zombie_commits_between_anothers_steps,
}
"""By the guard that each needs."""


def place(user: str) -> int:
    """The customer's partition."""
    return partition_of(f"u:{user}".encode(), PARTITIONS)


def neighbours() -> tuple[str, str]:
    """Two customers of one partition."""
    first = "zombie-0"
    return first, next(f"zombie-{n}" for n in range(1, 1000) if place(f"zombie-{n}") == place(first))


def one_in_each_partition() -> list[str]:
    """A customer for each partition."""
    by_place = {place(f"nudged-{n}"): f"nudged-{n}" for n in range(200)}
    return [by_place[number] for number in range(PARTITIONS)]


def play(folder: Path, scenes: list[str], without: str = "", **stage: Any) -> Result:
    """Play these scenes, with all guards or without one, and reckon."""
    stops = folder / "stops"
    stops.mkdir(parents=True)
    words = [f"PYTHONPATH={TESTS}", f"PROOF_STOPS={stops}", f"PROOF_WITHOUT={without}", sys.executable]
    began = time.monotonic()
    result = Result(seed=0)
    # Nothing is cached between batches, so that what is decided rests on what was loaded.
    command = ["env", *words, "-m", "proof.worker"]
    with cast(folder, worker_command=command, workers=2, collectors=0, cached_subjects=0, **stage) as all_of_it:
        scene = Scene(all_of_it.stage, all_of_it.ledger, stops)
        try:
            for guard in scenes:
                SCENES[guard](scene)
        finally:
            scene.close()
        reckon(all_of_it, result)
        result.seconds = round(time.monotonic() - began, 1)
    return result


def _state_of(pid: int) -> str:
    """The process's state as the kernel has it: `T` is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
