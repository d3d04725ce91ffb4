"""Tests inside campaign files: they hold, or it is said where and what was decided instead."""

from pathlib import Path

import pytest

from pipeline import rulebook
from pipeline.campaigns import parse, read_tests, to_json
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
