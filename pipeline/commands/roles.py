"""`up`, `collect`, `serve`, `work`, `deliver`, `relay`: the roles, each as a process, or all in one."""

import logging
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.app import App, Running, Together, publish_campaigns, signals
from pipeline.commands.common import Config, Data, MetricsPort, console, opened, settings_of
from pipeline.settings import SettingsError, require

log = logging.getLogger("rapport.roles")

WORK_PORT = 9101
DELIVER_PORT = 9102
RELAY_PORT = 9103

Host = Annotated[str | None, typer.Option("--host", help="Address to listen on.")]
Port = Annotated[int | None, typer.Option("--port", help="Port to listen on; 0 takes a free one.")]


def up(config: Config = None, data: Data = None, host: Host = None, port: Port = None) -> None:
    """Run all roles in one process: everything on one port."""
    settings = settings_of(config, data, host=host, port=port)
    require(settings, "write_key", "server_key", "identity_secret", "code_secret")
    with opened(settings, demo=False) as app:
        publish_at_start(app)
        running = Running()
        with signals(running):
            listening = running.serve(
                Together(app.collector(), running.closing(app.api())), settings.host, settings.port
            )
            running.thread("work", lambda stop: work_until(app, stop))
            running.thread("deliver", app.deliverer().run)
            console.print(f"Rapport is up: http://{settings.host}:{listening} (metrics: /metrics)")
            if settings.log:
                running.thread("relay", lambda stop: relay_until(app, stop))
            running.wait()


def collect(config: Config = None, data: Data = None, metrics_port: MetricsPort = 8080, host: Host = None) -> None:
    """Take events by HTTP: the tracking endpoints, /rapport.js and /metrics on one port."""
    settings = settings_of(config, data, host=host)
    require(settings, "write_key", "server_key", "identity_secret", "code_secret")
    with opened(settings, demo=False) as app:
        running = Running()
        with signals(running):
            application = Together(app.collector(), app.health())
            port = running.serve(application, settings.host, metrics_port or 0)
            console.print(f"Collecting on http://{settings.host}:{port}")
            running.wait()


def serve(config: Config = None, data: Data = None, metrics_port: MetricsPort = 8081, host: Host = None) -> None:
    """Answer questions by HTTP: profiles, vouchers, the site stream, and /metrics on one port."""
    settings = settings_of(config, data, host=host)
    require(settings, "write_key", "server_key", "identity_secret", "code_secret")
    with opened(settings, demo=False) as app:
        running = Running()
        with signals(running):
            port = running.serve(running.closing(app.api()), settings.host, metrics_port or 0)
            console.print(f"Serving on http://{settings.host}:{port}")
            running.wait()


def work(config: Config = None, data: Data = None, metrics_port: MetricsPort = WORK_PORT) -> None:
    """Step events through the core and decide. On Kafka, start as many as you like."""
    settings = settings_of(config, data)
    require(settings, "code_secret")
    with opened(settings, demo=False) as app:
        publish_at_start(app)
        _alone(app, "work", lambda stop: work_until(app, stop), metrics_port)


def deliver(config: Config = None, data: Data = None, metrics_port: MetricsPort = DELIVER_PORT) -> None:
    """Carry out what was decided: vouchers for channels other than the site go to the outbox folder."""
    settings = settings_of(config, data)
    with opened(settings) as app:
        _alone(app, "deliver", app.deliverer().run, metrics_port)


def relay(config: Config = None, data: Data = None, metrics_port: MetricsPort = RELAY_PORT) -> None:
    """Carry input records from the topics clickstream, purchases and chats onto events, each once."""
    settings = settings_of(config, data)
    if not settings.log:
        raise SettingsError(
            "`rapport relay` reads Kafka topics: set RAPPORT_LOG=kafka://… and RAPPORT_STORE=redis://…"
        )
    with opened(settings) as app:
        _alone(app, "relay", lambda stop: relay_until(app, stop), metrics_port)


def _alone(app: App, role: str, work: Any, metrics_port: int | None) -> None:
    running = Running()
    with signals(running):
        port = running.serve(app.health(), app.settings.host, metrics_port or 0)
        running.thread(role, work)
        console.print(f"Running {role}; metrics on http://{app.settings.host}:{port}/metrics")
        running.wait()


def work_until(app: App, stop: threading.Event) -> None:
    """A worker's life. Raises Refused."""
    worker = app.worker()
    try:
        worker.run(stop)
    finally:
        worker.close()


def relay_until(app: App, stop: threading.Event) -> None:
    """A relay's life."""
    app.relay().run(stop.wait, failed=log.warning)


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
