"""The way to Redis: one server or a cluster, found out on first use, every error a sentence.

Here lives what is true of every call: timeouts, no retries, which errors pass by and which are bugs. Never here:
a key. Nothing is retried, because a script whose answer was lost may have run: who called reads the offset again.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from pipeline.backends.contract import Fenced, Refused, Unavailable

Value = str | bytes | int
ANSWER_SECONDS = 10.0
CONNECT_SECONDS = 5.0

PASSING = {
    "OOM": "is full (maxmemory): give it more memory; `noeviction` is right, it must not forget customers",
    "READONLY": "is a replica now: a failover is under way, or RAPPORT_STORE names the wrong server",
    "LOADING": "is loading its data",
    "MASTERDOWN": "has lost its master",
    "CLUSTERDOWN": "is a cluster with slots that nobody serves",
    "TRYAGAIN": "is moving slots",
    "BUSY": "is busy with a script",
    "MISCONF": "cannot write to its disk",
    "NOREPLICAS": "has fewer replicas than it was told to wait for",
    "NOAUTH": "wants a password: redis://:password@host:port, or rediss:// for TLS",
    "WRONGPASS": "refuses the password",
    "NOPERM": "does not permit this user the command",
}
"""By the error's first word: what is the matter with the server, and that it may be over the next time."""


class Connection:
    """A client of the server at `url`, made on first use: a server that is down is found out where it matters.
    Raises Refused for an address with options that no client has."""

    def __init__(self, url: str, options: Mapping[str, str] | None = None) -> None:
        """`options`: redis-py's for TLS. Raises ValueError for another kind of address."""
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError(f"{parts.scheme}:// is not a Redis; expected redis://host:port or rediss://host:port")
        self._url = url
        self._options = dict(options or {})
        self.where = parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"
        """For messages: without user and password."""
        self._client: Any = None
        self._scripts: dict[str, Any] = {}
        self._lock = threading.Lock()

    def client(self) -> Any:
        """The redis-py client, plain or of a cluster; use it inside `errors()`. It answers bytes."""
        with self._lock:
            if self._client is None:
                self._client = self._open()
            return self._client

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[Value]) -> Any:
        """Run the Lua `script` atomically. Raises Fenced if it says so, Unavailable."""
        with self.errors():
            client = self.client()
            if script not in self._scripts:
                self._scripts[script] = client.register_script(script)
            return self._scripts[script](keys=keys, args=arguments)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn redis-py's errors into the contract's. An error that is nobody's outage stays what it is."""
        try:
            yield
        except redis.BusyLoadingError as error:  # for redis-py it is a connection that failed
            raise Unavailable(f"Redis at {self.where} {PASSING['LOADING']}") from error
        except redis.AuthenticationError as error:
            raise Unavailable(f"Redis at {self.where} refuses the password: {error}") from error
        except (redis.ConnectionError, redis.TimeoutError, redis.exceptions.RedisClusterException) as error:
            raise Unavailable(self._unanswered(error)) from error
        except redis.ResponseError as error:
            raise self._translated(error) from error

    def close(self) -> None:
        """Close what was opened."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None
                self._scripts = {}

    def _open(self) -> Any:
        settings: dict[str, Any] = {
            "socket_timeout": ANSWER_SECONDS,
            "socket_connect_timeout": CONNECT_SECONDS,
            **self._options,
        }
        single = redis.Redis.from_url(self._url, retry=Retry(NoBackoff(), 0), **settings)
        try:
            clustered = single.info("cluster").get("cluster_enabled")
        except TypeError as error:  # redis-py hands every option of the address on to its connection
            raise Refused(f"Redis at {self.where}: {error}: take that option out of RAPPORT_STORE") from error
        if not clustered:
            return single
        single.close()
        return RedisCluster.from_url(self._url, retry=Retry(NoBackoff(), 0), **settings)

    def _unanswered(self, error: Exception) -> str:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return (
                f"Redis at {self.where} shows a certificate that is not trusted: set RAPPORT_REDIS_SSL_CA_LOCATION to"
                f" the file of its authority ({error})"
            )
        if "ssl" in str(error).lower():
            return (
                f"Redis at {self.where} broke off TLS: does it listen for it there, and want a client certificate"
                f" (RAPPORT_REDIS_SSL_CERTIFICATE_LOCATION)? ({error})"
            )
        return f"Redis at {self.where} does not answer: {error}"

    def _translated(self, error: redis.ResponseError) -> Exception:
        """What the server's refusal means; the error itself if it is a bug of ours."""
        # redis-py cuts the first word off some of the errors that it has classes for.
        text = {redis.OutOfMemoryError: "OOM ", redis.ReadOnlyError: "READONLY "}.get(type(error), "") + str(error)
        word, _, rest = text.partition(" ")
        if word == "FENCED":
            return Fenced(f"another worker moved the stored offset to {rest.split(' script:')[0] or 'nothing'}")
        if word in PASSING:
            return Unavailable(f"Redis at {self.where} {PASSING[word]} ({error})")
        return error
