"""`rapport export` and `rapport erase`, as they are typed."""

import json
import shutil

import pytest

from cli.home import Home
from pipeline.backends.contract import NewRecord
from pipeline.codec import Codec
from pipeline.commands.opening import opened
from pipeline.core.effects import Erasure
from pipeline.core.erasure import tombstone_of
from pipeline.settings import Settings

BUYERS = 'name = "buyers"\n[[all]]\nfield = "purchases.orders"\nop = "at_least"\nvalue = 1\n'
EMAIL = "ada@x.org"
HISTORY = [
    {"type": "page", "anonymousId": "phone", "messageId": "m1"},
    {
        "type": "identify",
        "userId": "ada",
        "anonymousId": "phone",
        "messageId": "m2",
        "traits": {"email": "ada@x.org"},
    },
    *(
        {
            "type": "track",
            "event": "Order Completed",
            "userId": who,
            "messageId": f"{who}-{n}",
            "properties": {"order_id": f"{who}-{n}", "total": 20.0, "currency": "EUR"},
        }
        for who in ("ada", "ben")
        for n in range(5)
    ),
]


@pytest.fixture
def home(home: Home) -> Home:
    lines = [{"timestamp": f"2026-05-01T10:{n:02}:00Z", **message} for n, message in enumerate(HISTORY)]
    (home.path / "history.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert home.run("replay", "history.jsonl", "--format", "segment").code == 0
    return home


def test_who_is_on_the_list_of_the_erased_is_shown_to_nobody_while_the_store_is_behind(home: Home) -> None:
    (home.path / "segments").mkdir()
    (home.path / "segments" / "buyers.toml").write_text(BUYERS)
    assert home.run("campaigns", "publish").code == 0
    with opened(Settings(data=str(home.path / "rapport-data"))) as app:
        reader = app.backend.reader()
        entry = Erasure(
            id="i", request_id="r", outcome="ERASED", tombstone=tombstone_of(b"salt", "u:ada"), salt=b"salt",
            events_partition=reader.partition_of("u:ada"), at=2**53,
        )  # fmt: skip
        reader.close()
        worker = app.worker(ticks=False)
        worker.run_until_idle()
        worker.close()
        app.appender("test").append([NewRecord("erasures", b"", Codec().encode(entry))])
    for words in ("profile ada", "why ada", "loyalty ada", "export ada"):
        assert "no customer u:ada is known here" in home.run(*words.split()).err, words
    assert home.run("profile", "ben").code == 0
    assert home.run("segments", "list").out == "buyers: 1 (if purchases.orders at least 1)\n"
    [member] = home.run("segments", "members", "buyers").out.splitlines()
    assert member.endswith("  u:ben")


def test_export_then_erase(home: Home) -> None:
    done = home.run("export", "ada", "--out", "ada.json")
    assert (done.code, done.out) == (0, "")
    file = home.path / "ada.json"
    assert file.stat().st_mode & 0o777 == 0o600
    told = json.loads(file.read_text())
    assert json.loads(home.run("export", "ada").out).keys() == told.keys()
    assert len(told["profile"]["purchases"]["last_orders"]) == 5
    assert {record["customer"] for record in told["records"]} >= {"u:ada", "a:phone"}
    [voucher] = told["vouchers"]

    unsaid = home.run("erase", "ada")
    assert unsaid.code != 0
    assert "5 orders" in unsaid.err
    assert home.run("profile", "ada").code == 0

    done = home.run("erase", "ada", "--yes")
    assert (done.code, done.out) == (0, "")
    assert "1 browsers" in done.err
    assert "Erased. Request " in done.err
    for id_ in ("ada", "a:phone"):
        gone = home.run("profile", id_)
        assert (gone.code, "is known here" in gone.err) == (1, True)
    assert home.run("profile", "ben").code == 0
    traces = (b"u:ada", EMAIL.encode(), b"phone", voucher["code"].encode())
    for place in (home.path / "rapport-data").rglob("*"):
        if place.is_file():
            assert [trace for trace in traces if trace in place.read_bytes()] == [], place
    assert {line["customer"] for line in home.log("vouchers")} == {"u:ben"}
    assert len(home.log("erasures")) == 2


@pytest.mark.parametrize(
    "command", [("erase", "nobody", "--yes"), ("export", "nobody"), ("erase", "a:none", "--yes")]
)
def test_nobody_is_known_by_that_id(empty: Home, command: tuple[str, ...]) -> None:
    done = empty.run(*command)
    assert (done.code, done.out) == (1, "")
    assert "is known here" in done.err


def test_a_browser_of_somebody_s_goes_with_them(home: Home) -> None:
    done = home.run("erase", "a:phone", "--yes")
    assert done.code == 1
    assert "belongs to u:ada" in done.err


def test_a_history_replayed_again_brings_nobody_back(home: Home) -> None:
    assert home.run("erase", "ada", "--yes").code == 0
    text = (home.path / "history.jsonl").read_text().replace('"messageId": "', '"messageId": "again-')
    (home.path / "again.jsonl").write_text(text)
    done = home.run("replay", "again.jsonl", "--format", "segment", "--shift-to", "now")
    assert done.code == 0, done.err
    assert home.run("profile", "ada").code == 1
    assert home.run("profile", "ben").code == 0


def test_a_backup_in_a_fresh_folder_is_told_who_was_erased_since(home: Home) -> None:
    """The machine is lost: there is the backup, and the list that was kept apart."""
    assert home.run("backup", "backup").code == 0
    assert home.run("erase", "ada", "--yes").code == 0
    (home.path / "erased.jsonl").write_text(home.run("log", "erasures", "--json").out)
    shutil.rmtree(home.path / "rapport-data")
    done = home.run("restore", "backup", "--erased", "erased.jsonl")
    assert done.code == 0, done.err
    assert "2 of 2 in erased.jsonl" in done.err
    assert home.run("erase", "ben", "--yes").code == 0  # a worker runs
    assert home.run("profile", "ada").code == 1
    for place in (home.path / "rapport-data").iterdir():
        assert EMAIL.encode() not in place.read_bytes(), place
    again = home.run("restore", "backup", "--erased", "erased.jsonl")
    assert "0 of 2" in again.err
    (home.path / "erased.jsonl").write_text("{}")
    broken = home.run("restore", "backup", "--erased", "erased.jsonl")
    assert (broken.code, "line 1" in broken.err) == (1, True)
