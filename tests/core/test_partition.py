"""A partition's clock, import window and rules, as a table of records and what they leave."""

from typing import Any

import msgspec
import pytest

from core.making import but
from pipeline.core.events import (
    CampaignsChanged,
    Changed,
    Clickstream,
    Event,
    Heartbeat,
    ImportEnded,
    ImportStarted,
    ModelChanged,
    Tick,
    VoucherReleased,
)
from pipeline.core.lapse_model import LapseModel
from pipeline.core.partition import (
    FIRES_AFTER_MS,
    MAX_JUMP_MS,
    ActiveRules,
    PartitionState,
    activate,
    advance,
    rules_of,
    shown,
    time_of,
    timers_until,
)
from pipeline.core.presence import AgentsChanged

NOON = 1_800_000_000_000
HOUR = 3_600_000


def click(at: int, source: str = "collect@one") -> Clickstream:
    return Clickstream(message_id="m", type="track", user_id="u", occurred_at=at, received_at=at, source=source)


def tick(at: int, source: str = "work@one") -> Tick:
    return Tick(source=source, received_at=at)


def published(**fields: Any) -> CampaignsChanged:
    return CampaignsChanged(**{"version": 2, "campaigns": b"[1]", "site": b"{1}", "received_at": NOON} | fields)


def after(*events: Event) -> PartitionState:
    state = PartitionState()
    for event in events:
        state = advance(state, event)
    return state


@pytest.mark.parametrize(
    ("events", "clock"),
    [
        ([click(NOON)], NOON),
        ([click(NOON), click(NOON - 5)], NOON),
        ([click(NOON), tick(NOON + MAX_JUMP_MS)], NOON + MAX_JUMP_MS),
        # One host whose clock runs ahead moves nothing, however often it says so.
        ([click(NOON), click(NOON + 10 * HOUR), click(NOON + 11 * HOUR)], NOON),
        # A second source agrees: as far as both say.
        ([click(NOON), click(NOON + 10 * HOUR), tick(NOON + 9 * HOUR)], NOON + 9 * HOUR),
        ([click(NOON), click(NOON + 9 * HOUR), tick(NOON + 10 * HOUR)], NOON + 9 * HOUR),
        # After a downtime, in a quiet partition: the owner and the store's clock.
        (
            [click(NOON), tick(NOON + 8 * HOUR), tick(NOON + 9 * HOUR), tick(NOON + 9 * HOUR, "store")],
            NOON + 9 * HOUR,
        ),
        # A believable record in between: the suspicion starts anew.
        ([click(NOON), click(NOON + 9 * HOUR), tick(NOON + 1), tick(NOON + 9 * HOUR)], NOON + 1),
        # Messages between subjects carry their cause's time and move nothing.
        ([click(NOON), VoucherReleased(code="c", order_id="o", received_at=NOON + 5)], NOON),
        ([click(NOON), CampaignsChanged(version=1, campaigns=b"[]", received_at=NOON + 5)], NOON),
    ],
)
def test_the_clock(events: list[Event], clock: int) -> None:
    assert after(*events).clock == clock


@pytest.mark.parametrize("at", [0, NOON - HOUR, NOON + 1, NOON + 10 * HOUR])
def test_a_heartbeat_is_noted_and_moves_nothing(at: int) -> None:
    before = after(click(NOON), click(NOON + 9 * HOUR))
    beaten = advance(before, Heartbeat(source="collect@two", received_at=at))
    assert (beaten.heartbeat_at, beaten.heartbeats) == (at, 1)
    assert msgspec.structs.replace(beaten, heartbeat_at=0, heartbeats=0) == before


def test_a_record_is_taken_as_of_a_clock_that_does_not_believe_it() -> None:
    state = after(click(NOON), click(NOON + 10 * HOUR))
    assert time_of(state, click(NOON + 10 * HOUR)) == NOON
    assert time_of(state, VoucherReleased(code="c", order_id="o", received_at=NOON + 5)) == NOON + 5


STARTED = ImportStarted(import_id="i", source="import:i", first_at=NOON, received_at=NOON)
ENDED = ImportEnded(import_id="i", source="import:i", received_at=NOON + 99 * HOUR)


def test_while_history_is_imported_timers_fire_by_its_time() -> None:
    state = after(STARTED, click(NOON + 50 * HOUR, "import:i"), click(NOON + 40 * HOUR, "import:i"))
    assert timers_until(state) == NOON + 50 * HOUR - FIRES_AFTER_MS
    assert state.clock == 0
    state = advance(state, click(NOON + 999 * HOUR))
    assert timers_until(state) == NOON + 50 * HOUR - FIRES_AFTER_MS
    assert time_of(state, click(NOON + 40 * HOUR, "import:i")) == NOON + 40 * HOUR
    assert timers_until(advance(state, ENDED)) == NOON + 999 * HOUR - FIRES_AFTER_MS


def test_the_clock_stands_at_the_end_of_the_history() -> None:
    assert after(STARTED, click(NOON, "import:i"), ENDED).clock == NOON + 99 * HOUR
    # What pretends to be an import after its end moves nothing.
    assert after(STARTED, ENDED, click(NOON + 500 * HOUR, "import:i")).clock == NOON + 99 * HOUR


def test_until_something_live_moves_it_the_clock_is_known_to_stand_at_history() -> None:
    imported = after(STARTED, click(NOON, "import:i"), ENDED)
    assert imported.stands_at_history
    assert advance(imported, click(NOON + 500 * HOUR)).stands_at_history  # one voice, not believed yet
    assert not advance(imported, click(NOON + 99 * HOUR + 1)).stands_at_history
    assert not after(click(NOON + 99 * HOUR), STARTED, ENDED).stands_at_history, "it stood there before"
    again = ImportStarted(import_id="j", source="import:j", first_at=NOON, received_at=NOON)
    earlier = ImportEnded(import_id="j", source="import:j", received_at=NOON + HOUR)
    assert advance(advance(imported, again), earlier).stands_at_history


def test_the_end_of_one_import_does_not_end_another() -> None:
    other = ImportEnded(import_id="j", source="import:j", received_at=NOON + 99 * HOUR)
    assert after(STARTED, click(NOON, "import:i"), other) == after(STARTED, click(NOON, "import:i"))


def test_new_rules_are_shown_to_everybody_if_there_is_anybody() -> None:
    before, changed = ActiveRules(), ActiveRules(campaigns_version=1)
    beat = Heartbeat(source="collect@one", received_at=NOON)
    for nobody in (after(), after(tick(NOON)), after(beat)):
        assert shown(nobody, before, changed) == nobody
    somebody = after(click(NOON))
    assert somebody.sweep_after is None
    assert shown(somebody, before, changed) == but(somebody, sweep_after="")


IN_FORCE = ActiveRules(campaigns_version=1, model_version=1, campaigns=b"[1]", site=b"{1}")


@pytest.mark.parametrize(
    ("event", "sweeps"),
    [
        (published(), True),  # the same once more: the operator wants everybody looked at
        (published(site=b"{2}"), False),
        (published(site=b"{2}", campaigns=b"[2]"), True),
        (published(site=b"{2}", policy=b"{2}"), True),
        (published(site=b"{2}", segments=b"[2]"), True),
        (published(site=b"{2}", loyalty=b"{2}"), True),
        (published(version=1, campaigns=b"[2]"), False),
        (ModelChanged(version=2, model=b"{2}", received_at=NOON), True),
        (AgentsChanged(desk="d", free=1, until=NOON, gated=True, source="d", received_at=NOON), False),
    ],
)
def test_a_change_that_decides_nothing_is_shown_to_nobody(event: Changed, sweeps: bool) -> None:
    for under_way in (None, "u:ann"):
        state = but(after(click(NOON)), sweep_after=under_way)
        assert shown(state, IN_FORCE, activate(IN_FORCE, event)).sweep_after == ("" if sweeps else under_way)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_only_a_newer_version_takes_effect(version: int) -> None:
    active = ActiveRules(campaigns_version=2, campaigns=b"old", model_version=2, model=b"old")
    changed = activate(active, CampaignsChanged(version=version, campaigns=b"new", received_at=0))
    modelled = activate(active, ModelChanged(version=version, model=b"new", received_at=0))
    newer = version > 2
    assert changed.campaigns == (b"new" if newer else b"old")
    assert modelled.model == (b"new" if newer else b"old")


def test_rules_are_what_the_log_says() -> None:
    campaign: dict[str, Any] = {"name": "b", "when": {"kind": "lapsed"}, "do": {"kind": "voucher"}}
    campaigns = [campaign, {**campaign, "name": "a"}, {**campaign, "name": "z", "priority": 1}]
    campaigns.append({**campaign, "name": "asleep", "state": "paused"})
    model = msgspec.json.encode(LapseModel(level=2.0))
    active = ActiveRules(campaigns=msgspec.json.encode(campaigns), campaigns_version=7, model=model, model_version=8)
    rules = rules_of(active, b"secret", redeemable=False)
    assert [c.name for c in rules.campaigns] == ["z", "a", "b"]
    assert (rules.campaigns_version, rules.model_version, rules.model.level) == (7, 8, 2.0)
    assert (rules.code_secret, rules.redeemable) == (b"secret", False)
