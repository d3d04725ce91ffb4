"""Steps, exits and what is asked in any way: as a file says them, each mistake with its line."""

from pathlib import Path

import pytest
import test_campaigns

from pipeline.campaign_words import in_words
from pipeline.campaigns import parse
from pipeline.core.rules import ExitBought, ExitCondition, ExitSegmentEntered, ExitSegmentLeft, Segment
from pipeline.segments import check
from pipeline.toml_files import CampaignError

CART = f"""\
{test_campaigns.CART.replace('"x"', '"cart"')}\
[[any]]
field = "cart.cents"
op = "above"
value = 500
[[any]]
field = "groups"
op = "contains"
value = "club"
[[not]]
field = "purchases.orders"
op = "above"
value = 9
{test_campaigns.STEP}\
[[step]]
name = "gift"
wait_hours = 12
[[step.if]]
field = "journey.bought"
op = "is"
value = false
[step.do]
kind = "task"
task = "phone"
instructions = "Ask."
[[exit]]
kind = "bought"
[[exit]]
kind = "condition"
field = "journey.days"
op = "above"
value = 9
"""


def refused(text):
    return test_campaigns.refused(text, "cart.toml")


def test_a_file_says_steps_and_exits():
    cart = parse(CART, Path("cart.toml"))
    assert [(step.name, step.wait_ms() // 3_600_000) for step in cart.steps] == [("again", 72), ("gift", 12)]
    assert (len(cart.any_of), len(cart.none_of), len(cart.steps[1].conditions)) == (2, 1, 1)
    assert cart.exits == (ExitBought(), ExitCondition(field="journey.days", op="above", value=9))


def test_it_is_said_in_words():
    text = CART + '[[exit]]\nkind = "unsubscribed"\n[[exit]]\nkind = "cart_gone"\n'
    text += "".join(f'[[exit]]\nkind = "segment_{moved}"\nsegment = "vip"\n' for moved in ("entered", "left"))
    assert in_words(parse(text, Path("cart.toml"))) == (
        "cart (live): when a filled cart has been left alone for 4 hours, and if (cart.cents above 500 or groups "
        "contains club) and not purchases.orders above 9, send them the message cart by email, as far as they permit "
        "marketing. 3 days later (again): send them the message again by email, as far as they permit marketing. "
        '12 hours later (gift), if journey.bought is false: have somebody call them within 14 days ("Ask."), as '
        "far as they permit marketing. That ends when they buy or journey.days above 9 or they take a permission "
        "back or that cart is empty, bought or begun anew or they come into the segment vip or they drop out of the "
        "segment vip."
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("wait_days = 3", "wait_days = 0", 21, "a step needs `wait_days` or `wait_hours`: how long after the one"),
        ('name = "gift"', 'name = "again"', 28, "there is a step `again` before; each needs a name of its own"),
        ('name = "gift"', 'nome = "gift"', 28, "`nome` is not a key of [[step]]; did you mean `name`?"),
        ('name = "again"', 'name = "A gain"', 22, '`name` is "A gain"; it must be small letters, digits and'),
        ('template = "again"', "", 24, '`template` is missing in [step.do] with kind "message"; it must be there'),
        ('kind = "task"', 'kind = "tusk"', 35, '`kind` of [step.do] is "tusk"; did you mean `task`?'),
        ('kind = "bought"', 'kind = "bouht"', 39, '`kind` of [[exit]] is "bouht"; did you mean `bought`?'),
        ('kind = "bought"', "", 38, "`kind` is missing in [[exit]]; valid are: bought, unsubscribed,"),
        ("value = 9\n[[step]]", "value = true\n[[step]]", 17, "the value of `purchases.orders above` is true; it"),
        (
            'field = "journey.bought"',
            'field = "journey.days"',
            30,
            "the value of `journey.days is` is false; it must",
        ),
        ('field = "cart.cents"', 'field = "journey.days"', 9, "`journey.days` is not a field but in a step"),
        ('field = "journey.days"', 'field = "journey.dys"', 40, "`journey.dys` is not a field; did you mean `journ"),
        (
            'kind = "task"\ntask = "phone"\ninstructions = "Ask."',
            'kind = "chat_prompt"',
            35,
            "a chat prompt goes with [when] kind hesitating and with nothing else",
        ),
        ('channels = ["email"]', "", 7, "a message needs `channels` in [contact]: by which ways it may be sent"),
    ],
)
def test_a_mistake_is_named_where_it_is(old, new, line, says):
    assert old in CART
    assert refused(CART.replace(old, new, 1))[0].startswith(f"cart.toml, line {line}: {says}")


def test_steps_and_exits_are_tables():
    bare = CART[: CART.index("[[step]]")]
    assert refused("exit = 3\nstep = [1]\n" + bare) == [
        "cart.toml, line 1: `exit` is 3; it must be tables: [[exit]] on a line of its own, its keys below",
        "cart.toml, line 2: `step` is [1]; it must be tables: [[step]] on a line of its own, its keys below",
    ]


def test_a_step_s_own_contact_is_looked_at():
    sms = CART + '[step.contact]\nchannels = ["smoke"]\n'
    assert [problem.split(": ")[1][:20] for problem in refused(sms)] == [
        "a task has no `chann",
        "`smoke` is not a cha",
    ]


def test_a_prompt_is_no_step_and_a_voucher_none_for_looking_around():
    looking = CART.replace("cart_abandoned", "hesitating")
    prompt = looking.replace('kind = "task"\ntask = "phone"\ninstructions = "Ask."', 'kind = "chat_prompt"')
    assert refused(prompt) == [
        "cart.toml, line 35: a chat prompt cannot be a step: nobody is there any more when the wait is over"
    ]
    voucher = looking.replace('kind = "message"\ntemplate = "again"', 'kind = "voucher"\ndiscount_percent = 5')
    assert refused(voucher)[0].startswith("cart.toml, line 25: a chat prompt goes with [when] kind hesitating")


def test_an_exit_needs_a_journey_and_its_cart():
    bare = CART[: CART.index("[[step]]")] + '[[exit]]\nkind = "cart_gone"\n'
    assert refused(bare.replace("cart_abandoned", "signed_up")) == [
        "cart.toml, line 21: an exit ends a journey, and this campaign has no [[step]]",
        "cart.toml, line 22: cart_gone goes with [when] kind cart_abandoned: there is no cart else",
    ]


def test_a_budget_may_be_for_a_step_s_voucher():
    budget = "[budget]\nvouchers = 5\n"
    assert "a budget is for vouchers" in refused(CART + budget)[0]
    gift = CART.replace('kind = "message"\ntemplate = "again"', 'kind = "voucher"\ndiscount_percent = 5')
    assert parse(gift + budget, Path("cart.toml")).budget.vouchers == 5
    assert "`amount_cents` goes with" in refused(gift + "[budget]\namount_cents = 5\n")[0]


def test_the_segments_of_exits_are_there():
    exits = tuple(kind(segment="vip") for kind in (ExitSegmentEntered, ExitSegmentLeft))
    text = "".join(f'[[exit]]\nkind = "{one.__struct_config__.tag}"\nsegment = "vip"\n' for one in exits)
    cart = parse(CART + text, Path("cart.toml"))
    check([cart], [Segment(name="vip")])
    with pytest.raises(CampaignError, match="there is no segment `vip`"):
        check([cart], [])
