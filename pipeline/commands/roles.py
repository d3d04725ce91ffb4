"""`up`, `collect`, `serve`, `work`, `deliver`, `relay`: the roles, each as a process, or all in one."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pipeline import campaigns as campaign_files
from pipeline import observe
from pipeline.app import App, collect_garbage_rarely, publish_campaigns
from pipeline.backends.contract import Unavailable
from pipeline.backends.kafka_redis import KafkaRedis
from pipeline.commands.desk import tell_gate
from pipeline.commands.opening import Config, Data, MetricsPort, console, opened, settings_of
from pipeline.erased import ErasureList
from pipeline.processors.worker import Worker
from pipeline.producers.relay.kafka import Carried, KafkaRelay
from pipeline.running import Running, signals
from pipeline.serving import Together
from pipeline.settings import Settings, SettingsError, require
from pipeline.sinks.deliver import Deliverer
from pipeline.sinks.forgetting import Forgetting
from pipeline.sinks.outbox import Outbox

log = logging.getLogger("rapport.roles")

WORK_PORT = 9101
DELIVER_PORT = 9102
RELAY_PORT = 9103
RETRY_SECONDS = 1.0
NO_FAUST = "Faust runs on Kafka: set RAPPORT_LOG=kafka://… and RAPPORT_STORE=redis://…"

Host = Annotated[str | None, typer.Option("--host", help="Address to listen on.")]
EngineName = Annotated[Literal["native", "faust"], typer.Option("--engine", help="What polls and publishes.")]
Port = Annotated[int | None, typer.Option("--port", help="Port to listen on; 0 takes a free one.", min=0, max=65535)]


def up(config: Config = None, data: Data = None, host: Host = None, port: Port = None) -> None:
    """Run all roles in one process: everything on one port.

    It ends with Ctrl-C or SIGTERM, after what was accepted has been written.

    \b
    The first time:   rapport init && rapport up
    On a free port:   rapport up --port 0
    """
    settings = settings_of(config, data, host=host, port=port)
    require(settings, "write_key", "server_key", "identity_secret", "code_secret")
    check_campaigns(settings)
    with opened(settings, demo=False) as app:
        running = Running(app.guarded)
        with signals(running):
            if not once_reachable(running.stop, lambda: publish_at_start(app)):
                return
            tell_gate(app)
            application = Together(app.collector(), app.measured(running.closing(app.api())))
            if app.spool:
                app.spool.begin()
            listening = running.serve(application, settings.host, settings.port)
            running.thread("work", lambda stop: work_until(app, stop))
            running.thread("deliver", lambda stop: deliver_until(app, stop))
            begin_heart(app, running, "collect", "serve", "work", "deliver")
            console.print(f"Rapport is up: http://{settings.host}:{listening} (metrics: /metrics)", soft_wrap=True)
            if settings.log:
                running.thread("relay", lambda stop: relay_until(app, stop))
                app.process.runs("relay")
            running.wait()


def collect(config: Config = None, data: Data = None, metrics_port: MetricsPort = 8080, host: Host = None) -> None:
    """Take events by HTTP: the tracking endpoints, /rapport.js and /metrics on one port."""
    settings = settings_of(config, data, host=host)
    require(settings, "write_key", "server_key", "identity_secret", "code_secret")
    with opened(settings, demo=False) as app:
        running = Running(app.guarded)
        with signals(running):
            application = Together(app.collector(), app.collector_health())
            app.process.runs("collect")
            collect_garbage_rarely()
            port = running.serve(application, settings.host, metrics_port or 0)
            running.thread("begin", lambda stop: collect_until(app, stop))
            console.print(f"Collecting on http://{settings.host}:{port}")
            running.wait()


def serve(config: Config = None, data: Data = None, metrics_port: MetricsPort = 8081, host: Host = None) -> None:
    """Answer questions by HTTP: profiles, vouchers, the site stream, and /metrics on one port."""
    settings = settings_of(config, data, host=host)
    require(settings, "write_key", "server_key", "identity_secret", "code_secret")
    with opened(settings, demo=False) as app:
        running = Running(app.guarded)
        with signals(running):
            if not once_reachable(running.stop, app.backend.ensure_topics):
                return
            tell_gate(app)
            app.process.runs("serve")
            port = running.serve(app.measured(running.closing(app.api())), settings.host, metrics_port or 0)
            console.print(f"Serving on http://{settings.host}:{port}")
            running.wait()


def work(
    config: Config = None, data: Data = None, metrics_port: MetricsPort = WORK_PORT, engine: EngineName = "native"
) -> None:
    """Step events through the core and decide. On Kafka, start as many as you like.

    \b
    Inside Faust instead (at least once; docs/engines.md):  rapport work --engine faust
    """
    settings = settings_of(config, data)
    require(settings, "code_secret")
    if engine == "faust" and not settings.log:
        raise SettingsError(NO_FAUST)
    check_campaigns(settings)
    with opened(settings, demo=False) as app:
        make = faust_worker if engine == "faust" else App.worker
        _alone(app, "work", lambda stop: work_until(app, stop, make), metrics_port, lambda: publish_at_start(app))


def deliver(config: Config = None, data: Data = None, metrics_port: MetricsPort = DELIVER_PORT) -> None:
    """Carry out what was decided, each thing once: to the outbox folder, or to the webhook for its channels.

    What was claimed, sent, put off or given up stands in the ledger (topic `deliveries`). On Kafka, start as many as
    you like; embedded there is one.

    \b
    What became of it:  rapport deliveries list
    """
    settings = settings_of(config, data)
    with opened(settings) as app:
        _alone(app, "deliver", lambda stop: deliver_until(app, stop), metrics_port)


def relay(config: Config = None, data: Data = None, metrics_port: MetricsPort = RELAY_PORT) -> None:
    """Carry input records from the topics clickstream, purchases and chats onto events, each once."""
    settings = settings_of(config, data)
    if not settings.log:
        raise SettingsError(
            "`rapport relay` reads Kafka topics: set RAPPORT_LOG=kafka://… and RAPPORT_STORE=redis://…"
        )
    with opened(settings) as app:
        _alone(app, "relay", lambda stop: relay_until(app, stop), metrics_port)


def _alone(
    app: App, role: str, work: Any, metrics_port: int | None, before: Callable[[], object] | None = None
) -> None:
    running = Running(app.guarded)
    with signals(running):
        # A producer that comes before its topics would have the broker make them, with too few partitions.
        if not once_reachable(running.stop, before or app.backend.ensure_topics):
            return
        port = running.serve(app.health(), app.settings.host, metrics_port or 0)
        running.thread(role, work)
        app.process.runs(role)
        console.print(f"Running {role}; metrics on http://{app.settings.host}:{port}/metrics")
        running.wait()


def collect_until(app: App, stop: threading.Event) -> None:
    """Once Kafka is there and has its topics, write to it (a producer that came first would have the broker make
    them, with too few partitions); until then events go to the spool."""
    heart = app.heart()
    if once_reachable(stop, app.backend.ensure_topics):
        if app.spool:
            app.spool.begin()
        if heart is not None:
            heart.run(stop)
    stop.wait()


def begin_heart(app: App, running: Running, *roles: str) -> None:
    """Say which roles run here and, since one of them is the door where events come in, send heartbeats from it."""
    for role in roles:
        app.process.runs(role)
    heart = app.heart()
    if heart is not None:
        running.thread("heartbeat", heart.run)


def faust_worker(app: App) -> Worker:
    """A worker inside Faust. Raises SettingsError, Refused or Unavailable."""
    if not isinstance(app.backend, KafkaRedis):
        raise SettingsError(NO_FAUST)
    folder = Path(app.settings.data) / "faust"
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        on = app.backend.worker_in_faust(folder)
    except ImportError as problem:
        raise SettingsError(f"--engine faust is an extra ({problem}): pip install 'rapport[faust]'") from problem
    return app.worker(on=on)


def work_until(app: App, stop: threading.Event, make: Callable[[App], Worker] = App.worker) -> None:
    """A worker's life. Raises Refused."""
    made: list[Worker] = []
    if not once_reachable(stop, lambda: made.append(make(app))):
        return
    worker = made[0]
    try:
        worker.run(stop)
    finally:
        worker.close()


def deliver_until(app: App, stop: threading.Event) -> None:
    """The life of all deliverers, a thread each; the first that fails stops all. Raises Refused."""
    made: list[Deliverer] = []
    if not once_reachable(stop, lambda: made.extend(app.deliverers())):
        return
    forgetting = Forgetting(app.backend.reader(), ErasureList(app.codec), Outbox(app.settings.outbox_folder()))
    runs = [forgetting.run, *(each.run for each in made)]
    with ThreadPoolExecutor(len(runs), thread_name_prefix="deliver") as threads:
        running = [threads.submit(run, stop) for run in runs]
        wait(running, return_when=FIRST_EXCEPTION)
        stop.set()
    for each in running:
        each.result()


def once_reachable(stop: threading.Event, do: Callable[[], object]) -> bool:
    """Do it as soon as log and store can be reached; what is missing is said once. False: stopped before."""
    said = ""
    while not stop.is_set():
        try:
            do()
        except Unavailable as problem:
            if str(problem) != said:
                log.warning("waiting: %s", problem)
            said = str(problem)
            stop.wait(RETRY_SECONDS)
        else:
            return True
    return False


def relay_until(app: App, stop: threading.Event) -> None:
    """A relay's life; what it waits for is said once."""
    measures = observe.RelayMeasures(app.registry)
    said: list[str] = []

    def failed(reason: str) -> None:
        measures.failed()
        if reason not in said:
            log.warning("a batch failed: %s", reason)
        said[:] = [reason]

    def carried(done: Carried) -> None:
        said.clear()
        measures.carried(done.events, done.dead_letters)

    made: list[KafkaRelay] = []
    if once_reachable(stop, lambda: made.append(app.relay())):
        made[0].run(stop.wait, carried, failed)


def check_campaigns(settings: Settings) -> None:
    """A bad campaign file is refused before anything starts. Raises CampaignError."""
    folder = Path(settings.campaigns)
    if folder.is_dir():
        campaign_files.load(folder)


def publish_at_start(app: App) -> None:
    """Put the campaign files in force if they changed; say so when there are none."""
    folder = Path(app.settings.campaigns)
    app.backend.ensure_topics()
    if not folder.is_dir():
        console.print(f"No campaigns: there is no folder {folder} (see --help of `rapport campaigns publish`).")
        return
    version = publish_campaigns(app, folder, only_if_changed=True)
    if version is not None:
        console.print(f"Published the campaigns of {folder} as version {version}.")
