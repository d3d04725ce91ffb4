"""Taking records off the embedded log in place: somebody was erased, and nothing of them is to stay on the disk.

Which records and what takes their place is said by the worker; here is only how SQLite is made to forget: values are
overwritten (`secure_delete`), the write-ahead log, which holds older pages, is brought into the file and cut off, and
in a quiet moment the file is cleaned of copies that the splitting of pages left.
"""

import logging
import sqlite3
from collections.abc import Callable

from pipeline.backends.contract import LogRecord, Rewrite
from pipeline.backends.sqlite.schema import BUSY_MS

log = logging.getLogger("rapport.sqlite")

EVENTS = "events"
VACUUM_BELOW_BYTES = 256_000_000
"""A second or two."""
_UNSCRUBBED = "unscrubbed"
_COLUMNS = "topic, partition, offset, key, value"


def rewrite_records(
    connection: sqlite3.Connection, rewrite: Rewrite, how: Callable[[LogRecord], tuple[bytes, bytes] | None]
) -> None:
    """Within the transaction under way. A key is looked for in all of its partition and of the topics of effects:
    there is no index on keys, since nothing else asks for them. Raises sqlite3.Error."""
    found: list[tuple[str, int, int, bytes, bytes]] = []
    for key, below in rewrite.keys.items():
        found += connection.execute(
            f"SELECT {_COLUMNS} FROM records WHERE topic=? AND partition=? AND offset<? AND key=?",
            (EVENTS, rewrite.partition, below, key),
        ).fetchall()
        found += connection.execute(
            f"SELECT {_COLUMNS} FROM records WHERE topic<>? AND key=?", (EVENTS, key)
        ).fetchall()
    for offset in sorted(rewrite.offsets):
        found += connection.execute(
            f"SELECT {_COLUMNS} FROM records WHERE topic=? AND partition=? AND offset=?",
            (EVENTS, rewrite.partition, offset),
        ).fetchall()
    mark_unscrubbed(connection)
    for topic, partition, offset, key, value in found:
        after = how(LogRecord(topic, partition, offset, key, value))
        if after is not None:
            connection.execute(
                "UPDATE records SET key=?, value=?, headers=x'' WHERE topic=? AND partition=? AND offset=?",
                (*after, topic, partition, offset),
            )


def mark_unscrubbed(connection: sqlite3.Connection) -> None:
    """Have the next worker that comes to rest clean the file."""
    connection.execute("INSERT INTO meta VALUES (?, '') ON CONFLICT DO NOTHING", (_UNSCRUBBED,))


def is_unscrubbed(connection: sqlite3.Connection) -> bool:
    """Whether something was taken off the log and the file was not cleaned since."""
    return connection.execute("SELECT 1 FROM meta WHERE name=?", (_UNSCRUBBED,)).fetchone() is not None


def cut_off_older_pages(connection: sqlite3.Connection) -> bool:
    """Bring the write-ahead log into the file and empty it, outside of any transaction. False: somebody reads an
    older page now; try again."""
    connection.execute("PRAGMA busy_timeout=0")
    try:
        (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:
        return False  # another process writes
    finally:
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    return not busy


def scrub(connection: sqlite3.Connection) -> None:
    """Clean the file, nobody else writing: a page that was split may hold copies of its rows in its unused part,
    which `secure_delete` does not reach and only VACUUM ends. A large file is left to its owner (docs/privacy.md):
    nothing could be written while it lasts. Raises sqlite3.Error."""
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    size_bytes = pages * connection.execute("PRAGMA page_size").fetchone()[0]
    if size_bytes <= VACUUM_BELOW_BYTES:
        connection.execute("VACUUM")
    else:
        log.warning("%d MB are too many to VACUUM now: do it at night (docs/privacy.md)", size_bytes // 1_000_000)
    connection.execute("DELETE FROM meta WHERE name=?", (_UNSCRUBBED,))
