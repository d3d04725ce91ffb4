"""A relay as a process of its own, which can be told to die between producing and committing. Never here: a test.

python -m producers.relay_process BOOTSTRAP PREFIX DIES_AT_COMMIT (0: never)
"""

import os
import signal
import sys
import threading
import time
from typing import Any

from confluent_kafka import Producer

from pipeline.codec import Codec, local_ids
from pipeline.producers.relay.carry import Carrier
from pipeline.producers.relay.kafka import KafkaRelay


class DyingProducer(Producer):
    """Everything is at the broker, nothing is committed: the worst moment to die."""

    commits_left = 0

    def commit_transaction(self, *args: Any) -> None:
        self.flush()
        type(self).commits_left -= 1
        if type(self).commits_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        super().commit_transaction(*args)


def main(bootstrap: str, prefix: str, dies_at_commit: str) -> None:
    DyingProducer.commits_left = int(dies_at_commit)
    names = {number: name for name, number in local_ids().items()}
    relay = KafkaRelay(
        bootstrap,
        Carrier(Codec(), names.get, "relay@test"),
        lambda: int(time.time() * 1000),
        prefix=prefix,
        options={"session.timeout.ms": "2000", "heartbeat.interval.ms": "300"},
        make_producer=DyingProducer,
    )
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    relay.run(stop.wait, failed=lambda reason: print(reason, file=sys.stderr, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:4])
