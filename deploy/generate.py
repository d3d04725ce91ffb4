"""Writes `deploy/asyncapi.yaml` from `schemas/` and `deploy/topics.toml`: python deploy/generate.py [--check].

Which topics there are, which way they flow and what stands on them is read from the code and the schemas; only what
no code says (a sentence about each channel) stands here.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

from pipeline import __version__
from pipeline.codec import CONTROLS, EFFECTS, INPUTS, INTERNALS, LEDGER, schema_text
from pipeline.core.deliveries import DELIVERIES
from pipeline.core.effects import TOPIC_OF, DeadLetter, Erasure
from pipeline.producers.relay.carry import ACCEPTED

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "deploy" / "asyncapi.yaml"
AVRO = "application/vnd.apache.avro;version=1.9.0"
KAFKA_BINDING = "0.5.0"
DAY_MS = 86_400_000
HEAD = "# Made by deploy/generate.py from schemas/ and deploy/topics.toml: do not edit.\n"

ABOUT = {
    "events": "Everything that has happened, by subject. Rapport's own: read it, but write to the relay's topics.",
    "vouchers": "Vouchers to deliver, and those to be withheld. Act on each `id` once, and not after `not_after`.",
    "chat-prompts": "Visitors to be asked, now, whether they need help.",
    "conversations": "What was said in live chats, opened and closed: for desk, page and other chat tools.",
    "messages": "Messages to send, each by one channel: e-mail, push, the site or the webhook.",
    "tasks": "What people of the shop are to do (mailshot, call, visit), and what came of it.",
    "loyalty": "Every line of a customer's statement of points, and every change of their tier.",
    "deliveries": "The ledger of `rapport deliver`: each step of each delivery. Never read in order to act.",
    "decisions": "Every answer of every campaign, taken or refused, with its reason, when the answer changes.",
    "dead-letters": "What could not be processed: topic, partition, offset, reason and the original bytes.",
    "erasures": "Who was erased, as salted hashes; the latest entry of each key counts. Every reader applies it.",
    "clickstream": "For systems that are on Kafka already: what visitors do, and what they say of themselves.",
    "purchases": "For systems that are on Kafka already: orders, refunds, cancellations.",
    "chats": "For systems that are on Kafka already: live chat.",
}
CE_HEADERS = {
    "ce_specversion": "1.0 (CloudEvents, binary mode).",
    "ce_id": "The effect's id: deterministic, the key for doing it once.",
    "ce_type": "`rapport.` and the record type.",
    "ce_source": "rapport",
    "ce_time": "When it was decided, in log time (RFC 3339, UTC).",
}


def document() -> dict[str, Any]:
    """The whole AsyncAPI 3 document."""
    topics = tomllib.loads((ROOT / "deploy" / "topics.toml").read_text(encoding="utf-8"))
    on_topic = records_by_topic()
    missing = set(topics["topics"]) ^ set(on_topic)
    if missing:
        raise SystemExit(
            f"deploy/generate.py: {missing} must be in deploy/topics.toml, in ABOUT and in the code alike"
        )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Rapport on Kafka",
            "version": __version__,
            "description": "What Rapport reads and writes. Keys are subject keys (u:ID a person, a:ID a browser,"
            " v:CODE a voucher). Values are Avro in Confluent's wire format: byte 0, a 4-byte schema id"
            " (schemas/ids.toml, or the registry's where one is set), the body. Read them with"
            " isolation.level=read_committed.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/vnd.apache.avro",
        "servers": {"kafka": {"host": "localhost:9092", "protocol": "kafka", "description": "RAPPORT_LOG"}},
        "channels": {topic: channel(topic, topics, on_topic[topic]) for topic in topics["topics"]},
        "operations": operations(on_topic),
        "components": {
            "messages": {kind.__name__: message(kind) for kind in (*INPUTS, *INTERNALS, *CONTROLS, *EFFECTS, *LEDGER)}
        },
    }


def records_by_topic() -> dict[str, tuple[type, ...]]:
    """What each topic may hold, as the code has it; in the order of `ABOUT`."""
    on_topic: dict[str, tuple[type, ...]] = {
        "events": (*INPUTS, *INTERNALS, *CONTROLS),
        **ACCEPTED,
        DELIVERIES: LEDGER,
    }
    for kind in EFFECTS:
        on_topic[TOPIC_OF[kind]] = (*on_topic.get(TOPIC_OF[kind], ()), kind)
    return {topic: on_topic[topic] for topic in ABOUT}


def channel(topic: str, topics: dict[str, Any], kinds: tuple[type, ...]) -> dict[str, Any]:
    """One topic."""
    settings = topics["topics"][topic]
    return {
        "address": topic,
        "description": ABOUT[topic],
        "messages": {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in kinds},
        "bindings": {
            "kafka": {
                "topic": topic,
                "partitions": settings["partitions"],
                "replicas": topics["replication_factor"],
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": settings["retention_days"] * DAY_MS,
                },
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }


def message(kind: type) -> dict[str, Any]:
    """One record type."""
    schema = json.loads(schema_text(kind.__name__))
    described: dict[str, Any] = {
        "name": f"rapport.{kind.__name__}",
        "summary": schema["doc"],
        "contentType": "application/vnd.apache.avro",
        "payload": {"schemaFormat": AVRO, "schema": {"$ref": f"../schemas/{kind.__name__}.avsc"}},
        "bindings": {"kafka": message_binding(kind)},
    }
    if kind in EFFECTS:
        described["headers"] = {
            "type": "object",
            "properties": {name: {"type": "string", "description": text} for name, text in CE_HEADERS.items()},
        }
    return described


def message_binding(kind: type) -> dict[str, Any]:
    """How a record stands on Kafka."""
    keys = "Empty: it concerns a whole partition." if kind in CONTROLS else "The subject's key: u:ID, a:ID or v:CODE."
    if kind is DeadLetter:
        keys = "The key the record had."
    if kind is Erasure:
        keys = "The salted hash of the subject's key, in hexadecimal digits."
    return {
        "key": {"type": "string", "description": keys},
        "schemaIdLocation": "payload",
        "schemaIdPayloadEncoding": "confluent",
        "bindingVersion": KAFKA_BINDING,
    }


def operations(on_topic: dict[str, tuple[type, ...]]) -> dict[str, Any]:
    """What Rapport does with each topic."""
    made: dict[str, Any] = {}
    for topic in on_topic:
        reads = topic == "events" or topic in ACCEPTED
        for action in ("receive",) * reads + ("send",) * (topic not in ACCEPTED):
            name = f"{action}{''.join(part.title() for part in topic.split('-'))}"
            made[name] = {"action": action, "channel": {"$ref": f"#/channels/{topic}"}}
    return made


def main() -> None:
    """Write the file, or with --check say whether it is as it would be written."""
    text = HEAD + yaml.safe_dump(document(), sort_keys=False, width=110, allow_unicode=True)
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != text:
        sys.exit(f"{TARGET.relative_to(ROOT)} is not what the schemas say: run `python deploy/generate.py`")


if __name__ == "__main__":
    main()
