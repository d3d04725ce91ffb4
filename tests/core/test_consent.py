"""What the customer permits: unknown means no, and a withdrawal is stronger than a grant."""

import pytest

from core.occurrences import at, click, lived, says, stepped
from pipeline.core.customer import consent
from pipeline.core.customer.consent import Consent, Permission
from pipeline.core.customer.profile import Profile
from pipeline.core.events import BROWSER, VERIFIED, Customer, HandedOver, ProfileHandedOver, Trust
from pipeline.core.rules import Rules

U, A = "u:ann", "a:phone"


@pytest.mark.parametrize(
    ("told", "email_marketing"),
    [
        ([], None),
        ([says(0)], None),
        ([says(0, "+email.marketing")], True),
        ([says(0, "-email.marketing")], False),
        ([says(0, "+push.marketing")], None),
        ([says(0, "-email.*")], False),
        ([says(0, "-*.marketing")], False),
        ([says(0, "-*.*")], False),
        ([says(0, "+*.*")], None),
        ([says(0, "+email.*")], None),
        ([says(0, "+email.gossip")], None),
        ([says(0, "-pigeon.marketing")], None),
        ([says(0, "+email.marketing"), says(1, "-*.*")], False),
        ([says(0, "-*.*"), says(1, "+email.marketing")], True),
        ([says(0, "+email.marketing", "-email.marketing")], False),
        ([says(0, "-email.marketing", "+email.marketing")], False),
        ([says(0, "-email.marketing"), says(0, "+email.marketing", message_id="m")], False),
        ([says(0, "-*.marketing", "+email.marketing")], False),
        ([says(0, "+email.marketing", trust=BROWSER)], None),
        ([says(0, "+email.marketing"), says(1, "-email.marketing", trust=BROWSER)], False),
        ([says(0, "+email.marketing"), click(1, "Email Unsubscribed")], False),
        ([says(0, "+email.marketing"), click(1, "Email Marked as Spam", trust=BROWSER)], False),
        ([says(0, "+email.marketing"), click(1, "Email Opened")], True),
    ],
)
def test_the_last_word(told: list[Customer], email_marketing: bool | None) -> None:
    profile = lived(U, click(-1), *told)
    assert profile.consent.allows("email", "marketing") is email_marketing


def test_a_browser_speaks_for_itself() -> None:
    assert lived(A, says(0, "+email.marketing", trust=BROWSER)).consent.allows("email", "marketing") is True


def test_the_proof_is_kept() -> None:
    words = consent.ConsentChange(
        channel="email", purpose="marketing", granted=True, wording="Yes, write to me", place="/register"
    )
    event = Customer(
        message_id="m", type="identify", occurred_at=at(0), received_at=at(0), trust=VERIFIED, consents=(words,)
    )
    profile, _ = stepped(U, None, event)
    assert profile is not None
    kept = Permission(True, at(0), "Yes, write to me", "/register")
    assert profile.consent.permissions == {"email.marketing": kept}


@pytest.mark.parametrize(
    ("own", "handed", "trust", "allowed"),
    [
        (None, True, VERIFIED, True),
        (None, True, BROWSER, None),
        (False, True, VERIFIED, False),
        (True, True, VERIFIED, True),
        (True, False, BROWSER, False),
        (None, False, BROWSER, False),
        (True, None, VERIFIED, True),
    ],
)
def test_of_two_histories_the_stricter_word_counts(
    own: bool | None, handed: bool | None, trust: Trust, allowed: bool | None
) -> None:
    def words(granted: bool | None, minute: int) -> Consent:
        return Consent({} if granted is None else {"email.marketing": Permission(granted, at(minute))})

    message = ProfileHandedOver(anonymous_id="phone", outcome="HANDED_OVER", trust=trust, received_at=at(9))
    event = HandedOver(message=message, history=Profile(A, consent=words(handed, 0)))
    merged, _ = consent.step(Profile(U, consent=words(own, 5)), event, at(9), Rules(), [])
    assert merged.allows("email", "marketing") is allowed
