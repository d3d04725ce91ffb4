"""The schema registry, asked once at the start: every effect schema is registered, and its id learnt.

Speaks the Confluent API (`POST /subjects/{subject}/versions`), subjects by TopicRecordNameStrategy
(`vouchers-rapport.Voucher`), compatibility FULL_TRANSITIVE.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from pipeline.backends.contract import Refused, Unavailable
from pipeline.codec import EFFECTS, schema_text
from pipeline.core.deliveries import DELIVERIES, Delivery
from pipeline.core.effects import TOPIC_OF

_TIMEOUT_SECONDS = 10
_ATTEMPTS = 5
_TYPE = "application/vnd.schemaregistry.v1+json"


INPUT_TOPICS = {"Clickstream": "clickstream", "Purchase": "purchases", "Chat": "chats", "Customer": "clickstream"}
"""Where systems that are on Kafka already write input records, by record type."""


def answers(url: str) -> None:
    """Ask it for anything; nothing is registered. Raises Unavailable if it does not answer."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/subjects", timeout=_TIMEOUT_SECONDS):
            pass
    except (OSError, ValueError) as problem:
        raise Unavailable(f"the schema registry {url} does not answer: {problem}") from problem


def registered_ids(url: str) -> dict[str, int]:
    """Register the schemas of all effects and of the ledger; their ids by record type. Raises Unavailable if the
    registry does not answer, Refused if it takes a schema for incompatible."""
    topics = {**{effect: TOPIC_OF[effect] for effect in EFFECTS}, Delivery: DELIVERIES}
    return {kind.__name__: _register(url, topic, kind.__name__) for kind, topic in topics.items()}


def registered_inputs(url: str) -> dict[int, str]:
    """Register the input schemas on their topics; record types by id. Raises as `registered_ids`."""
    return {_register(url, topic, name): name for name, topic in INPUT_TOPICS.items()}


def schema_of(url: str, number: int) -> str | None:
    """The schema with this id as its text; None: the registry has none. Raises Unavailable."""
    try:
        found = _call(url, "GET", f"schemas/ids/{number}")
    except _NoSuchThing:
        return None
    return str(found["schema"])


class _NoSuchThing(Unavailable):
    """404."""


def _register(url: str, topic: str, name: str) -> int:
    subject = urllib.parse.quote(f"{topic}-rapport.{name}")
    _make_transitive(url, subject)
    return int(_call(url, "POST", f"subjects/{subject}/versions", {"schema": schema_text(name)})["id"])


def _make_transitive(url: str, subject: str) -> None:
    """Roles that start together set the same rule: whoever comes second may be told that it exists already."""
    for attempt in range(_ATTEMPTS):
        try:
            _call(url, "PUT", f"config/{subject}", {"compatibility": "FULL_TRANSITIVE"})
            return
        except Refused:
            if attempt == _ATTEMPTS - 1:
                raise


def _call(url: str, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{url.rstrip('/')}/{path}", data=data, method=method, headers={"Content-Type": _TYPE}
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            decoded: dict[str, Any] = json.load(answer)
            return decoded
    except urllib.error.HTTPError as problem:
        text = problem.read(2_000).decode("utf-8", "replace")
        if problem.code in (409, 422):
            raise Refused(f"the schema registry {url} refuses {path}: {text}") from problem
        kind = _NoSuchThing if problem.code == 404 else Unavailable
        raise kind(f"the schema registry {url} answered {problem.code} to {path}: {text}") from problem
    except (OSError, ValueError) as problem:
        raise Unavailable(f"the schema registry {url} does not answer: {problem}") from problem
