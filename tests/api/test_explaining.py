"""Why, in words: every named reason can be said, and an answer is told with the facts of its moment."""

import re
from pathlib import Path

import pytest

from api.running import CODEC, Running, viewed
from pipeline.api.explaining import decisions_view, in_words
from pipeline.api.specimens import AT, CUSTOMER
from pipeline.api.words import REASONS
from pipeline.core.do import DoChatPrompt
from pipeline.core.presence import AgentsChanged
from pipeline.core.rules import Campaign
from pipeline.core.when import WhenHesitating

HELP = Campaign(name="help", when=WhenHesitating(), do=DoChatPrompt(text="Help?"))
CORE = Path(__file__).parents[2] / "pipeline" / "core" / "customer"


@pytest.mark.parametrize(
    ("outcome", "reason", "facts", "words"),
    [
        ("REFUSED", "no_agent_free", '{"agents":0}', "It did not act: no agent was free to talk."),
        (
            "REFUSED",
            "holdout",
            '{"holdout_percent":10}',
            "It did not act: they are in the comparison group, which is left alone (10 % of all).",
        ),
        (
            "TAKEN",
            "same_product",
            '{"views":3,"hours":24}',
            "It acted: came back to the same product (3 views, 24 hours).",
        ),
        (
            "DEFERRED",
            "claim_open",
            '{"again_at":1}',
            "It put this off: a browser was just claimed: its history is awaited first.",
        ),
        ("REVOKED", "a new reason", '{"colour":"red"}', "It took this back: a new reason (colour red)."),
    ],
)
def test_a_decision_is_one_sentence(outcome: str, reason: str, facts: str, words: str) -> None:
    assert in_words(outcome, reason, facts) == words


def test_every_refusal_of_the_core_has_words() -> None:
    named = {
        name for file in CORE.glob("*.py") for name in re.findall(r'(?:Refusal|Hindrance)\("(\w+)"', file.read_text())
    }
    assert {"no_agent_free", "no_consent"} <= named
    assert named <= set(REASONS)


def test_one_campaign_can_be_asked_for() -> None:
    [answer] = decisions_view(CUSTOMER, "win-back")
    assert (answer["campaign"], answer["decided_at"]) == ("win-back", AT - 86_400_000)
    assert decisions_view(CUSTOMER, "another") == []


def test_why_not_is_answered(at_work: Running) -> None:
    at_work.publish(HELP)
    nobody = AgentsChanged(desk="d", free=0, until=0, gated=True, source="test", received_at=0)
    for partition in range(at_work.reader.partitions()):
        at_work.say_to(partition, CODEC.encode(nobody))
    for number in range(3):
        at_work.put("a:browser", viewed("browser", f"c-{number}", number))
    at_work.settle("a:browser")
    answer = at_work.get("/v1/customers/a:browser/decisions").json()
    assert answer["id"] == "a:browser"
    assert [(it["outcome"], it["reason"], it["words"]) for it in answer["decisions"]] == [
        ("REFUSED", "no_agent_free", "It did not act: no agent was free to talk.")
    ]
    assert at_work.get("/v1/customers/nobody/decisions").status_code == 404
