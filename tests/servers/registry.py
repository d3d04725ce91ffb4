"""A real schema registry with Confluent's API. Here lives how it is configured and when it is ready.

Never here: schemas of the product.
"""

from __future__ import annotations

import urllib.error
import urllib.request

from . import artifacts
from .free_port import free_port
from .process import ServerProcess

API = "/apis/ccompat/v7"
HEAP = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
ANSWER_SECONDS = 5.0


class RegistryServer(ServerProcess):
    """A registry with Confluent's API at `url` (append "/subjects"); its data outlive restarts."""

    name = "registry"

    def __init__(self) -> None:
        self._home = artifacts.present(artifacts.registry_home())
        self._java = artifacts.java()
        super().__init__()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{API}"

    def command(self) -> list[str]:
        """Return the registry's command line."""
        (jar,) = self._home.glob(artifacts.REGISTRY_JAR)
        settings = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": str(self.port),
            "quarkus.log.level": "WARN",
            "quarkus.log.console.color": "false",
            "quarkus.http.access-log.enabled": "false",
            'quarkus.log.category."io.apicurio".level': "WARN",
            "apicurio.datasource.url": f"jdbc:h2:file:{self.folder / 'data'}",
        }
        return [self._java, *HEAP, *(f"-D{key}={value}" for key, value in settings.items()), "-jar", str(jar)]

    def is_ready(self) -> bool:
        """Say whether the registry lists its subjects."""
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=ANSWER_SECONDS) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
