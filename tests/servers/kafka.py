"""A real Kafka broker: one KRaft node, plaintext. Here lives how it is configured and when it is ready.

Never here: topics of the product, or what is written to them.
"""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from . import artifacts
from .free_port import free_port
from .process import ServerFailedError, ServerProcess

HEAP = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC")
FORMAT_SECONDS = 180.0
ADMIN_SECONDS = 60.0


class KafkaServer(ServerProcess):
    """A broker at `bootstrap` ("127.0.0.1:port") that makes no topic by itself; its data outlive restarts.

    `properties` are further lines of server.properties; they win over the ones of this module.
    """

    name = "kafka"
    java_options: ClassVar[Sequence[str]] = ()

    def __init__(self, properties: Mapping[str, str] | None = None) -> None:
        self._libs = artifacts.present(artifacts.kafka_libs())
        self._java = artifacts.java()
        super().__init__()
        self.port = free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        # Kafka's own form of a UUID; the first letter keeps it from looking like an option to the formatter.
        self.cluster_id = "R" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        self._properties = {**self._defaults(free_port()), **(properties or {})}
        self.format_options: list[str] = []
        """Further words for the formatting of the storage."""
        self._admin: AdminClient | None = None

    def _defaults(self, controller_port: int) -> dict[str, str]:
        """Return server.properties: one node that is everything, and quick about groups and transactions."""
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            "num.partitions": "1",
            "default.replication.factor": "1",
            "min.insync.replicas": "1",
            # Kafka's 50 partitions for each inner topic are 50 files to open at every start.
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
            "group.initial.rebalance.delay.ms": "0",
            # A killed broker that comes back waits for the session of its former self to end: 9 s by default.
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "400",
            # Tests of failing workers need sessions shorter than a broker allows by default (6 s).
            "group.min.session.timeout.ms": "1000",
        }

    def start(self) -> Self:
        """Start it, and forget who knew it before."""
        self._admin = None
        return super().start()

    def prepare(self) -> None:
        """Write server.properties and format the data folder; raise ServerFailedError if Kafka refuses."""
        super().prepare()
        config = self.folder / "server.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in self._properties.items()))
        done = subprocess.run(
            self._run(
                "kafka.tools.StorageTool", "format", "-t", self.cluster_id, "-c", str(config), *self.format_options
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=FORMAT_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise ServerFailedError(f"kafka's storage could not be formatted\n{done.stdout.decode(errors='replace')}")

    def command(self) -> list[str]:
        """Return the broker's command line."""
        return self._run("kafka.Kafka", str(self.folder / "server.properties"))

    def _run(self, main: str, *arguments: str) -> list[str]:
        """Return the command line of one of Kafka's main classes."""
        logging = f"-Dlog4j2.configurationFile={artifacts.KAFKA_SOURCE / 'log4j2.properties'}"
        return [self._java, *HEAP, *self.java_options, logging, "-cp", f"{self._libs}/*", main, *arguments]

    def is_ready(self) -> bool:
        """Say whether the broker answers a metadata request and counts itself among the living."""
        try:
            return bool(self.admin().list_topics(timeout=1.0).brokers)
        except KafkaException:
            return False

    def admin(self) -> AdminClient:
        """Return an admin client of this broker: one for each time it is started. The one of the time before may wait
        for ever for an answer of that broker's (seen in the proof: "Local: Timed out" to every further question)."""
        if self._admin is None:
            self._admin = AdminClient(
                {
                    "bootstrap.servers": self.bootstrap,
                    # It is asked over and over before the broker listens: come back quickly and quietly.
                    "reconnect.backoff.ms": 20,
                    "reconnect.backoff.max.ms": 50,
                    "log_level": 0,
                }
            )
        return self._admin

    def create_topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """Create a topic and return its name when it can be used; raise KafkaException when it exists."""
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=dict(config or {}))
        self.admin().create_topics([topic])[name].result(timeout=ADMIN_SECONDS)
        return name
