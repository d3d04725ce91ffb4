"""A message counts once in 24 hours."""

from core.occurrences import DAY, at, click, lived
from pipeline.core.customer import dedup
from pipeline.core.customer.dedup import MAX_SEEN, Dedup


def test_a_message_counts_once_in_24_hours() -> None:
    told = [click(minutes, message_id="m") for minutes in (0, 5, DAY - 1, DAY)]
    profile = lived("u:ann", *told)
    assert (profile.activity.events, profile.dedup.duplicates) == (2, 2)


def test_of_two_messages_with_one_id_the_first_counts_whatever_the_second_says() -> None:
    said = [
        click(0, "Product Viewed", message_id="m", category="jazz", product_id="first"),
        click(1, "Product Viewed", message_id="m", category="rock", product_id="second"),
    ]
    profile = lived("u:ann", *said)
    assert [view.product_id for view in profile.activity.recent] == ["first"]
    assert (profile.activity.events, profile.dedup.duplicates) == (1, 1)


def test_a_message_without_an_id_always_counts() -> None:
    assert lived("u:ann", click(0, message_id=""), click(1, message_id="")).activity.events == 2


def test_only_the_window_is_kept() -> None:
    profile = lived("u:ann", *(click(minutes) for minutes in (0, 1, 2, DAY + 1)))
    assert [seen_at for _, seen_at in profile.dedup.entries()] == [at(2), at(DAY + 1)]


def test_of_too_many_messages_the_oldest_are_forgotten() -> None:
    seen = Dedup()
    for number in range(MAX_SEEN + 5):
        seen, _ = dedup.passed(seen, f"m-{number}", at(0))
    assert len(seen.entries()) == MAX_SEEN
    assert dedup.passed(seen, "m-4", at(1))[1]
    assert not dedup.passed(seen, "m-5", at(1))[1]


def test_what_reads_like_a_message_across_two_entries_is_none() -> None:
    seen, _ = dedup.passed(Dedup(), "m", at(0))
    ((message, _),) = seen.entries()
    across = bytes(12) + message + bytes(12)
    assert message in across
    assert dedup.passed(Dedup(across), "m", 0) == (Dedup(across + message + bytes(8)), True)
    assert not dedup.passed(Dedup(across + seen.seen), "m", 0)[1]


def test_two_histories_know_what_either_has_seen() -> None:
    def seen(messages: dict[str, int], duplicates: int) -> Dedup:
        return Dedup(b"".join(name.encode() * 8 + at.to_bytes(8) for name, at in messages.items()), duplicates)

    own = seen({"b": at(2), "a": at(5)}, 1)
    handed = seen({"d": at(-DAY), "a": at(3), "c": at(4)}, 2)
    assert dedup.merged(own, handed, at(6)) == seen({"b": at(2), "c": at(4), "a": at(5)}, 3)
    assert dedup.merged(Dedup(), handed, at(9 * DAY)) == Dedup(duplicates=2)
