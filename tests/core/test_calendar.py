"""Days are 24 hours of UTC: leap days, summer time and the host's own zone change no moment and no answer."""

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from stories import test_stories as stories

from core.making import WIN_BACK, but, buyer, candidate, rules
from pipeline.core import subjects, voucher
from pipeline.core.customer import vouchers
from pipeline.core.customer.notes import Granted
from pipeline.core.do import DoVoucher
from pipeline.core.effects import Send
from pipeline.core.events import RedemptionRequested, TimerDue, VoucherIssued

STORIES = Path(stories.__file__).parent


def ms(text: str) -> int:
    """Of an ISO 8601 moment with its offset."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("issued", "days", "ends"),
    [
        # Central Europe: the night of 23 hours, the one of 25, and the midnights around them.
        ("2026-03-28T23:00+01:00", 1, "2026-03-30T00:00+02:00"),
        ("2026-03-29T00:00+01:00", 1, "2026-03-30T01:00+02:00"),
        ("2026-10-24T00:00+02:00", 1, "2026-10-25T00:00+02:00"),
        ("2026-10-25T00:00+02:00", 1, "2026-10-25T23:00+01:00"),
        ("2026-03-01T12:00+01:00", 30, "2026-03-31T13:00+02:00"),
        # Leap years.
        ("2028-02-28T12:00+00:00", 1, "2028-02-29T12:00+00:00"),
        ("2028-02-29T12:00+00:00", 366, "2029-03-01T12:00+00:00"),
        ("2027-02-28T12:00+00:00", 1, "2027-03-01T12:00+00:00"),
        ("2100-02-28T12:00+00:00", 1, "2100-03-01T12:00+00:00"),
    ],
)
def test_a_voucher_lives_so_many_times_24_hours_to_the_millisecond(issued: str, days: int, ends: str) -> None:
    now, end = ms(issued), ms(ends)
    campaign = but(WIN_BACK, do=DoVoucher(discount_percent=10, valid_days=days))
    grant = Granted(candidate=candidate(campaign), channel="email", campaign=campaign)
    _, outputs = vouchers.step(buyer(0), TimerDue(now), now, rules(campaign), [grant])
    [(key, told)] = [(it.to, it.message) for it in outputs if isinstance(it, Send)]
    assert isinstance(told, VoucherIssued)
    assert told.expires_at == end
    state, _ = subjects.step(key, None, told, now, rules())
    assert isinstance(state, voucher.VoucherState)
    request = RedemptionRequested(code=told.code, order_id="o", total_cents=900, currency="EUR", received_at=end)
    assert [voucher.assess(state, request, at).status for at in (end - 1, end, end + 1)] == [200, 410, 410]


@pytest.fixture(params=["Europe/Berlin", "America/St_Johns", "Pacific/Kiritimati"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The process runs in this zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("story", ["lost_and_won_back", "a_budget_is_spent", "hesitation"])
def test_the_zone_of_the_host_changes_nothing(story: str) -> None:
    told, _, expected = (STORIES / f"{story}.txt").read_text().partition(stories.RULER)
    assert stories.play(told) == expected
