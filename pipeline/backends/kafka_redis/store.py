"""The store on Redis: each partition's subjects, timers, names, versions and next offset, behind one fence.

Here live the names of keys and what goes in and out of the scripts. Never here: a decision what to store, a
retry (the worker recovers instead). All keys of partition 7 carry the hash tag `{7}`, so that one operation
stays in one slot of a Redis Cluster:

    {prefix}rapport:{7}:offset   next offset          {prefix}rapport:{7}:timers   sorted set: due, name
    {prefix}rapport:{7}:state    partition's state    {prefix}rapport:{7}:names    sorted set of all names
    {prefix}rapport:{7}:rules    versions             {prefix}rapport:{7}:s:u:42   the subject u:42
    {prefix}rapport:{meta}:log   the log it is bound to

A partition under restore has no number in `offset` but a mark, which no worker's fence equals.
"""

from collections.abc import Sequence

from pipeline.backends.contract import Change, Loaded, Refused, Unavailable
from pipeline.backends.kafka_redis import scripts
from pipeline.backends.kafka_redis.connection import Connection, Value
from pipeline.backends.kafka_redis.keeping import check_keeps

RESTORING = b"restoring "


class Keys:
    """The names of one shop's keys. A prefix with braces would move the hash tag: ValueError."""

    def __init__(self, prefix: str) -> None:
        if "{" in prefix or "}" in prefix:
            raise ValueError(f"the prefix {prefix!r} has braces; Redis Cluster would take them for the hash tag")
        self._prefix = prefix
        self.log = f"{prefix}rapport:{{meta}}:log"

    def of(self, partition: int, name: str) -> str:
        """`offset`, `state`, `rules`, `timers` or `names` of a partition."""
        return f"{self._prefix}rapport:{{{partition}}}:{name}"

    def five(self, partition: int) -> list[str]:
        """The keys every script begins with."""
        return [self.of(partition, name) for name in ("offset", "state", "rules", "timers", "names")]

    def subject(self, partition: int, key: str) -> str:
        """Where a subject's state is."""
        return f"{self._prefix}rapport:{{{partition}}}:s:{key}"


class RedisStore:
    """`Store` on Redis. Any thread may use it."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._redis = connection
        self._keys = keys
        self._keeps = False
        """Whether the server was seen to keep what it is given."""

    def identify(self, log_identity: str) -> None:
        """Bind the store to this log, or check; after a FLUSHALL it is bound anew. Raises Refused, also for a
        server that would forget customers; warns of one that keeps nothing."""
        if not self._keeps:
            check_keeps(self._redis)
            self._keeps = True
        with self._redis.errors():
            client = self._redis.client()
            client.set(self._keys.log, log_identity, nx=True)
            found = bytes(client.get(self._keys.log) or b"").decode()
        if found != log_identity:
            raise Refused(
                f"the store at {self._redis.where} belongs to another log.\n  it holds: {found}\n"
                f"  this one: {log_identity}\nPoint RAPPORT_STORE at this log's own store, or RAPPORT_LOG at that"
                " log; or, to start over from what this log still has, empty the store."
            )

    def load(
        self,
        partition: int,
        keys: Sequence[str],
        *,
        timers_until: int | None = None,
        timers_after: tuple[int, str] | None = None,
        timer_limit: int = 1000,
        sweep_after: str | None = None,
        sweep_limit: int = 0,
        with_state: bool = False,
    ) -> Loaded:
        """One script; see the contract. Raises Unavailable, also while a restore is under way."""
        prefix = self._keys.subject(partition, "")
        names = [prefix + key for key in keys]
        after_due, after_key = timers_after or ("", "")
        arguments: list[Value] = [
            int(with_state),
            "" if timers_until is None else timers_until,
            after_due,
            after_key,
            timer_limit,
            sweep_after or "",
            sweep_limit if sweep_after is not None else 0,
        ]
        reply = self._redis.run(scripts.LOAD, self._keys.five(partition) + names, arguments)
        offset, state, rules, timers, swept, subjects = reply
        due = [(int(score), name.decode()) for name, score in zip(timers[0::2], timers[1::2], strict=True)]
        return Loaded(
            offset=stored_offset(offset, partition),
            partition=state,
            rules=rules,
            subjects=dict(zip(keys, subjects, strict=True)),
            timers=due[:timer_limit],
            more_timers=len(due) > timer_limit,
            swept=[name.decode() for name in swept],
        )

    def commit(self, changes: Sequence[Change]) -> None:
        """Each partition by one script whose first act is the fence. Raises Fenced at the first partition that
        refuses; those before it are committed."""
        for change in changes:
            keys, arguments = self._commit_of(change)
            self._redis.run(scripts.COMMIT, keys, arguments)

    def next_timer(self, partition: int) -> int | None:
        """When the earliest is due, epoch ms."""
        with self._redis.errors():
            first = self._redis.client().zrange(self._keys.of(partition, "timers"), 0, 0, withscores=True)
        return int(first[0][1]) if first else None

    def pending_timers(self, partition: int) -> int:
        """How many wait."""
        with self._redis.errors():
            return int(self._redis.client().zcard(self._keys.of(partition, "timers")))

    def wall_ms(self) -> int:
        """The clock of the Redis server, which stands on another host wherever that matters."""
        with self._redis.errors():
            seconds, microseconds = self._redis.client().time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    def close(self) -> None:
        """Let the connections go."""
        self._redis.close()

    def _commit_of(self, change: Change) -> tuple[list[str], list[Value]]:
        """The script's keys and arguments, in its order."""
        here = change.partition
        kept = {key: state for key, state in change.subjects.items() if state is not None}
        gone = {key: state for key, state in change.subjects.items() if state is None}
        # A subject that is written or forgotten without a timer waits for nothing.
        unmoved = change.unmoved
        moved = [key for key in change.subjects if key not in unmoved]
        dues = dict.fromkeys(moved, 0) | {key: due for key, due in change.timers.items() if key not in unmoved}
        named = [key for key in moved if key in kept]
        timed = {key: due for key, due in dues.items() if due and key not in gone}
        untimed = [key for key in dues if key not in timed]
        arguments: list[Value] = [
            "" if change.expected_offset is None else change.expected_offset,
            change.next_offset,
            change.state,
            int(change.rules is not None),
            change.rules or b"",
            len(kept),
            len(named),
            len(gone),
            len(timed),
            len(untimed),
            *kept.values(),
        ]
        for key in named:
            arguments += (0, key)
        arguments += gone
        for key, due in timed.items():
            arguments += (due, key)
        arguments += untimed
        prefix = self._keys.subject(here, "")
        subjects = [prefix + key for key in (*kept, *gone)]
        return self._keys.five(here) + subjects, arguments


def stored_offset(stored: bytes | None, partition: int) -> int | None:
    """The stored text as a number. Raises Unavailable if it is the mark of a restore."""
    if stored is None:
        return None
    if stored.startswith(RESTORING):
        raise Unavailable(
            f"partition {partition} is being restored; if that was broken off, run `rapport restore` again"
        )
    return int(stored)
