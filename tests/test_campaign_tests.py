"""Tests inside campaign files: they hold, or it is said where and what was decided instead."""

from pathlib import Path

import pytest

from pipeline import rulebook
from pipeline.campaigns import KINDS, parse, read_tests, to_json
from pipeline.rehearsal import script
from pipeline.toml_files import CampaignError

ROOT = Path(__file__).parents[1]
SHOPS = rulebook.read(ROOT / "campaigns", ROOT / "segments", ROOT / "site")
CAMPAIGN = """\
name = "thanks"
state = "paused"
holdout_percent = 100
[when]
kind = "nth_order"
[do]
kind = "message"
template = "thanks"
[contact]
channels = ["email"]
[[step]]
name = "ask"
wait_days = 2
[step.do]
kind = "message"
template = "ask"
[[test]]
name = "thanked and asked"
events = '''
# by e-mail
2026-03-01 10:00:30  u:ann  server  Identified consent=email.marketing
2026-03-01 10:00:30  u:ann  server  Order Completed order=o-1 total=1.00

2026-03-08 10:00     log            Time passes
'''
expect = '''
# in this order
2026-03-01 10:00:30 u:ann  given

2026-03-03 10:00:30 u:ann  ask given
'''
"""


def tried(text, tmp_path, policy=""):
    (tmp_path / "thanks.toml").write_text(text)
    (tmp_path / "policy.toml").write_text(policy)
    return rulebook.tried(rulebook.read(tmp_path, tmp_path / "segments", tmp_path / "site"), tmp_path)


def refused(text, tmp_path, policy=""):
    with pytest.raises(CampaignError) as refusal:
        tried(text, tmp_path, policy)
    assert len(refusal.value.problems) == 1
    return refusal.value.problems[0].replace(f"{tmp_path}/", "")


def test_the_campaigns_that_come_with_it_are_tested_and_hold():
    assert rulebook.tried(SHOPS, ROOT / "campaigns") >= len(SHOPS.campaigns)
    for campaign in SHOPS.campaigns:
        file = ROOT / "campaigns" / f"{campaign.name}.toml"
        assert read_tests(file.read_text(), file), f"{file} has no test"


def test_the_example_s_test_holds(tmp_path):
    text = (ROOT / "campaigns" / "example.toml.txt").read_text()
    (tmp_path / "example.toml").write_text(text)
    book = rulebook.read(tmp_path, tmp_path / "segments", tmp_path / "site")
    assert rulebook.tried(book, tmp_path) == 1


def test_a_test_holds_whatever_the_state_and_the_holdout(tmp_path):
    assert tried(CAMPAIGN, tmp_path) == 1


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("ask given", "ask not given: no_consent", 30, ["ask not given: no_consent", "ask given"]),
        ("u:ann  given", "u:bob  given", 28, ["u:bob given", "u:ann given"]),
        ("2026-03-03 10:00:30 u:ann  ask given\n", "", 30, ["+ 2026-03-03 10:00:30 u:ann ask given"]),
        ("consent=email.marketing", "name=Ann", 28, ["not given: no_consent"]),
        ("wait_days = 2", "wait_days = 3", 30, ["+ 2026-03-04 10:00:30 u:ann ask given"]),
        ("order=o-1 total", "order=o-1\ttotal=1 at", 19, ["'1.00'"]),
        ("2026-03-08", "8 March", 19, ["line 5 is not `DATE TIME WHO EVENT key=value …`"]),
        ("Order Completed order=o-1", "Order Completed", 19, ["order is missing"]),
        ("2026-03-08", "2026-02-08", 19, ["the story goes back in time"]),
        ("log            Time passes", "shop  Campaigns change thank=live", 19, ["there is no campaign thank"]),
    ],
)
def test_what_was_decided_instead_is_said_with_its_line(old, new, line, told, tmp_path):
    assert old in CAMPAIGN
    problem = refused(CAMPAIGN.replace(old, new), tmp_path)
    assert problem.startswith(f'thanks.toml, line {line}: test "thanked and asked"')
    assert all(part in problem for part in told), problem


def test_an_expectation_on_one_line_is_named_by_it(tmp_path):
    begin = CAMPAIGN.index("expect = ")
    assert refused(CAMPAIGN[:begin] + 'expect = ""\n', tmp_path).startswith("thanks.toml, line 26: ")


def test_the_policy_beside_it_counts(tmp_path):
    problem = refused(CAMPAIGN, tmp_path, 'quiet_from = "09:00"\nquiet_until = "12:00"\n')
    assert "+ 2026-03-01 10:00:30 u:ann put off: quiet_hours" in problem


def test_a_test_that_is_none_is_refused_with_the_file():
    with pytest.raises(CampaignError) as refusal:
        parse(CAMPAIGN.replace("expect =", "expects ="), Path("thanks.toml"))
    assert [problem.split(";")[0] for problem in refusal.value.problems] == [
        "thanks.toml, line 26: `expects` is not a key of [[test]]",
        "thanks.toml, line 17: `expect` is missing in [[test]]",
    ]


def test_tests_are_not_published():
    text = CAMPAIGN[CAMPAIGN.index("[[test]]") :]
    campaign = parse(CAMPAIGN, Path("thanks.toml"))
    assert campaign == parse(CAMPAIGN.replace(text, ""), Path("thanks.toml"))
    assert b"u:ann" not in to_json((campaign,))


@pytest.mark.parametrize(
    "line", ["2026-03-01 10:00", "2026-13-01 10:00  u:ann  Page", '2026-03-01 10:00  u:ann  "Page']
)
def test_a_line_that_cannot_be_read_is_named(line):
    with pytest.raises(ValueError, match="line 2"):
        script.events(f"# one\n{line}")


MAIL = 'kind = "message"\ntemplate = "reminder"'
ANN = "2026-03-02 10:00 u:ann server Identified consent=email.marketing"
TWO_ORDERS = """2026-03-02 10:01 u:ann server Order Completed order=o-1 total=10.00
2026-03-02 10:02 u:ann server Order Completed order=o-2 total=10.00"""
CART = "2026-03-02 10:01 u:ann verified Product Added product=cd-1 category=jazz price=10.00 quantity=1"
LATER = "2026-03-20 10:00 log Time passes"
ANSWER = """u:ann server Questionnaire Answered properties='{"questionnaire":"after-order","answers":{"why":"x"}}'"""
OF_EACH_KIND = {
    "lapsed": (
        "",
        f"{TWO_ORDERS}\n2026-12-20 10:00 log Time passes",
        "2026-07-09 20:00 u:ann given",
    ),
    "regular_buyer": ("every_orders = 2", TWO_ORDERS, "2026-03-02 10:02 u:ann given"),
    "signed_up": ("", "", "2026-03-02 10:00 u:ann given"),
    "nth_order": ("order = 2", TWO_ORDERS, "2026-03-02 10:02 u:ann given"),
    "stage_reached": ('stage = "repeat"', TWO_ORDERS, "2026-03-02 10:02 u:ann given"),
    "interested": ("views = 1", CART.replace("Added", "Viewed"), "2026-03-02 10:01 u:ann given"),
    "cart_abandoned": ("hours = 1", f"{CART}\n{LATER}", "2026-03-02 11:01 u:ann given"),
    "scheduled": ('on = "2026-03-05"', LATER, "2026-03-05 09:00 u:ann given"),
    "date": (
        "",
        "2026-03-02 10:01 u:ann server Identified birthday=2000-02-29\n2028-03-20 10:00 log Time passes",
        "2027-02-28 09:00 u:ann given\n2028-02-29 09:00 u:ann given",
    ),
    "segment_entered": ('segment = "regulars"', TWO_ORDERS, "2026-03-02 10:02 u:ann given"),
    "segment_left": (
        'segment = "regulars"',
        f"{TWO_ORDERS}\n2026-03-02 10:03 u:ann server Order Cancelled order=o-2",
        "2026-03-02 10:03 u:ann given",
    ),
    "price_dropped": (
        "",
        f"{CART}\n2026-03-02 10:02 p:cd-1 Listed price=10.00 stock=3\n2026-03-02 10:03 p:cd-1 Listed price=8.00",
        "2026-03-02 10:03 u:ann given",
    ),
    "back_in_stock": (
        "",
        f"{CART}\n2026-03-02 10:02 p:cd-1 Listed stock=0\n2026-03-02 10:03 p:cd-1 Listed stock=2",
        "2026-03-02 10:03 u:ann given",
    ),
    "new_product": (
        'category = "jazz"',
        TWO_ORDERS.replace("10.00", "10.00 jazz=1")
        + "\n2026-03-02 10:03 p:cd-9 Listed category=jazz price=9.00 is_new=yes",
        "2026-03-02 10:03 u:ann given",
    ),
    "newsletter": ("", "2026-03-02 11:00 shop Newsletter kind=2026-10", "2026-03-02 11:00 u:ann given"),
    "points_reached": ("points = 20", TWO_ORDERS, "2026-03-02 10:01 u:ann given"),
    "tier_reached": ('tier = "silver"', TWO_ORDERS.replace("10.00", "900.00"), "2026-03-02 10:01 u:ann given"),
    "answered": (
        'questionnaire = "after-order"\nquestion = "why"\nop = "contains"\nvalue = "x"',
        f"2026-03-02 10:01 {ANSWER}",
        "2026-03-02 10:01 u:ann given",
    ),
}
NOT_BY_MAIL = {"hesitating", "referred", "was_referred"}
"""The first is a chat prompt's (campaigns/hesitation-chat.toml); invitations have codes that only a log can say."""


@pytest.mark.parametrize("kind", OF_EACH_KIND)
def test_a_campaign_of_every_kind_can_have_a_test(kind, tmp_path):
    keys, events, expect = OF_EACH_KIND[kind]
    text = f'name = "kind"\n[when]\nkind = "{kind}"\n{keys}\n[do]\n{MAIL}\n[contact]\nchannels = ["email"]\n'
    (tmp_path / "segments").mkdir()
    regulars = 'name = "regulars"\n[[all]]\nfield = "purchases.orders"\nop = "at_least"\nvalue = 2\n'
    (tmp_path / "segments" / "regulars.toml").write_text(regulars)
    scheme = (ROOT / "campaigns" / "loyalty.toml.txt").read_text()
    (tmp_path / "loyalty.toml").write_text(scheme)
    test = f"[[test]]\nname = 'it'\nevents = '''\n{ANN}\n{events}\n'''\nexpect = '''\n{expect}\n'''\n"
    (tmp_path / "kind.toml").write_text(text + test.replace("'''", '"""'))
    book = rulebook.read(tmp_path, tmp_path / "segments", ROOT / "site")
    assert rulebook.tried(book, tmp_path) == 1


def test_every_kind_has_its_row():
    assert {*OF_EACH_KIND} | NOT_BY_MAIL == {*KINDS["when"]}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("q:ann server Page", "`q:ann` is nobody: expected u:PERSON"),
        ("ann server Page", "`ann` is nobody: expected u:PERSON"),
        ("u:ann server Page prodct=1", "`prodct` says nothing of `Page`; valid are: product, category"),
        ("u:ann server Product Viewed quantity=x", "`x` is no whole number such as 2"),
        ("u:ann server Product Viewed price=x", "`x` is no amount such as 12.50"),
        ("u:ann server Identified consent=email", "`email` is no permission such as email.marketing"),
        ("u:ann server Identified name=Ann Lee", "`Lee` is no key=value; quote what has a space"),
        ("p:cd-1 Listed stock=many", "`many` is no whole number such as 2"),
    ],
)
def test_a_line_that_says_nothing_is_refused(line, says, tmp_path):
    problem = refused(CAMPAIGN.replace("log            Time passes", line), tmp_path)
    assert says in problem
