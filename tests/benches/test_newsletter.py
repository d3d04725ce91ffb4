"""A newsletter through a real mail server, the deciding and the sending process both killed half way: nobody twice.

The same to ten thousand is `python -m bench.newsletter --smtp 10000`, to a million without the mail server
`python -m bench.newsletter`.
"""

from bench.newsletter import sent

PEOPLE = 300
AT_ONCE = 8
"""Mails that a deliverer has under way."""


def test_kill_9_of_each_process_half_way_and_everybody_has_it_once() -> None:
    run = sent(PEOPLE, through_smtp=True)
    assert (run.twice, run.lost) == (0, 0)
    assert run.uncertain <= AT_ONCE
    assert PEOPLE - run.uncertain <= run.acted <= PEOPLE
