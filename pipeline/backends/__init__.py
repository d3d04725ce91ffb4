"""The commit contract: what a backend (a log and a store) promises, and the one order in which a batch commits.

A backend is a log and a store behind the Protocols of `pipeline.backends.contract`; everything else is written
once against them. `tests/contract` runs one suite against every backend.

**The commit of one batch, and never otherwise.** The worker stands at offset n of each partition it owns.

1. `WorkerLog.poll`: records, and the token (group metadata) of that very poll. A poll that brought a change of
   assignment brings no records: the whole polled batch is thrown away.
2. Decode. What cannot be decoded becomes a dead letter, and the partition goes on.
3. `Store.load`: subjects and due timers that are not cached, together with the stored offset, in one atomic read.
   If that offset is not the one this worker committed last (or is committing), forget everything of it and recover,
   before stepping: publishing comes before the fence, so effects computed from a store that moved would go out.
4. Step: clock, the subject's own due timers, the event, other due timers. What cannot be stepped (numbers beyond
   `pipeline.core.bounds`, a step that raises, an output too large for a record) leaves its subject as it was and
   becomes a dead letter too: it would stop every later run over this log at the same place.
5. `WorkerLog.publish`: all effects and the input offsets in one transaction, opened only now.
6. `Store.commit`: subjects, timers and the next offset in one atomic write whose first act is the fence: it
   refuses (`Fenced`) unless the stored offset is the one this batch started from.
7. The next batch. On Kafka and Redis a thread of its own does 5 and 6 while the worker polls, loads and steps the
   next one, on top of what it has in memory: at most one batch is under way, its subjects stay in memory until it is
   stored, and nothing is published on top of it before that. If it comes to nothing, so does what was stepped since.

What the log will not take (`RecordsRefused`: the dead letters' topic is gone, say) stops the partition whose record
led to it, and no other, until it is taken: to go on without it would be to lose it.

Embedded, 5 and 6 are one SQLite transaction: `publish` opens it and `commit` ends it.

**Recovery.** The store knows offset Y (state applied), the log knows offset X (effects published). A new owner
starts at Y and steps through Y..X with effects withheld: the core is deterministic and they are out already.
Neither X nor Y and a log that starts at 0: new. X without Y: offset 0 if the log still has it, else refuse.
Y without X, Y > X, another cluster or topic, another partition count, a log trimmed past Y: refuse, naming the
way out. `WorkerLog.published` reads X with the group's own read_committed consumer, which waits for open
transactions. Any failed or unknown commit means full recovery of the partitions: `WorkerLog.reset`, then X and Y
are read again.
"""
