"""Who may log in at the desk: a TOML file of agents with their passwords' scrypt hashes (RFC 7914).

A password is never kept and never shown; nobody can tell from an answer or its time whether a log-in name exists.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import msgspec

COST, BLOCK, PARALLEL = 2**15, 8, 1
"""OWASP's choice of scrypt's N, r and p for 32 MiB."""
MEMORY_BYTES = 128 * COST * BLOCK * 2
SALT_BYTES = 16
HASH_BYTES = 32
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200
LOG_IN = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_HASH = re.compile(r"scrypt\$(\d{1,7})\$(\d{1,2})\$(\d{1,2})\$([\w-]+)\$([\w-]+)", re.ASCII)


class BadAgents(ValueError):
    """The file is not one of agents; the text says where and why."""


class Agent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One agent."""

    name: str
    """As visitors see it."""
    password: str
    """Its hash, as `hashed` makes it."""


def hashed(password: str, salt: bytes | None = None) -> str:
    """`scrypt$N$r$p$salt$hash`, the last two in base64url. Raises ValueError for a password of a bad length."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise ValueError(
            f"a password of {len(password)} characters: expected {SHORTEST_PASSWORD} to {LONGEST_PASSWORD}"
        )
    salt = salt or os.urandom(SALT_BYTES)
    return f"scrypt${COST}${BLOCK}${PARALLEL}${_text(salt)}${_text(_scrypt(password, salt, COST, BLOCK, PARALLEL))}"


def is_password(password: str, hash_: str) -> bool:
    """Whether the hash is of this password; slow on purpose (about 0.1 s and 32 MiB)."""
    found = _HASH.fullmatch(hash_)
    if not found or len(password) > LONGEST_PASSWORD:
        return False
    cost, block, parallel = (int(found[n]) for n in (1, 2, 3))
    try:
        salt, expected = _bytes(found[4]), _bytes(found[5])
        return hmac.compare_digest(_scrypt(password, salt, cost, block, parallel), expected)
    except (ValueError, binascii.Error):
        return False


def read_agents(file: Path) -> dict[str, Agent]:
    """The file's agents by log-in name; none if there is no such file. Raises BadAgents."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as problem:
        raise BadAgents(f"cannot read the agents' file {file}: {problem.strerror}") from problem
    try:
        agents = msgspec.convert(tomllib.loads(text), dict[str, Agent])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as problem:
        raise BadAgents(f"{file} is not a file of agents: {problem}; make it with `rapport agents add`") from problem
    for log_in, agent in agents.items():
        if not LOG_IN.fullmatch(log_in) or not _HASH.fullmatch(agent.password):
            raise BadAgents(
                f"{file}: [{log_in}]: expected a log-in of small letters, digits and -, and a scrypt hash"
            )
    return agents


def written(agents: dict[str, Agent]) -> str:
    """The file's text."""
    quoted = {ord('"'): '\\"', ord("\\"): "\\\\", **{n: f"\\u{n:04x}" for n in (*range(32), 127)}}
    parts = [
        f'[{log_in}]\nname = "{agent.name.translate(quoted)}"\npassword = "{agent.password}"\n'
        for log_in, agent in sorted(agents.items())
    ]
    return "\n".join(parts)


class Agents:
    """The file as it is now: somebody taken out of it is out at once."""

    def __init__(self, file: Path, check: Callable[[str, str], bool] = is_password) -> None:
        """Raises BadAgents. `check` compares a password with a hash."""
        self._file = file
        self._check = check
        self._stamp = self._stamped()
        self._agents = read_agents(file)
        self._nobody = hashed("nobody has this password")

    def find(self, log_in: str) -> Agent | None:
        """The agent, as the file says now. Raises BadAgents."""
        stamp = self._stamped()
        if stamp != self._stamp:
            self._agents, self._stamp = read_agents(self._file), stamp
        return self._agents.get(log_in)

    def admits(self, log_in: str, password: str) -> bool:
        """Whether this is an agent's password; takes as long for who is none. Blocks. Raises BadAgents."""
        agent = self.find(log_in)
        matches = self._check(password, agent.password if agent else self._nobody)
        return matches and agent is not None

    def _stamped(self) -> tuple[int, int]:
        try:
            status = self._file.stat()
        except FileNotFoundError:
            return 0, 0
        return status.st_mtime_ns, status.st_size


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    data = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(data, salt=salt, n=cost, r=block, p=parallel, maxmem=MEMORY_BYTES, dklen=HASH_BYTES)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
