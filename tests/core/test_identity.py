"""Who is who: claims, answers, what is handed over to whom, and what a mere claim may not do."""

import msgspec
import pytest

from core.occurrences import DAY, at, click, lived, order, says, stepped
from pipeline.core import customer
from pipeline.core.customer.identity import (
    MAX_BROWSERS,
    MAX_GROUPS,
    MAX_TRAIT_CHARACTERS,
    MAX_TRAITS,
    Browser,
    Identity,
)
from pipeline.core.customer.profile import Profile
from pipeline.core.customer.vouchers import Held, Vouchers
from pipeline.core.effects import Forward, Send
from pipeline.core.events import (
    BROWSER,
    SERVER,
    VERIFIED,
    EffectDelivered,
    EventForwarded,
    Forwarded,
    ProfileClaimed,
    ProfileHandedOver,
    RulesChanged,
    Stimulus,
    TimerDue,
    Trust,
    VoucherRedeemed,
)
from pipeline.core.requirement import Violated
from pipeline.core.rules import Rules

U, A = "u:ann", "a:phone"


def claim(minutes: float, claimant: str = U, trust: Trust = VERIFIED) -> ProfileClaimed:
    return ProfileClaimed(claimant=claimant, trust=trust, received_at=at(minutes))


def answer(
    minutes: float, outcome: str, trust: Trust = VERIFIED, history: Profile | None = None
) -> ProfileHandedOver:
    return ProfileHandedOver(
        anonymous_id="phone",
        outcome=outcome,
        trust=trust,
        history=msgspec.msgpack.encode(history) if history else b"",
        received_at=at(minutes),
    )


def answered(profile: Profile | None, event: ProfileClaimed) -> tuple[Profile, str]:
    """The browser after a claim, and its outcome."""
    after, (sent,) = stepped(A, profile, event)
    assert after is not None
    assert isinstance(sent, Send)
    assert isinstance(sent.message, ProfileHandedOver)
    assert sent.to == event.claimant
    assert bool(sent.message.history) == (sent.message.outcome == "HANDED_OVER")
    return after, sent.message.outcome


def claims_of(outputs: list[object]) -> list[str]:
    return [sent.to for sent in outputs if isinstance(sent, Send) and isinstance(sent.message, ProfileClaimed)]


def with_voucher(profile: Profile) -> Profile:
    held = Held("id", "c", "o", "email", "issued", at(0), at(9), 10, 0, "", 0, "")
    return msgspec.structs.replace(profile, vouchers=Vouchers({"CODE": held}))


BROWSED = lived(A, click(0, anonymous_id="phone"))


@pytest.mark.parametrize(
    ("browser", "trust", "outcome"),
    [
        (None, BROWSER, "EMPTY"),
        (BROWSED, BROWSER, "HANDED_OVER"),
        (BROWSED, SERVER, "HANDED_OVER"),
        (lived(A, order(0, "o-1")), BROWSER, "WITHHELD"),
        (lived(A, order(0, "o-1")), VERIFIED, "HANDED_OVER"),
        (lived(A, says(0, "+email.marketing")), BROWSER, "WITHHELD"),
        (lived(A, says(0, "-email.marketing")), BROWSER, "HANDED_OVER"),
        (with_voucher(BROWSED), BROWSER, "WITHHELD"),
        (with_voucher(BROWSED), VERIFIED, "HANDED_OVER"),
    ],
)
def test_what_a_browser_answers_the_first_claim(browser: Profile | None, trust: Trust, outcome: str) -> None:
    after, given = answered(browser, claim(1, trust=trust))
    assert given == outcome
    assert after.identity.owner == ("" if outcome == "WITHHELD" else U)


def test_a_browser_that_was_handed_over_keeps_only_a_stub_and_forwards() -> None:
    owned, _ = answered(BROWSED, claim(1))
    assert owned == Profile(
        A, at(1), dedup=BROWSED.dedup, identity=Identity(owner=U, owner_trust=VERIFIED), activity=owned.activity
    )
    assert (owned.activity.events, owned.activity.last_seen) == (0, at(1))
    forwarded, outputs = stepped(A, owned, click(2, anonymous_id="phone"))
    assert outputs == [Forward(U, "phone", VERIFIED)]
    again, outputs = stepped(A, forwarded, click(2, anonymous_id="phone"))
    assert outputs == []
    assert again is not None
    assert again.activity.last_seen == at(2)


def test_what_becomes_of_a_voucher_that_was_handed_over_is_told_to_the_owner() -> None:
    owned, _ = answered(BROWSED, claim(1))
    redeemed = VoucherRedeemed(id="v", code="C", order_id="o", discount_cents=1, received_at=at(2))
    _, outputs = stepped(A, owned, redeemed)
    assert outputs == [Send(U, redeemed)]
    delivered = EffectDelivered(effect_id="v", channel="email", outcome="SENT", received_at=at(3))
    assert stepped(A, owned, delivered)[1] == [Send(U, delivered)]


def test_the_same_claimant_again_gets_nothing_twice_but_may_bring_more_trust() -> None:
    owned, _ = answered(BROWSED, claim(1, trust=VERIFIED))
    less, outcome = answered(owned, claim(2, trust=BROWSER))
    assert (outcome, less.identity.owner_trust) == ("EMPTY", VERIFIED)
    more, outcome = answered(less, claim(3, trust=SERVER))
    assert (outcome, more.identity.owner_trust) == ("EMPTY", SERVER)


def test_a_second_claimant_makes_the_browser_shared_for_good() -> None:
    owned, _ = answered(BROWSED, claim(1))
    shared, outcome = answered(owned, claim(2, "u:bob", SERVER))
    assert (outcome, shared.identity) == ("SHARED", Identity(shared=True))
    again, outcome = answered(shared, claim(3))
    assert (outcome, again.identity.owner) == ("SHARED", "")
    after, outputs = stepped(A, again, click(4, anonymous_id="phone"))
    assert outputs == []
    assert after is not None
    assert after.activity.events == 1


def test_a_withheld_browser_is_still_there_for_who_proves_to_be_its_person() -> None:
    withheld, _ = answered(lived(A, order(0, "o-1")), claim(1, "u:thief", BROWSER))
    owned, outcome = answered(withheld, claim(2))
    assert (outcome, owned.identity.owner) == ("HANDED_OVER", U)


def test_a_person_claims_a_browser_once() -> None:
    profile, outputs = stepped(U, None, click(0, anonymous_id="phone"))
    assert claims_of(outputs) == [A]
    _, outputs = stepped(U, profile, click(1, anonymous_id="phone"))
    assert claims_of(outputs) == []


def test_an_alias_claims_the_browser_it_names_and_merges_no_two_people() -> None:
    alias = says(0, type="alias", previous_id="bob")
    assert claims_of(stepped(U, None, alias)[1]) == ["a:bob"]
    assert claims_of(stepped(U, None, says(0, previous_id="bob"))[1]) == []
    assert claims_of(stepped(A, None, alias)[1]) == []


@pytest.mark.parametrize(
    ("status", "first", "then", "days", "claims_again"),
    [
        ("withheld", BROWSER, VERIFIED, 1, True),
        ("withheld", BROWSER, BROWSER, 1, False),
        ("handed_over", BROWSER, VERIFIED, 1, False),
        ("handed_over", VERIFIED, VERIFIED, 59, False),
        ("handed_over", VERIFIED, VERIFIED, 60, True),
    ],
)
def test_when_a_browser_is_claimed_again(
    status: str, first: Trust, then: Trust, days: int, claims_again: bool
) -> None:
    known = Profile(U, at(0), identity=Identity({"phone": Browser(status, first, at(0), 7)}))
    after, outputs = stepped(U, known, click(days * DAY, anonymous_id="phone", trust=then))
    assert claims_of(outputs) == ([A] if claims_again else [])
    assert after is not None
    assert after.identity.browsers["phone"].events == 7


def test_a_claim_holds_decisions_back_for_a_minute_or_until_it_is_answered() -> None:
    open_claim = lived(U, click(0, anonymous_id="phone"))
    assert open_claim.identity.claim_open_until() == at(1)
    early, _ = stepped(U, open_claim, TimerDue(at(0.5)))
    assert early is not None
    assert early.identity.browsers["phone"].status == "open"
    expired, _ = stepped(U, open_claim, TimerDue(at(1)))
    assert expired is not None
    assert (expired.identity.browsers["phone"].status, expired.identity.claim_open_until()) == ("expired", 0)
    late, _ = stepped(U, expired, answer(5, "HANDED_OVER", history=BROWSED))
    assert late is not None
    assert (late.identity.browsers["phone"].status, late.activity.events) == ("handed_over", 2)


@pytest.mark.parametrize(
    ("outcome", "events_before", "status"),
    [("SHARED", 0, "shared"), ("WITHHELD", 0, "withheld"), ("EMPTY", 0, "empty"), ("EMPTY", 3, "handed_over")],
)
def test_answers_without_a_history(outcome: str, events_before: int, status: str) -> None:
    claimed = Profile(U, at(0), identity=Identity({"phone": Browser("open", VERIFIED, at(0), events_before)}))
    after, _ = stepped(U, claimed, answer(0.1, outcome))
    assert after is not None
    assert after.identity.browsers["phone"] == Browser(status, VERIFIED, at(0), events_before)


def test_an_answer_of_a_browser_long_forgotten_is_still_taken() -> None:
    after, _ = stepped(U, Profile(U, at(0)), answer(1, "HANDED_OVER", history=BROWSED))
    assert after is not None
    assert after.identity.browsers == {"phone": Browser("handed_over", VERIFIED, at(1), 1)}


@pytest.mark.parametrize(("trust", "traits", "groups"), [(BROWSER, {}, ()), (VERIFIED, {"size": "XL"}, ("club",))])
def test_traits_are_handed_over_only_with_proof(
    trust: Trust, traits: dict[str, str], groups: tuple[str, ...]
) -> None:
    history = lived(A, says(0, properties='{"size":"XL"}'), says(1, type="group", group_id="club"))
    after, _ = stepped(U, Profile(U, at(0)), answer(2, "HANDED_OVER", trust, history))
    assert after is not None
    assert (after.identity.traits, after.identity.groups) == (traits, groups)


def test_of_too_many_browsers_the_oldest_answered_one_makes_room() -> None:
    known = {f"b-{i}": Browser("empty", VERIFIED, at(i)) for i in range(1, MAX_BROWSERS)}
    known = {"b-0": Browser("open", VERIFIED, at(0)), **known}
    after = lived(U, click(DAY, anonymous_id="phone"), profile=Profile(U, at(0), identity=Identity(known)))
    assert len(after.identity.browsers) == MAX_BROWSERS
    assert set(known) - set(after.identity.browsers) == {"b-1"}


def test_what_a_person_says_of_themself() -> None:
    said = lived(
        U,
        says(0, properties='{"name":"Ann","age":33,"likes":["jazz"],"shoe":"40"}'),
        says(1, properties='{"shoe":null,"age":34}'),
        says(2, properties='{"age":34}'),
        says(3, properties="not JSON"),
        says(4, properties='{"name":"Mallory"}', trust=BROWSER),
        says(5, type="group", group_id="club"),
        says(6, type="group", group_id="club"),
        says(7, type="group"),
        says(8, type="alias", properties='{"name":"Bob"}'),
        says(9),
    )
    assert said.identity.traits == {"name": "Ann", "likes": '["jazz"]', "age": "34"}
    assert said.identity.groups == ("club",)
    assert said.identity.untrusted_claims == 1


def test_what_is_kept_of_a_person_is_bounded() -> None:
    many = msgspec.json.encode({f"t-{i}": "x" * 999 for i in range(MAX_TRAITS + 1)}).decode()
    groups = [says(i, type="group", group_id=f"g-{i}") for i in range(MAX_GROUPS + 1)]
    said = lived(U, says(0, properties=many), *groups)
    assert len(said.identity.traits) == MAX_TRAITS
    assert len(said.identity.traits["t-1"]) == MAX_TRAIT_CHARACTERS
    assert (len(said.identity.groups), said.identity.groups[0]) == (MAX_GROUPS, "g-1")


@pytest.mark.parametrize(
    ("trust", "event_trust", "spend_cents", "unverified"),
    [(VERIFIED, SERVER, {"EUR": 100}, 0), (VERIFIED, BROWSER, {}, 0), (BROWSER, SERVER, {}, 1)],
)
def test_a_forwarded_event_is_a_fact_only_if_the_claim_was_proven(
    trust: Trust, event_trust: Trust, spend_cents: dict[str, int], unverified: int
) -> None:
    inner = order(1, "o-1", total_cents=100, anonymous_id="phone", trust=event_trust)
    forwarded = Forwarded(anonymous_id="phone", trust=trust, event=inner, received_at=at(1))
    after, _ = stepped(U, Profile(U, at(0)), forwarded)
    assert after is not None
    assert (after.purchases.spend_cents, after.activity.unverified_events) == (spend_cents, unverified)


@pytest.mark.parametrize(
    "message",
    [
        answer(0, "EMPTY"),
        TimerDue(at(0)),
        RulesChanged(1, 1),
        VoucherRedeemed(id="v", code="C", order_id="o", discount_cents=1, received_at=at(0)),
    ],
)
def test_messages_to_nobody_are_let_go(message: Stimulus) -> None:
    assert stepped(U, None, message) == (None, [])


def test_new_rules_change_nobody() -> None:
    person = lived(U, click(0, anonymous_id="phone"))
    after, _ = stepped(U, person, RulesChanged(1, 1))
    assert after is not None
    assert after.identity is person.identity


def test_time_never_goes_back_and_records_come_decoded() -> None:
    with pytest.raises(Violated, match="time never goes back"):
        customer.step(U, Profile(U, at(1)), TimerDue(at(0)), at(0), Rules())
    raw = EventForwarded(anonymous_id="phone", trust=VERIFIED, record=b"", received_at=at(0))
    with pytest.raises(Violated, match="decodes EventForwarded"):
        stepped(U, Profile(U, at(0)), raw)


def test_a_browser_and_a_person_are_told_apart() -> None:
    assert Profile(A).believes(BROWSER)
    assert not Profile(U).believes(BROWSER)
    assert Profile(U).believes(VERIFIED)
