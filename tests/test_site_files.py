"""Files of `site/`: what is valid is typed, what is not is named with its file."""

from pathlib import Path

import pytest

from pipeline import campaigns, segments, site_files
from pipeline.core.rules import Segment
from pipeline.core.site import Site
from pipeline.toml_files import CampaignError

HERE = Path(__file__).parents[1]
MODULE = """name = "hero"
slot = "home"
[[variant]]
name = "buyers"
title = "Hello {traits.name}"
[[variant.if]]
field = "purchases.orders"
op = "at_least"
value = 1
[fallback]
title = "Hello"
link_url = "/tea"
link_text = "Tea"
"""
ASKED = """name = "after-order"
title = "How was it?"
moment = "order"
[[question]]
name = "mark"
text = "How satisfied are you?"
kind = "scale"
[[question]]
name = "colour"
text = "Which?"
kind = "choice"
options = ["red", "blue"]
"""


@pytest.fixture
def site() -> Site:
    module = site_files.parse_module(MODULE, Path("hero.toml"))
    asked = site_files.parse_questionnaire(ASKED, Path("after-order.toml"))
    return Site(modules=(module,), questionnaires=(asked,))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("name =", "name", "is not TOML"),
        ("slot =", "slott =", "line 2: `slott` is not a key of a module; did you mean `slot`? Valid are: "),
        ("value = 1", "valu = 1", "line 9: `valu` is not a key of [[variant.if]]; did you mean `value`?"),
        ("slot =", 'priority = "high"\nslot =', 'line 2: `priority` is "high"; it must be a whole number'),
        ('name = "hero"', 'name = "zero"', '`name` is "zero", but the file is called hero.toml'),
        ("purchases.orders", "purchases.order", "variant buyers: `purchases.order` is not a field; did you mean"),
        ("{traits.name}", "{trait.name}", "`{trait.name}`: there is no field `trait.name`"),
        ("{traits.name}", "{purchases.ordres}", "did you mean `purchases.orders`?"),
        ('title = "Hello"', 'title = "Hello {traits.name}"', "[fallback] is also for who is not known"),
        ('title = "Hello"', "", "needs a `title`, a `text` or an `image_url`"),
        ("/tea", "javascript:alert(1)", '`link_url` is "javascript:alert(1)"; it must be an address such as "https'),
        ("/tea", "//evil.example", "line 12: `link_url` is "),
        ("/tea", "/\\\\evil.example", "line 12: `link_url` is "),
        (
            "slot =",
            "recommendations = 21\nslot =",
            "`recommendations` is 21; it must be a whole number at least 0 and at most 20",
        ),
        (
            '[[variant]]\nname = "buyers"\ntitle =',
            'recommendations = 3\n[[variant]]\nname = "buyers"\ntext =',
            "with `recommendations` each [[variant]] and the [fallback] need a `title`: what the list is",
        ),
        ('link_text = "Tea"', "", "`link_url` needs `link_text`"),
        (
            '[fallback]\ntitle = "Hello"\nlink_url = "/tea"\nlink_text = "Tea"',
            '[[variant]]\nname = "buyers"\ntitle = "x"',
            "`buyers` is there twice",
        ),
        ("[fallback]", '[[variant]]\nname = "all"', "variant all is for everybody: call it [fallback]"),
        (MODULE[MODULE.index("[[variant]]") :], "", "a module needs a [[variant]] or a [fallback]"),
    ],
)
def test_what_is_wrong_with_a_module(old, new, says):
    assert old in MODULE
    with pytest.raises(CampaignError) as refusal:
        site_files.parse_module(MODULE.replace(old, new), Path("hero.toml"))
    assert any(problem.startswith("hero.toml") and says in problem for problem in refusal.value.problems)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            'kind = "scale"',
            'kind = "slider"',
            '`kind` is "slider"; it must be one of choice, choices',
        ),
        ('kind = "scale"', 'kind = "scale"\nmost = 50', "question mark: a scale has 2 to 11 marks"),
        ('kind = "scale"', 'kind = "text"\noptions = ["a"]', "`options` are for the kinds choice and choices"),
        ('["red", "blue"]', '["red", "red"]', "question colour: `options` needs two or more different ones"),
        ('name = "colour"', 'name = "mark"', "`mark` is there twice"),
        (ASKED[ASKED.index("[[question]]") :], "", "a questionnaire has 1 to 50 [[question]], and this one has 0"),
    ],
)
def test_what_is_wrong_with_a_questionnaire(old, new, says):
    with pytest.raises(CampaignError) as refusal:
        site_files.parse_questionnaire(ASKED.replace(old, new), Path("after-order.toml"))
    assert any(says in problem for problem in refusal.value.problems)


def test_a_folder_is_read_whole_and_its_mistakes_come_together(tmp_path):
    assert site_files.load(tmp_path / "missing") == Site()
    for name in ("modules", "questionnaires"):
        (tmp_path / name).mkdir()
    for name, priority in (("hero", 1), ("zero", 5)):
        text = MODULE.replace('name = "hero"', f'name = "{name}"\npriority = {priority}')
        (tmp_path / "modules" / f"{name}.toml").write_text(text)
    (tmp_path / "questionnaires" / "after-order.toml").write_text(ASKED)
    (tmp_path / "interests.toml").write_text('[[interest]]\nname = "tea"\nlabel = "Tea"\n')
    loaded = site_files.load(tmp_path)
    assert [it.name for it in loaded.modules] == ["zero", "hero"]
    assert ([it.name for it in loaded.questionnaires], [it.label for it in loaded.interests]) == (
        ["after-order"],
        ["Tea"],
    )
    (tmp_path / "interests.toml").write_text('[[interests]]\nname = "tea"')
    (tmp_path / "modules" / "latin.toml").write_bytes('name = "café"'.encode("latin-1"))
    with pytest.raises(CampaignError, match="did you mean `interest`") as refusal:
        site_files.load(tmp_path)
    assert len(refusal.value.problems) == 2
    (tmp_path / "modules" / "latin.toml").unlink()
    (tmp_path / "interests.toml").write_text('[[interest]]\nname = "tea"\nlabel = "Tea"\n' * 2)
    with pytest.raises(CampaignError, match="`tea` is there twice"):
        site_files.load(tmp_path)


HEAD = 'name = "c"\n[do]\nkind = "task"\ntask = "phone"\ninstructions = "x"\n'
SHOW = 'name = "c"\n[when]\nkind = "signed_up"\n[do]\nkind = "module"\nmodule = "hero"\n'
WHEN = HEAD + '[when]\nkind = "answered"\nquestionnaire = "after-order"\n'
REGULARS = Segment(name="regulars")
IN = '[when]\nkind = "signed_up"\n[[not]]\nfield = "segments"\nop = "contains"\nvalue = "regulars"\n'
IF = '[when]\nkind = "signed_up"\n[[if]]\nfield = "answers.after-order.mark"\nop = "at_most"\nvalue = 2\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SHOW, ""),
        (SHOW.replace('"hero"', '"hera"'), "c.toml: there is no module `hera`; did you mean `hero`? valid are: hero"),
        (WHEN, ""),
        (WHEN.replace("after-order", "after-ordr"), "there is no questionnaire `after-ordr`; did you mean"),
        (WHEN + 'question = "mark"\nop = "above"\nvalue = 3', ""),
        (WHEN + 'question = "marks"', "there is no question in after-order: `marks`; did you mean `mark`?"),
        (WHEN + 'question = "mark"\nop = "contains"\nvalue = 3', "`contains` does not go with mark, a scale"),
        (WHEN + 'question = "mark"\nop = "is"\nvalue = "3"', "the value compared with mark must be a number"),
        (WHEN + 'question = "colour"\nvalue = "bleu"', "there is no option of colour: `bleu`; did you mean `blue`?"),
        (HEAD + IF, ""),
        (HEAD + IF.replace(".mark", ".mork"), "c.toml: there is no question in after-order: `mork`"),
        (HEAD + IF.replace("after-order.", "before."), "there is no questionnaire `before`"),
        (HEAD + IN, ""),
        (HEAD + IN.replace("regulars", "regular"), "c.toml: there is no segment `regular`; did you mean `regulars`?"),
        (
            HEAD + IN.replace('"contains"\nvalue = "regulars"', '"one_of"\nvalue = ["x", "regulars"]'),
            "no segment `x`",
        ),
    ],
)
def test_what_campaigns_speak_of_is_there(site, text, says):
    campaign = campaigns.parse(text, Path("c.toml"))
    if not says:
        site_files.check(site, (campaign,), (REGULARS,))
        return
    with pytest.raises(CampaignError) as refusal:
        site_files.check(site, (campaign,), (REGULARS,))
    [problem] = refusal.value.problems
    assert says in problem


def test_segments_and_modules_may_ask_for_answers_too(site):
    text = 'name = "s"\n[[any]]\nfield = "answers.after-order.what"\nop = "is"\nvalue = 1\n'
    segment = segments.parse(text, Path("s.toml"))
    asks = MODULE.replace("purchases.orders", "answers.order-after.mark")
    module = site_files.parse_module(asks, Path("hero.toml"))
    wrong = Site(modules=(module,), questionnaires=site.questionnaires)
    with pytest.raises(CampaignError) as refusal:
        site_files.check(wrong, (), (segment,))
    assert [problem.partition(":")[0] for problem in refusal.value.problems] == ["s.toml", "modules/hero.toml"]


def test_a_module_has_no_channels_of_its_own():
    with pytest.raises(CampaignError, match="a module has no `channels`"):
        campaigns.parse(SHOW + '[contact]\nchannels = ["email"]\n', Path("c.toml"))


def test_what_the_project_brings_is_valid():
    files = site_files.load(HERE / "site")
    assert files.modules
    assert files.questionnaires
    assert files.interests
    site_files.check(files, campaigns.load(HERE / "campaigns"), segments.load(HERE / "segments"))
