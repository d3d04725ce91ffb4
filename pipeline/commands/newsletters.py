"""`rapport newsletter`: sending an edition, stopping it, how far it has come. Whom it is sent to is the core's."""

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer

from pipeline import campaigns as campaign_files
from pipeline.app import App, active_rules, source, wall_ms
from pipeline.backends.contract import NewRecord, Reader
from pipeline.commands.opening import Config, Data, console, opened, settings_of, write_line
from pipeline.core import part
from pipeline.core.newsletter import NewsletterOrdered, Walk
from pipeline.core.partition import PartitionState
from pipeline.core.when import WhenNewsletter
from pipeline.settings import SettingsError

EVENTS = "events"
newsletter_app = typer.Typer(help="Newsletters: sending an edition, and how far it has come.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help='The campaign, whose [when] is kind = "newsletter".')]
Edition = Annotated[str, typer.Argument(help="Names this edition: nobody is sent the same one twice.")]


@newsletter_app.command()
def send(
    name: Name,
    edition: Edition,
    at: Annotated[str, typer.Option("--at", help="Not before this moment: 2026-12-01T09:00+01:00.")] = "",
    config: Config = None,
    data: Data = None,
) -> None:
    """Send an edition of a newsletter that is in force to everybody it is for.

    Consent, caps and quiet hours hold as for every campaign. A campaign in state shadow only counts whom it would
    reach.

    \b
    The one of week 47:  rapport newsletter send weekly 2026-47
    """
    _check_name(edition)
    not_before = _moment(at) if at else 0
    with opened(settings_of(config, data)) as app:
        reader = app.backend.reader()
        try:
            _check_in_force(reader, name)
            known = [any(_is(walk, name, edition) for walk in walks) for walks in _walks(reader)]
            if all(known):
                raise SettingsError(
                    f"edition {edition} of {name} was ordered already: see `rapport newsletter status`, or name"
                    " another edition"
                )
            _order(app, reader, NewsletterOrdered(
                campaign=name, edition=edition, order="SEND", not_before=not_before, source=source("newsletter"),
                received_at=wall_ms(),
            ))  # fmt: skip
        finally:
            reader.close()
    console.print(f"Edition {edition} of {name} is ordered; how far it is: rapport newsletter status")


@newsletter_app.command()
def stop(name: Name, edition: Edition, config: Config = None, data: Data = None) -> None:
    """Stop an edition: nobody else is sent it, also of those for whom it waits. What was decided before is sent."""
    with opened(settings_of(config, data)) as app:
        reader = app.backend.reader()
        try:
            if not any(_is(walk, name, edition) for walks in _walks(reader) for walk in walks):
                raise SettingsError(f"no edition {edition} of {name} is known: see `rapport newsletter status`")
            _order(app, reader, NewsletterOrdered(
                campaign=name, edition=edition, order="STOP", not_before=0, source=source("newsletter"),
                received_at=wall_ms(),
            ))  # fmt: skip
        finally:
            reader.close()
    console.print(f"Edition {edition} of {name} is stopped.")


@newsletter_app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Show how far each edition is, and what those it is for were answered when it came to them."""
    with opened(settings_of(config, data)) as app:
        reader = app.backend.reader()
        try:
            found = standing(_walks(reader))
        finally:
            reader.close()
    for entry in found:
        write_line(json.dumps(entry) if as_json else _in_words(entry))
    if not found:
        console.print("No newsletter was sent.")


def standing(walks: list[tuple[Walk, ...]]) -> list[dict[str, Any]]:
    """Each edition over all partitions, the latest one last."""
    editions = dict.fromkeys((walk.campaign, walk.edition) for some in walks for walk in some)
    return [
        _entry([walk for some in walks for walk in some if _is(walk, *each)], *each, partitions=len(walks))
        for each in editions
    ]


def _entry(walks: list[Walk], campaign: str, edition: str, *, partitions: int) -> dict[str, Any]:
    """`partitions`: all there are, of which some may not have come to the order yet."""
    answers: Counter[str] = Counter()
    for walk in walks:
        answers.update(walk.answers)
    has_ended = len(walks) == partitions and all(walk.ended_at for walk in walks)
    state = "stopped" if any(walk.stopped for walk in walks) else "ended" if has_ended else "under way"
    return {
        "campaign": campaign,
        "edition": edition,
        "state": state,
        "met": sum(walk.met for walk in walks),
        "answers": dict(sorted(answers.items())),
        "partitions": partitions,
        "partitions_ended": sum(walk.ended_at > 0 for walk in walks),
    }


def _in_words(entry: dict[str, Any]) -> str:
    answers = ", ".join(f"{count:,} {answer.lower()}" for answer, count in entry["answers"].items())
    if not answers and entry["state"] != "under way":
        answers = "it was for nobody"
    so_far = f"{entry['campaign']}  {entry['edition']}  {entry['state']}  {entry['met']:,} people met"
    return f"{so_far}: {answers}" if answers else so_far


def _is(walk: Walk, campaign: str, edition: str) -> bool:
    return (walk.campaign, walk.edition) == (campaign, edition)


def _walks(reader: Reader) -> list[tuple[Walk, ...]]:
    """Of each partition."""
    stored = (reader.partition_state(number) for number in range(reader.partitions()))
    return [msgspec.msgpack.decode(state, type=PartitionState).walks if state else () for state in stored]


def _check_in_force(reader: Reader, name: str) -> None:
    active = active_rules(reader)
    published = campaign_files.from_json(active.campaigns) if active else ()
    newsletters = {it.name: it for it in published if isinstance(it.when, WhenNewsletter)}
    if name not in newsletters:
        known = f"there are {', '.join(newsletters)}" if newsletters else "there is none"
        raise SettingsError(f"no newsletter {name} is in force ({known}): rapport campaigns publish")
    if newsletters[name].state not in ("live", "shadow"):
        raise SettingsError(f"{name} is {newsletters[name].state}: make it live and publish it")


def _order(app: App, reader: Reader, order: NewsletterOrdered) -> None:
    value = app.codec.encode(order)
    records = [NewRecord(EVENTS, b"", value, partition=number) for number in range(reader.partitions())]
    app.appender("newsletter").append(records)


def _check_name(edition: str) -> None:
    try:
        msgspec.convert(edition, part.Name)
    except msgspec.ValidationError:
        what = "small letters, digits and hyphens, at most 64"
        raise SettingsError(f"`{edition}` cannot name an edition: {what}") from None


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"--at {text}: expected a moment such as 2026-12-01T09:00+01:00") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
