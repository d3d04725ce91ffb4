"""Who is free at the desks, as the log says it. What it means for a prompt: stories/nobody_at_the_desk."""

import pytest

from pipeline.core.partition import ActiveRules, PartitionState, activate, advance, rules_of
from pipeline.core.presence import LONGEST_MS, AgentsChanged, Presence, heard

NOON = 1_800_000_000_000
MINUTE = 60_000


def agents(free: int, desk: str = "one", at: int = NOON, lasts: int = MINUTE, gated: bool = True) -> AgentsChanged:
    return AgentsChanged(desk=desk, free=free, until=at + lasts, gated=gated, source="serve@h", received_at=at)


def after(*said: AgentsChanged) -> Presence:
    presence = Presence()
    for one in said:
        presence = heard(presence, one)
    return presence


@pytest.mark.parametrize(
    ("said", "at", "free"),
    [
        ((), NOON, 0),
        ((agents(2),), NOON, 2),
        ((agents(2),), NOON + MINUTE - 1, 2),
        ((agents(2),), NOON + MINUTE, 0),
        ((agents(2), agents(1, "two")), NOON, 3),
        ((agents(2), agents(0)), NOON, 0),
        ((agents(2), agents(0, "two")), NOON, 2),
        ((agents(1, lasts=99 * LONGEST_MS),), NOON + LONGEST_MS, 0),
        ((agents(1, lasts=0),), NOON - 1, 0),
    ],
)
def test_each_desk_speaks_for_its_own_agents_until_its_word_expires(
    said: tuple[AgentsChanged, ...], at: int, free: int
) -> None:
    assert after(*said).free(at) == free


def test_a_desk_that_is_gone_is_forgotten() -> None:
    assert set(after(agents(1, "gone"), agents(1, "here", NOON + MINUTE)).desks) == {"here"}


@pytest.mark.parametrize(
    ("said", "answers"),
    [((), True), ((agents(0),), False), ((agents(1),), True), ((agents(0), agents(0, "two", gated=False)), True)],
)
def test_no_prompt_waits_before_a_desk_has_said_anything(said: tuple[AgentsChanged, ...], answers: bool) -> None:
    assert after(*said).answers(NOON) is answers


def test_it_is_in_force_with_the_rules_and_shows_them_to_nobody_again() -> None:
    active = activate(ActiveRules(campaigns_version=3), agents(1))
    assert rules_of(active, b"", redeemable=True).presence == after(agents(1))
    assert active.campaigns_version == 3
    peopled = PartitionState(clock=1, peopled=True)
    assert advance(peopled, agents(1)) == peopled
