"""`loyalty.toml`: what is valid is typed, what is not is named; and what is published together fits together."""

from pathlib import Path

import msgspec
import pytest

from pipeline import loyalty, rulebook
from pipeline.core.do import DoMessage, DoPoints
from pipeline.core.partition import ActiveRules, activate, rules_of
from pipeline.core.rules import Campaign, Step
from pipeline.core.scheme import Scheme
from pipeline.core.when import WhenPointsReached, WhenSignedUp, WhenTierReached
from pipeline.toml_files import CampaignError

EXAMPLE = (Path(__file__).parents[1] / "campaigns" / "loyalty.toml.txt").read_text(encoding="utf-8")
REWARD = '[[reward]]\nname = "r"\npoints = 5\n'


def test_the_example_is_a_scheme_and_uses_every_key():
    scheme = loyalty.parse(EXAMPLE, Path("loyalty.toml"))
    assert msgspec.convert(msgspec.to_builtins(scheme), Scheme) == scheme
    for field in msgspec.structs.fields(Scheme):
        assert f"\n{field.encode_name} = " in EXAMPLE or f"[{field.encode_name}]" in EXAMPLE
    assert loyalty.in_words(scheme) == (
        "loyalty: a point for each 1.00 EUR spent, 2 times as many for jazz, none for gift-cards, 10 for "
        "each order, 10 for Product Reviewed, at most 10 times, 25 for Questionnaire Completed, once; unused after "
        "365 days they expire. Tier silver from 250 points within 365 days. Tier gold from 1000 points within 365 "
        "days. 500 points buy a voucher of 5.00 EUR. An invitation is fulfilled 14 days after the friend's first "
        "order."
    )


def test_little_is_said_of_a_little_scheme():
    text = 'cents_per_point = 0\ntier_by = "spend"\ntier_days = 0\n[[tier]]\nname = "t"\nat_least = 100\n'
    scheme = loyalty.parse(text + REWARD + "discount_percent = 5", Path("loyalty.toml"))
    assert loyalty.in_words(scheme) == (
        "loyalty: points only by campaigns; they never expire. Tier t from 1.00 spent. 5 points buy a voucher of 5 %."
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("per_order =", "is not TOML"),
        ("per_ordr = 1", "line 1: `per_ordr` is not a key of the loyalty scheme; did you mean `per_order`?"),
        ("per_order = -1", "line 1: `per_order` is -1; it must be a whole number at least 0"),
        (REWARD, "[[reward]] `r` needs either `discount_percent` or `discount_cents`, and not both"),
        (REWARD + "discount_cents = 5", '[[reward]] `r`: `discount_cents` needs a `currency`, for example "EUR"'),
        ((REWARD + "discount_percent = 5\n") * 2, "[[reward]] is there twice for `r`"),
        ('[[tier]]\nname = "a"\nat_least = 1\n[[tier]]\nname = "b"\nat_least = 1', "have the same `at_least`"),
    ],
)
def test_what_is_wrong_is_said_with_its_file(text, says):
    with pytest.raises(CampaignError) as refusal:
        loyalty.parse(text, Path("loyalty.toml"))
    (problem,) = refusal.value.problems
    assert problem.startswith("loyalty.toml") and says in problem


@pytest.mark.parametrize(
    ("campaign", "says"),
    [
        (Campaign(name="a", when=WhenSignedUp(), do=DoPoints(points=1)), "a.toml: there are no points without"),
        (
            Campaign(
                name="a",
                when=WhenSignedUp(),
                do=DoMessage(template="t"),
                steps=(Step(name="s", wait_days=1, do=DoPoints(points=1)),),
            ),
            "a.toml: there are no points without",
        ),
        (Campaign(name="a", when=WhenPointsReached(points=1), do=DoMessage(template="t")), "a.toml: there are no"),
        (
            Campaign(name="a", when=WhenTierReached(tier="t"), do=DoMessage(template="t")),
            "no tier `t`; valid are",
        ),
    ],
)
def test_a_campaign_needs_the_scheme_it_speaks_of(campaign, says):
    with pytest.raises(CampaignError, match=says):
        loyalty.check([campaign], None)
    loyalty.check([campaign], msgspec.convert({"tier": [{"name": "t", "at_least": 1}]}, Scheme))


def test_the_scheme_is_published_with_the_campaigns(tmp_path):
    book = rulebook.read(tmp_path, tmp_path / "segments", tmp_path / "site")
    assert book.loyalty is None and book.change(1, "publish@test", 1).loyalty == b""
    (tmp_path / "loyalty.toml").write_text("per_order = 7\n")
    change = rulebook.read(tmp_path, tmp_path / "segments", tmp_path / "site").change(2, "publish@test", 1)
    active = activate(ActiveRules(), change)
    assert rulebook.is_in_force(change, active) and not rulebook.is_in_force(change, ActiveRules())
    assert rules_of(active, b"", redeemable=True).loyalty == Scheme(per_order=7)


def test_text_that_is_not_utf_8_is_said_so(tmp_path):
    (tmp_path / "loyalty.toml").write_bytes("# café".encode("latin-1"))
    with pytest.raises(CampaignError, match=r"is not UTF-8 text \(byte 5\); save it as UTF-8"):
        loyalty.load(tmp_path)
