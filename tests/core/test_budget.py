"""A campaign's budget: reserved once for each id, settled once, never exceeded, nobody refused too early."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.making import DAY, HOUR, T0, WIN_BACK, but, rules
from pipeline.core import budget, subjects
from pipeline.core.bounds import MAX_CENTS
from pipeline.core.budget import ASK_AFTER_MS, BudgetState
from pipeline.core.events import BudgetAnswered, BudgetRequested, BudgetSettled, TimerDue
from pipeline.core.requirement import Violated
from pipeline.core.rules import Budget

KEY = "m:win-back"


def limited(**limits):
    return rules(but(WIN_BACK, budget=Budget(**limits)))


TWO = limited(vouchers=2)


def asks(voucher_id, cents=0):
    return BudgetRequested(
        id=voucher_id, campaign="win-back", customer=f"u:{voucher_id}", cents=cents, received_at=T0
    )


def settles(voucher_id, outcome="SPENT", cents=0):
    return BudgetSettled(id=voucher_id, campaign="win-back", outcome=outcome, cents=cents, received_at=T0)


def told(*events, by=TWO, state=None, now=T0):
    """The budget after these events, and what it said: `+id` granted, `-id` refused."""
    said = []
    for event in events:
        state, outputs = subjects.step(KEY, state, event, now, by)
        for send in outputs:
            assert isinstance(send.message, BudgetAnswered)
            assert send.to == f"u:{send.message.id}"
            said.append(("+" if send.message.outcome == "GRANTED" else "-") + send.message.id)
        assert state is None or subjects.decode(KEY, subjects.encode(state)) == state
    return state, " ".join(said)


SPENT, RELEASED, RETURNED = "SPENT", "RELEASED", "RETURNED"


@pytest.mark.parametrize(
    ("events", "said", "spent", "reserved"),
    [
        ([asks("a")], "+a", 0, 1),
        ([asks("a"), asks("a")], "+a +a", 0, 1),
        ([asks("a"), settles("a")], "+a", 1, 0),
        ([asks("a"), settles("a"), settles("a")], "+a", 1, 0),
        ([asks("a"), settles("a", RELEASED)], "+a", 0, 0),
        ([asks("a"), settles("a", RELEASED), asks("a")], "+a +a", 0, 1),
        ([asks("a"), settles("a"), settles("a", RELEASED)], "+a", 1, 0),
        ([asks("a"), settles("b")], "+a", 0, 1),
        ([asks("a"), asks("b"), asks("c")], "+a +b", 0, 2),
        ([asks("a"), asks("b"), asks("c"), settles("a", RELEASED)], "+a +b +c", 0, 2),
        ([asks("a"), asks("b"), asks("c"), settles("a"), settles("b")], "+a +b -c", 2, 0),
        ([asks("a"), asks("b"), asks("c"), asks("c"), asks("d"), asks("e")], "+a +b -e", 0, 2),
        ([asks("a"), asks("b"), asks("c"), asks("d"), settles("a"), settles("b", RELEASED)], "+a +b -d +c", 1, 1),
        ([asks("a"), asks("b"), settles("a"), settles("b"), asks("c")], "+a +b -c", 2, 0),
        ([asks("a"), asks("b"), settles("a"), settles("b"), settles("a", RETURNED), asks("c")], "+a +b +c", 1, 1),
        ([asks("a"), settles("a", RETURNED), settles("a", RETURNED)], "+a", 0, 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_asked_is_granted_while_there_is_room_and_settled_once(events, said, spent, reserved):
    state, found = told(*events)
    assert (found, state.spent, len(state.open)) == (said, spent, reserved)
    assert (state.ask_at > 0) == (reserved > 0)


def test_nobody_is_told_no_while_a_reservation_may_still_come_free_for_them():
    state, said = told(asks("a"), asks("b"), asks("c"), asks("d"))
    assert said == "+a +b"
    state, said = told(settles("a", RELEASED), settles("b"), state=state)
    assert (said, list(state.open), list(state.waiting), state.spent) == ("+c", ["c"], ["d"], 1)
    assert told(settles("c"), state=state)[1] == "-d"


def test_an_amount_is_a_limit_like_a_number():
    by = limited(amount_cents=1000)
    state, said = told(asks("a", 500), asks("b", 300), asks("c", 300), by=by)
    assert (said, state.reserved_cents) == ("+a +b", 800)
    state, said = told(settles("a"), settles("b", RELEASED), by=by, state=state)
    assert (said, state.spent_cents, state.reserved_cents) == ("+c", 500, 300)
    state, _ = told(settles("a", RETURNED, 500), settles("c"), by=by, state=state)
    assert (state.spent, state.spent_cents, state.reserved_cents) == (1, 300, 0)


def test_what_is_counted_never_leaves_64_bits():
    state, said = told(*(asks(f"a{number}", MAX_CENTS) for number in range(1_002)), by=limited(vouchers=9_999))
    assert said.count("+") == 1_000
    assert state.reserved_cents == 1_000 * MAX_CENTS < 2**63


def test_a_refusal_says_what_the_limits_are_and_what_is_gone():
    state, _ = told(asks("a", 5), settles("a"), by=limited(vouchers=1, amount_cents=9))
    (refusal,) = subjects.step(KEY, state, asks("b", 5), T0, limited(vouchers=1, amount_cents=9))[1]
    assert refusal.message.reason == "budget_spent"
    assert json.loads(refusal.message.facts) == {
        "vouchers": 1,
        "spent": 1,
        "reserved": 0,
        "amount_cents": 9,
        "spent_cents": 5,
        "reserved_cents": 0,
    }
    (refusal,) = subjects.step(KEY, state, asks("b", 5), T0, limited(amount_cents=9))[1]
    assert json.loads(refusal.message.facts) == {"amount_cents": 9, "spent_cents": 5, "reserved_cents": 0}


def test_new_limits_count_from_where_they_are_published():
    state, _ = told(asks("a"), asks("b"), settles("a"), settles("b"))
    assert told(asks("c"), state=state)[1] == "-c"
    assert told(asks("c"), state=state, by=limited(vouchers=3))[1] == "+c"
    assert told(asks("c"), state=state, by=limited(vouchers=1))[1] == "-c"
    assert told(asks("c"), state=state, by=limited())[1] == "+c"
    waits, _ = told(asks("a"), asks("b"), asks("c"))
    assert told(settles("a"), state=waits, by=limited(vouchers=3))[1] == "+c"


def test_a_campaign_that_is_not_in_force_gives_nothing():
    waits, _ = told(asks("a"), asks("b"), asks("c"))
    for event, state, said in ((asks("a"), None, "-a"), (settles("a"), waits, "-c")):
        after, found = told(event, state=state, by=rules())
        assert (found, len(after.waiting)) == (said, 0)
    (refusal,) = subjects.step(KEY, None, asks("a"), T0, rules())[1]
    assert (refusal.message.reason, refusal.message.facts) == ("not_in_force", "{}")


@pytest.mark.parametrize(("most_open", "most_waiting", "said"), [(2, 1, "+a +b -d"), (2, 9, "+a +b -e")])
def test_what_is_open_and_what_waits_are_bounded(monkeypatch, most_open, most_waiting, said):
    monkeypatch.setattr(budget, "MAX_OPEN", most_open)
    monkeypatch.setattr(budget, "MAX_WAITING", most_waiting)
    by, events = limited(vouchers=100), [asks(each) for each in "abcde"][: 4 if most_waiting == 1 else 5]
    state, found = told(*events, by=by)
    assert found == said
    (refusal,) = subjects.step(KEY, state, asks("z"), T0, by)[1]
    assert refusal.message.reason == "budget_busy"


def test_a_reservation_that_stays_open_is_asked_after_ever_more_rarely_and_never_taken_back():
    state, _ = told(asks("a"))
    assert subjects.due(state) == T0 + ASK_AFTER_MS
    state, _ = told(asks("b"), state=state, now=T0 + ASK_AFTER_MS - 1)
    moments = []
    for _ in range(5):
        now = subjects.due(state)
        state, said = told(TimerDue(now), state=state, now=now)
        moments.append(((now - T0) // HOUR, said))
    assert moments == [(1, "+a"), (2, "+a +b"), (4, "+a +b"), (8, "+a +b"), (16, "+a +b")]
    assert told(TimerDue(now + 1), state=state, now=now + 1) == (but(state, now=now + 1), "")
    state, said = told(settles("a"), settles("b", RELEASED), state=state, now=now)
    assert (said, state.spent, subjects.due(state)) == ("", 1, 0)


def test_what_is_none_of_its_business_changes_nothing():
    assert told(settles("a")) == (None, "")
    state, _ = told(asks("a"), settles("a"))
    assert told(TimerDue(T0 + DAY), state=state, now=T0 + DAY) == (but(state, now=T0 + DAY), "")
    with pytest.raises(Violated, match="time never goes back"):
        told(asks("b"), state=state, now=T0 - 1)
    with pytest.raises(TypeError, match="the state of m:win-back was given for u:ann"):
        subjects.step("u:ann", state, TimerDue(T0), T0, TWO)


IDS = st.sampled_from("abcdefgh")
MOVES = st.lists(st.one_of(IDS.map(asks), st.builds(settles, IDS, st.sampled_from([SPENT, RELEASED]))), max_size=40)


@given(MOVES, st.integers(1, 4))
def test_whatever_is_asked_and_settled_in_whatever_order_the_limit_holds(moves, limit):
    """… and everybody is answered as soon as nothing that is open can help them any more."""
    state, by = BudgetState(KEY, T0), limited(vouchers=limit)
    for move in moves:
        state, _ = told(move, state=state, by=by)
        assert state.spent + len(state.open) <= limit
        assert len(state.waiting) <= len(state.open)
        if state.waiting:
            assert state.spent + len(state.open) == limit


@pytest.mark.parametrize(
    ("limits", "remains"),
    [
        ({}, (None, None)),
        ({"vouchers": 5}, (3, None)),
        ({"vouchers": 1}, (0, None)),
        ({"amount_cents": 900}, (None, 400)),
        ({"vouchers": 2, "amount_cents": 400}, (0, 0)),
    ],
)
def test_what_is_left_is_what_is_neither_spent_nor_reserved(limits, remains):
    state, _ = told(asks("a", 300), asks("b", 200), settles("a"))
    assert budget.left(state, Budget(**limits)) == remains
    assert budget.left(None, Budget(vouchers=5)) == (5, None)
