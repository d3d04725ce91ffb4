"""The book of points: whatever is entered, the statement adds up, and nothing is there twice."""

from hypothesis import given
from hypothesis import strategies as st

from core.making import DAY, T0
from pipeline.core.customer.account import MAX_ENTRIES, Account, Book, Credit

SOURCES = st.sampled_from(["order/1", "order/2", "order/3", "event/x/"])
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("credit"), SOURCES, st.integers(0, 200)),
        st.tuples(st.just("spend"), st.just(""), st.integers(1, 200)),
        st.tuples(st.just("wait"), st.just(""), st.integers(0, 20)),
    ),
    max_size=120,
)
LIVES_DAYS = 15


def played(moves: list[tuple[str, str, int]]) -> list[Account]:
    """The account after each move; spending is refused where there is not enough, as the caller does."""
    account, now, all_of_them = Account(), T0, []
    for what, source, number in moves:
        now += number * DAY if what == "wait" else 0
        book = Book(account, now)
        book.expire()
        if what == "credit":
            book.credit(source, Credit(now, max(number, 1), number, now + LIVES_DAYS * DAY))
        elif what == "spend" and number <= book.balance:
            book.spend(number, "reward/r")
        account = book.closed()
        all_of_them.append(account)
    return all_of_them


@given(MOVES)
def test_at_any_time_the_statement_adds_up(moves):
    for account in played(moves):
        assert account.carried + sum(entry.points for entry in account.entries) == account.balance
        assert sum(account.lots.values()) == max(account.balance, 0)
        assert all(account.lots.values())
        assert account.lifetime_points == sum(credit.given for credit in account.credits.values())
        assert len(account.entries) == min(account.lines, MAX_ENTRIES)
        assert not account.entries or account.entries[-1].balance == account.balance
        assert [entry.line for entry in account.entries] == [
            account.lines - len(account.entries) + number for number in range(1, len(account.entries) + 1)
        ]


@given(MOVES, st.integers(1, 200))
def test_said_again_a_credit_changes_nothing(moves, points):
    account = [Account(), *played(moves)][-1]
    now = T0 + 10_000 * DAY
    for _ in range(2):
        book = Book(account, now)
        book.credit("order/9", Credit(now, points, points, 0))
        before, account = account, book.closed()
    assert account is before


def after(*moves):
    return played(list(moves))[-1]


def test_the_first_to_expire_is_used_first():
    account = after(("credit", "order/1", 100), ("wait", "", 1), ("credit", "order/2", 100), ("spend", "", 150))
    assert account.lots == {T0 + (LIVES_DAYS + 1) * DAY: 50}
    assert after(("credit", "order/1", 100), ("wait", "", LIVES_DAYS)).balance == 0


def test_what_never_expires_is_used_last():
    book = Book(Account(), T0)
    book.credit("order/1", Credit(T0, 100, 100, 0))
    book.credit("order/2", Credit(T0, 100, 100, T0 + DAY))
    book.spend(120, "reward/r")
    account = book.closed()
    assert (account.lots, account.due()) == ({0: 80}, 0)


def test_what_is_taken_back_comes_out_of_its_own_points_and_else_makes_a_debt_that_the_next_pay():
    first = ("credit", "order/1", 100), ("wait", "", 1), ("credit", "order/2", 50)
    assert after(*first, ("credit", "order/2", 20)).lots == {
        T0 + LIVES_DAYS * DAY: 100,
        T0 + (LIVES_DAYS + 1) * DAY: 20,
    }
    indebted = after(*first, ("spend", "", 150), ("credit", "order/1", 0))
    assert (indebted.balance, indebted.lots) == (-100, {})
    owing = after(*first, ("spend", "", 150), ("credit", "order/1", 0), ("credit", "order/3", 40))
    assert (owing.balance, owing.lots) == (-60, {})
    paid = after(*first, ("spend", "", 150), ("credit", "order/1", 0), ("credit", "order/3", 130))
    assert (paid.balance, sum(paid.lots.values())) == (30, 30)


def test_what_has_expired_is_settled():
    lived = ("credit", "order/1", 100), ("wait", "", LIVES_DAYS)
    account = after(*lived, ("credit", "order/1", 0))
    assert (account.balance, account.lifetime_points, account.lines) == (0, 100, 2)


def test_what_comes_from_elsewhere_and_has_expired_counts_as_earned_and_cannot_be_used():
    book = Book(Account(), T0)
    book.credit("order/1", Credit(T0 - DAY, 100, 70, T0))
    account = book.closed()
    assert (account.balance, account.lifetime_points, account.lines) == (0, 70, 0)
