"""Campaign files: what is valid is typed, what is not is named by file, line and what would be valid."""

import re
from pathlib import Path

import msgspec
import pytest

from pipeline import campaigns
from pipeline.campaigns import from_json, load, parse, to_json
from pipeline.core.condition import Condition
from pipeline.core.do import DoChatPrompt, DoMessage, DoTask, DoVoucher, DoWebhook
from pipeline.core.rules import Budget, Campaign, Contact, Step
from pipeline.core.when import WhenCartAbandoned, WhenHesitating, WhenLapsed, WhenRegular
from pipeline.toml_files import CampaignError

FOLDER = Path(__file__).parents[1] / "campaigns"
EXAMPLE = FOLDER / "example.toml.txt"
GOOD = """\
name = "good"

[when]
kind = "lapsed"

[do]
kind = "voucher"
discount_percent = 10
"""
PROMPT = """\
name = "good"
[when]
kind = "hesitating"
[do]
kind = "chat_prompt"
"""
CART = """\
name = "x"
[when]
kind = "cart_abandoned"
[do]
kind = "message"
template = "cart"
[contact]
channels = ["email"]
"""
STEP = """\
[[step]]
name = "again"
wait_days = 3
[step.do]
kind = "message"
template = "again"
"""


def refused(text, file="good.toml"):
    with pytest.raises(CampaignError) as refusal:
        parse(text, Path(file))
    return list(refusal.value.problems)


def test_the_shop_s_own_files_are_three_campaigns_and_a_draft():
    kinds = {campaign.name: (type(campaign.when), type(campaign.do)) for campaign in load(FOLDER)}
    assert kinds == {
        "cart-reminder": (WhenCartAbandoned, DoMessage),
        "hesitation-chat": (WhenHesitating, DoChatPrompt),
        "thanks-regulars": (WhenRegular, DoVoucher),
        "win-back": (WhenLapsed, DoVoucher),
    }
    assert {campaign.name for campaign in load(FOLDER) if campaign.state != "live"} == {"cart-reminder"}
    assert next(c for c in load(FOLDER) if c.name == "thanks-regulars").do.category == "most_bought"


def test_the_example_is_a_campaign_once_it_is_renamed():
    example = parse(EXAMPLE.read_text(encoding="utf-8"), Path("example.toml"))
    assert (example.state, len(example.conditions), example.holdout_percent) == ("draft", 2, 5)


@pytest.mark.parametrize(
    "struct",
    [
        Campaign,
        WhenLapsed,
        WhenRegular,
        WhenHesitating,
        Condition,
        DoVoucher,
        DoChatPrompt,
        DoMessage,
        DoTask,
        DoWebhook,
        Step,
        Contact,
        Budget,
    ],
)
def test_the_example_shows_every_key(struct):
    text = EXAMPLE.read_text(encoding="utf-8")
    for field in msgspec.structs.fields(struct):
        name = field.encode_name
        assert re.search(rf"^[# ]*(\[+(step\.)?{name}\]+|{name} = )", text, re.MULTILINE), f"{struct.__name__}.{name}"


@pytest.mark.parametrize("kind", re.findall(r"kind = \"(\w+)\"", EXAMPLE.read_text(encoding="utf-8")))
def test_each_kind_of_the_example_is_one(kind):
    assert kind in {name for kinds in campaigns.KINDS.values() for name in kinds} | {*campaigns.EXITS}


def test_each_alternative_of_the_example_is_valid_once_it_is_uncommented():
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    shown = "\n".join(line[4:] for line in lines if line.startswith("#   "))
    shown, *exits = re.split(r"(?m)^(?=\[\[exit\]\]$)", shown)
    journey = CART + STEP + "".join(exits)
    assert {type(one) for one in parse(journey, Path("x.toml")).exits} == {
        campaigns.EXITS[kind] for kind in ("cart_gone", "segment_entered", "segment_left")
    }
    blocks = re.split(r"(?m)^(?=\[(?:when|do)\]$)", shown)[1:]
    found = set()
    for block in blocks:
        prompt = "hesitating" in block or "chat_prompt" in block
        task = '[do]\nkind = "task"\ntask = "phone"\ninstructions = "Ask."\n'
        when = '[when]\nkind = "hesitating"\n' if prompt else '[when]\nkind = "lapsed"\n'
        do = '[do]\nkind = "chat_prompt"\n' if prompt else '[do]\nkind = "voucher"\ndiscount_percent = 5\n'
        by_looking = re.search(r'"(interested|price_dropped|back_in_stock|new_product)"$', block, re.MULTILINE)
        do = task if by_looking and "stage" not in block else do
        contact = '[contact]\nchannels = ["email"]\n' if 'kind = "message"' in block else ""
        head = 'name = "x"\n' + (do if block.startswith("[when]") else when)
        campaign = parse(head + block + "\n" + contact, Path("x.toml"))
        found |= {type(campaign.when), type(campaign.do)}
    kinds = {kind for kinds in campaigns.KINDS.values() for kind in kinds.values()}
    assert len(blocks) == len(kinds) - 2, "all but the two that are not commented out"
    assert found == kinds


def test_campaigns_travel_as_json():
    loaded = load(FOLDER)
    assert from_json(to_json(loaded)) == loaded
    assert to_json(from_json(to_json(loaded))) == to_json(loaded)
    with pytest.raises(msgspec.ValidationError):
        from_json(b'[{"name":"x"}]')


REPLACED = [
    (
        "",
        'stat = "live"\n',
        1,
        "`stat` is not a key of a campaign; did you mean `state`? Valid are: name, description",
    ),
    ("", 'zzzz = "live"\n', 1, "`zzzz` is not a key of a campaign; Valid are: name,"),
    ("", 'state = "liv"\n', 1, '`state` is "liv"; it must be one of draft, ended, live, paused'),
    ("", "priority = 1.5\n", 1, "`priority` is 1.5; it must be a whole number"),
    ("", "holdout_percent = 101\n", 1, "`holdout_percent` is 101; it must be a number at least 0 and at most 100"),
    ("", "description = 1979-05-27\n", 1, '`description` is "1979-05-27"; it must be a text in quotes'),
    ('name = "good"', 'name = "bad"', 1, '`name` is "bad", but the file is called good.toml; they must be the same'),
    ('name = "good"', "", 1, "`name` is missing in a campaign; it must be there"),
    ('[when]\nkind = "lapsed"', "when = 3", 3, "`when` is 3; it must be a table: [when] on a line of its own,"),
    (
        'kind = "lapsed"',
        'kind = "laped"',
        4,
        '`kind` of [when] is "laped"; did you mean `lapsed`? Valid are: lapsed,',
    ),
    ('kind = "lapsed"', "kind = [1]", 4, "`kind` of [when] is [1]; Valid are: lapsed, regular_buyer, hesitating"),
    ('kind = "lapsed"', "threshold = 0.1", 3, "`kind` is missing in [when]; valid are: lapsed, regular_buyer,"),
    (
        'kind = "lapsed"',
        'kind = "lapsed"\ntreshold = 0.1',
        5,
        '`treshold` is not a key of [when] with kind "lapsed"; did you mean `threshold`? Valid are: threshold,',
    ),
    (
        'kind = "lapsed"',
        'kind = "lapsed"\nthreshold = 1.0',
        5,
        "`threshold` is 1.0; it must be a number above 0 and below 1",
    ),
    (
        "discount_percent = 10",
        "discount_percent = 0",
        6,
        "a voucher needs either `discount_percent` or `discount_cents`",
    ),
    (
        "discount_percent = 10",
        'discount_percent = 10\ndiscount_cents = 5\ncurrency = "EUR"',
        6,
        "a voucher needs either `discount_percent` or `discount_cents`, above 0, and not both",
    ),
    ("discount_percent = 10", "discount_cents = 500", 6, '`discount_cents` needs a `currency`, for example "EUR"'),
    (
        "discount_percent = 10",
        'discount_percent = 10\ncurrency = "euro"',
        9,
        '`currency` is "euro"; it must be an ISO 4217 code such as "EUR"',
    ),
    (
        'kind = "voucher"\ndiscount_percent = 10',
        'kind = "chat_prompt"',
        7,
        "a chat prompt goes with [when] kind hesi",
    ),
    ('kind = "lapsed"', 'kind = "hesitating"', 7, "a chat prompt goes with [when] kind hesitating and with nothing"),
    ("[do]", "[contact]\nchannels = 3\n[do]", 7, "`channels` is 3; it must be a list of texts in quotes"),
    (
        "[do]",
        '[contact]\nchannels = ["emial"]\n[do]',
        7,
        "`emial` is not a channel; did you mean `email`? Valid are: email, push,",
    ),
    ("[do]", '[contact]\nsoft_opt_in = "yes"\n[do]', 7, '`soft_opt_in` is "yes"; it must be true or false'),
    ("[do]", "[contact]\nchanels = []\n[do]", 7, "`chanels` is not a key of [contact]; did you mean `channels`?"),
    ("", "if = 3\n", 1, "`if` is 3; it must be tables: [[if]] on a line of its own, its keys below"),
    ("", "if = [3]\n", 1, "`if` is [3]; it must be tables: [[if]] on a line of its own, its keys below"),
    ("[do]", '[[if]]\nfield = "groups"\nop = "in"\nvalue = "x"\n[do]', 8, '`op` is "in"; it must be one of above,'),
    (
        "[do]",
        '[[if]]\nfield = "groups"\nop = "contains"\n[do]',
        6,
        "`value` is missing in [[if]]; it must be there",
    ),
    (
        "[do]",
        '[[if]]\nfield = "groups"\nop = "contains"\nvalue = { a = 1 }\n[do]',
        9,
        '`value` is {"a":1}; it must be a text, a number, true, false or a list of texts',
    ),
    (
        "[do]",
        '[[if]]\nfield = "groups"\nop = "contains"\nvalue = "x"\n'
        '[[if]]\nfield = "purchases.order"\nop = "is"\nvalue = 1\n[do]',
        10,
        "`purchases.order` is not a field; did you mean `purchases.orders`? valid are:",
    ),
    ("", "per_customer_days = 9\n", 1, "`per_customer_days` needs `per_customer`: how often within these days"),
    ("[do]", "[budget]\nvoucher = 9\n[do]", 7, "`voucher` is not a key of [budget]; did you mean `vouchers`?"),
    ("[do]", "[budget]\nvouchers = -1\n[do]", 7, "`vouchers` is -1; it must be a whole number at least 0"),
    ("[do]", "[budget]\namount_cents = 1\n[do]", 7, "`amount_cents` goes with a voucher of `discount_cents`: what"),
    ("[do]", "[budget]\nreturns = true\n[do]", 7, "`returns` needs a limit to return to: `vouchers` or"),
    ("[when]", "[", 3, "is not TOML"),
]


@pytest.mark.parametrize(("old", "new", "line", "says"), REPLACED)
def test_a_mistake_is_named_with_its_line_and_what_is_valid(old, new, line, says):
    text = GOOD.replace(old, new, 1) if old else new + GOOD
    (problem,) = refused(text)
    if says == "is not TOML":
        assert re.match(r"good\.toml: is not TOML: .+ \(at line 3, column", problem)
    else:
        assert problem.startswith(f"good.toml, line {line}: {says}")


def test_every_mistake_is_named_at_once():
    wrong = GOOD.replace("lapsed", "laped").replace("discount_percent = 10", "discount_percent = 1.5\nvalid_day = 3")
    assert [problem.split(": ")[0] for problem in refused(wrong)] == [f"good.toml, line {line}" for line in (4, 8, 9)]


@pytest.mark.parametrize("key", ["products_in_category", "product_views"])
def test_no_more_views_are_asked_for_than_are_remembered(key):
    text = PROMPT.replace("[do]", f"{key} = 21\n[do]")
    assert refused(text) == [f"good.toml, line 4: `{key}` is 21; at most 20 views are remembered"]
    assert parse(text.replace("21", "20"), Path("good.toml"))


def test_a_budget_is_for_vouchers():
    text = PROMPT + "[budget]\nvouchers = 1\n"
    assert refused(text) == ["good.toml, line 6: a budget is for vouchers; anything else can have `per_customer`"]
    assert parse(PROMPT.replace("[when]", "per_customer = 1\n[when]"), Path("good.toml")).per_customer == 1


@pytest.mark.parametrize(
    ("do", "says"),
    [
        (
            'kind = "message"\ntemplate = "news"',
            "line 1: a message needs `channels` in [contact]: by which ways it may be sent",
        ),
        (
            'kind = "message"\ntemplate = "news"\nvalues = { name = 3 }',
            'line 9: `values` is {"name":3}; it must be a table of texts in quotes',
        ),
        (
            'kind = "task"\ntask = "visit"\ninstructions = "Go."\n[contact]\nchannels = ["email"]',
            "line 11: a task has no `channels`: visit needs the permission for phone",
        ),
        (
            'kind = "webhook"\nevent = "ordered"\n[contact]\nchannels = ["email"]',
            "line 10: a webhook has no `channels`: a system is told, and nobody contacted",
        ),
        (
            'kind = "task"\ntask = "fax"\ninstructions = "Go."',
            'line 8: `task` is "fax"; it must be one of mailshot, phone, visit',
        ),
    ],
)
def test_a_message_says_by_which_ways_and_a_task_follows_its_kind(do, says):
    text = GOOD.replace('kind = "voucher"\ndiscount_percent = 10', do)
    assert refused(text) == [f"good.toml, {says}"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (("[when]", 'until = "2026-02-30"\n[when]'), "line 3: `until` is 2026-02-30, and there is no such day"),
        (("[when]", 'until = "soon"\n[when]'), 'line 3: `until` is "soon"; it must be a day such as "2026-12-31"'),
        (('"lapsed"', '"scheduled"\non = "2026-13-01"'), "line 5: `on` is 2026-13-01, and there is no such day"),
        (
            ('"lapsed"', '"scheduled"\non = "9999-12-31"'),
            "line 5: `on` is 9999-12-31; it must be a day of the years 2000 to 2999",
        ),
        (
            ('"lapsed"', '"interested"'),
            "line 7: a voucher does not go with [when] kind interested: anybody can look at products",
        ),
        (
            ('"lapsed"', '"cart_abandoned"\nhours = 0'),
            "line 3: `hours` and `minutes` are both 0; a cart is abandoned after some time",
        ),
    ],
)
def test_a_day_is_one_and_a_voucher_does_not_rest_on_looking_around(changes, says):
    assert refused(GOOD.replace(*changes)) == [f"good.toml, {says}"]


def test_a_purpose_is_one_of_those_a_customer_can_permit():
    (problem,) = refused(GOOD + '[contact]\npurpose = "markting"\n')
    says = "`markting` is not a purpose; did you mean `marketing`? Valid are: marketing, service, profiling"
    assert problem == f"good.toml, line 10: {says}"


def test_a_key_inside_a_dotted_or_inline_table_is_found_where_it_is_written():
    dotted = GOOD.replace('[when]\nkind = "lapsed"', 'when.kind = "lapsed"\nwhen.threshold = 2')
    assert refused(dotted)[0].startswith("good.toml, line 3: `threshold` is 2")
    inline = GOOD.replace('[when]\nkind = "lapsed"', 'when = { kind = "lapsed", threshold = 2 }')
    assert refused(inline)[0].startswith("good.toml, line 3: `threshold` is 2")


def test_a_folder_s_mistakes_come_together_and_one_bad_file_refuses_all(tmp_path):
    (tmp_path / "good.toml").write_text(GOOD, encoding="utf-8-sig", newline="\r\n")
    (tmp_path / "notes.txt").write_text("not a campaign")
    assert [campaign.name for campaign in load(tmp_path)] == ["good"]
    (tmp_path / "other.toml").write_text(GOOD)
    (tmp_path / "latin.toml").write_bytes('name = "café"'.encode("latin-1"))
    with pytest.raises(CampaignError) as refusal:
        load(tmp_path)
    latin, other = str(refusal.value).splitlines()
    assert latin == f"{tmp_path / 'latin.toml'}: is not UTF-8 text (byte 11); save it as UTF-8"
    assert other.startswith(f'{tmp_path / "other.toml"}, line 1: `name` is "good", but the file is called other.toml')
    with pytest.raises(CampaignError, match="is not a folder; put the campaign files there or name another one"):
        load(tmp_path / "missing")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            GOOD + "[[if]]\nfield = 'purchases.orders'\nop = 'above'\nvalue = nan",
            "nan is no number that",
        ),
        ("name = " + "[" * 3000, "is not TOML: maximum recursion depth"),
    ],
)
def test_what_python_s_reader_takes_or_chokes_on_is_refused_in_a_sentence(text, says):
    (problem,) = refused(text)
    assert says in problem


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "odd.toml").mkdir()
    with pytest.raises(CampaignError, match=r"odd\.toml: cannot be read: Is a directory"):
        load(tmp_path)
