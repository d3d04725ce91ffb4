"""`replay`, `simulate`, `rebuild`, `fit`: history, real, invented or decided again."""

import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.app import App, active_rules, decode_or_none, publish_campaigns, publish_model, wall_ms
from pipeline.backends.contract import Reader
from pipeline.backends.reading import blocks
from pipeline.backends.sqlite import Embedded
from pipeline.codec import Codec
from pipeline.commands.deciding import Deciders, processes_for, undecided, wait_until_decided
from pipeline.commands.opening import Config, Data, console, opened, settings_of
from pipeline.core.events import Purchase
from pipeline.core.identifiers import customer_key
from pipeline.core.lapse_model import DAY_MS
from pipeline.erased import ErasureFilter, ErasureList
from pipeline.producers.replay.files import plan_file
from pipeline.producers.replay.plan import Plan
from pipeline.producers.replay.tail import tail_of
from pipeline.producers.replay.writing import Pace
from pipeline.producers.replay.writing import replay as write_history
from pipeline.producers.simulator.simulate import simulate as simulated
from pipeline.producers.simulator.simulate import write_lines
from pipeline.settings import Settings, SettingsError

if TYPE_CHECKING:
    from pipeline.processors.fit import FittedModel

Format = Literal["cdnow", "segment", "csv"]


def progress_bar() -> Progress:
    """A bar with counts, on standard error."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=False,
    )


def replay(
    file: Annotated[Path, typer.Argument(help="The history; .gz is read as it is.")],
    format_: Annotated[str, typer.Option("--format", help="cdnow, segment or csv.")],
    speed: Annotated[str, typer.Option(help="max, or how many times faster than it happened.")] = "max",
    shift_to: Annotated[str, typer.Option(help="now: move the history so that it ends today.")] = "",
    columns: Annotated[str, typer.Option("--map", help="For csv: customer=…,at=…,order_id=…,total=…")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="On Kafka: return when everything is decided.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave malformed rows out.")] = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Put a history on the log with its own times, so that it is decided as of its own time.

    Embedded, it returns when everything is decided and the clock stands at the data's end.

    \b
    Tracked events:     rapport replay events.jsonl.gz --format segment
    A table of orders:  rapport replay orders.csv --format csv --map customer=id,at=date,order_id=no,total=sum
    """
    settings = settings_of(config, data)
    now = wall_ms()
    shift_to_ms = shifted_to(shift_to, now)
    history = plan_file(file, format_, map_=columns, shift_to_ms=shift_to_ms, skip_bad=skip_bad, now_ms=now)
    carry_out(settings, history, pace_of(speed), wait=wait)
    console.print(
        f"{len(history.records):,} records of {file}, {_date(history.first_at)} to {_date(history.last_at)}."
    )
    if history.bad_rows:
        console.print(f"Left out {history.bad_rows} malformed rows, the first: {history.bad_samples[0]}")


def shifted_to(shift_to: str, now_ms: int) -> int | None:
    """Where the history is to end, epoch ms; None: where it does. Raises SettingsError."""
    if shift_to not in ("", "now"):
        raise SettingsError(f"--shift-to {shift_to}: expected now")
    return now_ms if shift_to else None


def carry_out(settings: Settings, history: Plan, pace: Pace | None, *, wait: bool) -> None:
    """Put the history on the log; embedded, or if asked to wait, return when it is decided."""
    with opened(settings) as app, progress_bar() as bar:
        app.backend.ensure_topics()
        publish_if_never(app, Path(settings.campaigns))
        if settings.log:
            put_on_log(app, history, pace=pace, progress=bar)
            if wait:
                wait_until_decided(app, bar)
            return
        with Deciders(app, processes_for(len(history.records))) as deciders:
            put_on_log(app, history, pace=pace, progress=bar)
            deciders.decide(bar)


def pace_of(speed: str) -> Pace | None:
    """None for max. Raises SettingsError."""
    if speed == "max":
        return None
    try:
        factor = float(speed)
    except ValueError:
        factor = 0.0
    if not factor > 0:
        raise SettingsError(f"--speed {speed}: expected max or a number above 0")
    return Pace(speed=factor, clock=time.monotonic, sleep=time.sleep)


def publish_if_never(app: App, folder: Path) -> None:
    """A history replayed into a log without rules is decided by the campaigns in the folder, if there is one."""
    reader = app.backend.reader()
    try:
        untouched = active_rules(reader) is None and not any(
            reader.end_offset("events", number) for number in range(reader.partitions())
        )
    finally:
        reader.close()
    if untouched and folder.is_dir():
        publish_campaigns(app, folder, only_if_changed=True)


def put_on_log(app: App, history: Plan, *, pace: Pace | None, progress: Progress) -> None:
    """Append the history, durably. Raises LogNewerError, Unavailable."""
    task = progress.add_task("on the log", total=len(history.records))
    reader = app.backend.reader()
    try:
        write_history(
            history,
            app.appender("replay"),
            app.codec.encode,
            partitions=reader.partitions(),
            tail=lambda import_id: tail_of(reader, app.codec, import_id),
            pace=pace,
            progress=lambda done, _all: progress.update(task, completed=done),
        )
    finally:
        reader.close()


def simulate(
    out: Annotated[
        Path | None, typer.Option(help="Only write JSON lines there, for `rapport replay --format segment`.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same people.")] = 1,
    events: Annotated[int, typer.Option(help="How many events.")] = 50_000,
    people: Annotated[int, typer.Option(help="How many shoppers.")] = 2_000,
    devices: Annotated[str, typer.Option(help="one or several: do people change devices and log in?")] = "several",
    start: Annotated[str, typer.Option(help="First day, YYYY-MM-DD.")] = "2024-01-01",
    shift_to: Annotated[str, typer.Option(help="now: move the history so that it ends today.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="On Kafka: return when everything is decided.")] = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Invent shoppers: visits, carts, personal rhythms, chats, log-ins from several devices, silence.

    Their history is put on the log and decided, like any other; with --out it is only written to a file.
    """
    if devices not in ("one", "several"):
        raise SettingsError(f"--devices {devices}: expected one or several")
    messages = simulated(seed, events, people, _moment(start), "one" if devices == "one" else "several")
    if out is not None:
        with out.open("wb") as file:
            written = write_lines(messages, file)
        console.print(f"Wrote {written:,} messages to {out}.")
        return
    settings = settings_of(config, data)
    now = wall_ms()
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        write_lines(messages, file)
        file.flush()
        history = plan_file(Path(file.name), "segment", shift_to_ms=shifted_to(shift_to, now), now_ms=now)
    carry_out(settings, history, None, wait=wait)
    span = f"{_date(history.first_at)} to {_date(history.last_at)}"
    console.print(f"{len(history.records):,} events of {people:,} simulated shoppers, {span}.")


def rebuild(
    target: Annotated[Path, typer.Argument(help="A fresh folder for the embedded copy.")],
    batch: Annotated[int, typer.Option(help="Records a batch.")] = 5_000,
    config: Config = None,
    data: Data = None,
) -> None:
    """Copy the events log into a fresh embedded folder and decide it all again there.

    The same log, the same decisions: compare `rapport log decisions` of both. The code secret must be the same.
    """
    settings = settings_of(config, data)
    with opened(settings) as app, progress_bar() as bar:
        copy_log(app, target, bar)
    copied = settings_of(config, target, log="", store="")
    with opened(copied) as app, progress_bar() as bar, _deciders(app, batch) as deciders:
        stepped = deciders.decide(bar)
    console.print(f"Decided {stepped:,} records again in {target}.")


def _deciders(app: App, batch: int) -> Deciders:
    return Deciders(app, processes_for(undecided(app)), batch=batch)


def copy_log(app: App, target: Path, progress: Progress) -> None:
    """Copy `events` with partitions and offsets into a fresh embedded folder. Raises Refused if it is not fresh."""
    reader = app.backend.reader()
    try:
        partitions = range(reader.partitions())
        ends = {number: reader.end_offset("events", number) for number in partitions}
        erased = ErasureFilter(ErasureList(app.codec).refresh(reader), app.codec)
        copy = Embedded(target, len(ends))
        task = progress.add_task("copied", total=sum(ends.values()))
        try:
            copy.copy_in([], ends)
            for number in partitions:
                offset = reader.start_offset("events", number)
                for records, following in blocks(reader, "events", number, offset, ends[number]):
                    copy.copy_in([erased.applied(record) for record in records], {})
                    progress.advance(task, following - offset)
                    offset = following
        finally:
            copy.close()
    finally:
        reader.close()


def fit(
    apply: Annotated[bool, typer.Option("--apply", help="Put the parameters in force.")] = False,
    days: Annotated[int | None, typer.Option(help="Use so many days from the first purchase on only.")] = None,
    until: Annotated[str, typer.Option(help="Use purchases before this only: YYYY-MM-DD, or with THH:MM:SS.")] = "",
    config: Config = None,
    data: Data = None,
) -> None:
    """Estimate the lapse parameters from the purchases on the log, by maximum likelihood (BG/NBD).

    \b
    Look first:            rapport fit
    Then put in force:     rapport fit --apply
    As of a day that was:  rapport fit --until 2026-01-01
    """
    # Here, because numpy and scipy take longer to load than everything else that any command needs.
    from pipeline.processors.fit import TooLittleDataError, fit_model

    settings = settings_of(config, data)
    before = _moment(until) if until else None
    with opened(settings) as app:
        purchases = list(purchases_on(app))
        if not purchases:
            raise SettingsError("the log holds no trusted purchase yet: there is nothing to fit")
        first, last = min(p[1] for p in purchases), max(p[1] for p in purchases)
        end = before or last + 1
        if days is not None:
            end = first + days * DAY_MS
        try:
            fitted = fit_model(purchases, end)
        except TooLittleDataError as problem:
            raise SettingsError(str(problem)) from problem
        _print_fit(fitted, first, end)
        if apply:
            version = publish_model(app, fitted.model)
            console.print(f"In force from version {version} on; every customer is judged anew.")


def purchases_on(app: App) -> Iterator[tuple[str, int, int]]:
    """(customer, at in epoch ms, units) of every trusted order on the log, each order once; cancelled ones not."""
    reader = app.backend.reader()
    orders: dict[tuple[str, str], tuple[str, int, int]] = {}
    cancelled: set[tuple[str, str]] = set()
    try:
        for record in _purchases(reader, app.codec):
            customer = customer_key(record.user_id, record.anonymous_id)
            order = (customer, record.order_id)
            if record.event == "Order Cancelled":
                cancelled.add(order)
            elif record.event == "Order Completed" and record.trusted:
                units = sum(product.quantity for product in record.products) or 1
                orders.setdefault(order, (customer, record.occurred_at, units))
    finally:
        reader.close()
    yield from (purchase for order, purchase in orders.items() if order not in cancelled)


def _purchases(reader: Reader, codec: Codec) -> Iterator[Purchase]:
    erased = ErasureFilter(ErasureList(codec).refresh(reader), codec)
    for number in range(reader.partitions()):
        start, end = reader.start_offset("events", number), reader.end_offset("events", number)
        for records, _ in blocks(reader, "events", number, start, end):
            events = (decode_or_none(codec, record.value) for record in records if not erased.hides(record))
            yield from (event for event in events if isinstance(event, Purchase))


def _print_fit(fitted: "FittedModel", first_ms: int, end_ms: int) -> None:
    base = fitted.base
    console.print(
        f"Fitted on {base.customers:,} customers ({base.repeat_buyers:,} bought again),"
        f" {_date(first_ms)} to {_date(end_ms)}."
    )
    for name, value in (
        ("r", base.r),
        ("alpha (weeks)", base.alpha_days / 7),
        ("a", base.a),
        ("b", base.b),
        ("log-likelihood (weeks)", base.log_likelihood_in(7)),
    ):
        typer.echo(f"{name:24} {value:14.4f}")


def _moment(said: str) -> int:
    """Epoch ms of a day's beginning or of a moment, UTC. Raises SettingsError."""
    try:
        moment = datetime.fromisoformat(said)
    except ValueError as problem:
        raise SettingsError(f"{said} is not a day: expected YYYY-MM-DD") from problem
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _date(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")
