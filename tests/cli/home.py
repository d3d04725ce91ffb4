"""A shop owner's folder and what is typed there. Here lives running `rapport` as a process; never an assertion."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from servers.process import ServerProcess

RAPPORT = Path(sys.executable).with_name("rapport")
ROOT = Path(__file__).resolve().parents[2]
CAMPAIGNS = ROOT / "campaigns"
NO_POLICY = """\
per_day = 0
per_week = 0
quiet_from = "00:00"
quiet_until = "00:00"
double_opt_in = false
"""
"""Nothing waits for the morning: the tests run at any hour."""
ADDRESS = re.compile(r"http://[^\s/]+")
STOP_SECONDS = 60.0

Found = TypeVar("Found")


def until(condition: Callable[[], Found], seconds: float = 60.0) -> Found:
    """What the condition gives as soon as it holds; AssertionError if it doesn't in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s, last: {found!r}")
        time.sleep(0.02)
    return found


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: Message
    body: Any


class Role(ServerProcess):
    """A command that runs until it is told to end."""

    name = "rapport"

    def __init__(self, words: Sequence[str], home: Path) -> None:
        super().__init__()
        self._words, self._home = words, home

    def command(self) -> list[str]:
        options = ["--config", str(self._home / "rapport.toml"), "--data", str(self._home / "rapport-data")]
        return [str(RAPPORT), *self._words, *options]

    def is_ready(self) -> bool:
        """It has said its address, and answers there."""
        try:
            return bool(self.said_address()) and ask(self.url, "GET", "/healthz").status == 200
        except OSError:
            return False

    def said_address(self) -> re.Match[str] | None:
        return ADDRESS.search(self.said())

    @property
    def url(self) -> str:
        found = self.said_address()
        if found is None:
            raise AssertionError(f"no address was said: {self.log_tail()}")
        return found[0]

    def said(self) -> str:
        """Everything it printed so far."""
        return self.log_file.read_text(errors="replace")

    def begin(self) -> Role:
        """Start it without waiting for an address: what it waits for itself may be missing."""
        self.is_ready = lambda: True  # type: ignore[method-assign]
        self.start()
        return self

    def end(self) -> int:
        """SIGTERM; the exit code. Raises TimeoutExpired when it takes longer than people wait."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=STOP_SECONDS)
        self._reap()
        return code


def ask(url: str, method: str, path: str, body: Any = None, key: str = "", **headers: str) -> Reply:
    """One HTTP request; a body is sent as JSON, a key as Basic. Raises OSError."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    sent = {"Content-Type": "application/json", **headers}
    if key:
        sent["Authorization"] = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
    try:
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            text = answer.read()
    except http.client.HTTPException as problem:
        raise OSError(str(problem)) from problem
    is_json = answer.headers.get_content_type() == "application/json"
    return Reply(answer.status, answer.headers, json.loads(text) if is_json else text.decode())


@functools.cache
def initial_settings() -> str:
    """What `rapport init` writes, asked once: where many shops begin, each in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        done = home.run("init")
        if done.code:
            raise AssertionError(done.err)
        return (home.path / "rapport.toml").read_text()


class Home:
    """A folder with `rapport.toml` and campaigns."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def init(self, **settings: object) -> Home:
        """What `rapport init` writes and the campaigns of this repository; more settings besides."""
        (self.path / "rapport.toml").write_text(initial_settings())
        shutil.copytree(CAMPAIGNS, self.path / "campaigns", dirs_exist_ok=True)
        (self.path / "campaigns" / "policy.toml").write_text(NO_POLICY)
        with (self.path / "rapport.toml").open("a") as file:
            for name, value in {"campaigns": str(self.path / "campaigns"), **settings}.items():
                file.write(f"{name} = {json.dumps(value)}\n")
        return self

    @property
    def settings(self) -> dict[str, Any]:
        return tomllib.loads((self.path / "rapport.toml").read_text())

    @property
    def write_key(self) -> str:
        return str(self.settings["write_key"])

    @property
    def server_key(self) -> str:
        return str(self.settings["server_key"])

    def user_hash(self, user_id: str) -> str:
        """What the shop's own server tells a browser after a log-in."""
        secret = str(self.settings["identity_secret"])
        return hmac.new(secret.encode(), user_id.encode(), hashlib.sha256).hexdigest()

    def run(self, *words: str, seconds: float = 120, environment: Mapping[str, str] | None = None) -> Done:
        """Type `rapport words…` in the folder and wait for its end."""
        done = subprocess.run(
            [RAPPORT, *words],
            cwd=self.path,
            env={**os.environ, "COLUMNS": "110", **(environment or {})},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def role(self, *words: str) -> Role:
        """A command that stays; start it by `with`."""
        return Role(words, self.path)

    def log(self, topic: str, *words: str) -> list[dict[str, Any]]:
        """What `rapport log TOPIC --json` prints."""
        done = self.run("log", topic, "--json", *words)
        if done.code:
            raise AssertionError(done.err)
        return [json.loads(line) for line in done.out.splitlines()]
