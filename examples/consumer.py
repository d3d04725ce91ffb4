"""Acts on vouchers and chat prompts as they come, each once: python consumer.py BOOTSTRAP [PREFIX]."""

import io
import json
import sqlite3
import sys
import tomllib
from pathlib import Path

import fastavro
from confluent_kafka import Consumer

bootstrap, prefix = sys.argv[1], "".join(sys.argv[2:])
folder = Path(__file__).parents[1] / "schemas"
ids = tomllib.loads((folder / "ids.toml").read_text())["ids"]
schemas = {ids[name]: fastavro.schema.load_schema(folder / f"{name}.avsc") for name in ids}
done = sqlite3.connect("consumer-done.sqlite")
done.execute("create table if not exists done (id text primary key)")
options = {"isolation.level": "read_committed", "auto.offset.reset": "earliest", "enable.auto.commit": False}
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"{prefix}example", **options})
consumer.subscribe([f"{prefix}vouchers", f"{prefix}chat-prompts"])
while True:
    if (message := consumer.poll(1.0)) is None or message.error():
        continue
    schema = schemas[int.from_bytes(message.value()[1:5])]  # byte 0, four bytes of schema id, the Avro body
    record = fastavro.schemaless_reader(io.BytesIO(message.value()[5:]), schema, None)
    with done:  # a revocation bears its voucher's id, so the type belongs to the key
        if done.execute("insert or ignore into done values (?)", [f"{schema['name']} {record['id']}"]).rowcount:
            print(schema["name"], json.dumps(record, default=str), flush=True)  # act here, handing the id on
    consumer.commit(message)
