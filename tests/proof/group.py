"""Who owns which partition, where each one stands, and how soon others decide for a worker that was killed.

Here lives looking at the consumer group and at the ends of `events`; nothing of what is on it.
"""

import time

from confluent_kafka import Consumer, ConsumerGroupState, KafkaException, TopicPartition

from proof.drain import until
from proof.recompute import EVENTS
from proof.stage import Stage

RECOVERY_SECONDS = 120.0
ASK_SECONDS = 10.0


def measured_recovery(stage: Stage, number: int) -> float:
    """Kill -9 one worker while all else is well; seconds until other workers have decided something new in each of
    its partitions. Raises NotDrained."""
    reader = stage.backend.reader()
    worker = stage.workers[number % len(stage.workers)]
    try:
        until(lambda: _is_calm(stage), "every partition has an owner, and every worker partitions", RECOVERY_SECONDS)
        owned = owners(stage)[worker.pid]
        worker.kill()
        killed = time.monotonic()
        before = {partition: reader.stored(partition)[0] or 0 for partition in owned}
        until(
            lambda: all((reader.stored(p)[0] or 0) > offset for p, offset in before.items()),
            f"partitions {owned} of the killed {worker.name} are decided by others",
            RECOVERY_SECONDS,
        )
        took = round(time.monotonic() - killed, 1)
    finally:
        reader.close()
    worker.start()
    return took


def _is_calm(stage: Stage) -> bool:
    for role in stage.roles:
        if role.noticed_dead():
            role.start()
    owned = owners(stage)
    partitions = sorted(partition for each in owned.values() for partition in each)
    return partitions == list(range(stage.partitions)) and set(owned) == {role.pid for role in stage.workers}


def owners(stage: Stage) -> dict[int, list[int]]:
    """The partitions of each worker, by process id (which is a part of its client id); nothing while nobody says or
    the group is being arranged anew."""
    admin, name = stage.kafka.admin(), f"{stage.prefix}rapport"
    try:
        group = admin.describe_consumer_groups([name], request_timeout=10)[name].result(timeout=15)
    except (KafkaException, TimeoutError):
        return {}
    if group.state != ConsumerGroupState.STABLE:
        return {}
    return {
        int(member.client_id.split("-")[-2]): [each.partition for each in member.assignment.topic_partitions]
        for member in group.members
    }


def standing(stage: Stage) -> str:
    """Where every partition stands: decided and stored up to, last stable offset, end, owner. For whoever asks why
    nothing moves: a last stable offset below the end is a transaction that nobody has ended."""
    reader = stage.backend.reader()
    anyhow = Consumer(
        {"bootstrap.servers": stage.kafka.bootstrap, "group.id": "ends", "isolation.level": "read_uncommitted"}
    )
    owner_of = {number: pid for pid, numbers in owners(stage).items() for number in numbers}
    names = {role.pid: role.name for role in stage.roles if role.running}
    lines = []
    try:
        for number in range(stage.partitions):
            at = TopicPartition(stage.prefix + EVENTS, number)
            end = anyhow.get_watermark_offsets(at, timeout=ASK_SECONDS)[1]
            pid = owner_of.get(number)
            stored, stable = reader.stored(number)[0], reader.end_offset(EVENTS, number)
            owner = names.get(pid or 0, pid)
            lines.append(f"  partition {number}: stored {stored}, stable {stable}, end {end}, owner {owner}")
    except KafkaException as problem:
        lines.append(f"  the ends of the log are unknown: {problem}")
    finally:
        anyhow.close()
        reader.close()
    return "\n".join(lines)
