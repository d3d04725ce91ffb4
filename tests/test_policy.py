"""`campaigns/policy.toml`: what holds without it, what it may say, and what is wrong in it."""

import re
from pathlib import Path

import msgspec
import pytest

from pipeline.campaigns import load, load_policy, parse_policy
from pipeline.core.rules import Policy
from pipeline.toml_files import CampaignError

FOLDER = Path(__file__).parents[1] / "campaigns"


def test_the_file_that_comes_along_shows_every_key_and_says_what_holds_without_it(tmp_path):
    text = (FOLDER / "policy.toml").read_text(encoding="utf-8")
    assert load_policy(FOLDER) == Policy() == load_policy(tmp_path)
    for field in msgspec.structs.fields(Policy):
        assert re.search(rf"^{field.name} = ", text, re.MULTILINE), field.name


def test_it_is_no_campaign(tmp_path):
    (tmp_path / "policy.toml").write_text("per_day = 2\n")
    assert load(tmp_path) == ()
    assert load_policy(tmp_path) == Policy(per_day=2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("per_day = -1", "line 1: `per_day` is -1; it must be a whole number at least 0 and at most 1000000"),
        ('\nquiet_from = "9 pm"', 'line 2: `quiet_from` is "9 pm"; it must be a time of the day such as "21:00"'),
        ("per_dy = 1", "line 1: `per_dy` is not a key of the policy; did you mean `per_day`? Valid are: per_day,"),
        (
            'default_timezone = "Europe/Amsterdm"',
            "line 1: `Europe/Amsterdm` is not a time zone; did you mean `Europe/Amsterdam`? Valid are IANA names",
        ),
        ('default_timezone = "?"', 'line 1: `?` is not a time zone; Valid are IANA names such as "Europe/Amsterdam"'),
        ("default_timezone = 1", "line 1: `default_timezone` is 1; it must be a text in quotes"),
        ("per_day =", "is not TOML: "),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text, says):
    with pytest.raises(CampaignError) as refusal:
        parse_policy(text, Path("policy.toml"))
    (problem,) = refusal.value.problems
    assert says in problem


def test_text_that_is_not_utf_8_is_said_so(tmp_path):
    (tmp_path / "policy.toml").write_bytes("# café".encode("latin-1"))
    with pytest.raises(CampaignError, match=r"is not UTF-8 text \(byte 5\); save it as UTF-8"):
        load_policy(tmp_path)
