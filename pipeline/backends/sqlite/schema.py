"""The tables of the embedded log and store, and how a connection to the file is opened."""

import sqlite3
from pathlib import Path

TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS heads (
  topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL, PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
  topic TEXT, partition INTEGER, offset INTEGER, key BLOB, value BLOB, headers BLOB, timestamp INTEGER,
  PRIMARY KEY (topic, partition, offset)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS published (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS copied (partition INTEGER PRIMARY KEY, below INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS cursors (
  destination TEXT, topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL,
  PRIMARY KEY (destination, topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS partitions (
  partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL, state BLOB NOT NULL, rules BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS subjects (
  partition INTEGER, key TEXT, state BLOB NOT NULL, due INTEGER NOT NULL, PRIMARY KEY (partition, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS timers ON subjects (partition, due, key) WHERE due > 0;
"""
ALL_TABLES = ("meta", "heads", "records", "published", "copied", "cursors", "partitions", "subjects")
BOUNDS = """
SELECT coalesce((SELECT min(offset) FROM records WHERE topic=?1 AND partition=?2), next, 0), coalesce(next, 0)
FROM (SELECT (SELECT next_offset FROM heads WHERE topic=?1 AND partition=?2) AS next)
"""
"""A partition's first offset and the next to be written, of one moment: asked one after the other, a log whose first
record comes in between would look trimmed."""
BUSY_MS = 10_000
CACHE_BYTES = 64_000_000
"""Pages that a connection keeps."""
READING_CACHE_BYTES = 4_000_000
"""Of one that reads, or delivers: a process may have many, and what they have read they seldom read again."""


def connect(path: Path, cache_bytes: int = CACHE_BYTES) -> sqlite3.Connection:
    """A connection in autocommit, WAL and `synchronous=FULL`: what is committed survives a power cut. Raises
    sqlite3.Error."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    # What is deleted or replaced is overwritten with zeros: erasing somebody is to leave nothing in the file.
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA wal_autocheckpoint=4000")
    connection.execute(f"PRAGMA cache_size=-{cache_bytes // 1_024}")
    return connection
