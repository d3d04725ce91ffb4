"""Which event names are known, and what each becomes."""

import pytest

from collector.harness import SERVER_KEY, Door
from pipeline.core.events import Chat, Clickstream, Customer, Purchase
from pipeline.producers.collector.names import ALIASES, EVENTS, recognised

SPECIFICATION = """
Products Searched; Product List Viewed; Product List Filtered; Promotion Viewed; Promotion Clicked; Product Clicked;
Product Viewed; Product Added; Product Removed; Cart Viewed; Checkout Started; Checkout Step Viewed;
Checkout Step Completed; Payment Info Entered; Order Updated; Order Completed; Order Refunded; Order Cancelled;
Coupon Entered; Coupon Applied; Coupon Denied; Coupon Removed; Product Added to Wishlist;
Product Removed from Wishlist; Wishlist Product Added to Cart; Product Shared; Cart Shared; Product Reviewed;
Live Chat Conversation Started; Live Chat Conversation Ended; Live Chat Message Sent; Live Chat Message Received;
Email Delivered; Email Opened; Email Link Clicked; Email Bounced; Email Marked as Spam; Email Unsubscribed;
Experiment Viewed; Consent Granted; Consent Withdrawn; Segment Consent Preference Updated
"""
NAMES = [name.strip() for name in SPECIFICATION.replace("\n", " ").split(";")]
RECORDS = {
    "click": Clickstream,
    "product": Clickstream,
    "purchase": Purchase,
    "chat": Chat,
    "consent": Customer,
    "preferences": Customer,
}


def test_the_table_is_the_specification() -> None:
    assert sorted(EVENTS) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_becomes_its_record(name: str) -> None:
    properties = {"order_id": "o-1", "channel": "email"}
    record = Door().track({"event": name, "userId": "u", "properties": properties}, SERVER_KEY)
    assert type(record) is RECORDS[EVENTS[name]]
    assert record.event == name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spell", [str.upper, str.lower, lambda n: n.lower().replace(" ", "_"),
                                   lambda n: n.replace(" ", ""), lambda n: n.replace(" ", "-")])  # fmt: skip
def test_spelling_does_not_matter(name: str, spell: object) -> None:
    assert recognised(spell(name)) == (name, EVENTS[name])  # type: ignore[operator]


@pytest.mark.parametrize(("old", "new"), ALIASES.items())
def test_names_of_the_first_specification_are_stored_under_todays(old: str, new: str) -> None:
    assert recognised(old) == recognised(old.lower()) == (new, EVENTS[new])
    record = Door().track({"event": old, "userId": "u", "properties": {"order_id": "o-1"}}, SERVER_KEY)
    assert record.event == new


@pytest.mark.parametrize("name", ["Sofa Rotated", "product viewed twice", "  ", "Ordered", "__proto__", "é" * 300])
def test_the_shops_own_names_stay_as_they_are(name: str) -> None:
    record = Door().track({"event": name, "anonymousId": "a"})
    assert (type(record), record.event) == (Clickstream, name)
