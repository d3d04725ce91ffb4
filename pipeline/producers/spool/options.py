"""What a shop can set about its spool. Only data."""

import msgspec


class SpoolOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds, sizes in bytes."""

    limit_bytes: int = 1024**3
    """More is not kept: senders are told to come again."""
    after_seconds: float = 2.0
    """Kafka has so long to confirm; then what waits for it goes to disk."""
    drain_per_second: int = 5_000
    """Records leave the spool at this rate at most."""
    in_flight_bytes: int = 16 * 1024 * 1024
    """So many wait for Kafka's word at once; what comes then waits before it (below the producer's own queue)."""
    batch_records: int = 500
    """Leave the spool together, at most."""
    probe_seconds: float = 30.0
    """While Kafka is away the first record waits for it so long before it is sent by a new producer."""
    retry_seconds: float = 0.25
    retry_max_seconds: float = 5.0
    """Waited after a failure, doubled each time; random, so that collectors do not come all at once."""
