"""The ledger of deliveries: what became of each effect that leaves the system, one record for each step of it.

Only data lives here. A record stands on the topic `deliveries`, written by the sinks and by nobody else; its schema
is `schemas/Delivery.avsc` (same fields, same order).
"""

from typing import Literal

import msgspec

from pipeline.core.effects import Channel

DELIVERIES = "deliveries"

Status = Literal["CLAIMED", "SENT", "RETRY", "FAILED", "PARKED", "UNCERTAIN", "SKIPPED", "REPLAY"]
"""CLAIMED: about to be acted on. SENT. RETRY: not yet, again at `next_at`. FAILED: never. PARKED: given up after the
schedule's end. UNCERTAIN: acted on or not, nobody knows, and it is not repeated. SKIPPED: not to be acted on any
more. REPLAY: somebody asks for it once more."""

OPEN: frozenset[Status] = frozenset({"CLAIMED", "RETRY", "REPLAY"})
"""More is to come; after any other status only a REPLAY follows."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the delivery of one effect; the latest one counts."""

    effect_id: str
    customer: str
    """"" for one who was forgotten."""
    campaign: str
    kind: str
    """Voucher, Message, Task or ChatLine."""
    channel: Channel
    destination: str
    """outbox, webhook, …"""
    topic: str
    partition: int
    offset: int
    """Where the effect stands on the log."""
    status: Status
    attempt: int
    """1 for the first claim; every claim has another."""
    reason: str = ""
    gone: str = ""
    """Addresses of the customer that are no more: names (`address_name`) with spaces between."""
    first_at: int
    """When it was first claimed or asked for again, wall time, epoch ms: the schedule of retries counts from here."""
    next_at: int = 0
    """RETRY: not before this, wall time, epoch ms."""
    not_after: int
    """The effect's own."""
    deliverer: str
    """Which process wrote it, unique for each start."""
    at: int
    """Wall time, epoch ms."""
