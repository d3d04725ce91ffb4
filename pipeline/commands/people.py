"""`rapport erase` and `rapport export`: one person, as a whole; and erasing again after a restore.

Here lives saying what will happen, asking, and waiting; what goes is `pipeline.core.erasure`'s.
"""

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from pipeline.api.person import Person, erasure_request, exported, find_person
from pipeline.api.records import subject_key
from pipeline.app import App, source, wall_ms
from pipeline.backends.contract import NewRecord, Reader, Refused
from pipeline.commands.deciding import is_decided
from pipeline.commands.opening import Config, Data, console, opened, settings_of
from pipeline.core import erasure, subjects
from pipeline.core.effects import Erasure
from pipeline.core.events import ErasureRequested, RecordErased
from pipeline.core.invitation import Invitation
from pipeline.core.voucher import VoucherState
from pipeline.erased import ErasureList
from pipeline.settings import SettingsError

audit = logging.getLogger("rapport.audit")

EVENTS = "events"
PATIENCE_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 0.1

Id = Annotated[str, typer.Argument(help="A user id, or u:ID, or a:ID of a browser.")]


def erase(
    id: Id,  # noqa: A002
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Erase a person: profile, browsers, vouchers, timers; later events of theirs are dropped.

    Only an identify that your server sends later makes them known again. What stays on Kafka until its retention has
    passed, and in backups: docs/privacy.md.

    \b
    Look first, then say yes:  rapport erase ada
    In a script:               rapport erase ada --yes
    """
    settings = settings_of(config, data)
    with opened(settings) as app:
        reader = app.backend.reader()
        try:
            person = _found(reader, id, app)
            _say_what_goes(person)
            if not yes:
                typer.confirm("Erase all of this for good?", abort=True, err=True)
            request_id, record = erasure_request(person.key, app.codec, source("erase"), wall_ms())
            done = _carried_out(app, reader, record)
        finally:
            reader.close()
    said = "Erased." if done else "The request is on the log: it is carried out as soon as a worker runs."
    console.print(f"{said} Request {request_id}.", soft_wrap=True)
    if settings.log:
        console.print("What Kafka holds goes with its retention; until then every reader leaves it out.")
    counts = len(person.browsers), len(person.vouchers)
    audit.info("erasure: request %s, %d browsers and %d vouchers", request_id, *counts)


def export(
    id: Id,  # noqa: A002
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file, which only you can read.")] = None,
    config: Config = None,
    data: Data = None,
) -> None:
    """Hand over everything that is kept about a person, as one JSON document (docs/privacy.md).

    \b
    For the person:  rapport export ada --out ada.json
    """
    with opened(settings_of(config, data)) as app:
        reader = app.backend.reader()
        try:
            person = _found(reader, id, app)
            pieces = exported(reader, app.codec, person, wall_ms())
            if out is None:
                for piece in pieces:
                    sys.stdout.write(piece.decode())
            else:
                _write(out, pieces)
                console.print(f"Wrote {out} ({out.stat().st_size:,} bytes).", soft_wrap=True)
        finally:
            reader.close()
    audit.info("export: %d browsers and %d vouchers", len(person.browsers), len(person.vouchers))


def read_entries(file: Path) -> list[Erasure]:
    """What `rapport log erasures --json` wrote; the last entry of each counts. Raises SettingsError."""
    latest: dict[tuple[int, str], Erasure] = {}
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            entry = msgspec.json.decode(line, type=Erasure)
        except msgspec.DecodeError as problem:
            raise SettingsError(
                f"{file}, line {number}: {problem}; expected `rapport log erasures --json`"
            ) from problem
        latest[entry.events_partition, entry.tombstone] = entry
    return [entry for entry in latest.values() if entry.outcome == "ERASED"]


def erase_again(app: App, entries: Sequence[Erasure]) -> int:
    """Apply the list to a store that was just restored: the one on the log, and `entries`, which the log may not
    have; how many of these it had not. Raises Unavailable."""
    reader = app.backend.reader()
    try:
        known = ErasureList(app.codec).refresh(reader)
        records = []
        for number in range(reader.partitions()):
            app.backend.forget(number, [key for key in app.backend.keys(number) if _is_hidden(known, reader, key)])
            missing = {it.tombstone: it for it in entries if it.events_partition == number and not known.has(it)}
            records += _missing_on_log(app, number, missing)
    finally:
        reader.close()
    app.appender("restore").append(records)
    return len(records)


def _is_hidden(erased: ErasureList, reader: Reader, key: str) -> bool:
    """Whether the subject is somebody erased, or a voucher or the invitation of theirs."""
    if not len(erased) or not key.startswith(("v:", "r:")):
        return erased.hides(key)
    _, stored = reader.subject(key)
    state = subjects.decode(key, stored) if stored else None
    return isinstance(state, VoucherState | Invitation) and erased.hides(state.customer)


def _missing_on_log(app: App, number: int, missing: dict[str, Erasure]) -> list[NewRecord]:
    """The requests for whom the store knows; for everybody else the hash that keeps late events out."""
    records = []
    for key in app.backend.keys(number) if missing else ():
        salts = {entry.salt for entry in missing.values()}
        found = (missing.pop(erasure.tombstone_of(salt, key), None) for salt in salts)
        for entry in filter(None, found):
            request = ErasureRequested(
                request_id=entry.request_id, salt=entry.salt, source=source("restore"), received_at=entry.at
            )
            records.append(NewRecord(EVENTS, key.encode(), app.codec.encode(request)))
    for entry in missing.values():
        left = RecordErased(
            was=ErasureRequested.__name__,
            tombstone=entry.tombstone,
            salt=entry.salt,
            request_id=entry.request_id,
            source=source("restore"),
            received_at=entry.at,
        )
        records.append(NewRecord(EVENTS, b"", app.codec.encode(left), partition=number))
    return records


def _found(reader: Reader, customer_id: str, app: App) -> Person:
    key = subject_key(customer_id)
    person = find_person(reader, key)
    if person is None or ErasureList(app.codec).refresh(reader).hides(key):
        raise SettingsError(f"no customer {key} is known here (store: {app.settings.store or app.settings.data})")
    return person


def _say_what_goes(person: Person) -> None:
    """Raises Refused for a browser that belongs to somebody."""
    profile = person.profile
    if profile.identity.owner:
        raise Refused(f"{person.key} belongs to {profile.identity.owner}: erase that person, and it goes with them")
    console.print(f"{person.key}, with all that is known of them:", soft_wrap=True)
    counts = {
        "browsers": len(person.browsers),
        "events": profile.activity.events,
        "orders": profile.purchases.count,
        "permissions": len(profile.consent.permissions),
        "vouchers (those not redeemed become void)": len(person.vouchers),
    }
    for name, count in counts.items():
        console.print(f"  {count:,} {name}")


def _carried_out(app: App, reader: Reader, record: NewRecord) -> bool:
    """Whether it was, within a minute: first the person, then what belonged to them. Embedded, this process works
    where no other does."""
    app.appender("erase").append([record])
    try:
        worker = None if app.settings.log else app.worker(ticks=False)
    except Refused:
        worker = None
    if worker is not None:
        try:
            worker.run_until_idle()
        finally:
            worker.close()
        return True
    deadline = time.monotonic() + PATIENCE_SECONDS
    return _decided_by(deadline, reader) and _decided_by(deadline, reader)


def _decided_by(deadline: float, reader: Reader) -> bool:
    """Whether the workers have decided, in time, all that stands on the log now."""
    ends = {number: reader.end_offset(EVENTS, number) for number in range(reader.partitions())}
    while not all(is_decided(reader, number, end) for number, end in ends.items()):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_AGAIN_SECONDS)
    return True


def _write(out: Path, pieces: Iterator[bytes]) -> None:
    out.touch(0o600)
    out.chmod(0o600)
    with out.open("wb") as file:
        for piece in pieces:
            file.write(piece)
