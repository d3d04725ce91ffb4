"""What the customer permits: unknown means no, and a withdrawal is stronger than a grant."""

from typing import Any

import pytest

from core.making import but
from core.occurrences import DAY, at, click, lived, says, stepped
from pipeline.core.customer import consent
from pipeline.core.customer.consent import Consent, Permission
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import Message
from pipeline.core.events import (
    BROWSER,
    SERVER,
    VERIFIED,
    Clickstream,
    Customer,
    HandedOver,
    ProfileHandedOver,
    Trust,
)
from pipeline.core.rules import Policy, Rules

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


OPT_IN = Rules(policy=Policy())
FORM = {"trust": VERIFIED, "trusted": True}


def confirmed(minute: float, **more: Any) -> Clickstream:
    return click(minute, "Email Confirmed", **more)


@pytest.mark.parametrize(
    ("told", "email_marketing", "asked"),
    [
        ([says(0, "+email.marketing", trust=SERVER)], True, 0),
        ([says(0, "+email.marketing", **FORM)], False, 1),
        ([says(0, "+email.marketing", **FORM), confirmed(5)], True, 1),
        ([says(0, "+email.marketing", **FORM), confirmed(5, trust=BROWSER)], False, 1),
        ([says(0, "+email.marketing", **FORM), confirmed(8 * DAY)], False, 1),
        ([says(0, "+email.marketing", **FORM), says(1, "+email.marketing", **FORM)], False, 1),
        ([says(0, "+email.marketing", **FORM), says(1, "+email.marketing", **FORM), confirmed(5)], True, 1),
        ([says(0, "+email.marketing", **FORM), says(8 * DAY, "+email.marketing", **FORM)], False, 2),
        ([says(0, "+email.marketing", **FORM), says(1, "-email.marketing"), confirmed(5)], False, 1),
        ([says(0, "-*.marketing"), says(1, "+email.marketing", **FORM), confirmed(5)], True, 1),
        ([says(0, "+email.marketing", "+email.service", **FORM), confirmed(5)], True, 2),
        ([says(0, "+email.marketing", trust=SERVER), says(1, "+email.marketing", **FORM)], True, 0),
        ([says(0, "+email.marketing", trust=BROWSER)], None, 0),
        ([says(0, "+push.marketing", **FORM)], None, 0),
        ([confirmed(0)], None, 0),
    ],
)
def test_a_form_s_permission_for_e_mail_counts_once_the_mailbox_has_confirmed_it(
    told: list[Any], email_marketing: bool | None, asked: int
) -> None:
    profile, made = stepped(U, None, click(-1), rules=OPT_IN)
    messages: list[Message] = []
    for event in told:
        profile, made = stepped(U, profile, event, rules=OPT_IN)
        messages += [one for one in made if isinstance(one, Message)]
    assert profile is not None
    assert profile.consent.allows("email", "marketing") is email_marketing
    assert len(messages) == asked
    assert len({message.id for message in messages}) == asked


def test_the_mail_that_asks_is_no_advertising_and_names_what_it_is_about() -> None:
    _, (message,) = stepped(A, None, says(0, "+email.marketing", trust=BROWSER, message_id="m1"), rules=OPT_IN)
    assert isinstance(message, Message)
    assert (message.campaign, message.occasion) == ("double-opt-in", "email.marketing:m1")
    assert (message.template, message.channel, message.purpose) == ("confirm-email", "email", "transactional")
    assert message.values == '{"permission":"email.marketing"}'
    assert message.not_after == at(7 * DAY)


def test_the_proof_of_a_confirmed_permission_says_when_it_was_confirmed_and_what_was_agreed_to() -> None:
    words = consent.ConsentChange(channel="email", purpose="marketing", granted=True, wording="Yes", place="/news")
    asked = lived(U, click(-1), but(says(0, **FORM), consents=(words,)), rules=OPT_IN)
    kept = asked.consent.permissions["email.marketing"]
    assert kept == Permission(False, at(0), "Yes", "/news", unconfirmed=True)
    done = lived(U, confirmed(5), profile=asked, rules=OPT_IN).consent.permissions["email.marketing"]
    assert done == Permission(True, at(5), "Yes", "/news")


@pytest.mark.parametrize(
    ("own", "trust", "allowed"),
    [({}, VERIFIED, True), ({}, BROWSER, None), ({"email.marketing": False}, VERIFIED, False)],
)
def test_what_a_browser_was_asked_can_be_confirmed_by_the_person(
    own: dict[str, bool], trust: Trust, allowed: bool | None
) -> None:
    history = lived(A, says(0, "+email.marketing", trust=BROWSER), rules=OPT_IN)
    message = ProfileHandedOver(anonymous_id="phone", outcome="HANDED_OVER", trust=trust, received_at=at(1))
    mine = Consent({name: Permission(word, at(-5)) for name, word in own.items()})
    person = Profile(U, consent=mine)
    merged, _ = consent.step(person, HandedOver(message=message, history=history), at(1), OPT_IN, [])
    after = lived(U, confirmed(5), profile=Profile(U, at(1), consent=merged), rules=OPT_IN)
    assert after.consent.allows("email", "marketing") is allowed
