"""A shop on Kafka and Redis with every role as a process, and a Prometheus that watches it with our own rules.

Here lives starting, feeding, breaking; never an assertion about an alert.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml
from cli.home import Home, Role, ask, until
from servers.free_port import free_port
from servers.kafka import KafkaServer
from servers.prometheus import PrometheusServer
from servers.redis import RedisServer

from pipeline.backends.contract import NewRecord
from pipeline.backends.kafka_redis import KafkaRedis
from pipeline.codec import Codec
from pipeline.core.events import Clickstream, Event

RULES = Path(__file__).resolve().parents[2] / "deploy" / "alerts.yml"
ROLES = ("collect", "serve", "work", "deliver", "relay")
CODEC = Codec()
_SECONDS = {"s": 1, "m": 60, "h": 3600}
HEARTBEAT_SECONDS = 0.5
PATIENCE_SECONDS = 120.0


def scaled(rules: str) -> str:
    """The rules as an operator has them, but quick: what must last is 1 s long, what is looked back over a sixtieth
    as long (10 s at least), an age in seconds a twentieth as large. Everything else is as it is."""
    read = yaml.safe_load(rules)
    for group in read["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = "1s"
            rule["expr"] = re.sub(r"\[(\d+)([smh])\]", lambda found: f"[{_short(found)}]", rule["expr"])
            rule["expr"] = re.sub(r"offset (\d+)([smh])", lambda found: f"offset {_short(found)}", rule["expr"])
            if "_seconds" in rule["expr"] and "alert" in rule:
                rule["expr"] = re.sub(r"> (\d+)$", lambda found: f"> {int(found[1]) / 20:g}", rule["expr"])
    return str(yaml.safe_dump(read))


def _short(found: re.Match[str]) -> str:
    seconds = int(found[1]) * _SECONDS[found[2]]
    return f"{max(10, seconds // 60)}s"


class WatchedShop:
    """Everything runs once `start` returns; `close` stops it all."""

    def __init__(self, folder: Path) -> None:
        self.kafka, self.redis = KafkaServer(), RedisServer(fsync="always")
        self.home = Home(folder)
        self.ports = {role: free_port() for role in ROLES}
        self.prometheus = PrometheusServer(self.ports, scaled(RULES.read_text(encoding="utf-8")))
        self.roles: dict[str, Role] = {}
        self._backend: KafkaRedis | None = None

    def start(self) -> WatchedShop:
        with ThreadPoolExecutor() as at_once:
            list(at_once.map(lambda server: server.start(), (self.kafka, self.redis)))
        self.home.init(
            log=f"kafka://{self.kafka.bootstrap}",
            store=self.redis.url,
            heartbeat_seconds=HEARTBEAT_SECONDS,
        )
        self.roles = {role: self.home.role(role, "--metrics-port", str(port)) for role, port in self.ports.items()}
        self.start_roles(*ROLES)
        self.prometheus.start()
        return self

    def start_roles(self, *roles: str) -> None:
        with ThreadPoolExecutor() as at_once:
            list(at_once.map(lambda role: self.roles[role].start(), roles))

    def close(self) -> None:
        for server in (self.prometheus, *self.roles.values(), self.redis, self.kafka):
            server.close()
        if self._backend is not None:
            self._backend.close()

    @property
    def backend(self) -> KafkaRedis:
        """The shop's log, to write what no client may."""
        if self._backend is None:
            self._backend = KafkaRedis(self.kafka.bootstrap, self.redis.url)
        return self._backend

    def append(self, event: Event | bytes) -> None:
        """The same record to every partition."""
        value = event if isinstance(event, bytes) else CODEC.encode(event)
        appender = self.backend.appender("test")
        appender.append([NewRecord("events", b"", value, partition=number) for number in range(8)])
        appender.close()

    def url(self, role: str) -> str:
        return f"http://127.0.0.1:{self.ports[role]}"

    def click(self) -> None:
        """One page view."""
        view = {"userId": "ben", "event": "Product Viewed"}
        assert ask(self.url("collect"), "POST", "/v1/track", view, self.home.server_key).status == 200

    def feed(self) -> None:
        """Orders that bring a voucher, a page view through the relay, questions to the API."""
        for number in range(5):
            product = {"product_id": "p1", "category": "Tea", "price": 20, "quantity": 1}
            order = {"order_id": f"o{number}", "total": 20, "currency": "EUR", "products": [product]}
            message = {"userId": "ada", "event": "Order Completed", "messageId": f"m{number}", "properties": order}
            assert ask(self.url("collect"), "POST", "/v1/track", message, self.home.server_key).status == 200
        click = Clickstream(message_id="r1", type="track", user_id="ben", occurred_at=1, received_at=1)
        appender = self.backend.appender("test")
        appender.append([NewRecord("clickstream", b"ben", CODEC.encode(click))])
        appender.close()
        until(
            lambda: ask(self.url("serve"), "GET", "/v1/customers/ada", key=self.home.server_key).status == 200,
            PATIENCE_SECONDS,
        )
