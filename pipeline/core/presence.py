"""Which of the shop's agents are free to talk, as the log says it. Pure: who is there and who is busy is the desk's.

Each desk (a process that agents are logged in to) speaks for its own agents and says it again before it expires: one
that dies has nobody free soon after. Until a desk has said anything, no prompt waits for an agent.
"""

import msgspec

LONGEST_MS = 10 * 60_000
"""No word of a desk counts for longer, whatever it says."""


class AgentsChanged(msgspec.Struct, frozen=True, kw_only=True):
    """To every partition, from a desk: so many of its agents are free from here on."""

    desk: str
    free: int
    until: int
    """From this moment of the log's time on nobody is free any more, unless it is said again. Epoch ms."""
    gated: bool
    """Whether prompts are for visitors whom somebody can answer here; False: the shop talks elsewhere."""
    source: str
    received_at: int


class Seats(msgspec.Struct, frozen=True, array_like=True):
    """What one desk said last."""

    free: int
    until: int


class Presence(msgspec.Struct, frozen=True, array_like=True):
    """What all desks said last; commits with the rules."""

    gated: bool = False
    desks: dict[str, Seats] = {}

    def free(self, now: int) -> int:
        """How many agents are free at `now`, epoch ms."""
        return sum(seats.free for seats in self.desks.values() if now < seats.until)

    def answers(self, now: int) -> bool:
        """Whether somebody would answer a visitor who is prompted at `now`, as far as the log knows."""
        return not self.gated or self.free(now) > 0


def heard(presence: Presence, said: AgentsChanged) -> Presence:
    """With what a desk says now; desks that have expired are forgotten."""
    desks = {
        name: seats for name, seats in presence.desks.items() if seats.until > said.received_at and name != said.desk
    }
    until = min(said.until, said.received_at + LONGEST_MS)
    if said.free > 0 and until > said.received_at:
        desks[said.desk] = Seats(said.free, until)
    return Presence(said.gated, desks)
