"""What `rapport doctor` looks at, and how it judges what it finds. Reads only.

A look gathers (`Place`: one partition as log and store have it), a judgement is pure: places and the time in,
findings out. What only a backend knows of its own servers it says itself (`Backend.findings`).
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pipeline import campaigns as campaign_files
from pipeline.backends.contract import Reader
from pipeline.codec import Codec, Undecodable
from pipeline.core.deliveries import DELIVERIES, Delivery
from pipeline.core.effects import DeadLetter
from pipeline.core.partition import ActiveRules, PartitionState
from pipeline.core.rules import live
from pipeline.finding import Finding
from pipeline.settings import Settings, SettingsError, require
from pipeline.toml_files import CampaignError
from pipeline.vitals import nearest_folder

EVENTS = "events"
LATE_MS = 60_000
"""What has waited longer is late (the alert's threshold too)."""
SKEW_MS = 5_000
DAY_MS = 86_400_000
LEAST_FREE = 0.1
NEARLY_FULL = 0.8
_LEDGER_STEPS = 1_000
_READ_SECONDS = 1.0


class Place(msgspec.Struct, frozen=True):
    """One partition of `events`: where the log begins and ends, where the store stands."""

    number: int
    first: int
    end: int
    stored: int | None
    """Y; None: nothing is stored."""
    state: PartitionState
    waiting_since: int = 0
    """When the first record was appended that is not decided yet, epoch ms; 0: none waits."""
    last_at: int = 0
    """When the last record was appended, epoch ms."""


def places(reader: Reader) -> list[Place]:
    """Every partition. Raises Unavailable or Refused."""
    return [_place(reader, number) for number in range(reader.partitions())]


def _place(reader: Reader, number: int) -> Place:
    stored, _ = reader.stored(number)
    state = reader.partition_state(number)
    first, end = reader.start_offset(EVENTS, number), reader.end_offset(EVENTS, number)
    waiting = max(stored or 0, first)
    return Place(
        number=number,
        first=first,
        end=end,
        stored=stored,
        state=msgspec.msgpack.decode(state, type=PartitionState) if state else PartitionState(),
        waiting_since=_appended_at(reader, number, waiting) if waiting < end else 0,
        last_at=_appended_at(reader, number, max(first, end - 2)) if first < end else 0,
    )


def _appended_at(reader: Reader, number: int, offset: int) -> int:
    """When the record at or after the offset was appended; 0: there is none (a transaction's marker)."""
    records, _ = reader.read(EVENTS, number, offset, 1, _READ_SECONDS)
    return records[0].timestamp if records else 0


def keys(settings: Settings) -> Finding:
    """The secrets that roles require."""
    try:
        require(settings, "write_key", "server_key", "identity_secret", "code_secret")
    except SettingsError as problem:
        return Finding("settings", "red", str(problem), "all keys set", "run `rapport init`, or set them")
    return Finding("settings", "ok", f"all keys set; log {settings.log or settings.data}")


def campaign_folder(settings: Settings) -> Finding:
    """The campaign files."""
    try:
        loaded = campaign_files.load(Path(settings.campaigns))
    except (CampaignError, OSError) as problem:
        return Finding("campaign files", "red", str(problem), "well-formed files", "mend it; see `rapport check`")
    return Finding("campaign files", "ok", f"{len(loaded)} well-formed")


def disk(settings: Settings) -> Finding:
    """Room where the data folder lies."""
    folder = nearest_folder(Path(settings.data))
    usage = shutil.disk_usage(folder)
    free = usage.free / usage.total
    said = f"{free:.0%} ({usage.free / 1e9:.1f} GB) free under {settings.data}"
    if free < LEAST_FREE:
        remedy = "free it; never delete rapport.db, its -wal or the spool: they hold answered events"
        return Finding("disk", "red", said, f"{LEAST_FREE:.0%} or more", remedy)
    return Finding("disk", "ok", said)


def progress(found: Sequence[Place], now_ms: int) -> list[Finding]:
    """Whether what comes in is decided, and whether store and log fit each other."""
    findings = [finding for place in found if (finding := _misfit(place)) is not None]
    late = [p for p in found if p.waiting_since and now_ms - p.waiting_since > LATE_MS]
    waiting = sum(max(0, p.end - max(p.stored or 0, p.first)) for p in found)
    records = sum(p.end - p.first for p in found)
    if late and not findings:
        oldest = min(late, key=lambda p: p.waiting_since)
        findings.append(
            Finding(
                "partitions",
                "red",
                f"{_numbers(late)} wait: partition {oldest.number} at offset"
                f" {max(oldest.stored or 0, oldest.first)} of {oldest.end}, whose record came"
                f" {_ago(now_ms, oldest.waiting_since)}",
                "decided within seconds",
                "is `rapport work` (or `up`) running? Its log says what it waits for, and where it stopped",
            )
        )
    if not findings:
        said = f"{len(found)} partitions, {records:,} records, {waiting:,} not decided yet"
        findings.append(Finding("partitions", "ok", said))
    return findings


def _misfit(place: Place) -> Finding | None:
    where = f"partition {place.number}: the store stands at {place.stored}, the log has {place.first} to {place.end}"
    if place.stored is None and place.first > 0:
        return Finding(
            "partitions", "red", where, "a store, or a log from its beginning", "`rapport restore` a backup"
        )
    if place.stored is not None and not place.first <= place.stored <= place.end:
        remedy = "the store is another log's, or too old: name the right one, or `rapport restore` a backup"
        return Finding("partitions", "red", where, "an offset the log has", remedy)
    return None


def heartbeat(found: Sequence[Place], now_ms: int, every_seconds: float) -> Finding:
    """The last heartbeat that came through each partition."""
    if not every_seconds:
        return Finding("heartbeat", "warn", "switched off", "every few seconds", "set heartbeat_seconds, e.g. to 10")
    never = [place for place in found if not place.state.heartbeat_at]
    if len(never) == len(found):
        remedy = "start `rapport up`, or `rapport collect` and `rapport work`"
        return Finding("heartbeat", "warn", "none has come through yet", "one every few seconds", remedy)
    allowed_ms = max(LATE_MS, 3_000 * every_seconds)
    old = [place for place in found if now_ms - place.state.heartbeat_at > allowed_ms]
    oldest = min(found, key=lambda place: place.state.heartbeat_at)
    age = "never" if not oldest.state.heartbeat_at else _ago(now_ms, oldest.state.heartbeat_at)
    if old:
        return Finding(
            "heartbeat",
            "red",
            f"old in {_numbers(old)}; the oldest: {age}",
            f"within {allowed_ms / 1000:g} s everywhere",
            "is a collector running, and a worker? If so, see the row partitions",
        )
    return Finding("heartbeat", "ok", f"came through every partition, the oldest {age}")


def clock(found: Sequence[Place], now_ms: int) -> Finding:
    """Whether log time and this machine's time agree, and which host does not."""
    ahead = [place for place in found if place.state.clock - now_ms > SKEW_MS]
    doubted = [place for place in found if place.state.jump_source]
    if ahead:
        most = max(ahead, key=lambda place: place.state.clock)
        return Finding(
            "clock",
            "red",
            f"log time is {(most.state.clock - now_ms) / 1000:,.0f} s ahead of this machine's in {_numbers(ahead)}",
            f"within {SKEW_MS / 1000:g} s",
            "set up NTP on every host that runs a role (or on this one); timers have fired early and now wait",
        )
    if doubted:
        place = doubted[0]
        said = (
            f"{place.state.jump_source} says that it is more than an hour later than partition {place.number} knows"
        )
        remedy = "set up NTP on that host; if it is right, the next record of another host settles it"
        return Finding("clock", "warn", said, "hosts that agree", remedy)
    return Finding("clock", "ok", "no partition is ahead of this machine, no host is doubted")


def imports(found: Sequence[Place], now_ms: int) -> Finding:
    """Whether an import window stands open, in which the timers of live customers wait."""
    opened = [place for place in found if place.state.import_id]
    if not opened:
        return Finding("import", "ok", "no window open")
    said = f"history {opened[0].state.import_id} is open in {_numbers(opened)}: timers of live customers stand still"
    if any(now_ms - place.last_at <= LATE_MS and place.waiting_since for place in opened):
        return Finding("import", "warn", said, "a running import", "let `rapport replay` come to its end")
    remedy = (
        "if no `rapport replay` is running any more, run the same one again (with --shift-to now, if it says that the"
        " log is newer): records count once, and its end closes the window"
    )
    return Finding("import", "red", said, "none, or one that runs", remedy)


def rules(reader: Reader, now_ms: int) -> Finding:
    """The campaigns in force. Raises Unavailable."""
    _, stored = reader.stored(0)
    if not stored:
        return Finding("campaigns", "warn", "no worker has run yet", "campaigns in force", "start `rapport up`")
    active = msgspec.msgpack.decode(stored, type=ActiveRules)
    in_force = live(campaign_files.from_json(active.campaigns))
    if not in_force:
        return Finding("campaigns", "warn", "none is in force", "at least one", "`rapport campaigns publish`")
    age_days = (now_ms - active.campaigns_version) / DAY_MS
    return Finding("campaigns", "ok", f"{len(in_force)} campaigns in force, published {age_days:.1f} days ago")


def dead_letters(reader: Reader, codec: Codec, now_ms: int) -> Finding:
    """What was set aside, and lately. Raises Unavailable."""
    topic, count, newest = "dead-letters", 0, None
    for number in range(reader.topic_partitions(topic)):
        first, end = reader.start_offset(topic, number), reader.end_offset(topic, number)
        count += end - first
        records, _ = reader.read(topic, number, max(first, end - 2), 10, _READ_SECONDS) if first < end else ([], 0)
        for record in records:
            newest = max(newest, record, key=lambda one: one.timestamp) if newest else record
    if newest is None or now_ms - newest.timestamp > DAY_MS:
        return Finding("dead letters", "ok", f"{count:,}, none in the last day")
    try:
        letter = codec.decode(newest.value)
        reason = letter.reason if isinstance(letter, DeadLetter) else type(letter).__name__
    except Undecodable as problem:
        reason = str(problem)
    said = f"{count:,}, the last {_ago(now_ms, newest.timestamp)}: {reason[:120]}"
    return Finding("dead letters", "warn", said, "none in the last day", "`rapport dead-letters list`")


def spool(folder: Path, limit_bytes: int) -> Finding:
    """What waits on this machine's disk for Kafka, and what was set aside there."""
    waiting = sum(file.stat().st_size for file in folder.glob("*-*") if file.is_file()) if folder.is_dir() else 0
    aside = len(list((folder / "quarantine").glob("*"))) if folder.is_dir() else 0
    said = f"{waiting / 1e6:,.1f} MB of {limit_bytes / 1e6:,.0f} MB in {folder}"
    if waiting > NEARLY_FULL * limit_bytes:
        remedy = "bring Kafka back; it drains by itself. Never delete it: it holds answered events"
        return Finding("spool", "red", said, f"below {NEARLY_FULL:.0%}", remedy)
    if aside:
        remedy = "look into it (it holds personal data): a failing disk, or records that are too large"
        return Finding("spool", "warn", f"{said}; {aside} files in quarantine", "none", remedy)
    return Finding("spool", "ok", said)


def deliveries(reader: Reader, codec: Codec) -> Finding:
    """How the latest deliveries ended. Raises Unavailable or Refused."""
    latest: dict[str, str] = {}
    for number in range(reader.topic_partitions(DELIVERIES)):
        first, end = reader.start_offset(DELIVERIES, number), reader.end_offset(DELIVERIES, number)
        start = max(first, end - _LEDGER_STEPS)
        records = reader.read(DELIVERIES, number, start, _LEDGER_STEPS, _READ_SECONDS)[0] if start < end else []
        for record in records:
            step = codec.decode(record.value)
            if isinstance(step, Delivery):
                latest[step.effect_id] = step.status
    counts = Counter(latest.values())
    told = ", ".join(f"{count} {status.lower()}" for status, count in sorted(counts.items()))
    said = f"the latest {len(latest):,}: {told}" if told else "none yet"
    if counts["FAILED"] or counts["PARKED"] or counts["UNCERTAIN"]:
        remedy = "`rapport deliveries list --status parked --status failed --status uncertain`"
        return Finding("deliveries", "warn", said, "none given up", remedy)
    if counts["RETRY"]:
        remedy = "`rapport deliveries list --status retry` has the reasons; they are tried again"
        return Finding("deliveries", "warn", said, "none put off", remedy)
    return Finding("deliveries", "ok", said)


def _numbers(found: Sequence[Place]) -> str:
    numbers = [str(place.number) for place in found]
    return f"partition {numbers[0]}" if len(numbers) == 1 else f"partitions {', '.join(numbers)}"


def _ago(now_ms: int, at_ms: int) -> str:
    seconds = max(0, now_ms - at_ms) / 1000
    for unit, size in (("days", 86_400), ("hours", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
