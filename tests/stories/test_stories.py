"""Every `*.txt` beside this file is a story: what happens, `----`, what came of it.

`pytest tests/stories --rewrite` writes the second half anew; read the difference before you believe it.
"""

import re
from collections import Counter
from pathlib import Path

import pytest

from pipeline.core import voucher
from pipeline.core.category import CategoryState
from pipeline.core.effects import VoucherRevoked
from pipeline.core.events import RedemptionRequested
from pipeline.core.followers import FollowersState
from pipeline.core.product import ProductState
from pipeline.core.voucher import VoucherState
from pipeline.rehearsal import script
from pipeline.rehearsal.little_log import LittleLog
from pipeline.rehearsal.playing import perform
from stories import telling

HERE = Path(__file__).parent
RULER = "----\n"


@pytest.mark.parametrize("path", sorted(HERE.glob("*.txt")), ids=lambda path: path.stem)
def test_story(path: Path, request: pytest.FixtureRequest) -> None:
    told, _, expected = path.read_text().partition(RULER)
    happened = play(told)
    if request.config.getoption("--rewrite", default=False):
        path.write_text(told + RULER + happened)
    else:
        assert happened == expected, f"{path.name} ends otherwise; if that is right: pytest tests/stories --rewrite"


def play(text: str) -> str:
    """What happens in a story, as text."""
    story = script.parsed(text)
    log = LittleLog(story.rules())
    ends: list[str] = []
    told = 0
    with_products = re.search(r"\sp:", text) is not None
    for line in story.lines:
        log.pass_to(line.now)
        answer = ""
        if line.who.startswith("v:"):
            answer = _redeem(log, line)
        else:
            perform(log, story, line)
        news = (entry for entry in log.happened[told:] if with_products or not telling.is_of_products(*entry))
        ends += [telling.happening(*entry) for entry in news]
        told = len(log.happened)
        ends += [f"{telling.moment(line.now)}  {answer}"] if answer else []
    for state in sorted(log.states.values(), key=lambda state: state.key):
        if with_products or not isinstance(state, ProductState | CategoryState | FollowersState):
            ends += ["", *telling.facts(state)]
    assert_each_id_once(log)
    return _named("\n".join(ends).lstrip("\n") + "\n", log)


def assert_each_id_once(log: LittleLog) -> None:
    """Whoever acts on effects does it once for an id: two that are not the same never share one."""
    ids = Counter(it.id for it in log.effects() if not isinstance(it, VoucherRevoked))
    assert [name for name, times in ids.items() if times > 1] == []


def _redeem(log: LittleLog, line: script.Line) -> str:
    """At the till: what the API would be answered from the store."""
    values = dict(line.values)
    state = _vouchers(log)[int(line.who.removeprefix("v:")) - 1]
    request = RedemptionRequested(
        code=state.code,
        order_id=values.pop("order"),
        total_cents=script.cents(values.pop("total")),
        currency=values.pop("currency", script.CURRENCY),
        products=script.products(values),
        received_at=line.now,
    )
    log.accept(state.key, request)
    after = log.states[state.key]
    assert isinstance(after, VoucherState)
    answer = voucher.assess(after, request, line.now)
    off = f", {telling.money(answer.discount_cents)} off" if answer.discount_cents else ""
    return f"{line.who}  {answer.status} for {request.order_id}: {answer.reason}{off}"


def _vouchers(log: LittleLog) -> list[VoucherState]:
    states = [state for state in log.states.values() if isinstance(state, VoucherState)]
    return sorted(states, key=lambda state: state.issued_at)


def _named(text: str, log: LittleLog) -> str:
    """Codes and ids follow from the secret and say nothing to a reader: vouchers are told by their number."""
    for number, state in enumerate(_vouchers(log), 1):
        text = text.replace(state.key, f"v:{number}")
    return text
