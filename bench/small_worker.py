"""One process: Rapport's worker as `rapport work` makes it, with the small profile in the place of the core.

python -m bench.small_worker KAFKA REDIS_URL PREFIX
"""

import signal
import sys
import threading
from types import FrameType

from bench import small_profile
from pipeline.app import collect_garbage_rarely, source, wall_ms
from pipeline.backends.kafka_redis import KafkaRedis
from pipeline.codec import Codec
from pipeline.observe import WorkerMeasures, new_registry
from pipeline.processors.committing import InThread
from pipeline.processors.worker import Worker, WorkerOptions


def main() -> None:
    """Until SIGTERM."""
    bootstrap, redis_url, prefix = sys.argv[1:]
    stop = threading.Event()

    def handler(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handler)
    backend = KafkaRedis(bootstrap, redis_url, prefix=prefix)
    collect_garbage_rarely()
    options = WorkerOptions(code_secret=b"the bench's", source=source("work"))
    measures = WorkerMeasures(new_registry())
    worker = Worker(
        *backend.worker(),
        Codec(),
        options,
        wall_ms,
        measures,
        backend.log_identity,
        core=small_profile,
        committing=InThread(),
    )
    try:
        worker.run(stop)
    finally:
        worker.close()
        backend.close()


if __name__ == "__main__":
    main()
