"""Erasing a person, decided by workers: what goes, what stays, and that nothing brings them back.

On the log in memory, as Kafka would keep it: records stay what they were, and the store can be lost.
"""

from typing import Any

import msgspec
import pytest
from simulation.memory import EVENTS, MemoryStore
from simulation.test_simulation import CODEC

from erasing.town import PARTITIONS, SALT, Town, settle_ada_and_ben
from pipeline.backends.contract import NewRecord
from pipeline.core import erasure, subjects
from pipeline.core.effects import DeadLetter, Voucher
from pipeline.core.events import (
    BROWSER,
    SERVER,
    VERIFIED,
    Clickstream,
    ErasureRequested,
    EventForwarded,
    ImportStarted,
    RedemptionRequested,
    VoucherRedeemed,
)


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture
def ada(town: Town) -> Town:
    settle_ada_and_ben(town)
    return town


def test_a_person_goes_with_their_browsers_and_vouchers_and_others_stay(ada: Town) -> None:
    bens = ada.profile("u:ben")
    ada.erases("u:ada")
    ada.decides()
    assert ada.known() == {"u:ben"}
    assert ada.profile("u:ben") == bens
    assert all("u:ada" not in key and "phone" not in key for there in ada.store.subjects.values() for key in there)
    assert not any(key != "u:ben" for there in ada.store.timers.values() for key in there)
    listed = ada.effects("erasures")
    assert [entry.outcome for entry in listed] == ["ERASED", "ERASED"]
    assert {entry.request_id for entry in listed} == {"r1"}
    assert {entry.tombstone for entry in listed} == {erasure.tombstone_of(SALT, key) for key in ("u:ada", "a:phone")}


@pytest.mark.parametrize("late", ["looks", "buys", "identifies by itself", "forwarded", "redeemed", "poison"])
def test_what_comes_late_is_dropped_and_counted(ada: Town, late: str) -> None:
    ada.erases("u:ada")
    ada.decides()
    before = ada.known(), ada.tombstones()
    match late:
        case "looks":
            ada.looks("a:phone")
        case "buys":
            ada.buys("u:ada", "o9")
        case "identifies by itself":
            ada.identifies("u:ada", VERIFIED, anonymous_id="phone")
        case "forwarded":
            inner = CODEC.encode(Clickstream(message_id="x", type="track", occurred_at=1, received_at=1))
            ada.says("u:ada", EventForwarded(anonymous_id="old", trust=SERVER, record=inner, received_at=ada.now))
        case "redeemed":
            ada.says("u:ada", VoucherRedeemed(id="i", code="c", order_id="o", discount_cents=1, received_at=ada.now))
        case "poison":
            ada.log.append([NewRecord(EVENTS, b"u:ada", b"ada@example.com")])
    ada.decides()
    ada.decides()
    assert (ada.known(), ada.tombstones()) == (before[0], before[1] + (late == "forwarded"))
    assert ada.measures.counted["erased"] == 1
    assert ada.effects("dead-letters") == []


def test_a_browser_that_was_not_remembered_is_called_back_when_it_speaks(ada: Town) -> None:
    ada.looks("a:old")
    ada.identifies("u:ada", VERIFIED, anonymous_id="old")
    ada.decides()
    [number] = [n for n, there in ada.store.subjects.items() if "u:ada" in there]
    profile = ada.profile("u:ada")
    browsers = {"phone": profile.identity.browsers["phone"]}
    forgetful = msgspec.structs.replace(
        profile, identity=msgspec.structs.replace(profile.identity, browsers=browsers)
    )
    ada.store.subjects[number]["u:ada"] = subjects.encode(forgetful)
    ada.erases("u:ada")
    ada.decides()
    assert ada.known() == {"u:ben", "a:old"}
    ada.looks("a:old")
    ada.decides()
    assert ada.known() == {"u:ben"}


def test_only_an_identify_of_the_shop_s_server_that_was_said_later_lifts_it(ada: Town) -> None:
    at = ada.now
    ada.erases("u:ada")
    ada.identifies("u:ada", occurred_at=at)  # said before, sent late
    ada.identifies("u:ada", accepted_at=at)  # spooled before, drained late
    ada.identifies("u:ada", source="import:old")
    ada.buys("u:ada", "o7")
    ada.decides()
    assert "u:ada" not in ada.known()
    ada.identifies("u:ada", anonymous_id="phone")
    ada.buys("u:ada", "o8")
    ada.decides()
    profile = ada.profile("u:ada")
    assert (list(profile.purchases.orders), list(profile.identity.browsers)) == (["o8"], ["phone"])
    assert ada.tombstones() == 0, "the server names her browser too: it is hers again"
    assert ada.profile("a:phone").identity.owner == "u:ada"
    outcomes = {entry.tombstone: entry.outcome for entry in ada.effects("erasures")}
    assert outcomes == {erasure.tombstone_of(SALT, key): "LIFTED" for key in ("u:ada", "a:phone")}
    assert len({entry.id for entry in ada.effects("erasures")}) == 4


def test_who_was_known_again_can_be_erased_again(ada: Town) -> None:
    ada.erases("u:ada")
    ada.identifies("u:ada")
    ada.erases("u:ada", "r2")
    ada.looks("u:ada")
    ada.decides()
    assert "u:ada" not in ada.known()
    assert [entry.outcome for entry in ada.effects("erasures") if entry.request_id == "r2"] == ["ERASED"]


def test_a_browser_that_others_use_stays_and_only_obeys_its_person(town: Town) -> None:
    for person in ("u:ada", "u:ben"):
        town.looks("a:family")
        town.identifies(person, VERIFIED, anonymous_id="family")
        town.decides()
    assert town.profile("a:family").identity.shared
    town.looks("a:tablet")
    town.identifies("u:ben", VERIFIED, anonymous_id="tablet")
    town.identifies("u:ada", BROWSER, anonymous_id="tablet")
    town.decides()
    town.erases("u:ada")
    town.decides()
    assert town.known() == {"u:ben", "a:family", "a:tablet"}


def test_a_browser_can_be_erased_by_itself_with_its_vouchers(town: Town) -> None:
    town.buys("a:visitor", "o1")
    town.buys("a:visitor", "o2")
    town.decides()
    assert len(town.known()) == 2
    town.erases("a:visitor")
    town.decides()
    assert (town.known(), town.tombstones()) == (set(), 1)


def test_a_voucher_of_somebody_erased_can_t_be_redeemed(ada: Town) -> None:
    [voucher] = ada.effects("vouchers")
    assert isinstance(voucher, Voucher)
    ada.erases("u:ada")
    ada.decides()
    request = RedemptionRequested(
        code=voucher.code, order_id="o5", total_cents=1000, currency="EUR", received_at=ada.now
    )
    ada.says(f"v:{voucher.code}", request)
    ada.decides()
    assert ada.known() == {"u:ben"}


def test_a_store_that_is_lost_comes_back_without_them_and_nothing_is_sent_twice(ada: Town) -> None:
    ada.erases("u:ada")
    ada.looks("u:ada")
    ada.decides()
    before = ada.everything()
    ada.store.put_back(MemoryStore().snapshot())
    ada.decides()
    assert ada.everything() == before


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_the_same_however_the_log_is_cut_into_batches(batch: int) -> None:
    told = [_told(Town(size)) for size in (100, batch)]
    assert told[0] == told[1]


def test_a_backup_older_than_the_erasure_brings_nobody_back(ada: Town) -> None:
    older = ada.store.snapshot()
    ada.erases("u:ada")
    ada.looks("a:phone")
    ada.decides()
    before = ada.everything()
    ada.store.put_back(older)
    assert "u:ada" in ada.known()
    ada.decides()
    assert ada.everything() == before


def test_erased_in_the_middle_of_an_imported_history(ada: Town) -> None:
    started = ImportStarted(import_id="i", source="import:i", first_at=ada.now - 1000, received_at=ada.now)
    for number in range(PARTITIONS):
        ada.log.append([NewRecord(EVENTS, b"", CODEC.encode(started), partition=number)])
    ada.buys("u:ada", "h1", source="import:i", occurred_at=1_700_000_000_000)
    ada.erases("u:ada")
    ada.buys("u:ada", "h2", source="import:i", occurred_at=1_700_000_100_000)
    ada.identifies("u:ada", source="import:i")
    ada.decides()
    assert ada.known() == {"u:ben"}


def test_a_malformed_request_is_set_aside() -> None:
    town = Town()
    town.looks("u:ada")
    town.says("u:ada", ErasureRequested(request_id="r", salt=b"short", source="x", received_at=town.now))
    town.decides()
    assert town.known() == {"u:ada"}
    [letter] = town.effects("dead-letters")
    assert isinstance(letter, DeadLetter) and letter.reason == "a salt of 5 bytes: expected 16"


def _told(town: Town) -> dict[str, Any]:
    town.looks("a:phone")
    town.identifies("u:ada", VERIFIED, anonymous_id="phone")
    town.buys("u:ada", "o1")
    town.erases("u:ada")
    town.buys("u:ada", "o2")
    town.identifies("u:ada")
    town.buys("u:ada", "o3")
    town.looks("a:phone")
    town.erases("a:phone", "r2")
    town.looks("a:phone")
    town.decides()
    found = town.everything()
    return {name: found[name] for name in ("states", "subjects", "timers", "effects")}
