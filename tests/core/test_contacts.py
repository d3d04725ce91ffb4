"""Whose clock counts, and who has cause to complain."""

import pytest

from core.occurrences import click, lived, says
from pipeline.core.customer import contacts
from pipeline.core.customer.contacts import MAX_COMPLAINTS, Contacts
from pipeline.core.customer.profile import Profile
from pipeline.core.events import BROWSER, HandedOver, ProfileHandedOver
from pipeline.core.rules import Rules

U, A = "u:ann", "a:phone"


def complains(minute, number="1", name="Complaint Opened", **more):
    return click(minute, name, properties=f'{{"complaint_id":"{number}"}}', **more)


@pytest.mark.parametrize(
    ("key", "said", "zone"),
    [
        (U, {"properties": '{"timezone":"Europe/Paris"}'}, "Europe/Paris"),
        (U, {"context": '{"timezone":"Europe/Paris"}'}, "Europe/Paris"),
        (U, {"properties": '{"timezone":"Asia/Tokyo"}', "context": '{"timezone":"Europe/Paris"}'}, "Asia/Tokyo"),
        (U, {"properties": '{"timezone":"Mars"}', "context": '{"timezone":"Europe/Paris"}'}, "Europe/Paris"),
        (U, {"properties": '{"timezone":7}', "context": "no JSON"}, ""),
        (U, {"properties": '{"timezone":"Europe/Paris"}', "trust": BROWSER}, ""),
        (A, {"properties": '{"timezone":"Europe/Paris"}', "trust": BROWSER}, "Europe/Paris"),
    ],
)
def test_the_time_zone_is_what_was_last_said_if_there_is_one_of_that_name(key, said, zone):
    profile = lived(key, click(-1), says(0, **said))
    assert profile.contacts.timezone == zone
    assert lived(key, says(1), profile=profile).contacts is profile.contacts


@pytest.mark.parametrize(
    ("told", "still_open"),
    [
        ([complains(0)], ("1",)),
        ([complains(0), complains(1)], ("1",)),
        ([complains(0), complains(1, "2", trust=BROWSER)], ("1", "2")),
        ([complains(0), complains(1, "2"), complains(2, "1", "Complaint Closed")], ("2",)),
        ([complains(0), complains(1, "1", "Complaint Closed", trust=BROWSER)], ("1",)),
        ([complains(0), complains(1, "7", "Complaint Closed")], ("1",)),
        ([click(0, "Complaint Opened"), click(1, "Complaint Opened", properties="[]")], ("",)),
        ([complains(n, f"{n}") for n in range(MAX_COMPLAINTS + 2)], tuple(f"{n}" for n in range(2, 22))),
    ],
)
def test_anybody_may_complain_and_only_the_shop_says_that_it_is_settled(told, still_open):
    assert lived(U, *told).contacts.complaints == still_open


@pytest.mark.parametrize(
    ("own", "theirs", "merged"),
    [
        (Contacts("Asia/Tokyo", ("1",)), Contacts("Europe/Paris", ("2",)), Contacts("Asia/Tokyo", ("1", "2"))),
        (Contacts(), Contacts("Europe/Paris", ("2",)), Contacts("Europe/Paris", ("2",))),
        (Contacts(), Contacts(), Contacts()),
    ],
)
def test_what_a_browser_knew_is_added(own, theirs, merged):
    message = ProfileHandedOver(anonymous_id="phone", outcome="HANDED_OVER", trust=BROWSER, received_at=9)
    event = HandedOver(message=message, history=Profile(A, contacts=theirs))
    assert contacts.step(Profile(U, contacts=own), event, 9, Rules(), [])[0] == merged
    nothing = HandedOver(message=message, history=None)
    assert contacts.step(Profile(U, contacts=own), nothing, 9, Rules(), [])[0] is own
