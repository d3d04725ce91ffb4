"""A browser nobody hears of is forgotten; a person never is."""

import msgspec
import pytest

from core.occurrences import DAY, at, click, lived, order, stepped
from pipeline.core.customer import due, expiry
from pipeline.core.customer.profile import Profile
from pipeline.core.customer.vouchers import Held, Vouchers
from pipeline.core.events import TimerDue


def holding(status: str, days: int) -> Profile:
    held = Held("id", "c", "o", "email", status, at(0), at(days * DAY), 10, 0, "", 0, "")
    return msgspec.structs.replace(lived("a:phone", click(0)), vouchers=Vouchers({"CODE": held}))


@pytest.mark.parametrize(
    ("profile", "days"),
    [
        (lived("a:phone", click(0)), 91),
        (lived("a:phone", click(0), click(10 * DAY)), 101),
        (lived("a:phone", click(0), click(11 * DAY - 1)), 101),
        (lived("a:phone", order(0, "o-1")), 730),
        (lived("a:phone", order(0, "o-1", "Order Cancelled")), 91),
        (holding("issued", 100), 100),
        (holding("sent", 100), 100),
        (holding("redeemed", 100), 91),
        (holding("issued", 30), 91),
    ],
)
def test_when_a_browser_is_forgotten(profile: Profile, days: int) -> None:
    assert expiry.due(profile) == at(days * DAY)
    kept, _ = stepped("a:phone", profile, TimerDue(at(days * DAY) - 1))
    assert kept is not None
    assert stepped("a:phone", profile, TimerDue(at(days * DAY))) == (None, [])


def test_a_person_is_never_forgotten() -> None:
    person = lived("u:ann", click(0))
    assert (expiry.due(person), due(person)) == (0, 0)
    assert stepped("u:ann", person, TimerDue(at(9999 * DAY)))[0] is not None


def test_the_earliest_of_all_timers_is_the_subjects() -> None:
    assert due(lived("u:ann", click(0, anonymous_id="phone"))) == at(1)
    assert due(lived("a:phone", click(0))) == at(91 * DAY)
    bought = lived("a:phone", order(0, "o-1"))
    assert due(bought) == min(bought.lapse.due.values())
