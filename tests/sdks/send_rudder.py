"""Sends COUNT events with rudder-sdk-python and prints their messageIds, one a line.

python send_rudder.py HOST WRITE_KEY COUNT PREFIX
"""

import logging
import sys

from rudderstack.analytics.client import Client

host, write_key, count, prefix = sys.argv[1:5]
logging.basicConfig(level=logging.WARNING)
failures: list[Exception] = []
client = Client(
    write_key,
    host=host,
    gzip="plain" not in sys.argv,
    upload_size=15,
    on_error=lambda error, _batch: failures.append(error),
)
for n in range(int(count)):
    properties = {"product_id": "c-01", "n": n, "prefix": prefix}
    queued, message = client.track(None, "Product Viewed", properties, anonymous_id=f"{prefix}-{n}")
    if not queued:
        sys.exit("the client's queue is full")
    print(message["messageId"])
client.flush()
client.join()
sys.exit(f"not sent: {failures}" if failures else 0)
