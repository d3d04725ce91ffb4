"""Segment files: what is valid is typed, what is not is named with its file."""

from pathlib import Path

import pytest

from pipeline import segments
from pipeline.core.do import DoVoucher
from pipeline.core.rules import Campaign
from pipeline.core.when import WhenSegmentEntered
from pipeline.toml_files import CampaignError

EXAMPLE = Path(__file__).parents[1] / "segments" / "example.toml.txt"
GOOD = 'name = "good"\n[[all]]\nfield = "purchases.orders"\nop = "at_least"\nvalue = 2\n'


def test_the_example_is_a_segment_once_it_is_renamed():
    example = segments.parse(EXAMPLE.read_text(encoding="utf-8"), Path("example.toml"))
    assert [len(part) for part in (example.all_of, example.any_of, example.none_of)] == [2, 2, 1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name =", "is not TOML"),
        (GOOD.replace("[[all]]", "[[al]]"), "line 2: `al` is not a key of a segment; did you mean `all`?"),
        (GOOD.replace("purchases.orders", "purchases.order"), "did you mean `purchases.orders`?"),
        (GOOD.replace('name = "good"', 'name = "bad"'), '`name` is "bad", but the file is called good.toml'),
        ('name = "good"', "a segment needs a condition: [[all]], [[any]] or [[not]]"),
        (
            'name = "good"\n[[any]]\nfield = "segments"\nop = "contains"\nvalue = "x"',
            "a segment cannot ask for segments",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_file(text, says):
    with pytest.raises(CampaignError) as refusal:
        segments.parse(text, Path("good.toml"))
    (problem,) = refusal.value.problems
    assert problem.startswith("good.toml")
    assert says in problem


def test_a_folder_s_mistakes_come_together_and_without_a_folder_there_are_none(tmp_path):
    assert segments.load(tmp_path / "missing") == ()
    (tmp_path / "good.toml").write_text(GOOD)
    (good,) = segments.load(tmp_path)
    assert good.name == "good"
    (tmp_path / "other.toml").write_text(GOOD)
    (tmp_path / "latin.toml").write_bytes('name = "café"'.encode("latin-1"))
    with pytest.raises(CampaignError) as refusal:
        segments.load(tmp_path)
    assert len(refusal.value.problems) == 2


def test_a_campaign_waits_for_a_segment_that_is_there():
    good = segments.parse(GOOD, Path("good.toml"))
    do = DoVoucher(discount_percent=5)
    segments.check([Campaign(name="x", when=WhenSegmentEntered(segment="good"), do=do)], [good])
    with pytest.raises(CampaignError, match=r"x\.toml: there is no segment `god`; valid are: good"):
        segments.check([Campaign(name="x", when=WhenSegmentEntered(segment="god"), do=do)], [good])
