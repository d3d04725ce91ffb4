"""What came of a task is told once and kept in the customer's file."""

from core.making import T0, but, buyer, click, handed_over, rules
from pipeline.core import subjects
from pipeline.core.customer import tasks
from pipeline.core.customer.identity import Identity
from pipeline.core.customer.tasks import MAX_DONE, MAX_NOTE_CHARACTERS, Done
from pipeline.core.effects import Send, TaskDone
from pipeline.core.task_events import TaskCompleted

REACHED = TaskCompleted(task_id="t1", outcome="reached", note="All is well.", source="serve@one", received_at=T0)


def stepped(profile, event=REACHED):
    return subjects.step(profile.key, profile, event, T0, rules())


def test_the_first_word_on_a_task_counts_and_takes_it_off_the_list():
    profile, outputs = stepped(buyer(0))
    assert outputs == [
        TaskDone(id="t1", customer="u:ann", outcome="reached", note="All is well.", decided_at=T0),
    ]
    assert profile.tasks.done == {"t1": Done("reached", "All is well.", T0)}
    again, outputs = stepped(profile, but(REACHED, outcome="not_reached"))
    assert (again.tasks, outputs) == (profile.tasks, [])


def test_what_is_kept_of_it_is_bounded():
    profile = buyer(0)
    for number in range(MAX_DONE + 2):
        profile, _ = stepped(profile, but(REACHED, task_id=f"t{number}", note="x" * 2 * MAX_NOTE_CHARACTERS))
    assert len(profile.tasks.done) == MAX_DONE
    assert "t1" not in profile.tasks.done
    assert len(profile.tasks.done["t2"].note) == MAX_NOTE_CHARACTERS


def test_who_is_unknown_has_no_task_and_nothing_else_is_an_outcome():
    assert subjects.step("u:nobody", None, REACHED, T0, rules()) == (None, [])
    assert tasks.step(buyer(0), click(), T0, rules(), []) == (buyer(0).tasks, ())
    assert tasks.step(buyer(0), handed_over(None), T0, rules(), []) == (buyer(0).tasks, ())


def test_a_browser_that_has_become_somebody_passes_it_on():
    browser = buyer(0, key="a:b1", identity=Identity(owner="u:ann", owner_trust="SERVER"))
    _, outputs = stepped(browser)
    assert outputs == [Send("u:ann", REACHED)]


def test_what_was_told_of_a_browser_s_task_is_not_told_of_its_person_s():
    told, _ = stepped(buyer(0, key="a:b1"))
    profile, _ = stepped(buyer(0), but(REACHED, task_id="t2"))
    profile, _ = stepped(profile, handed_over(told))
    assert list(profile.tasks.done) == ["t1", "t2"]
    assert stepped(profile)[1] == []
