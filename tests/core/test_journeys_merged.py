"""Two histories that are one now have one journey of a campaign, and nothing is done twice."""

import pytest

from core.making import MINUTE, T0, but, candidate, handed_over
from core.test_journeys import CARE, DAY, HOUR, JOURNEY, WALKING, Life, at, begun, ruled
from pipeline.core.customer import journeys
from pipeline.core.customer.decisions import Decisions
from pipeline.core.customer.journeys import Journeys
from pipeline.core.customer.pending import waiting
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import Message


def merged(mine, theirs, *campaigns, **slices):
    profile = but(WALKING, journeys=Journeys({"care": mine} if mine else {}))
    history = Profile("a:b1", T0, journeys=Journeys({"care": theirs}), **slices)
    return journeys.step(profile, handed_over(history), T0 + HOUR, ruled(*campaigns), ())


FURTHER = but(JOURNEY, step="gift", occasion="o0")


@pytest.mark.parametrize(
    ("mine", "theirs", "kept", "ended"),
    [
        (None, FURTHER, FURTHER, []),
        (JOURNEY, FURTHER, FURTHER, ["o1"]),
        (FURTHER, JOURNEY, FURTHER, ["o1"]),
        (JOURNEY, but(JOURNEY, step="gift"), but(JOURNEY, step="gift"), []),
        (JOURNEY, but(JOURNEY, occasion="o0", began=T0 - 1), but(JOURNEY, occasion="o0", began=T0 - 1), ["o1"]),
        (JOURNEY, but(JOURNEY, occasion="o0"), JOURNEY, ["o0"]),
        (but(JOURNEY, walk="holdout"), FURTHER, but(FURTHER, walk="holdout"), ["o1"]),
        (but(JOURNEY, walk="shadow"), but(FURTHER, walk="holdout"), but(FURTHER, walk="holdout"), ["o1"]),
    ],
)
def test_of_two_journeys_the_one_that_is_further_on_goes_on(mine, theirs, kept, ended):
    after, made = merged(mine, theirs, CARE)
    assert after.open["care"] == but(kept, due=kept.since + (25 * HOUR if kept.step == "gift" else 2 * DAY))
    assert [(one.reason, one.occasion) for one in made] == [("merged", occasion) for occasion in ended]


def test_two_journeys_of_a_campaign_that_is_over_both_are():
    after, made = merged(JOURNEY, FURTHER)
    assert after == Journeys()
    assert [one.reason for one in made] == ["merged", "campaign_ended"]


def test_a_step_that_was_done_on_the_other_device_is_not_done_again():
    own = begun(CARE).until(at(1))
    theirs = Profile("a:b1", at(1), decisions=Decisions({"care": {"step:tips:o1": at(1)}}))
    own.step(handed_over(theirs), at(1))
    own.until(at(9))
    assert [message.template for message in own.did(Message)] == ["thanks"]
    assert own.told()[-1][:2] == ("TAKEN", "step:gift:")


def test_a_step_the_other_device_had_put_off_is_decided_once():
    walking = but(JOURNEY, due=0)
    held = but(waiting(candidate(CARE, "step:tips:o1", step="tips"), T0), put_off_until=T0 + MINUTE, since=T0)
    history = Profile("a:b1", T0, journeys=Journeys({"care": walking}), decisions=Decisions(pending=(held,)))
    life = Life(CARE, profile=but(WALKING, journeys=Journeys(), now=T0))
    life.step(handed_over(history), at(3))
    life.until(at(9))
    assert [message.template for message in life.did(Message)] == ["tips"]
    assert [one[1] for one in life.told()] == ["step:tips:", "step:gift:"]
