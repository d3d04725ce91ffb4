"""The spool: while the log is away, what the collector answered for waits on disk, and leaves in order.

    spool = SpoolingAppender(Disk(folder, …), outlet, Leaving(codec, clock), options, measures, clock)

`frames` is what a record looks like on disk, `disk` the files, `flow` the rules (which record goes where, and when),
`leaving` what happens to a record as it goes out, `appender` the thread. Nothing here knows Kafka: the way to the
log is an `Outlet`.
"""

from pipeline.producers.spool.appender import SpoolingAppender
from pipeline.producers.spool.disk import Disk, InUse, set_aside, waiting_bytes
from pipeline.producers.spool.leaving import Leaving
from pipeline.producers.spool.options import SpoolOptions

__all__ = ["Disk", "InUse", "Leaving", "SpoolOptions", "SpoolingAppender", "set_aside", "waiting_bytes"]
