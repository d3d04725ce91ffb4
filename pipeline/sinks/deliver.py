"""Delivering: takes effects off the log for one destination, acts on each once, keeps the ledger of it.

The law: claim, act, record. A claim stands in the ledger before anything is done; what came of it is recorded in one
transaction with the cursor and with the word to the customer's subject (`EffectDelivered`). A claim without a record
is an outcome nobody knows: repeated where the destination takes repeats for what they are, else never (UNCERTAIN).
What is over, revoked or not permitted any more is not acted on; that is looked at in the moment of acting.

One `Deliverer` a destination, with a thread, a queue and a circuit of its own: a dead one delays nobody else.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from typing import Any, Protocol

from pipeline.backends.contract import DeliveryLog, NewRecord, Reader, Refused, Unavailable
from pipeline.backends.reading import blocks
from pipeline.codec import Codec
from pipeline.core.deliveries import DELIVERIES, OPEN, Delivery
from pipeline.core.effects import CHAT
from pipeline.sinks.choosing import Chooser, LastLook
from pipeline.sinks.destination import Destination, Later, Outcome, Rejected, Sent, Unknown
from pipeline.sinks.intake import Intake, Place
from pipeline.sinks.ledger import Ledger
from pipeline.sinks.pacing import Circuit
from pipeline.sinks.steps import Batch, Options, Steps

log = logging.getLogger("rapport.deliver")

EVENTS = "events"
TAIL_RECORDS = 500
LOOK_AGAIN_SECONDS = 0.05
RETRY_SECONDS = 1.0
DRAIN_SECONDS = 15.0
CURSOR_MS = 5_000
"""Cursors alone, with nothing to record, are kept so often."""
LEASE_MS = 5_000
"""Who wakes later than that after its claim does not act on it: another may have been given the partition."""


class Measures(Protocol):
    """Implemented by `pipeline.observe`."""

    def delivery(self, destination: str, outcome: str) -> None:
        """One step of a delivery is recorded."""

    def standing(self, destination: str, pending: int, circuit_open: bool) -> None:
        """What is read and not done, and whether the destination is taken for dead."""


class Deliverer:
    """Serves one destination. `clock` returns wall time, epoch ms. Raises Refused if only one process may be and one
    is."""

    def __init__(
        self,
        open_log: Callable[[Callable[[], None]], DeliveryLog],
        reader: Reader,
        intake: Intake,
        codec: Codec,
        destination: Destination[Any],
        last_look: LastLook,
        options: Options,
        clock: Callable[[], int],
        measures: Measures,
        pool: Executor,
    ) -> None:
        """pool: runs the acts. What is given here is the deliverer's own, and closed with it."""
        self._reader = reader
        self._intake = intake
        self._codec = codec
        self._destination = destination
        self._deliverer = options.deliverer
        self._clock = clock
        self._measures = measures
        self._pool = pool
        self._last_look = last_look
        self._circuit = Circuit()
        self._steps = Steps(destination.name, options, clock)
        self._chooser = Chooser(intake, destination, last_look, self._steps, self._circuit, in_order=options.in_order)
        self._ledgers: dict[int, Ledger] = {}
        self._ledger_count = 1
        self._acts: dict[tuple[str, int], Future[Outcome]] = {}
        """By effect id and attempt: under way, or ended and not recorded yet."""
        self._judged: set[tuple[str, int]] = set()
        """Of these the circuit has counted the outcome, or need not: it says nothing of the destination."""
        self._kept: dict[Place, int] = {}
        self._keep_at = 0
        self._broken = False
        self._closed = False
        self._complaint = ""
        self._wake = threading.Event()
        self._log = open_log(self._release)

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set; what is unavailable is waited for."""
        try:
            while not stop.is_set():
                try:
                    if not self.turn():
                        self._wake.wait(LOOK_AGAIN_SECONDS)
                        self._wake.clear()
                except (Unavailable, Refused) as problem:
                    self._complain(problem)
                    stop.wait(RETRY_SECONDS)
        finally:
            self.close()

    def turn(self) -> bool:
        """Look once at everything; whether there was anything. Raises Unavailable or Refused, with nothing lost: the
        next turn learns from the ledger where things stand."""
        try:
            return self._turn()
        except (Unavailable, Refused):
            self._broken = True
            raise

    def pending(self) -> int:
        """Effects read and not done."""
        waiting = sum(len(source.waiting) for source in self._intake.sources)
        return waiting + sum(len(ledger.open) for ledger in self._ledgers.values())

    def close(self) -> None:
        """End what is under way, record it, let go."""
        self._release()
        self._closed = True
        self._log.close()
        self._intake.close()
        self._last_look.close()
        self._reader.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _turn(self) -> bool:
        if self._broken:
            self._log.reset()
            self._broken = False
        served = self._log.poll()
        if served is not None:
            self._recover(served)
        busy = self._tail()
        for source in self._intake.sources:
            busy += self._intake.read(source, self._ledgers[source.ledger].knows)
        batch = Batch()
        self._conclude(batch)
        under_way = sum(not act.done() for act in self._acts.values())
        try:
            self._chooser.choose(batch, under_way, self._clock())
            self._complaint = ""
        except Unavailable as problem:
            self._complain(problem)
        written = self._write(batch)
        self._measures.standing(self._destination.name, self.pending(), self._circuit.is_open)
        return bool(busy) or written

    # ---- what is known

    def _recover(self, served: tuple[int, ...]) -> None:
        self._ledgers = {}
        self._kept, self._keep_at = {}, 0
        self._intake.clear()
        self._ledger_count = self._reader.topic_partitions(DELIVERIES)
        for number in served:
            self._recover_ledger(number)
        self._chooser.serve(self._ledgers)
        known = {(each.effect_id, each.attempt) for ledger in self._ledgers.values() for each in ledger.open.values()}
        for key, act in list(self._acts.items()):
            if act.done() and key not in known:
                self._forget_act(key)

    def _recover_ledger(self, number: int) -> None:
        places = self._intake.places(number, self._ledger_count)
        # Waits for what a predecessor left open: only then is the ledger's end known.
        cursors = self._log.cursors([(DELIVERIES, number), *places])
        for place in places:
            self._intake.start(place, number, cursors.get(place))
        first, end = self._reader.start_offset(DELIVERIES, number), self._log.end(number)
        start = max(first, cursors.get((DELIVERIES, number), first))
        is_rescan = self._intake.has_lost(number)
        start = first if is_rescan else start
        ledger = Ledger(self._destination.name, self._deliverer)
        oldest_at = 0
        for records, _ in blocks(self._reader, DELIVERIES, number, start, end):
            for record in records:
                oldest_at = oldest_at or record.timestamp
                delivery = self._codec.decode(record.value)
                if isinstance(delivery, Delivery):
                    ledger.take(delivery, record.offset)
                    place = (delivery.topic, delivery.partition)
                    if self._intake.is_ahead(place, delivery.offset):
                        ledger.expect(delivery)
                        self._intake.rescan_to(place, delivery.offset + 1)
            ledger.forget_old()
        if is_rescan and first > 0:
            self._intake.leave_before(number, oldest_at or self._clock())
        ledger.next_offset = max(start, end)
        for delivery in ledger.open.values():
            self._intake.look_back((delivery.topic, delivery.partition), delivery.offset)
            key = (delivery.effect_id, delivery.attempt)
            if delivery.status == "CLAIMED" and key not in self._acts:
                self._acts[key] = _ended(Unknown("its deliverer ended after the claim and recorded nothing"))
                self._judged.add(key)
        self._ledgers[number] = ledger

    def _tail(self) -> int:
        """Meet what was asked for once more, and the own records: they tell from where a successor must read."""
        met = 0
        for number, ledger in self._ledgers.items():
            records, after = self._reader.read(DELIVERIES, number, ledger.next_offset, TAIL_RECORDS, 0.0)
            for record in records:
                delivery = self._codec.decode(record.value)
                if isinstance(delivery, Delivery) and ledger.read_back(delivery, record.offset):
                    self._intake.look_back((delivery.topic, delivery.partition), delivery.offset)
                    self._chooser.wait(delivery, number)
                    met += 1
            ledger.next_offset = after
        return met

    # ---- acting and recording

    def _conclude(self, batch: Batch) -> None:
        """Every act that ended."""
        for (effect_id, attempt), act in list(self._acts.items()):
            if not act.done():
                continue
            found = (ledger.open.get(effect_id) for ledger in self._ledgers.values())
            claim = next((each for each in found if each is not None and each.attempt == attempt), None)
            if claim is None:
                log.warning("%s: another process serves it now and will not learn how this act ended", effect_id)
                self._forget_act((effect_id, attempt))
                continue
            outcome = _outcome(act)
            self._judge((effect_id, attempt), outcome)
            batch.records[effect_id] = self._steps.concluded(claim, outcome)

    def _judge(self, key: tuple[str, int], outcome: Outcome) -> None:
        """What the act says of the destination, counted once."""
        if key in self._judged:
            return
        self._judged.add(key)
        if isinstance(outcome, Sent | Rejected):
            self._circuit.succeeded()
        elif not isinstance(outcome, _StoodStill):
            self._circuit.failed(self._clock())

    def _forget_act(self, key: tuple[str, int]) -> None:
        self._acts.pop(key, None)
        self._judged.discard(key)

    def _write(self, batch: Batch, *, cursors_too: bool = False) -> bool:
        """One transaction: the ledger, the word to the customers, the cursors. Then act on the claims."""
        now = self._clock()
        cursors = {**self._intake.cursors(), **self._recover_from()}
        if not batch.records and (not cursors or cursors == self._kept or (now < self._keep_at and not cursors_too)):
            return False
        try:
            self._log.append(self._encoded(batch), cursors)
        except Unavailable:
            # Nobody acts on these, whether or not their claims are in the ledger.
            for claim, _ in batch.claims:
                key = (claim.effect_id, claim.attempt)
                self._acts[key] = _ended(Later("its claim could not be recorded"))
                self._judged.add(key)
            raise
        self._kept, self._keep_at = cursors, now + CURSOR_MS
        self._wrote(batch)
        for claim, request in batch.claims:
            act = self._pool.submit(self._act, claim, request)
            self._acts[claim.effect_id, claim.attempt] = act
            act.add_done_callback(lambda _: self._wake.set())
        return bool(batch.records)

    def _wrote(self, batch: Batch) -> None:
        for record in batch.records.values():
            number = record.partition % self._ledger_count
            self._ledgers[number].wrote(record)
            self._forget_act((record.effect_id, record.attempt))
            self._measures.delivery(self._destination.name, record.status.lower())
            if record.status == "RETRY":
                self._chooser.wait(record, number)
            if record.status in ("FAILED", "PARKED", "UNCERTAIN"):
                log.error(
                    "%s %s ended as %s: %s", record.kind, record.effect_id, record.status.lower(), record.reason
                )
        for number, ledger in self._ledgers.items():
            if not self._intake.is_rescanning(number):
                ledger.expect_no_more()
            ledger.forget_old()

    def _recover_from(self) -> dict[Place, int]:
        """The cursors of the ledger itself. While effects are met again that it may have, all of it is needed."""
        return {
            (DELIVERIES, number): 0 if self._intake.is_rescanning(number) else ledger.recover_from()
            for number, ledger in self._ledgers.items()
        }

    def _encoded(self, batch: Batch) -> list[NewRecord]:
        records: list[NewRecord] = []
        for record in batch.records.values():
            key = record.customer.encode()
            number = record.partition % self._ledger_count
            records.append(NewRecord(DELIVERIES, key, self._codec.encode(record), partition=number))
            # What customers say themself they need not be told of.
            if record.status not in OPEN and record.customer and record.channel != CHAT:
                records.append(NewRecord(EVENTS, key, self._codec.encode(self._steps.report(record))))
        return records

    def _act(self, claim: Delivery, request: Any) -> Outcome:
        """In a thread of the pool."""
        if self._clock() - claim.at > LEASE_MS:
            return _StoodStill("this process stood still after its claim")
        outcome: Outcome = self._destination.send(request)
        return outcome

    def _release(self) -> None:
        """Before others take over (or the end): wait for what is under way and record it."""
        if self._closed or not self._ledgers:
            return
        wait(self._acts.values(), DRAIN_SECONDS)
        batch = Batch()
        try:
            self._conclude(batch)
            self._write(batch, cursors_too=True)
        except Unavailable as problem:
            log.warning("%s: what was sent last is not recorded: %s", self._destination.name, problem)

    def _complain(self, problem: Exception) -> None:
        if str(problem) != self._complaint:
            log.warning("%s waits: %s", self._destination.name, problem)
        self._complaint = str(problem)


class _StoodStill(Later, frozen=True):
    """It was not tried: that says nothing of the destination."""


def _ended(outcome: Outcome) -> Future[Outcome]:
    act: Future[Outcome] = Future()
    act.set_result(outcome)
    return act


def _outcome(act: Future[Outcome]) -> Outcome:
    problem = act.exception()
    if problem is None:
        return act.result()
    log.error("an act ended in %s", type(problem).__name__, exc_info=problem)
    return Unknown(f"{type(problem).__name__}: {problem}")
