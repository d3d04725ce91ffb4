"""Which destination has which channel, as the settings say; a wrong one is refused before anything starts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from api.running import CODEC

from pipeline.app import App
from pipeline.backends.contract import NewRecord
from pipeline.core.events import SERVER, Customer
from pipeline.settings import Settings, SettingsError, load
from pipeline.sinks.deliver import Deliverer
from sinks.receiver import SECRET, Receiver
from sinks.world import mail

CHATWOOT = {
    "chatwoot_url": "https://a.example", "chatwoot_inbox": "i", "chatwoot_secret": "s", "identity_secret": "s",
}  # fmt: skip


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


def settings(folder: Path, **given: object) -> Settings:
    return load({}, None, data=str(folder / "data"), code_secret="a secret of the tests", **given)


def test_each_channel_has_one_destination_and_the_site_none(tmp_path: Path, receiver: Receiver) -> None:
    app = App(
        settings(
            tmp_path,
            webhook_url=receiver.url,
            webhook_secret=SECRET,
            webhook_channels=["email", "sms"],
            webhook_allow_private=True,
        )
    )
    now = time.time_ns() // 1_000_000
    known = Customer(
        message_id="1", type="identify", user_id="ada", occurred_at=now, received_at=now, trust=SERVER, source="test"
    )
    channels = ("email", "post", "site", "next_visit", "sms", "phone", "webhook")
    vouchers = [mail(n, channel=c, decided_at=now, not_after=now + 600_000) for n, c in enumerate(channels)]
    app.appender("test").append([NewRecord("events", b"u:ada", CODEC.encode(known))])
    app.appender("test").append([NewRecord("vouchers", b"u:ada", CODEC.encode(each)) for each in vouchers])
    stop, worker, deliverers = threading.Event(), app.worker(), app.deliverers()
    threads = [threading.Thread(target=each.run, args=(stop,)) for each in (worker, *deliverers)]
    for thread in threads:
        thread.start()
    try:
        deadline = time.monotonic() + 60
        while len(receiver.taken) < 3 or len(list((tmp_path / "data" / "outbox").glob("*.json"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert sorted(receiver.taken) == ["voucher-0", "voucher-4", "voucher-6"]
    files = {file.stem for file in (tmp_path / "data" / "outbox").glob("*.json")}
    assert files == {"voucher-1", "voucher-5"}
    assert b'rapport_deliveries_total{destination="webhook",outcome="sent"} 3.0' in app.metrics()
    worker.close()
    app.close()


def test_without_a_webhook_all_goes_to_the_outbox(tmp_path: Path) -> None:
    app = App(settings(tmp_path))
    made: list[Deliverer] = app.deliverers()
    assert [each._destination.name for each in made] == ["outbox"]
    made[0].close()
    app.close()


def test_a_webhook_without_channels_hears_what_campaigns_tell_it(tmp_path: Path) -> None:
    app = App(settings(tmp_path, webhook_url="https://a.example/", webhook_secret=SECRET))
    made: list[Deliverer] = app.deliverers()
    assert [each._destination.name for each in made] == ["outbox", "webhook"]
    for each in made:
        each.close()
    app.close()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"webhook_url": "https://a.example/"}, "webhook_url needs webhook_secret: what"),
        ({"webhook_url": "a.example", "webhook_secret": SECRET, "webhook_channels": ["email"]}, "https://host/path"),
        ({"webhook_url": "https://a.example/", "webhook_secret": "s", "webhook_channels": ["email"]}, "24 to 64"),
        ({"chatwoot_url": "https://a.example/"}, "chatwoot_url needs chatwoot_inbox, chatwoot_secret and identity"),
        ({**CHATWOOT, "identity_secret": ""}, "identity_secret, which names conversations there"),
        ({**CHATWOOT, "chatwoot_url": "a.example"}, "chatwoot_url = 'a.example': expected https://host"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, given: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        App(settings(tmp_path, **given)).deliverers()
