"""Kafka behind SASL and TLS, Redis behind TLS with client certificates: every client gets through with the settings,
and wrong ones are named in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli.home import Home
from confluent_kafka import Producer
from servers.redis import RedisServer
from servers.secure import PASSWORD, USER, Certificates, SecureKafkaServer

from faults.rig import CODEC, NOON, Rig, until
from pipeline.app import open_backend
from pipeline.backends.contract import Unavailable
from pipeline.core.events import Clickstream
from pipeline.producers.relay.carry import Carrier
from pipeline.producers.relay.kafka import KafkaRelay
from pipeline.settings import load


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secure_kafka(certificates: Certificates) -> Iterator[SecureKafkaServer]:
    with SecureKafkaServer(certificates) as server:
        yield server


@pytest.fixture(scope="module")
def secure_redis(certificates: Certificates) -> Iterator[RedisServer]:
    with RedisServer(tls=certificates) as server:
        yield server


def tls_of(certificates: Certificates) -> dict[str, str]:
    """redis-py's options."""
    files = {
        "ssl_ca_certs": certificates.ca,
        "ssl_certfile": certificates.certificate,
        "ssl_keyfile": certificates.key,
    }
    return {name: str(file) for name, file in files.items()}


@pytest.fixture
def open_secured(
    secure_kafka: SecureKafkaServer,
    secure_redis: RedisServer,
    certificates: Certificates,
    prefix: str,
    tmp_path: Path,
) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def opened(**changes: object) -> Rig:
        usual = {"kafka_options": secure_kafka.options(), "redis_options": tls_of(certificates)}
        rigs.append(Rig(secure_kafka.bootstrap, secure_redis.url, prefix, tmp_path, **{**usual, **changes}))
        return rigs[-1]

    yield opened
    for rig in rigs:
        rig.close()


def test_worker_collector_and_readers_get_through(open_secured: Callable[..., Rig]) -> None:
    rig = open_secured()
    with rig.working():
        rig.feed(10)
        until("all is decided", rig.is_decided)
    rig.assert_decided_once()


def test_the_relay_gets_through(secure_kafka: SecureKafkaServer, prefix: str) -> None:
    for topic in ("clickstream", "purchases", "chats", "events", "dead-letters"):
        secure_kafka.create_topic(prefix + topic)
    event = Clickstream(message_id="m", type="track", user_id="u", occurred_at=NOON, received_at=0)
    producer = Producer({"bootstrap.servers": secure_kafka.bootstrap, **secure_kafka.options()})
    producer.produce(f"{prefix}clickstream", CODEC.encode(event))
    assert producer.flush() == 0
    carrier = Carrier(CODEC, {1380000001: "Clickstream"}.get, "relay@test")
    relay = KafkaRelay(secure_kafka.bootstrap, carrier, lambda: NOON, prefix=prefix, options=secure_kafka.options())
    carried: list[int] = []
    relay.run(lambda _: sum(carried) == 1, lambda done: carried.append(done.events))


def environment(kafka: SecureKafkaServer, redis: RedisServer, certificates: Certificates) -> dict[str, str]:
    """The settings as an operator gives them."""
    return {
        "RAPPORT_LOG": f"kafka://{kafka.bootstrap}",
        "RAPPORT_STORE": redis.url,
        "RAPPORT_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "RAPPORT_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "RAPPORT_KAFKA_SASL_USERNAME": USER,
        "RAPPORT_KAFKA_SASL_PASSWORD": PASSWORD,
        "RAPPORT_KAFKA_SSL_CA_LOCATION": str(certificates.ca),
        "RAPPORT_REDIS_SSL_CA_LOCATION": str(certificates.ca),
        "RAPPORT_REDIS_SSL_CERTIFICATE_LOCATION": str(certificates.certificate),
        "RAPPORT_REDIS_SSL_KEY_LOCATION": str(certificates.key),
    }


def test_the_settings_reach_the_clients(
    secure_kafka: SecureKafkaServer,
    secure_redis: RedisServer,
    certificates: Certificates,
    prefix: str,
    tmp_path: Path,
) -> None:
    home = Home(tmp_path).init()
    given = {**environment(secure_kafka, secure_redis, certificates), "RAPPORT_PREFIX": prefix}
    backend = open_backend(load(given))
    backend.ensure_topics()
    backend.close()
    published = home.run("campaigns", "publish", environment=given)
    assert published.code == 0, published.err
    shown = home.run("log", "events", "--json", "--all", environment=given)
    assert (shown.code, "CampaignsChanged" in shown.out) == (0, True), shown.err
    wrong = {**given, "RAPPORT_KAFKA_SASL_PASSWORD": "wrong"}
    said = home.run("doctor", environment=wrong)
    assert said.code == 1
    assert "refuses the credentials" in " ".join(said.err.split())
    assert PASSWORD not in said.err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sasl_password": "wrong"}, r"refuses the credentials \(.*\): look at RAPPORT_KAFKA_SASL_USERNAME, "),
        ({"sasl_username": "nobody"}, r"refuses the credentials \(.*\): look at RAPPORT_KAFKA_SASL_USERNAME, "),
        ({"ssl_ca_location": ""}, r"do not agree on TLS \(.*\): look at RAPPORT_KAFKA_SSL_CA_LOCATION and"),
    ],
)
def test_what_kafka_does_not_like_is_named(
    changes: dict[str, str], words: str, secure_kafka: SecureKafkaServer, open_secured: Callable[..., Rig]
) -> None:
    with pytest.raises(Unavailable, match=words) as refusal:
        open_secured(kafka_options=secure_kafka.options(**changes))
    assert "\n" not in str(refusal.value)


def test_what_redis_does_not_like_is_named(
    certificates: Certificates, secure_redis: RedisServer, open_secured: Callable[..., Rig]
) -> None:
    def said(**options: str) -> str:
        _, store = open_secured(redis_options=options).backend.worker()
        with pytest.raises(Unavailable) as refusal:
            store.identify("the log")
        store.close()
        return str(refusal.value)

    untrusted = said()
    assert untrusted.startswith(
        f"Redis at 127.0.0.1:{secure_redis.port} shows a certificate that is not trusted: set"
        " RAPPORT_REDIS_SSL_CA_LOCATION to the file of its authority"
    )
    nameless = said(ssl_ca_certs=str(certificates.ca))
    # How the server hangs up on who has no certificate is a race of sockets: the place is said in any case.
    assert nameless.startswith(f"Redis at 127.0.0.1:{secure_redis.port} ")
