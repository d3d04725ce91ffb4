"""`profile`, `log`, `check`, `doctor`: looking, without changing anything."""

import difflib
import heapq
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline import loyalty, rulebook, walking
from pipeline.api.described import described
from pipeline.api.view import customer_view
from pipeline.app import codec_of, open_backend, wall_ms
from pipeline.backends.contract import LogRecord, Reader, Unavailable
from pipeline.backends.reading import blocks
from pipeline.campaign_words import in_words
from pipeline.commands.opening import Config, Data, console, customer_of, settings_of, write_line
from pipeline.core.customer.reachable import could_reach
from pipeline.core.deliveries import DELIVERIES
from pipeline.core.effects import TOPIC_OF
from pipeline.core.events import RecordErased
from pipeline.core.rules import Rules
from pipeline.erased import ErasureFilter, ErasureList
from pipeline.settings import Settings, SettingsError

BLOCK = 1_000
FOLLOW_SECONDS = 0.2
TOPICS = ("events", *dict.fromkeys(TOPIC_OF.values()), DELIVERIES)


def profile(
    id: Annotated[str, typer.Argument(help="A user id, or u:ID, or a:ID of a browser.")],  # noqa: A002
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Show all that is known of one customer.

    \b
    A person:   rapport profile ada
    A browser:  rapport profile a:4f6b1f0e-7c9c-4f57-9a59-0b7f7f4f3b11 --json
    """
    customer = customer_of(settings_of(config, data), id)
    view = customer_view(customer)
    if as_json:
        write_line(json.dumps(view, ensure_ascii=False))
    else:
        _print_view(view)


def _print_view(view: dict[str, Any], indent: int = 0) -> None:
    for name, value in view.items():
        if isinstance(value, dict) and value:
            write_line(f"{'  ' * indent}{name}:")
            _print_view(value, indent + 1)
        elif isinstance(value, list) and value:
            write_line(f"{'  ' * indent}{name}:")
            for part in value:
                write_line(f"{'  ' * (indent + 1)}- {json.dumps(part, ensure_ascii=False)}")
        elif name.endswith("_at") and isinstance(value, int):
            if value:
                write_line(f"{'  ' * indent}{name.removesuffix('_at')}: {when(value)}")
        elif isinstance(value, bool):
            write_line(f"{'  ' * indent}{name}: {'yes' if value else 'no'}")
        elif value not in ("", None, [], {}):
            write_line(f"{'  ' * indent}{name}: {value}")


def when(at_ms: int) -> str:
    """A moment as people read it, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def log(
    topic: Annotated[str, typer.Argument(help=", ".join(TOPICS) + ".")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="With --follow: all of it first.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes.")] = False,
    all_records: Annotated[bool, typer.Option("--all", help="Every copy and internal records too.")] = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Print a topic's records: all there are, or with --follow the new ones.

    A message the log holds twice (sent again after a crash) is shown once; who was erased is not shown.

    \b
    Every voucher so far:       rapport log vouchers
    What comes, for a program:  rapport log events --json --follow
    """
    if topic not in TOPICS:
        raise SettingsError(f"there is no topic {topic}{_nearest(topic)}; there are {', '.join(TOPICS)}")
    settings = settings_of(config, data)
    backend = open_backend(settings)
    reader = backend.reader()
    codec = codec_of(settings)
    shown: set[tuple[str, str]] = set()
    try:
        erased = ErasureFilter(ErasureList(codec).refresh(reader), codec)
        for record in _records(reader, topic, from_start=from_beginning or not follow, follow=follow):
            if erased.hides(record):
                continue
            line = described(record, codec)
            if line.get("record") == RecordErased.__name__ and not all_records:
                continue
            if not all_records and topic == "events":
                identity = (line["customer"], line.get("message_id", ""))
                if "message_id" not in line or identity in shown:
                    continue
                shown.add(identity)
            write_line(json.dumps(line, ensure_ascii=False) if as_json else _in_words(line), at_once=follow)
    finally:
        reader.close()
        backend.close()


def _nearest(topic: str) -> str:
    near = difflib.get_close_matches(topic, TOPICS, n=1)
    return f", did you mean {near[0]}?" if near else ""


def _records(reader: Reader, topic: str, *, from_start: bool, follow: bool) -> Iterator[LogRecord]:
    """Of all partitions; those that are there already in the order they were appended."""
    partitions = range(reader.topic_partitions(topic))
    ends = {number: reader.end_offset(topic, number) for number in partitions}
    next_offsets = dict(ends)
    if from_start:
        streams = [_partition(reader, topic, number, ends[number]) for number in partitions]
        yield from heapq.merge(*streams, key=lambda record: (record.timestamp, record.partition, record.offset))
    while follow:
        for number in partitions:
            wait = FOLLOW_SECONDS / len(partitions)
            found, next_offsets[number] = reader.read(topic, number, next_offsets[number], BLOCK, wait)
            yield from found


def _partition(reader: Reader, topic: str, number: int, end: int) -> Iterator[LogRecord]:
    for records, _ in blocks(reader, topic, number, reader.start_offset(topic, number), end):
        yield from records


def _in_words(line: dict[str, Any]) -> str:
    at = line.get("decided_at") or line.get("received_at") or line.get("at") or 0
    what = line.get("event") or line.get("type") or line.get("outcome") or ""
    rest = [f"{name}={line[name]}" for name in _WORTH_SAYING if line.get(name)]
    who = line["customer"] or f"partition {line['partition']}"
    said = [when(at) if at else "–", f"{line.get('record', 'undecodable'):18}", who, what, *rest]
    return "  ".join(part for part in said if part)


_WORTH_SAYING = (
    "campaign", "channel", "code", "order_id", "total_cents", "currency", "category", "product_id", "reason",
    "undecodable",
)  # fmt: skip


def check(
    reach: Annotated[
        bool, typer.Option("--reach/--no-reach", help="Whether to count in the store whom each campaign could reach.")
    ] = True,
    config: Config = None,
    data: Data = None,
) -> None:
    """Check the settings and the files of campaigns, segments, loyalty and site, run the tests in the campaigns'
    files, and say each campaign in words and how many customers it could reach today."""
    settings = settings_of(config, data)
    folder = Path(settings.campaigns)
    if not folder.is_dir() and settings.campaigns == Settings().campaigns:  # nobody named it
        console.print(f"Settings are well-formed. No campaigns: there is no folder {folder}.", soft_wrap=True)
        return
    book = rulebook.read(folder, Path(settings.segments), Path(settings.site))
    tests = rulebook.tried(book, folder)
    try:
        reached = _reached(settings, book) if reach else Counter[str]()
        unsaid = "No store is here yet (rapport up)"
    except Unavailable as problem:
        reached, unsaid = Counter[str](), str(problem)
    for campaign in book.campaigns:
        write_line(in_words(campaign))
        if reached:
            write_line(f"  Of {reached['']:,} customers it could reach {reached[campaign.name]:,} today.")
    if reach and not reached:
        write_line(f"Whom the campaigns could reach cannot be said: {unsaid}.")
    if book.loyalty:
        write_line(loyalty.in_words(book.loyalty))
    said = f"Settings and {len(book.campaigns)} campaigns in {folder} are well-formed; their {tests} tests hold."
    console.print(said, soft_wrap=True)


def _reached(settings: Settings, book: rulebook.Rulebook) -> Counter[str]:
    """How many each campaign could reach, by its name; "" all customers there are. Nothing where there is no store.
    One walk for all of them, a page of customers in memory. Raises Unavailable."""
    counted = Counter[str]()
    if not settings.log and not Path(settings.data).exists():
        return counted
    now, in_force = wall_ms(), Rules(policy=book.policy, segments=book.segments)
    backend = open_backend(settings)
    reader = backend.reader()
    try:
        erased = ErasureList(codec_of(settings)).refresh(reader)
        for customer in walking.customers(reader, erased.hides):
            counted[""] += 1
            counted.update(it.name for it in book.campaigns if could_reach(it, customer, now, in_force))
    finally:
        reader.close()
        backend.close()
    return counted
