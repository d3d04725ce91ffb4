"""Where a new owner of a partition starts, from what the store knows (Y) and the log knows (X). Pure.

The table of DESIGN's "Recovery"; every contradiction is refused with the way out, never guessed at.
"""

from pipeline.backends.contract import Refused


def start_offset(partition: int, stored: int | None, published: int | None, first: int, end: int) -> int:
    """Y, from which to step on; effects caused below X = `published` are to be withheld.

    `first` and `end` are the log's bounds. Raises Refused.
    """
    where = f"partition {partition} of events"
    if stored is None:
        if first == 0:
            return 0
        known = "nothing was ever published" if published is None else f"effects are published up to {published}"
        raise Refused(
            f"{where}: the store is empty ({known}) and the log starts at offset {first}, so the state cannot be"
            " rebuilt from the log alone: `rapport restore` a backup that is younger than the log"
        )
    if published is None:
        raise Refused(
            f"{where}: the store stands at offset {stored}, but the log does not know what was published (offsets"
            " expired, or another consumer group or cluster): point RAPPORT_STORE at this log's own store, or empty"
            " it to decide the whole log anew"
        )
    if stored > published:
        raise Refused(
            f"{where}: the store stands at offset {stored}, beyond {published}, up to which effects are published:"
            " the store belongs to another log or the log was restored from an older copy; `rapport restore` a"
            " backup of the store that is as old as the log"
        )
    if stored < first:
        raise Refused(
            f"{where}: the store stands at offset {stored}, but the log was trimmed up to {first}: `rapport restore`"
            " a younger backup"
        )
    if stored > end:
        raise Refused(f"{where}: the store stands at offset {stored}, beyond the log's end {end}: wrong log or store")
    return stored
