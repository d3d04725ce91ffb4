"""`rapport deliveries`: what became of what was to be sent, and having what was given up tried once more.

Reads the ledger (topic `deliveries`) whole. Asking again is a record in the ledger as well, which the deliverer of
that destination meets. Never here: an act.
"""

import json
from collections import Counter
from typing import Annotated

import msgspec
import typer

from pipeline.app import App, source, wall_ms
from pipeline.backends.contract import NewRecord, Reader
from pipeline.backends.reading import blocks
from pipeline.codec import Codec
from pipeline.commands.looking import when
from pipeline.commands.opening import Config, Data, console, opened, settings_of, write_line
from pipeline.core.deliveries import DELIVERIES, Delivery
from pipeline.settings import SettingsError
from pipeline.sinks.push import key_of, new_key, public_bytes, to_text
from pipeline.sinks.steps import asked_again

STATUSES = ("claimed", "retry", "replay", "sent", "failed", "parked", "uncertain", "skipped")
ENDED_BADLY = ("failed", "parked", "uncertain")

deliveries_app = typer.Typer(help="What was sent, put off or given up.", no_args_is_help=True)

Status = Annotated[
    list[str] | None, typer.Option("--status", help=f"Only these: {', '.join(STATUSES)}. May be given again.")
]
Destination = Annotated[str, typer.Option("--destination", help="Only those of this destination.")]


@deliveries_app.command("list")
def list_deliveries(
    status: Status = None,
    destination: Destination = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, for programs.")] = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """List deliveries by how they stand, with the reason, and count them.

    \b
    What needs somebody:  rapport deliveries list --status parked --status uncertain --status failed
    """
    wanted = _known(status or list(STATUSES))
    settings = settings_of(config, data)
    with opened(settings) as app:
        latest = _latest(app)
    counts: Counter[str] = Counter()
    for delivery, _ in latest.values():
        named = delivery.status.lower()
        if named in wanted and destination in ("", delivery.destination):
            counts[f"{delivery.destination} {named}"] += 1
            write_line(_as_json(delivery) if as_json else _in_words(delivery))
    console.print(", ".join(f"{count:,} {what}" for what, count in sorted(counts.items())) or "No deliveries.")


@deliveries_app.command()
def retry(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of effects, or how they begin.")] = None,
    status: Annotated[
        list[str] | None, typer.Option("--status", help=f"All of these: {', '.join(ENDED_BADLY)}.")
    ] = None,
    destination: Destination = "",
    config: Config = None,
    data: Data = None,
) -> None:
    """Have deliveries that ended badly tried once more, from the start of their schedule; also `uncertain` ones: only
    if you know that they did not arrive.

    \b
    All that was given up while the mailer was down:  rapport deliveries retry --status parked --destination webhook
    """
    if bool(ids) == bool(status):
        raise SettingsError("name the deliveries to try again, or say which with --status")
    wanted = _known(status or list(ENDED_BADLY), ENDED_BADLY)
    settings = settings_of(config, data)
    with opened(settings) as app:
        latest = _latest(app)
        for each in ids or ():
            if not any(effect_id.startswith(each) for effect_id in latest):
                raise SettingsError(f"no delivery has an id that begins with {each}: see `rapport deliveries list`")
        chosen = [
            (delivery, number)
            for effect_id, (delivery, number) in latest.items()
            if delivery.status.lower() in wanted
            and destination in ("", delivery.destination)
            and (not ids or any(effect_id.startswith(each) for each in ids))
        ]
        now = wall_ms()
        over = [delivery for delivery, _ in chosen if delivery.not_after < now]
        records = [
            NewRecord(
                DELIVERIES,
                delivery.customer.encode(),
                app.codec.encode(asked_again(delivery, source("operator"), now)),
                partition=number,
            )
            for delivery, number in chosen
            if delivery.not_after >= now
        ]
        if records:
            app.appender("operator").append(records)
    console.print(f"{len(records):,} are tried again; {len(over):,} are over and are not.")


@deliveries_app.command("push-key")
def push_key() -> None:
    """Make a key for Web Push, and show what pages need of it.

    \b
    Once, for rapport.toml:  rapport deliveries push-key
    """
    key = new_key()
    write_line(f'push_key = "{key}"')
    public = to_text(public_bytes(key_of(key)))
    console.print(f"applicationServerKey of pushManager.subscribe: {public}", soft_wrap=True)


def _latest(app: App) -> dict[str, tuple[Delivery, int]]:
    reader = app.backend.reader()
    try:
        return read_deliveries(reader, app.codec)
    finally:
        reader.close()


def read_deliveries(reader: Reader, codec: Codec) -> dict[str, tuple[Delivery, int]]:
    """How each delivery stands, with the partition of its ledger; the one that changed last comes last. Raises
    Unavailable."""
    latest: dict[str, tuple[Delivery, int]] = {}
    for number in range(reader.topic_partitions(DELIVERIES)):
        first, end = reader.start_offset(DELIVERIES, number), reader.end_offset(DELIVERIES, number)
        for records, _ in blocks(reader, DELIVERIES, number, first, end):
            for record in records:
                delivery = codec.decode(record.value)
                if isinstance(delivery, Delivery):
                    latest.pop(delivery.effect_id, None)
                    latest[delivery.effect_id] = delivery, number
    return latest


def _known(asked: list[str], allowed: tuple[str, ...] = STATUSES) -> set[str]:
    unknown = sorted(set(asked) - set(allowed))
    if unknown:
        raise SettingsError(f"there is no status {', '.join(unknown)} here; there are {', '.join(allowed)}")
    return set(asked)


def _as_json(delivery: Delivery) -> str:
    return json.dumps(msgspec.to_builtins(delivery) | {"status": delivery.status.lower()}, ensure_ascii=False)


def _in_words(delivery: Delivery) -> str:
    again = f"again {when(delivery.next_at)}" if delivery.status == "RETRY" else ""
    said = [
        when(delivery.at),
        f"{delivery.status.lower():9}",
        f"{delivery.destination:8}",
        delivery.effect_id,
        delivery.customer or "(forgotten)",
        delivery.campaign,
        delivery.channel,
        f"attempt {delivery.attempt}" if delivery.attempt else "",
        delivery.reason,
        again,
    ]
    return "  ".join(part for part in said if part)
