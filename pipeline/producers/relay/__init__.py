"""The relay: input records that other systems write to `clickstream`, `purchases` and `chats`, onto `events` once.

`carry` is pure: one record in, one record for `events` or for `dead-letters` out. `kafka` is the only loop there
is: each batch and its offsets in one transaction. Nothing here decides anything about a customer.
"""

TOPICS = ("clickstream", "purchases", "chats")
"""Where other systems write."""

NEEDS_KAFKA = (
    "the relay carries records between Kafka topics, and the embedded log has none that other systems could write:"
    " set RAPPORT_LOG=kafka://host:port, or send to the collector"
)
"""What `rapport relay` says when the log is embedded."""
