"""A real Redis, alone or as a cluster of one. Here lives how it is configured and when it is ready.

Never here: keys or scripts of the product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from . import artifacts
from .free_port import free_port
from .process import ServerProcess

if TYPE_CHECKING:
    from .secure import Certificates

Fsync = Literal["always", "everysec", "no"]
LAST_SLOT = 16_383
ANSWER_SECONDS = 5.0


class RedisServer(ServerProcess):
    """A Redis at `url` ("redis://127.0.0.1:port/0") that evicts nothing.

    appendonly: keep every write in a file, which a restart reads again; without it a restart begins empty.
    fsync: when that file is forced to disk. A killed process loses nothing with "always"; with "everysec"
        what was written while a sync was running.
    tls: take connections with TLS only, and from clients with a certificate of the same authority only.
    options: further words of the command line; they win.
    cluster: answer as a Redis Cluster of one node that owns all slots, so that a command over keys of
        different slots fails as it would in production.
    """

    name = "redis"

    def __init__(
        self,
        *,
        appendonly: bool = True,
        fsync: Fsync = "everysec",
        cluster: bool = False,
        tls: Certificates | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self._binary = artifacts.redis_server()
        super().__init__()
        self.port = free_port()
        self.url = f"{'rediss' if tls else 'redis'}://127.0.0.1:{self.port}/0"
        self.cluster = cluster
        self._appendonly = appendonly
        self._fsync = fsync
        self._options = list(options)
        self._tls = tls
        self._bus_port = free_port() if cluster else None
        self._probe = self.client()

    def command(self) -> list[str]:
        """Return the server's command line; no file of the machine is read."""
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.folder),
            "daemonize": "no",
            # Snapshots are made when a test asks for one, never by the clock.
            "save": "",
            "appendonly": "yes" if self._appendonly else "no",
            "appendfsync": self._fsync,
            "maxmemory-policy": "noeviction",
        }
        if self._tls is not None:
            certificates = {"ca-cert": self._tls.ca, "cert": self._tls.certificate, "key": self._tls.key}
            options |= {f"tls-{name}-file": str(file) for name, file in certificates.items()}
            options |= {"port": "0", "tls-port": str(self.port), "tls-auth-clients": "yes"}
        if self._bus_port is not None:
            options |= {"cluster-enabled": "yes", "cluster-port": str(self._bus_port)}
        words = (word for key, value in options.items() for word in (f"--{key}", value))
        return [self._binary, *words, *self._options]

    def client(self, seconds: float = ANSWER_SECONDS) -> redis.Redis:
        """Return a client that answers bytes, waits at most `seconds` and never retries; close it."""
        tls: dict[str, Any] = {}
        if self._tls is not None:
            files = {
                "ssl_ca_certs": self._tls.ca,
                "ssl_certfile": self._tls.certificate,
                "ssl_keyfile": self._tls.key,
            }
            tls = {"ssl": True, **{name: str(file) for name, file in files.items()}}
        return redis.Redis(
            host="127.0.0.1", port=self.port, socket_timeout=seconds, retry=Retry(NoBackoff(), 0), **tls
        )

    def is_ready(self) -> bool:
        """Say whether commands are answered: the file is read and, in a cluster, all slots are served."""
        try:
            return bool(self._probe.ping()) and self._serves_all_slots()
        except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError):
            return False

    def _serves_all_slots(self) -> bool:
        """Take all slots if they are nobody's yet; say whether the cluster is complete."""
        if not self.cluster:
            return True
        state: dict[str, str] = self._probe.cluster("INFO")
        if state["cluster_slots_assigned"] == "0":
            self._probe.cluster("ADDSLOTSRANGE", 0, LAST_SLOT)
        return state["cluster_state"] == "ok"

    def close(self) -> None:
        """Stop the server, delete its folder, close the client that asked whether it was ready."""
        self._probe.close()
        super().close()
