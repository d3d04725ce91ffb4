"""`demo`: the whole of Rapport on one machine, with real purchases and simulated visitors, to be watched."""

import contextlib
import secrets
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from pipeline.api.desk.agents import Agent, hashed, written
from pipeline.app import App, open_backend, publish_campaigns, wall_ms
from pipeline.commands.deciding import Deciders, processes_for
from pipeline.commands.history import progress_bar, put_on_log
from pipeline.commands.opening import console
from pipeline.commands.roles import begin_heart, deliver_until, work_until
from pipeline.demo import agent, assortment, crowd, customers
from pipeline.demo.door import Door, EndedError
from pipeline.demo.mail_server import HOST, MailServer
from pipeline.demo.mailbox import Mailbox
from pipeline.demo.mailbox_pages import MailboxPages
from pipeline.demo.summary import Beginning, summary
from pipeline.producers.replay.files import plan_file
from pipeline.running import Running, signals
from pipeline.serving import Together
from pipeline.settings import Settings

ROOT = Path(__file__).parents[2]
PURCHASES = ROOT / "examples" / "data" / "CDNOW_master.txt.gz"
SHOP = ROOT / "examples" / "shop"
OWN = ROOT / "examples" / "demo"
LOG_IN, NAME = "kim", "Kim"
WHAT_TO_DO = """
[bold]Live visitors[/] look around now. Watch, or be one of them:

  demo shop  {address}/shop/
             Look at three coffees, or leave one in the cart for a minute: you are asked whether you need help.
             The cart says what goes well with it: what others bought together with what is in it.
             Log in and tick both boxes: the shop may show you vouchers (at every fifth order) and write to you.
  mailbox    {address}/mailbox
             All mail comes here. Confirm that you want it, open it, follow its links, unsubscribe.
  desk       {address}/desk
             Answer who asks: log in as {log_in}, password {password}. Whom you leave waiting Alex answers, who is
             simulated.
  live feed  {address}{feed}
             What is decided as it is decided, and why; and what people do with their mail.
  metrics    {address}/metrics

For the demonstration there are no quiet hours, and no limit to how often somebody is contacted
(examples/demo/campaigns/policy.toml). Mail goes nowhere but to the mailbox, and vouchers cannot be redeemed."""


def demo(
    seconds: Annotated[int | None, typer.Option(help="End by itself after so many live seconds.")] = None,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8080,
    seed: Annotated[int, typer.Option(help="Of the simulated visitors.")] = 1,
) -> None:
    """Show everything at work: 69,659 real purchases decided anew, then live visitors; in a folder of its own.

    A shop, a mailbox and a desk can be visited. Mail goes nowhere else; vouchers are made with a public demo secret
    and cannot be redeemed.
    """
    with tempfile.TemporaryDirectory(prefix="rapport-demo-") as folder:
        mailbox = Mailbox(wall_ms)
        mail_server = MailServer(mailbox.take)
        passwords = {each: secrets.token_hex(8) for each in (LOG_IN, agent.LOG_IN)}
        settings = _settings(Path(folder), mail_server.port, passwords)
        app = App(settings, demo=True)
        try:
            live = _history(app)
            _Live(app, mailbox, mail_server, passwords, seed).run(port, seconds)
        finally:
            app.close()
        backend = open_backend(settings)
        try:
            console.print(summary(backend.reader(), backend.keys, live, mailbox.count()))
        finally:
            backend.close()


def _settings(folder: Path, mail_port: int, passwords: dict[str, str]) -> Settings:
    agents = folder / "agents.toml"
    names = {LOG_IN: NAME, agent.LOG_IN: agent.NAME}
    agents.write_text(
        written({each: Agent(names[each], hashed(password)) for each, password in passwords.items()}),
        encoding="utf-8",
    )
    return Settings(
        write_key="demo-write-key",
        server_key=f"demo-{secrets.token_hex(16)}",
        identity_secret=secrets.token_hex(32),
        data=str(folder),
        campaigns=str(OWN / "campaigns"),
        segments=str(OWN / "segments"),
        site=str(ROOT / "site"),
        templates=str(OWN / "templates"),
        agents=str(agents),
        desk_conversations=100,
        email_host=HOST,
        email_port=mail_port,
        email_tls="none",
        email_from=customers.SENDER,
    )


def _history(app: App) -> Beginning:
    """Decide the real purchases as of their own time, moved so that they end now; where what follows begins."""
    console.print("[bold]Real purchases[/]: the web shop CDNOW, moved in time so that they end today.")
    publish_campaigns(app, Path(app.settings.campaigns), only_if_changed=True)
    with progress_bar() as bar:
        began = wall_ms()
        history = plan_file(PURCHASES, "cdnow", shift_to_ms=began)
        with Deciders(app, processes_for(len(history.records))) as deciders:
            put_on_log(app, history, pace=None, progress=bar)
            deciders.decide(bar)
    reader = app.backend.reader()
    try:
        return Beginning.of(reader, wall_ms())
    finally:
        reader.close()


class _Live:
    """All roles in one process, and everybody who speaks to them."""

    def __init__(
        self, app: App, mailbox: Mailbox, mail_server: MailServer, passwords: dict[str, str], seed: int
    ) -> None:
        self._app = app
        self._mailbox = mailbox
        self._mail_server = mail_server
        self._passwords = passwords
        self._seed = seed

    def run(self, port: int, seconds: int | None) -> None:
        """Until a signal, or for so many seconds."""
        app = self._app
        running = Running(app.guarded)
        with signals(running):
            api = app.measured(running.closing(app.api(shop=SHOP, follows_events=True)))
            pages = MailboxPages(self._mailbox, customers.ADDRESSES)
            application = _WithMailbox(pages, Together(app.collector(), api))
            try:
                listening = running.serve(application, app.settings.host, port)
            except OSError as problem:
                console.print(f"{problem}: taking a free one.", soft_wrap=True)
                listening = running.serve(application, app.settings.host, 0)
            address = f"http://{app.settings.host}:{listening}"
            # Only now is it known where links in mails lead.
            app.settings = msgspec.structs.replace(app.settings, links_url=address, shop_url=f"{address}/shop/")
            running.thread("mail", self._mail_server.run)
            running.thread("work", lambda stop: work_until(app, stop))
            running.thread("deliver", lambda stop: deliver_until(app, stop))
            begin_heart(app, running, "collect", "serve", "work", "deliver")
            self._people(running, address)
            words = WHAT_TO_DO.format(
                address=address, feed=app.feed_path(), log_in=LOG_IN, password=self._passwords[LOG_IN]
            )
            console.print(words, soft_wrap=True)
            console.print(f"Ends in {seconds} seconds." if seconds else "Ctrl-C ends it.")
            running.wait(seconds)

    def _people(self, running: Running, address: str) -> None:
        settings, seed = self._app.settings, self._seed

        def person(name: str, live: Callable[[Door], None]) -> None:
            running.thread(name, lambda stop: _lives(live, address, stop))

        alex = self._passwords[agent.LOG_IN]
        person("agent", lambda door: agent.StandInAgent(door, alex, wall_ms).work())
        person("shop", lambda door: assortment.report(door, settings.server_key, SHOP, address, wall_ms()))
        person("customers", lambda door: customers.begin(door, settings.server_key, wall_ms()))
        person("visitors", lambda door: crowd.shop(door, settings.write_key, settings.server_key, seed, wall_ms))
        person("readers", lambda door: crowd.read_mails(door, self._mailbox, seed))


def _lives(live: Callable[[Door], None], address: str, stop: threading.Event) -> None:
    door = Door(address, stop)
    with contextlib.suppress(EndedError), contextlib.closing(door):
        live(door)
        stop.wait()  # whose thread ends, ends the demonstration


class _WithMailbox:
    """The mailbox beside everything else, on one port."""

    def __init__(self, pages: MailboxPages, others: Any) -> None:
        self._pages = pages
        self._others = others

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request, to whom its path belongs."""
        is_mailbox = scope["type"] == "http" and self._pages.handles(scope["path"])
        await (self._pages if is_mailbox else self._others)(scope, receive, send)
