"""`demo`: the whole of Rapport on one machine, with real purchases and simulated visitors, to be watched."""

import base64
import http.client
import itertools
import json
import secrets
import statistics
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline.app import App, Together, open_backend, publish_campaigns, wall_ms
from pipeline.backends.contract import LogRecord, Reader
from pipeline.codec import Codec
from pipeline.commands.deciding import Deciders, processes_for
from pipeline.commands.history import progress_bar, put_on_log
from pipeline.commands.opening import console
from pipeline.commands.roles import deliver_until, work_until
from pipeline.core import subjects
from pipeline.core.customer.profile import Profile
from pipeline.core.effects import ChatPrompt, Voucher, named_reason
from pipeline.producers.replay.files import plan_file
from pipeline.producers.simulator.live import play
from pipeline.producers.simulator.simulate import simulate
from pipeline.running import Running, signals
from pipeline.settings import Settings

ROOT = Path(__file__).parents[2]
PURCHASES = ROOT / "examples" / "data" / "CDNOW_master.txt.gz"
SHOP = ROOT / "examples" / "shop"
CAMPAIGNS = ROOT / "campaigns"
EVENTS = 10_000
VISITORS = 2_000
SPAN_DAYS = 0.05
SPEED = 40.0
"""People live forty times as fast as by the clock: some sixty events a second."""
BY_TIMER = ("lapsed", "cart_idle")
"""Named reasons of triggers that a timer causes, not an event."""
BLOCK = 5_000


def demo(
    seconds: Annotated[int | None, typer.Option(help="End by itself after so many live seconds.")] = None,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8080,
    seed: Annotated[int, typer.Option(help="Of the simulated visitors.")] = 1,
) -> None:
    """Show everything at work: 69,659 real purchases decided anew, then live visitors; in a folder of its own.

    Vouchers are made with a public demo secret and cannot be redeemed.
    """
    with tempfile.TemporaryDirectory(prefix="rapport-demo-") as folder:
        settings = Settings(
            write_key="demo-write-key",
            server_key=f"demo-{secrets.token_hex(16)}",
            identity_secret=secrets.token_hex(32),
            data=folder,
            campaigns=str(CAMPAIGNS),
            segments=str(ROOT / "segments"),
            site=str(ROOT / "site"),
        )
        app = App(settings, demo=True)
        try:
            began = _history(app)
            _live(app, port, seed, seconds)
        finally:
            app.close()
        backend = open_backend(settings)
        try:
            console.print(_summary(backend.reader(), backend.keys, began))
        finally:
            backend.close()


def _history(app: App) -> int:
    """Decide the real purchases as of their own time, moved so that they end now; when that was, epoch ms."""
    console.print("[bold]Real purchases[/]: the web shop CDNOW, moved in time so that they end today.")
    publish_campaigns(app, CAMPAIGNS, only_if_changed=True)
    with progress_bar() as bar:
        began = wall_ms()
        history = plan_file(PURCHASES, "cdnow", shift_to_ms=began)
        with Deciders(app, processes_for(len(history.records))) as deciders:
            put_on_log(app, history, pace=None, progress=bar)
            deciders.decide(bar)
    return wall_ms()


def _live(app: App, port: int, seed: int, seconds: int | None) -> None:
    running = Running(app.guarded)
    with signals(running):
        api = app.measured(running.closing(app.api(shop=SHOP)))
        application = Together(app.collector(), api)
        try:
            listening = running.serve(application, app.settings.host, port)
        except OSError as problem:
            console.print(f"{problem}: taking a free one.", soft_wrap=True)
            listening = running.serve(application, app.settings.host, 0)
        address = f"http://{app.settings.host}:{listening}"
        running.thread("work", lambda stop: work_until(app, stop))
        running.thread("deliver", lambda stop: deliver_until(app, stop))
        running.thread("visitors", lambda stop: _visitors(app.settings, address, seed, stop))
        console.print("\n[bold]Live visitors[/] look around now. Watch, or be one of them:")
        console.print(f"  demo shop  {address}/shop/", soft_wrap=True)
        console.print(f"  live feed  {address}{app.feed_path()}", soft_wrap=True)
        console.print(f"  metrics    {address}/metrics", soft_wrap=True)
        console.print(f"Ends in {seconds} seconds." if seconds else "Ctrl-C ends it.")
        running.wait(seconds)


def _visitors(settings: Settings, address: str, seed: int, stop: threading.Event) -> None:
    """Simulated shoppers send their events over HTTP, as a page and a shop's server would."""
    host = address.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)

    class Ended(Exception):
        """The demo is over."""

    def send(message: dict[str, Any]) -> None:
        if stop.is_set():
            raise Ended
        body = dict(message)
        key = settings.server_key if body.pop("_key", "") == "server" else settings.write_key
        headers = {
            "Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode(),
            "Content-Type": "application/json",
        }
        connection.request("POST", f"/v1/{body.get('type', 'track')}", json.dumps(body), headers)
        connection.getresponse().read()

    def sleep(pause_seconds: float) -> None:
        stop.wait(pause_seconds)

    try:
        for crowd in itertools.count(seed):
            messages = simulate(crowd, EVENTS, VISITORS, wall_ms(), "several", span_days=SPAN_DAYS)
            play(messages, send, speed=SPEED, now_ms=wall_ms, sleep=sleep)
    except Ended:
        return
    finally:
        connection.close()


def _summary(reader: Reader, keys: Callable[[int], Iterable[str]], live_since: int) -> Table:
    """A figure a line, read from the log and the store as they stand."""
    codec = Codec()
    profiles = [p for number in range(reader.partitions()) for p in _profiles(reader, keys(number))]
    vouchers = list(_records(reader, "vouchers"))
    prompts = list(_records(reader, "chat-prompts"))
    latencies = sorted(_latencies([*vouchers, *prompts], codec, live_since))
    table = Table("what", "figure", title="What happened")
    for name, figure in (
        ("events", f"{sum(p.activity.events for p in profiles):,}"),
        ("customers", f"{len(profiles):,}"),
        ("lapsed", f"{sum(p.lifecycle.times_lapsed for p in profiles):,}"),
        ("won back", f"{sum(p.lifecycle.times_won_back for p in profiles):,}"),
        ("vouchers", f"{len(vouchers):,}"),
        ("prompts", f"{len(prompts):,}"),
        ("event-to-trigger p50", _milliseconds(latencies, 50)),
        ("event-to-trigger p99", _milliseconds(latencies, 99)),
    ):
        table.add_row(name, figure)
    return table


def _profiles(reader: Reader, keys: Iterable[str]) -> Iterable[Profile]:
    for key in keys:
        if key.startswith(("u:", "a:")):
            _, stored = reader.subject(key)
            state = subjects.decode(key, stored) if stored else None
            if isinstance(state, Profile):
                yield state


def _records(reader: Reader, topic: str) -> Iterable[LogRecord]:
    for number in range(reader.topic_partitions(topic)):
        offset = 0
        while True:
            found, following = reader.read(topic, number, offset, BLOCK, 0.0)
            if not found:
                break
            yield from found
            offset = following


def _latencies(records: list[LogRecord], codec: Codec, since: int) -> Iterable[int]:
    """From the event's arrival at the collector to its trigger on the log, ms; those a timer caused do not count."""
    for record in records:
        effect = codec.decode(record.value)
        if isinstance(effect, Voucher | ChatPrompt) and effect.decided_at >= since:
            if named_reason(effect.reason) in BY_TIMER:
                continue
            yield record.timestamp - effect.decided_at


def _milliseconds(values: list[int], percent: int) -> str:
    if len(values) < 2:
        return "–"
    return f"{statistics.quantiles(values, n=100, method='inclusive')[percent - 1]:.0f} ms of {len(values)}"
