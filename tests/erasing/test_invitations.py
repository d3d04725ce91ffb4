"""Erasing one of two on both sides of an invitation: their code goes, the other keeps a hash and a count."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from erasing.town import CODEC, NOON, OPTIONS, PARTITIONS, RealTown
from pipeline.backends.contract import NewRecord
from pipeline.backends.sqlite import Embedded
from pipeline.core import subjects
from pipeline.core.customer.profile import Profile
from pipeline.core.customer.referral import code_of
from pipeline.core.events import CampaignsChanged
from pipeline.core.scheme import Referral, Scheme

RULES = CampaignsChanged(
    version=2, campaigns=b"[]", loyalty=msgspec.json.encode(Scheme(referral=Referral())), received_at=NOON
)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[RealTown]:
    """Ben has invited Ada, who has bought."""
    made = RealTown(Embedded(tmp_path / "data", PARTITIONS))
    made.append([NewRecord("events", b"", CODEC.encode(RULES), partition=number) for number in range(PARTITIONS)])
    made.identifies("u:ben")
    said = f'{{"referral_code":"{code_of("u:ben", OPTIONS.code_secret)}"}}'
    made.buys("u:ada", "order-of-ada", properties=said)
    for _ in range(3):  # the claim, the code, who invites
        made.decides()
    yield made
    made.backend.close()


def profile(town: RealTown, key: str) -> Profile:
    state = subjects.decode(key, town.states()[key])
    assert isinstance(state, Profile)
    return state


def code_key(who: str) -> str:
    return f"r:{code_of(who, OPTIONS.code_secret)}"


def traces(folder: Path, name: bytes) -> list[str]:
    return [file.name for file in folder.iterdir() if name in file.read_bytes()]


@pytest.mark.parametrize(("gone", "stays"), [("u:ada", "u:ben"), ("u:ben", "u:ada")])
def test_of_two_one_is_erased(town: RealTown, tmp_path: Path, gone: str, stays: str) -> None:
    before = profile(town, stays).referral
    assert before is not None and (before.invited or before.status == "ACCEPTED")
    assert traces(tmp_path / "data", gone.encode())
    town.erases(gone)
    for _ in range(3):
        town.decides()
    assert town.known() == {stays, code_key(stays)}
    assert profile(town, stays).referral == before
    assert traces(tmp_path / "data", gone.encode()) == []
