"""`rapport newsletter`, as it is typed: an edition is sent, seen, stopped; mistakes are said in a sentence."""

import json

import pytest
from typer.testing import CliRunner

from cli.home import Home
from pipeline.app import publish_campaigns, wall_ms
from pipeline.backends.contract import NewRecord
from pipeline.codec import Codec
from pipeline.commands.newsletters import newsletter_app, standing
from pipeline.commands.opening import opened
from pipeline.core.events import SERVER, ConsentChange, Customer
from pipeline.core.newsletter import Walk
from pipeline.settings import Settings, SettingsError

WEEKLY = """\
name = "weekly"
[when]
kind = "newsletter"
[do]
kind = "message"
template = "weekly"
[contact]
channels = ["email"]
"""


class Shop:
    """A newsletter in force, two people who said yes to e-mail and one who did not."""

    def __init__(self, home: Home) -> None:
        self.home, self._data = home, home.path / "rapport-data"
        (home.path / "campaigns" / "weekly.toml").write_text(WEEKLY)
        with opened(Settings(data=str(self._data))) as app:
            publish_campaigns(app, home.path / "campaigns", only_if_changed=False)
            app.appender("test").append([known(name, says_yes=name != "cas") for name in ("ann", "bob", "cas")])
        self.work()

    def work(self) -> None:
        """Until nothing is left."""
        with opened(Settings(data=str(self._data))) as app:
            worker = app.worker(ticks=False)
            worker.run_until_idle()
            worker.close()

    def says(self, *words: str) -> str:
        """What the command prints, or the sentence it fails with."""
        done = CliRunner().invoke(newsletter_app, [*words, "--data", str(self._data)])
        if isinstance(done.exception, SettingsError):
            return str(done.exception)
        assert done.exit_code == 0, done.output
        return str(done.stdout)

    def standing(self) -> dict[str, dict[str, object]]:
        """What `status --json` says, by edition."""
        return {entry["edition"]: entry for entry in map(json.loads, self.says("status", "--json").splitlines())}


def known(name: str, *, says_yes: bool) -> NewRecord:
    now = wall_ms()
    said = ConsentChange(channel="email", purpose="marketing", granted=says_yes)
    event = Customer(
        message_id=name, type="identify", user_id=name, occurred_at=now, received_at=now, source="collect@one",
        trust=SERVER, trusted=True, consents=(said,),
    )  # fmt: skip
    return NewRecord("events", f"u:{name}".encode(), Codec().encode(event))


@pytest.fixture
def shop(home: Home, monkeypatch: pytest.MonkeyPatch) -> Shop:
    # Commands run in this process, whose logging is not theirs to set up.
    monkeypatch.setattr("pipeline.commands.opening.set_up_logging", lambda _: None)
    return Shop(home)


def test_an_edition_is_sent_to_whom_it_is_for_and_counted(shop: Shop) -> None:
    assert shop.says("status") == ""
    assert shop.says("send", "weekly", "w1") == ""
    shop.work()
    entry = shop.standing()["w1"]
    assert (entry["state"], entry["met"]) == ("ended", 3)
    assert entry["answers"] == {"REFUSED no_consent": 1, "TAKEN": 2}
    assert shop.says("status") == "weekly  w1  ended  3 people met: 1 refused no_consent, 2 taken\n"
    assert sorted(message["customer"] for message in shop.home.log("messages")) == ["u:ann", "u:bob"]


def test_an_edition_that_is_stopped_before_its_time_is_sent_to_nobody(shop: Shop) -> None:
    shop.says("send", "weekly", "w1", "--at", "2099-01-01T09:00+01:00")
    shop.work()
    assert (shop.standing()["w1"]["state"], shop.standing()["w1"]["met"]) == ("under way", 0)
    assert shop.says("status") == "weekly  w1  under way  0 people met\n"
    assert shop.says("stop", "weekly", "w1") == ""
    shop.work()
    assert shop.says("status") == "weekly  w1  stopped  0 people met: it was for nobody\n"


def test_an_edition_has_ended_once_every_partition_has_walked_it() -> None:
    ended = (Walk("weekly", "w1", 0, met=2, answers={"TAKEN": 2}, ended_at=1),)
    assert [each["state"] for each in standing([ended, ()])] == ["under way"]
    assert [each["state"] for each in standing([ended, ended])] == ["ended"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("send other w2", "no newsletter other is in force (there are weekly): rapport campaigns publish"),
        ("send weekly w1", "edition w1 of weekly was ordered already: see `rapport newsletter status`, or name"),
        ("send weekly Week_2", "`Week_2` cannot name an edition: small letters, digits and hyphens, at most 64"),
        ("send weekly w2 --at tomorrow", "--at tomorrow: expected a moment such as 2026-12-01T09:00+01:00"),
        ("stop weekly w2", "no edition w2 of weekly is known: see `rapport newsletter status`"),
    ],
)
def test_what_makes_no_sense_is_said(shop: Shop, words: str, sentence: str) -> None:
    shop.says("send", "weekly", "w1")
    shop.work()
    before = shop.standing()
    assert shop.says(*words.split()).startswith(sentence)
    shop.work()
    assert shop.standing() == before


def test_without_a_newsletter_none_is_sent(home: Home) -> None:
    done = home.run("newsletter", "send", "weekly", "w1")
    assert (done.code, done.err) == (
        1,
        "rapport: no newsletter weekly is in force (there is none): rapport campaigns publish\n",
    )
