"""What is recorded next: in the moment of acting each effect is claimed, put off, or left, with the reason.

Here lives the order (what is due again, then what is new, each partition in the order of the log) and the last look:
time, revocation, permission. Never here: the log's writing, the act itself.
"""

import heapq
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from pipeline.core.deliveries import OPEN, Delivery
from pipeline.core.effects import VoucherRevoked
from pipeline.sinks.destination import Deliverable, Destination, Recipient, UnreachableError
from pipeline.sinks.intake import Intake, Place, Source
from pipeline.sinks.ledger import Ledger
from pipeline.sinks.pacing import Circuit
from pipeline.sinks.steps import FORGOTTEN, Batch, Steps

log = logging.getLogger("rapport.deliver")

MAX_RECORDS = 500
MAX_OPEN = 10_000
"""Deliveries that wait for another attempt, at most: beyond that nothing new is claimed."""
NOT_YET_MS = (1_000, 60_000)
"""The store is asked again after as long as it was waited for, within these."""


class NotYetError(Exception):
    """Whether the effect is permitted cannot be told before the store has come further."""


class NotPermittedError(Exception):
    """The effect is not permitted any more; the text is the reason."""


class LastLook(Protocol):
    """Whether the customer still permits it, and where they are reached (`pipeline.sinks.permission`)."""

    def recipient(self, effect: Deliverable) -> Recipient:
        """Whom it is for. Raises NotPermittedError, NotYetError, Unavailable."""

    def close(self) -> None:
        """Let go."""


class Chooser:
    """Fills batches. One thread uses it."""

    def __init__(
        self,
        intake: Intake,
        destination: Destination[Any],
        last_look: LastLook,
        steps: Steps,
        circuit: Circuit,
        *,
        in_order: bool = False,
    ) -> None:
        """in_order: as `pipeline.sinks.steps.Options` has it."""
        self._intake = intake
        self._destination = destination
        self._last_look = last_look
        self._steps = steps
        self._circuit = circuit
        self._in_order = in_order
        self._ledgers: Mapping[int, Ledger] = {}
        self._due: list[tuple[int, str, int]] = []
        self._turns = 0
        self._looked: set[Place] = set()

    def serve(self, ledgers: Mapping[int, Ledger]) -> None:
        """From now on these; those that are open wait for their time."""
        self._ledgers = ledgers
        self._due = []
        for number, ledger in ledgers.items():
            for delivery in ledger.open.values():
                if delivery.status != "CLAIMED":
                    self.wait(delivery, number)

    def wait(self, delivery: Delivery, ledger: int) -> None:
        """It is looked at again at its `next_at`."""
        heapq.heappush(self._due, (delivery.next_at, delivery.effect_id, ledger))

    def choose(self, batch: Batch, under_way: int, now: int) -> None:
        """Claims while there is room, and all that need not be acted on. Raises Unavailable: what is in the batch by
        then stands, the rest waits where it was."""
        self._turns += 1
        self._looked.clear()
        self._choose_due(batch, under_way, now)
        sources = self._intake.sources
        for index in range(len(sources)):
            self._choose_new(batch, sources[(index + self._turns) % len(sources)], under_way, now)
        self._intake.forget_revocations(now)

    def _may_claim(self, batch: Batch, under_way: int, now: int) -> bool:
        acts = under_way + len(batch.claims)
        return acts < self._destination.at_once and self._circuit.may_start(now, acts)

    def _choose_due(self, batch: Batch, under_way: int, now: int) -> None:
        while self._due and self._due[0][0] <= now and len(batch.records) < MAX_RECORDS:
            next_at, effect_id, number = self._due[0]
            delivery = self._ledgers[number].open.get(effect_id)
            if delivery is not None and delivery.status != "CLAIMED" and delivery.next_at == next_at:
                if delivery.not_after < now:
                    batch.records[effect_id] = self._steps.next(delivery, "SKIPPED", "expired")
                elif self._steps.is_over(delivery, now):
                    batch.records[effect_id] = self._steps.next(delivery, "PARKED", delivery.reason)
                elif self._may_claim(batch, under_way, now):
                    self._again(batch, delivery, now)
                else:
                    return
            heapq.heappop(self._due)

    def _again(self, batch: Batch, delivery: Delivery, now: int) -> None:
        effect = self._intake.fetch((delivery.topic, delivery.partition), delivery.offset)
        if effect is None:
            batch.records[delivery.effect_id] = self._steps.next(delivery, "SKIPPED", FORGOTTEN)
        else:
            self._consider(batch, delivery, effect, now)

    def _choose_new(self, batch: Batch, source: Source, under_way: int, now: int) -> None:
        ledger = self._ledgers[source.ledger]
        while source.waiting and len(batch.records) < MAX_RECORDS:
            offset, effect = source.waiting[0]
            if isinstance(effect, VoucherRevoked):
                if not self._revoke(batch, ledger, effect):
                    return
            elif not ledger.knows(effect.id) and effect.id not in batch.records:
                first = self._steps.first(effect, source.place, offset)
                if effect.not_after < now:
                    batch.records[effect.id] = self._steps.next(first, "SKIPPED", "expired")
                elif self._may_claim(batch, under_way, now) and self._has_room(first, batch, ledger):
                    self._consider(batch, first, effect, now)
                else:
                    return
            source.waiting.popleft()

    def _has_room(self, delivery: Delivery, batch: Batch, ledger: Ledger) -> bool:
        """Whether not too much is open already; in order: whether nothing earlier of that customer is."""
        if self._in_order:
            earlier = (*batch.records.values(), *ledger.open.values())
            if any(each.customer == delivery.customer and each.status in OPEN for each in earlier):
                return False
        return sum(len(ledger.open) for ledger in self._ledgers.values()) < MAX_OPEN

    def _consider(self, batch: Batch, delivery: Delivery, effect: Deliverable, now: int) -> None:
        """The last look. Raises Unavailable."""
        place = (delivery.topic, delivery.partition)
        if place not in self._looked:
            self._intake.look_ahead(place)
            self._looked.add(place)
        batch.records[effect.id] = self._looked_at(batch, delivery, effect, now)

    def _looked_at(self, batch: Batch, delivery: Delivery, effect: Deliverable, now: int) -> Delivery:
        if self._intake.is_revoked(effect.id):
            return self._steps.next(delivery, "SKIPPED", "revoked")
        try:
            request = self._destination.render(effect, self._last_look.recipient(effect))
        except NotPermittedError as problem:
            return self._steps.next(delivery, "SKIPPED", str(problem))
        except UnreachableError as problem:
            return self._steps.next(delivery, "SKIPPED", f"unreachable: {problem}")
        except NotYetError as problem:
            wait_ms = min(max(NOT_YET_MS[0], now - delivery.first_at), NOT_YET_MS[1])
            return self._steps.next(delivery, "RETRY", str(problem), next_at=now + wait_ms)
        except ValueError as problem:
            return self._steps.next(delivery, "FAILED", f"unrenderable: {problem}")
        claim = self._steps.next(delivery, "CLAIMED")
        batch.claims.append((claim, request))
        return claim

    def _revoke(self, batch: Batch, ledger: Ledger, revocation: VoucherRevoked) -> bool:
        """Reached in the order of the log: what is not sent yet never is, what was is taken back if it can be. False:
        look again when the act under way has ended."""
        delivery = ledger.open.get(revocation.id)
        if revocation.id in batch.records or (delivery is not None and delivery.status == "CLAIMED"):
            return False
        if delivery is not None:
            batch.records[revocation.id] = self._steps.next(delivery, "SKIPPED", "revoked")
            return True
        try:
            if self._destination.withdraw(revocation.id):
                log.info("voucher %s was taken back in time", revocation.id)
        except ValueError as problem:
            log.error("a revocation can't be followed: %s", problem)
        except OSError as problem:
            log.warning("%s: a voucher can't be taken back yet: %s", self._destination.name, problem)
            return False
        return True
