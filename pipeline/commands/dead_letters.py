"""`rapport dead-letters`: list what was set aside, read one, put its record back on its topic.

A record is put back together with a `DeadLetterReplayed`, all or nothing, by one process at a time: so it goes back
once, however often that is asked for. Never here: a change to the record.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
import typer

from pipeline.app import codec_of, open_backend, wall_ms
from pipeline.backends.contract import Backend, NewRecord, Reader, SoleAppender
from pipeline.backends.reading import blocks
from pipeline.codec import Codec, Undecodable
from pipeline.commands.looking import when
from pipeline.commands.opening import Config, Data, console, settings_of, write_line
from pipeline.core.effects import DeadLetter, DeadLetterReplayed, dead_letter_reason
from pipeline.core.identifiers import effect_id
from pipeline.envelope import effect_record
from pipeline.erased import ErasureFilter, ErasureList
from pipeline.processors.outbox import SET_ASIDE_BYTES
from pipeline.settings import SettingsError

TOPIC = "dead-letters"
SHOWN_ID = 12
BATCH = 200

dead_letters_app = typer.Typer(help="Records that could not be processed.", no_args_is_help=True)

Reason = Annotated[str, typer.Option("--reason", help="Only those whose reason begins so.")]
OfTopic = Annotated[str, typer.Option("--topic", help="Only those of this topic; http: refused by the collector.")]
Waiting = Annotated[bool, typer.Option("--waiting", help="Only those that were not put back.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


class Letters(msgspec.Struct):
    """What stands on the topic: each dead letter once, and which of them were put back."""

    letters: dict[str, DeadLetter]
    replayed: set[str]

    def chosen(self, reason: str, topic: str, *, waiting: bool) -> list[DeadLetter]:
        """Those the filters let through, as they came."""
        return [
            letter
            for letter in self.letters.values()
            if letter.reason.startswith(reason)
            and topic in ("", letter.topic)
            and not (waiting and letter.id in self.replayed)
        ]

    def one(self, beginning: str) -> DeadLetter:
        """The one whose id begins so. Raises SettingsError."""
        found = [letter for name, letter in self.letters.items() if name.startswith(beginning)]
        if len(found) != 1:
            raise SettingsError(
                f"{len(found) or 'no'} dead letters have an id that begins with {beginning!r}:"
                " `rapport dead-letters list` shows them"
            )
        return found[0]


def read_letters(reader: Reader, codec: Codec) -> Letters:
    """The whole topic, but for what is about somebody who was erased. Raises Unavailable."""
    found = Letters({}, set())
    erased = ErasureFilter(ErasureList(codec).refresh(reader), codec)
    for number in range(reader.topic_partitions(TOPIC)):
        end = reader.end_offset(TOPIC, number)
        for records, _ in blocks(reader, TOPIC, number, reader.start_offset(TOPIC, number), end):
            for record in records:
                if erased.hides(record):
                    continue
                letter = codec.decode(record.value)
                if isinstance(letter, DeadLetter):
                    found.letters.setdefault(letter.id, letter)
                elif isinstance(letter, DeadLetterReplayed):
                    found.replayed.add(letter.id)
    return found


@dead_letters_app.command("list")
def list_letters(
    reason: Reason = "",
    topic: OfTopic = "",
    waiting: Waiting = False,
    counts: Annotated[bool, typer.Option("--counts", help="Only how many there are of each reason.")] = False,
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """List the dead letters, and count them by reason.

    \b
    What is still to be looked at:  rapport dead-letters list --waiting
    """
    with _looking(config, data) as (_, reader, codec):
        found = read_letters(reader, codec)
    chosen = found.chosen(reason, topic, waiting=waiting)
    by_reason = Counter(dead_letter_reason(letter.reason) for letter in chosen)
    if counts and as_json:
        write_line(json.dumps(dict(by_reason.most_common())))
    elif counts:
        for kind, count in by_reason.most_common():
            write_line(f"{count:>8,}  {kind}")
    else:
        for letter in chosen:
            line = _described(letter, found)
            write_line(json.dumps(line, ensure_ascii=False) if as_json else _in_words(letter, found))
    if not as_json:
        back = sum(letter.id in found.replayed for letter in chosen)
        said = "; ".join(f"{count:,} × {kind}" for kind, count in by_reason.most_common()) or "none"
        console.print(f"{len(chosen):,} dead letters ({back:,} put back): {said}", soft_wrap=True)


@dead_letters_app.command()
def show(
    id: Annotated[str, typer.Argument(help="The id, or how it begins.")],  # noqa: A002
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Show one: where it stood, why it is here, and its record, decoded as far as that goes."""
    with _looking(config, data) as (_, reader, codec):
        found = read_letters(reader, codec)
        letter = found.one(id)
        line = {**_described(letter, found), **_contents(letter, codec)}
    if as_json:
        write_line(json.dumps(line, ensure_ascii=False))
        return
    for name, value in line.items():
        if isinstance(value, dict):
            write_line(f"{name}:")
            for field, content in value.items():
                write_line(f"  {field}: {json.dumps(content, ensure_ascii=False)}")
        elif value != "":
            write_line(f"{name}: {value}")


@dead_letters_app.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids, or how they begin.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that the filters let through.")] = False,
    reason: Reason = "",
    topic: OfTopic = "",
    as_json: AsJson = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Put the records of dead letters back on their topics, each once, however often this is asked for.

    \b
    One, after the cause is mended:  rapport dead-letters replay 3f2a
    All of a kind:                   rapport dead-letters replay --all --reason "unknown schema id"
    """
    if bool(ids) == every:
        raise SettingsError("name the dead letters to put back, or all of them with --all")
    with _looking(config, data) as (backend, reader, codec):
        appender = backend.sole_appender(TOPIC)
        try:
            # Read after it was opened: from now on nobody else puts anything back.
            found = read_letters(reader, codec)
            chosen = found.chosen(reason, topic, waiting=False) if every else [found.one(each) for each in ids or []]
            result = put_back(chosen, found.replayed, appender, codec, wall_ms())
        finally:
            appender.close()
    if as_json:
        write_line(json.dumps(msgspec.to_builtins(result)))
        return
    console.print(
        f"Put {len(result.replayed):,} records back; {len(result.before):,} were put back before;"
        f" {len(result.impossible):,} cannot be.",
        soft_wrap=True,
    )
    for name, why in result.impossible.items():
        console.print(f"  {name[:SHOWN_ID]}: {why}", soft_wrap=True, markup=False)


class PutBack(msgspec.Struct):
    """What became of the dead letters asked for, by id."""

    replayed: list[str]
    before: list[str]
    impossible: dict[str, str]


def put_back(
    chosen: list[DeadLetter], replayed: set[str], appender: SoleAppender, codec: Codec, now_ms: int
) -> PutBack:
    """Append the records of those that were not put back yet, each together with the note that it was. Raises
    Unavailable or Refused: ask again, what was put back is known then."""
    result = PutBack([], [], {})
    todo: list[DeadLetter] = []
    for letter in chosen:
        if why := _obstacle(letter):
            result.impossible[letter.id] = why
        elif letter.id in replayed:
            result.before.append(letter.id)
        else:
            todo.append(letter)
    for start in range(0, len(todo), BATCH):
        batch = todo[start : start + BATCH]
        notes = [
            DeadLetterReplayed(id=each.id, topic=each.topic, partition=each.partition, key=each.key, at=now_ms)
            for each in batch
        ]
        records = [NewRecord(each.topic, each.key, each.value, partition=each.partition) for each in batch]
        appender.append([*records, *(effect_record(note, codec) for note in notes)])
        result.replayed += [each.id for each in batch]
    return result


def _obstacle(letter: DeadLetter) -> str:
    """Why the record cannot be put back; "" if it can."""
    if letter.partition < 0:
        return "the collector refused it and told its sender: correct it and send it again"
    if letter.id != effect_id("dead-letter", letter.topic, str(letter.partition), str(letter.offset)):
        return "its record was processed, only a timer was not: it is tried with the customer's next event"
    if len(letter.value) >= SET_ASIDE_BYTES:
        return f"only the first {SET_ASIDE_BYTES:,} bytes of the record were kept"
    return ""


@contextmanager
def _looking(config: Config, data: Data) -> Iterator[tuple[Backend, Reader, Codec]]:
    settings = settings_of(config, data)
    backend = open_backend(settings)
    reader = backend.reader()
    try:
        yield backend, reader, codec_of(settings)
    finally:
        reader.close()
        backend.close()


def _described(letter: DeadLetter, found: Letters) -> dict[str, Any]:
    return {
        "id": letter.id,
        "at": letter.at,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "key": letter.key.decode("utf-8", "backslashreplace"),
        "reason": letter.reason,
        "bytes": len(letter.value),
        "put_back": letter.id in found.replayed,
    }


def _contents(letter: DeadLetter, codec: Codec) -> Mapping[str, Any]:
    """The record's fields as far as they can be decoded; the bytes in hexadecimal if they can't all be."""
    try:
        record = codec.decode(letter.value)
    except Undecodable:
        name, fields = codec.decode_partly(letter.value)
        readable = {field: _plain(value) for field, value in fields.items()}
        return {"record": name, "fields": readable, "value": letter.value.hex()}
    return {"record": type(record).__name__, "fields": _plain(record)}


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value, enc_hook=repr)


def _in_words(letter: DeadLetter, found: Letters) -> str:
    where = letter.topic if letter.partition < 0 else f"{letter.topic} {letter.partition}:{letter.offset}"
    key = letter.key.decode("utf-8", "backslashreplace") or "–"
    back = "  (put back)" if letter.id in found.replayed else ""
    return f"{letter.id[:SHOWN_ID]}  {when(letter.at)}  {where:18}  {key}  {letter.reason}{back}"
