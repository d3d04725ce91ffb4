"""Servers behind TLS and passwords: certificates made on the spot, a Kafka with SASL_SSL and SCRAM, a Redis with TLS.

Never here: anything of the product.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from confluent_kafka.admin import AdminClient

from . import artifacts
from .free_port import free_port
from .kafka import KafkaServer

USER, PASSWORD = "rapport", "correct horse"


class Certificates:
    """An authority of our own, and what it signed for 127.0.0.1: `ca`, `certificate` and `key` are files (PEM)."""

    def __init__(self, folder: Path) -> None:
        self.ca, self.certificate, self.key = (folder / name for name in ("ca.pem", "server.pem", "server.key"))
        folder.mkdir(parents=True, exist_ok=True)
        openssl = artifacts.command("openssl", "install OpenSSL (Debian: apt-get install openssl)")

        def run(*words: str) -> None:
            subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)

        new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
        run(*new, "-subj", "/CN=the tests' authority", "-keyout", "ca.key", "-out", "ca.pem")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1")
        own = ("-addext", "basicConstraints=critical,CA:FALSE")
        run(*new, "-subj", "/CN=127.0.0.1", *signed, *own, "-keyout", "server.key", "-out", "server.pem")


class SecureKafkaServer(KafkaServer):
    """A broker that takes SASL_SSL with SCRAM-SHA-512 only: user and password are this module's."""

    def __init__(self, certificates: Certificates) -> None:
        super().__init__()
        self.certificates = certificates
        inner = free_port()
        listeners = f"SASL_SSL://{self.bootstrap},INNER://127.0.0.1:{inner}"
        controller = self._properties["listeners"].partition(",")[2]
        keystore = self.folder / "keystore.pem"
        keystore.write_text(certificates.key.read_text() + certificates.certificate.read_text())
        self._properties |= {
            "listeners": f"{listeners},{controller}",
            "advertised.listeners": listeners,
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "INNER",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(keystore),
        }
        self.format_options = ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"]

    def options(self, **changes: str) -> dict[str, str]:
        """What a client must set, in librdkafka's names."""
        return {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": USER,
            "sasl.password": PASSWORD,
            "ssl.ca.location": str(self.certificates.ca),
            **{name.replace("_", "."): value for name, value in changes.items()},
        }

    def admin(self) -> AdminClient:
        """Return an admin client that has the credentials."""
        if self._admin is None:
            quiet = {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 50, "log_level": 0}
            self._admin = AdminClient({"bootstrap.servers": self.bootstrap, **quiet, **self.options()})
        return self._admin
