"""Erasing: who obeys whose request, to whom it is passed on, and what lifts it."""

from typing import Any

import pytest

from core.making import MINUTE, T0, THANKS, but, buyer, click, rules
from pipeline.core import bounds, erasure, partition, subjects
from pipeline.core.budget import BudgetState, Reservation
from pipeline.core.customer.decisions import Answer, Decisions
from pipeline.core.customer.identity import Browser, Identity
from pipeline.core.customer.pending import Pending
from pipeline.core.customer.profile import Profile
from pipeline.core.customer.vouchers import Held, Vouchers
from pipeline.core.effects import Send
from pipeline.core.erasure import Tombstone
from pipeline.core.events import (
    BROWSER,
    SERVER,
    VERIFIED,
    BudgetAnswered,
    BudgetSettled,
    Customer,
    ErasureRequested,
    EventForwarded,
    ProfileClaimed,
    ProfileHandedOver,
    RecordErased,
    Stimulus,
)
from pipeline.core.rules import Budget

SALT = bytes(16)
REQUEST = ErasureRequested(request_id="r", salt=SALT, source="serve@one", received_at=T0)
PASSED_ON = but(REQUEST, owner="u:ann")
HELD = Held("i", "thanks", "o1", "email", "issued", T0, T0, 10, 0, "EUR", 0, "")
ERASED_AT = Tombstone("r", T0)


def owned(**identity: Any) -> Profile:
    return Profile("a:b1", T0, identity=Identity(**identity))


OBEYED = {
    "a person": ("u:ann", buyer(0), REQUEST, True),
    "a person nobody knows": ("u:ann", None, REQUEST, True),
    "a browser by itself": ("a:b1", owned(), REQUEST, True),
    "a browser, by its person": ("a:b1", owned(owner="u:ann", owner_trust=SERVER), PASSED_ON, True),
    "a browser that is forgotten, by its person": ("a:b1", None, PASSED_ON, True),
    "somebody else's browser": ("a:b1", owned(owner="u:ben", owner_trust=SERVER), PASSED_ON, False),
    "a shared browser": ("a:b1", owned(shared=True), PASSED_ON, False),
    "a voucher": ("v:CODE", None, PASSED_ON, True),
    "what is nobody's": ("m:win-back", None, REQUEST, False),
}


@pytest.mark.parametrize("key, state, request_, obeyed", OBEYED.values(), ids=OBEYED.keys())
def test_who_obeys(key: str, state: Profile | None, request_: ErasureRequested, obeyed: bool) -> None:
    assert erasure.obeys(key, state, request_) is obeyed
    after, _ = subjects.step(key, state, request_, T0, rules())
    assert after is (None if obeyed else state)


def test_a_request_goes_on_to_browsers_and_to_vouchers_also_those_no_longer_held() -> None:
    ann = buyer(
        0,
        identity=Identity(browsers={"b1": Browser("handed_over", SERVER, T0), "b2": Browser("shared", SERVER, T0)}),
        vouchers=Vouchers({"C1": HELD}, ("C0", "C1")),
    )
    _, outputs = subjects.step("u:ann", ann, REQUEST, T0, rules())
    assert list(outputs) == [Send(to, PASSED_ON) for to in ("a:b1", "a:b2", "v:C1", "v:C0")]


def test_and_to_the_budgets_they_asked_also_as_a_browser() -> None:
    browsers = {"b1": Browser("handed_over", SERVER, T0), "b2": Browser("shared", SERVER, T0)}
    waits = Pending("waiting", "o1", "", "", "", "", "", 0)
    answered = Answer("o1", "REFUSED", "budget_spent", "{}", T0, 1)
    decided = Decisions({"thanks": ("o1",)}, {"thanks": answered, "win-back": answered}, (waits,))
    ann = buyer(0, identity=Identity(browsers=browsers), decisions=decided)
    _, outputs = subjects.step("u:ann", ann, REQUEST, T0, rules())
    assert list(outputs)[2:] == [
        Send(f"m:{name}", but(REQUEST, owner=owner))
        for name in ("thanks", "win-back", "waiting")
        for owner in ("u:ann", "a:b1")
    ]


def test_a_budget_lets_go_of_what_they_asked_for_and_gives_it_to_who_waits() -> None:
    campaign = but(THANKS, budget=Budget(vouchers=2))
    open_ = {"i1": Reservation("u:ann", 100, T0), "i2": Reservation("u:ben", 200, T0)}
    waiting = {"i3": Reservation("u:ann", 100, T0), "i4": Reservation("u:eve", 300, T0)}
    state = BudgetState("m:thanks", T0, reserved_cents=300, open=open_, waiting=waiting, ask_at=T0 + 1)
    after, outputs = subjects.step("m:thanks", state, PASSED_ON, T0, rules(campaign))
    assert isinstance(after, BudgetState)
    assert (set(after.open), after.waiting, after.reserved_cents, after.ask_at) == ({"i2", "i4"}, {}, 500, T0 + 1)
    assert [output.to for output in outputs if isinstance(output, Send)] == ["u:eve"]
    alone = BudgetState("m:thanks", T0, reserved_cents=100, open={"i1": open_["i1"]}, ask_at=T0 + 1)
    after, _ = subjects.step("m:thanks", alone, PASSED_ON, T0, rules(campaign))
    assert isinstance(after, BudgetState)
    assert (after.open, after.reserved_cents, after.ask_at) == ({}, 0, 0)


LIFTING = {
    "the server's identify": ({}, True),
    "said at the moment of the erasure": ({"occurred_at": T0}, False),
    "said before, arrived later": ({"accepted_at": T0 - 1}, False),
    "a browser's": ({"trust": BROWSER}, False),
    "a verified browser's": ({"trust": VERIFIED}, False),
    "of a history": ({"source": "import:old"}, False),
    "an alias": ({"type": "alias"}, False),
}


@pytest.mark.parametrize("fields, lifted", LIFTING.values(), ids=LIFTING.keys())
def test_what_lifts_an_erasure(fields: dict[str, Any], lifted: bool) -> None:
    later = T0 + MINUTE
    given = {"message_id": "m", "type": "identify", "user_id": "ann", "trust": SERVER, "source": "collect@one"}
    event = Customer(**(given | {"occurred_at": later, "received_at": later} | fields))
    assert erasure.lifts(ERASED_AT, event) is lifted


@pytest.mark.parametrize(
    "event, lifted",
    [
        (ProfileClaimed(claimant="u:ann", trust=SERVER, received_at=T0 + 1), True),
        (ProfileClaimed(claimant="u:ann", trust=SERVER, received_at=T0), False),
        (ProfileClaimed(claimant="u:ann", trust=VERIFIED, received_at=T0 + 1), False),
        (click(at=T0 + 1, trust=SERVER), False),
    ],
)
def test_what_lifts_the_erasure_of_a_browser(event: Any, lifted: bool) -> None:
    assert erasure.lifts(ERASED_AT, event) is lifted


CALLING = {
    "forwards": EventForwarded(anonymous_id="b1", trust=SERVER, record=b"", received_at=T0),
    "hands over": ProfileHandedOver(anonymous_id="b1", outcome="EMPTY", trust=SERVER, received_at=T0),
}


@pytest.mark.parametrize("event", CALLING.values(), ids=CALLING.keys())
def test_a_browser_that_still_speaks_to_them_is_told(event: Stimulus) -> None:
    [sent] = erasure.called_back("u:ann", ERASED_AT, SALT, event)  # type: ignore[arg-type]
    assert sent == Send("a:b1", but(PASSED_ON, source="erasure"))
    assert erasure.called_back("u:ann", ERASED_AT, SALT, click()) == ()


def test_a_place_that_a_budget_reserved_for_them_is_given_back() -> None:
    granted = BudgetAnswered(id="i", campaign="c", outcome="GRANTED", reason="", facts="{}", received_at=T0)
    [sent] = erasure.called_back("u:ann", ERASED_AT, SALT, granted)
    released = BudgetSettled(id="i", campaign="c", outcome="RELEASED", cents=0, received_at=T0)
    assert sent == Send("m:c", released)


def test_a_hash_says_nothing_without_its_salt_and_an_entry_once_lifted_has_another_id() -> None:
    one, other = (erasure.tombstone_of(salt, "u:ann") for salt in (SALT, b"x" * 16))
    assert one != other
    assert len(one) == 32
    listed = erasure.listed(one, SALT, 3, ERASED_AT)
    lifted = erasure.unlisted(listed, T0 + 1)
    assert (listed.outcome, listed.at, lifted.outcome, lifted.at) == ("ERASED", T0, "LIFTED", T0 + 1)
    assert listed.id != lifted.id
    assert erasure.tombstone_key(one) == f"e:{one}"


def test_a_partition_keeps_its_first_salt() -> None:
    state = partition.salted(partition.PartitionState(), b"1" * 16)
    assert partition.salted(state, b"2" * 16) is state
    assert state.erasure_salt == b"1" * 16


@pytest.mark.parametrize(
    "event, fault",
    [
        (REQUEST, ""),
        (but(REQUEST, salt=b""), "a salt of 0 bytes: expected 16"),
        (RecordErased(was="Clickstream", received_at=T0), ""),
        (RecordErased(was="", tombstone="ab", salt=SALT * 5, received_at=T0), "a salt of 80 bytes: expected 16"),
        (RecordErased(was="", tombstone="ab", salt=SALT, received_at=T0), ""),
    ],
)
def test_a_salt_has_its_length(event: Any, fault: str) -> None:
    assert bounds.fault(event) == fault


def test_an_erased_record_moves_the_clock_as_the_record_did() -> None:
    state = partition.PartitionState(clock=T0)
    moved = partition.advance(state, RecordErased(was="Click", source="collect@one", received_at=T0 + 5))
    assert (moved.clock, moved.peopled) == (T0 + 5, True)
    still = partition.advance(moved, RecordErased(was="VoucherRedeemed", received_at=0))
    assert still == moved
