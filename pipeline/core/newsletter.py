"""A newsletter: a campaign whose editions somebody sends. Each partition walks past its customers, a page at a time.

Only data and the walk's own arithmetic live here, pure. Who is met and what they are asked is for `sweeps`; whether
an edition concerns a customer, for `customer.newsletters`.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec.structs import replace

BEFORE_PEOPLE = "u:"
"""Every known person's key comes after this one; browsers' come before."""
REMEMBERED = 50
"""Walks that have ended; an edition that is among them is not sent again."""


class NewsletterOrdered(msgspec.Struct, frozen=True, kw_only=True):
    """To every partition: send this edition of the newsletter, or stop sending it."""

    campaign: str
    edition: str
    order: Literal["SEND", "STOP"]
    not_before: int
    """Of SEND: nobody is asked before the log's time has come to this. Epoch ms; 0: at once."""
    source: str
    received_at: int


class NewsletterDue(msgspec.Struct, frozen=True):
    """Not on the log: the walk with this edition has come to the customer."""

    campaign: str
    edition: str


class Walk(msgspec.Struct, frozen=True, array_like=True):
    """How far one edition has come in a partition; commits with its subjects."""

    campaign: str
    edition: str
    not_before: int
    after: str = BEFORE_PEOPLE
    """The last key it met."""
    met: int = 0
    """People it met, whether or not the newsletter is for them."""
    answers: dict[str, int] = {}
    """What they were answered, by `TAKEN`, or the outcome and its reason."""
    ended_at: int = 0
    """Epoch ms; 0: it goes on."""
    stopped: bool = False

    def is_of(self, ordered: NewsletterOrdered) -> bool:
        """Whether this is the walk with that edition."""
        return (self.campaign, self.edition) == (ordered.campaign, ordered.edition)


Editions = tuple[tuple[str, str], ...]


def ordered(walks: tuple[Walk, ...], order: NewsletterOrdered, now: int) -> tuple[Walk, ...]:
    """The walks after an order. The same edition is never sent twice, and what has ended is not stopped."""
    known = [walk for walk in walks if walk.is_of(order)]
    if order.order == "STOP":
        return tuple(
            replace(walk, ended_at=max(now, 1), stopped=True) if walk in known and not walk.ended_at else walk
            for walk in walks
        )
    return walks if known else (*_remembered(walks), Walk(order.campaign, order.edition, order.not_before))


def stopped(editions: Editions, order: NewsletterOrdered) -> Editions:
    """The editions that nobody is to be sent any more, whatever they wait for."""
    mine = (order.campaign, order.edition)
    if order.order == "SEND" or mine in editions:
        return editions
    return (*editions, mine)[-REMEMBERED:]


def walked(walk: Walk, page: list[str], answers: Iterable[str], now: int, *, is_last: bool) -> Walk:
    """The walk past one page of customers; `answers`: of those whom the newsletter is for."""
    counts = dict(walk.answers)
    for answer in answers:
        counts[answer] = counts.get(answer, 0) + 1
    after = page[-1] if page else walk.after
    return replace(
        walk, after=after, met=walk.met + len(page), answers=counts, ended_at=max(now, 1) if is_last else 0
    )


def _remembered(walks: tuple[Walk, ...]) -> tuple[Walk, ...]:
    ended = [walk for walk in walks if walk.ended_at]
    forgotten = ended[: max(len(ended) + 1 - REMEMBERED, 0)]
    return tuple(walk for walk in walks if walk not in forgotten)
