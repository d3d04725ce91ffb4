"""The book of a customer's points. Pure bookkeeping: what earns points and what they buy is for `loyalty`.

A credit is what one source (an order, an occasion) is worth: it is set, never added to, so that nothing is earned
twice and a refund takes back what it has to. Points that can be used lie in lots by the moment they expire; the first
to expire is used first. What is taken back after it was used makes a debt, which the next points pay. At any time

    balance = carried + the sum of the entries,   the sum of the lots = the balance, or 0 under a debt.
"""

from typing import Literal

import msgspec

MAX_ENTRIES = 50
Reason = Literal["EARNED", "TAKEN_BACK", "EXPIRED", "CONVERTED"]


class Credit(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one source is worth."""

    at: int
    """When it was first given, epoch ms."""
    points: int
    """In full."""
    given: int
    """What of it counts now."""
    expires_at: int
    """0: never."""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line of the statement."""

    at: int
    points: int
    """Below 0: taken."""
    reason: Reason
    source: str
    expires_at: int = 0
    line: int = 0
    """Its number, from 1."""
    balance: int = 0
    """After it."""


class Account(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Everything the book knows."""

    balance: int = 0
    """Below 0: a debt."""
    lifetime_points: int = 0
    """Ever earned and not taken back, whatever became of them."""
    credits: dict[str, Credit] = {}
    """By source; kept for ever, since none may count twice."""
    lots: dict[int, int] = {}
    """Points that can be used, by when they expire, epoch ms (0: never)."""
    entries: tuple[Entry, ...] = ()
    """The last `MAX_ENTRIES` lines."""
    carried: int = 0
    """What the lines before them come to."""
    lines: int = 0
    """Lines ever written."""

    def due(self) -> int:
        """When the next points expire; 0: none do."""
        return min((at for at in self.lots if at), default=0)


class Book:
    """An account while it is worked on in one step, at `now`, epoch ms."""

    def __init__(self, account: Account, now: int) -> None:
        self.now = now
        self.balance = account.balance
        self.lifetime_points = account.lifetime_points
        self.credits = dict(account.credits)
        self.lots = dict(account.lots)
        self.written: list[Entry] = []
        self._before = account
        self._lines = account.lines

    def closed(self) -> Account:
        """The account after all that; the same object if nothing changed."""
        if not self.written and self.credits == self._before.credits:
            return self._before
        entries = (*self._before.entries, *self.written)
        carried = self._before.carried + sum(entry.points for entry in entries[:-MAX_ENTRIES])
        return Account(
            balance=self.balance,
            lifetime_points=self.lifetime_points,
            credits=self.credits,
            lots=self.lots,
            entries=entries[-MAX_ENTRIES:],
            carried=carried,
            lines=self._lines,
        )

    def credit(self, source: str, credit: Credit) -> None:
        """The source is worth this from now on: what it was given before is made up for. Once its points have expired
        that is settled, and nothing given or taken any more."""
        known = self.credits.get(source)
        if known is not None:
            credit = Credit(known.at, credit.points, credit.given, known.expires_at)
        if 0 < credit.expires_at <= self.now:
            if known is None:
                self.credits[source] = credit
                self.lifetime_points += credit.given
            return
        self.credits[source] = credit
        change = credit.given - (known.given if known else 0)
        self.lifetime_points += change
        if change > 0:
            self._put(change, credit.expires_at)
            self._write(change, "EARNED", source, credit.expires_at)
        elif change:
            self._take(-change, credit.expires_at)
            self._write(change, "TAKEN_BACK", source)

    def spend(self, points: int, source: str) -> None:
        """Use points; the caller has seen that there are as many."""
        self._take(points, None)
        self._write(-points, "CONVERTED", source)

    def expire(self) -> None:
        """What nobody used in time is gone."""
        for at in sorted(at for at in self.lots if 0 < at <= self.now):
            points = self.lots.pop(at)
            self.balance -= points
            self._write(-points, "EXPIRED", "")

    def _put(self, points: int, expires_at: int) -> None:
        usable = min(points, max(self.balance + points, 0))  # the rest pays a debt
        self.balance += points
        if usable:
            self.lots[expires_at] = self.lots.get(expires_at, 0) + usable

    def _take(self, points: int, first: int | None) -> None:
        self.balance -= points
        for at in sorted(self.lots, key=lambda at: (at != first, not at, at)):
            taken = min(points, self.lots[at])
            points -= taken
            self.lots[at] -= taken
            if not self.lots[at]:
                del self.lots[at]

    def _write(self, points: int, reason: Reason, source: str, expires_at: int = 0) -> None:
        self._lines += 1
        self.written.append(Entry(self.now, points, reason, source, expires_at, self._lines, self.balance))
