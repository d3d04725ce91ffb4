"""The records of the ledger: what follows on what. Times come from the clock that is given; nothing is decided about
which effect is next."""

from collections.abc import Callable
from typing import Any

import msgspec

from pipeline.core.deliveries import Delivery, Status
from pipeline.core.events import EffectDelivered
from pipeline.sinks.destination import Deliverable, Later, Outcome, Rejected, Sent, Unknown, channel_of
from pipeline.sinks.intake import Place
from pipeline.sinks.pacing import Schedule

REASON_CHARACTERS = 300
_REPORTED: dict[Status, Any] = {
    "SENT": "SENT", "FAILED": "FAILED", "PARKED": "FAILED", "UNCERTAIN": "UNCERTAIN", "SKIPPED": "SKIPPED",
}  # fmt: skip


FORGOTTEN = "forgotten"
"""Why an effect is left: its customer was erased, or it is older than the log's retention."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How one destination is served."""

    repeats: bool
    """An attempt whose outcome is unknown is repeated (at least once), else never (at most once)."""
    deliverer: str
    """How this process signs its records: unique for each start."""
    source: str = "deliver@localhost"
    schedule: Schedule = Schedule()
    in_order: bool = False
    """Nothing new for a customer while something earlier of theirs is not done."""


class Batch(msgspec.Struct):
    """What the next transaction records."""

    records: dict[str, Delivery] = {}
    """By effect id."""
    claims: list[tuple[Delivery, Any]] = []
    """With what is to be sent."""


class Steps:
    """Makes the records of one destination. `clock` returns wall time, epoch ms."""

    def __init__(self, destination: str, options: Options, clock: Callable[[], int]) -> None:
        self._destination = destination
        self._options = options
        self._clock = clock

    def first(self, effect: Deliverable, place: Place, offset: int) -> Delivery:
        """Never recorded itself: what the first record goes on from."""
        now = self._clock()
        return Delivery(
            effect_id=effect.id,
            customer=effect.customer,
            campaign=effect.campaign,
            kind=type(effect).__name__,
            channel=channel_of(effect),
            destination=self._destination,
            topic=place[0],
            partition=place[1],
            offset=offset,
            status="RETRY",
            attempt=0,
            first_at=now,
            not_after=effect.not_after,
            deliverer=self._options.deliverer,
            at=now,
        )

    def next(
        self, last: Delivery, status: Status, reason: str = "", *, next_at: int = 0, gone: tuple[str, ...] = ()
    ) -> Delivery:
        """What follows on `last`; a claim is another attempt. Of who is forgotten the ledger says no more either."""
        return msgspec.structs.replace(
            last,
            customer="" if reason == FORGOTTEN else last.customer,
            status=status,
            attempt=last.attempt + (status == "CLAIMED"),
            reason=reason[:REASON_CHARACTERS],
            gone=" ".join(gone),
            next_at=next_at,
            deliverer=self._options.deliverer,
            at=self._clock(),
        )

    def concluded(self, claim: Delivery, outcome: Outcome) -> Delivery:
        """What follows on a claim when its act has ended."""
        match outcome:
            case Sent(gone):
                return self.next(claim, "SENT", gone=gone)
            case Rejected(reason, gone):
                return self.next(claim, "FAILED", reason, gone=gone)
            case Unknown(reason) if not self._options.repeats:
                return self.next(claim, "UNCERTAIN", reason)
        schedule = self._options.schedule
        after_ms = outcome.after_ms if isinstance(outcome, Later) else 0
        next_at = self._clock() + max(after_ms, schedule.delay_ms(claim.effect_id, claim.attempt))
        if schedule.is_over(claim.first_at, next_at):
            return self.next(claim, "PARKED", outcome.reason)
        return self.next(claim, "RETRY", outcome.reason, next_at=next_at)

    def is_over(self, delivery: Delivery, now: int) -> bool:
        """Whether it is given up, tried again or not."""
        return self._options.schedule.is_over(delivery.first_at, now)

    def report(self, record: Delivery) -> EffectDelivered:
        """The word to the customer's subject when nothing more is to come."""
        return EffectDelivered(
            effect_id=record.effect_id,
            channel=record.channel,
            outcome=_REPORTED[record.status],
            reason=record.reason,
            gone=record.gone,
            source=self._options.source,
            received_at=record.at,
        )


def asked_again(last: Delivery, by: str, now: int) -> Delivery:
    """What somebody puts into the ledger to have a delivery that ended tried once more: the schedule begins anew."""
    return msgspec.structs.replace(
        last, status="REPLAY", reason="", gone="", first_at=now, next_at=now, deliverer=by, at=now
    )
