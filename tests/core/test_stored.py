"""What a subject's stored form promises."""

from core.occurrences import click, lived
from pipeline.core import subjects
from pipeline.core.customer.profile import Profile

NEW = Profile("u:ann")


def test_slices_that_say_nothing_are_not_stored_and_one_object_for_all_profiles_when_read() -> None:
    profile = lived("u:ann", click(0, "Product Viewed", category="jazz", product_id="first"))
    stored = subjects.encode(profile)
    read = subjects.decode("u:ann", stored)
    assert read == profile
    assert subjects.encode(read) == stored
    own = {name for name in Profile.__struct_fields__ if getattr(read, name) is not getattr(NEW, name)}
    assert own == {"key", "now", "dedup", "activity", "lifecycle"}
