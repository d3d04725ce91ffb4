"""`docker-compose.yml` is well-formed, agrees with the files it names, and each role's command line really runs."""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import jsonschema
import pytest
import yaml
from cli.home import NO_POLICY
from servers.free_port import free_port
from servers.kafka import KafkaServer
from servers.redis import RedisServer
from servers.registry import RegistryServer

ROOT = Path(__file__).resolve().parents[2]
RAPPORT = [sys.executable, "-m", "pipeline"]
ROLES = ("collect", "serve", "work", "deliver", "relay")
PORTS = {"collect": 8080, "serve": 8081, "work": 9101, "deliver": 9102, "relay": 9103}
SECRETS = ("RAPPORT_WRITE_KEY", "RAPPORT_SERVER_KEY", "RAPPORT_IDENTITY_SECRET", "RAPPORT_CODE_SECRET")
START_SECONDS = 180.0
POLL_SECONDS = 0.05


def compose() -> dict[str, Any]:
    """The file, its anchors resolved."""
    read: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return read


COMPOSE = compose()
SERVICES: dict[str, Any] = COMPOSE["services"]


# The file.


def test_it_is_what_the_compose_specification_allows() -> None:
    schema = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(COMPOSE, json.loads(schema.read_text(encoding="utf-8")))


def test_it_has_every_role_and_what_roles_need() -> None:
    assert set(SERVICES) == {*ROLES, "kafka", "redis", "registry", "prometheus", "grafana"}
    assert SERVICES["work"]["deploy"]["replicas"] == 2


def test_roles_run_from_our_image_with_their_own_command_and_port() -> None:
    for role in ROLES:
        assert SERVICES[role]["build"]["dockerfile"] == "deploy/Dockerfile"
        assert SERVICES[role]["command"] == [role, "--metrics-port", str(PORTS[role])]


def test_no_secret_has_a_default() -> None:
    for role in ROLES:
        for secret in SECRETS:
            assert SERVICES[role]["environment"][secret].startswith(f"${{{secret}:?")


def test_redis_evicts_nothing_and_keeps_what_it_has() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--maxmemory-policy noeviction" in command
    assert "--appendonly yes" in command


def test_the_servers_are_those_the_tests_run() -> None:
    versions = {
        "kafka": re.search(r"<version>(4\.[^<]+)</version>", (ROOT / "deploy/kafka/pom.xml").read_text()),
        "registry": re.search(
            r"<version>(\d+\.[^<]+)</version>", (ROOT / "deploy/kafka/registry/pom.xml").read_text()
        ),
    }
    for service, found in versions.items():
        assert found is not None
        assert SERVICES[service]["image"].endswith(f":{found[1]}")


def test_every_file_it_mounts_is_there() -> None:
    mounts = [v.split(":")[0] for service in SERVICES.values() for v in service.get("volumes", [])]
    assert [m for m in mounts if m.startswith(".") and not (ROOT / m).exists()] == []
    assert {m for m in mounts if not m.startswith(".")} == set(COMPOSE["volumes"])


def test_prometheus_scrapes_every_role_where_it_listens() -> None:
    jobs = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    scraped = {found["names"][0]: found["port"] for job in jobs for found in job["dns_sd_configs"]}
    assert scraped == PORTS


def test_the_image_is_built_from_files_that_are_there_by_nobody_in_particular() -> None:
    lines = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    sources = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored, f".dockerignore keeps {source} out"
    assert "USER rapport" in lines
    assert any("--require-hashes" in line for line in lines)


# The roles, really started.


def environment(
    kafka: KafkaServer, redis_server: RedisServer, registry: RegistryServer, prefix: str
) -> dict[str, str]:
    """What a role of the file has in its environment, on the servers of this test."""
    given: dict[str, str] = dict(SERVICES["work"]["environment"])
    addresses = {
        "RAPPORT_LOG": f"kafka://{kafka.bootstrap}",
        "RAPPORT_STORE": redis_server.url,
        "SCHEMA_REGISTRY_URL": registry.url,
        "RAPPORT_HOST": "127.0.0.1",
    }
    assert set(given) == {*addresses, *SECRETS}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}
    secrets = {name: f"{name.lower()}-for-a-test-only-0123456789" for name in SECRETS}
    return inherited | addresses | secrets | {"RAPPORT_PREFIX": prefix, "RAPPORT_CAMPAIGNS": str(ROOT / "campaigns")}


class Role:
    """One role as the file starts it, but for its port."""

    def __init__(self, name: str, command: list[str], env: dict[str, str], folder: Path) -> None:
        self.name, self.port = name, free_port()
        self._log = folder / f"{name}-{self.port}.log"
        arguments = [str(self.port) if word == str(PORTS[name]) else word for word in command]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen([*RAPPORT, *arguments], cwd=folder, env=env, stdout=log, stderr=log)

    def get(self, path: str, key: str = "") -> tuple[int, bytes]:
        """(status, body); 0: it does not answer."""
        return self._ask(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=_basic(key)))

    def post(self, path: str, body: dict[str, Any], key: str) -> tuple[int, bytes]:
        """The same, with a body of JSON."""
        headers = {"Content-Type": "application/json", **_basic(key)}
        url = f"http://127.0.0.1:{self.port}{path}"
        return self._ask(urllib.request.Request(url, json.dumps(body).encode(), headers))

    @staticmethod
    def _ask(request: urllib.request.Request) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read()
        except HTTPError as problem:
            return problem.code, problem.read()
        except (URLError, ConnectionError, TimeoutError):
            return 0, b""

    def until(self, path: str, key: str = "") -> bytes:
        """The body of the first 200; fails with the role's output when it ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            status, body = self.get(path, key)
            if status == 200:
                return body
            assert self.process.poll() is None, f"ended: {self.output()}"
            assert time.monotonic() < deadline, f"{path}: {status} {body!r}\n{self.output()}"
            time.sleep(POLL_SECONDS)

    def output(self) -> str:
        """What it has said so far, under its name."""
        return f"--- {self.name}\n{self._log.read_text(encoding='utf-8')}"

    def end(self) -> int:
        """Ask it to end, as `docker stop` does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def _basic(key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()} if key else {}


@contextmanager
def started(name: str, env: dict[str, str], folder: Path) -> Iterator[Role]:
    """A role, ended by its own pid whatever happens."""
    role = Role(name, SERVICES[name]["command"], env, folder)
    try:
        yield role
    finally:
        if role.process.poll() is None:
            role.process.kill()
            role.process.wait()


@pytest.mark.parametrize("role", ROLES)
def test_the_command_line_of_a_role_is_understood(role: str) -> None:
    done = subprocess.run(
        [*RAPPORT, *SERVICES[role]["command"], "--help"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"--metrics-port" in done.stdout


ORDERS = 5
"""Every fifth order brings a voucher: campaigns/thanks-regulars.toml."""


def order(number: int) -> dict[str, Any]:
    """An order of a customer's, as a shop's server reports it."""
    product = {"product_id": "p1", "category": "Tea", "price": 20.00, "quantity": 1}
    properties = {"order_id": f"o{number}", "total": 20.00, "currency": "EUR", "products": [product]}
    return {"userId": "ada", "event": "Order Completed", "messageId": f"m{number}", "properties": properties}


@pytest.mark.parametrize("with_registry", [False, True], ids=["ids of schemas/", "ids of a registry"])
def test_all_roles_run_together_and_an_order_becomes_a_voucher_in_the_outbox(
    kafka: KafkaServer,
    redis_server: RedisServer,
    registry: RegistryServer,
    prefix: str,
    tmp_path: Path,
    with_registry: bool,
) -> None:
    campaigns = shutil.copytree(ROOT / "campaigns", tmp_path / "campaigns")
    (campaigns / "policy.toml").write_text(NO_POLICY)
    env = environment(kafka, redis_server, registry, prefix) | {"RAPPORT_CAMPAIGNS": str(campaigns)}
    if not with_registry:
        del env["SCHEMA_REGISTRY_URL"]
    with ExitStack() as stack:
        roles = [
            stack.enter_context(started(name, env, tmp_path))
            for name in ROLES
            for _ in range(SERVICES[name].get("deploy", {}).get("replicas", 1))
        ]
        for role in roles:
            assert json.loads(role.until("/healthz")) == {"status": "alive"}
            assert json.loads(role.until("/readyz")) == {"status": "ready"}
            assert b"rapport_build_info" in role.until("/metrics")
        collect, serve, server_key = roles[0], roles[1], env["RAPPORT_SERVER_KEY"]
        for number in range(ORDERS):
            status, body = collect.post("/v1/track", order(number), server_key)
            assert (status, json.loads(body)["success"]) == (200, True)
        code = delivered(tmp_path / "rapport-data" / "outbox", roles)["code"]
        assert json.loads(serve.until(f"/v1/vouchers/{code}", server_key))
        assert json.loads(serve.until("/v1/customers/u:ada", server_key))
        assert [role.end() for role in roles] == [0] * len(roles)


def delivered(outbox: Path, roles: list[Role]) -> dict[str, Any]:
    """The first thing `deliver` wrote to its folder."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        for file in outbox.rglob("*.json"):
            content = json.loads(file.read_text(encoding="utf-8"))
            if "code" in content:
                found: dict[str, Any] = content
                return found
        for role in roles:
            assert role.process.poll() is None, role.output()
        assert time.monotonic() < deadline, "\n".join(role.output() for role in roles)
        time.sleep(POLL_SECONDS)
