"""Where the programs that tests start lie on this machine. Here lives finding; never fetching or starting.

`tests/bootstrap.py` puts things where this module looks for them, so both always agree. A cache folder is
named by a hash of the description it was made from: another version is another folder, and nothing stale is
ever found. Nothing but the standard library may be imported here: the bootstrap runs before the rest exists.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
KAFKA_SOURCE = ROOT / "deploy" / "kafka"
REGISTRY_SOURCE = KAFKA_SOURCE / "registry"
FAUST_SOURCE = ROOT / "requirements" / "faust.txt"
REGISTRY_JAR = "apicurio-registry-app-*-runner.jar"


class NotInstalledError(RuntimeError):
    """A program the tests need is not on this machine; the message is one line that says how to get it."""


def kafka_libs() -> Path:
    """Return the folder for the jars of `deploy/kafka/pom.xml`, whether it exists or not."""
    return CACHE / "kafka" / _digest([KAFKA_SOURCE / "pom.xml"])


def registry_home() -> Path:
    """Return the folder for the unpacked schema registry, whether it exists or not."""
    sources = [REGISTRY_SOURCE / "pom.xml", *sorted(REGISTRY_SOURCE.rglob("*.pom"))]
    return CACHE / "registry" / _digest(sources)


def faust_python() -> Path:
    """Return the interpreter of the environment of `requirements/faust.txt`, whether it exists or not."""
    return CACHE / "faust" / _digest([FAUST_SOURCE]) / "bin" / "python"


def present(folder: Path) -> Path:
    """Return `folder`; raise NotInstalledError when the bootstrap has not filled it yet."""
    if not folder.is_dir():
        what = f"{folder.parent.name} is not in {folder.parent.relative_to(ROOT)}/"
        raise NotInstalledError(f"{what}: run `python3 tests/bootstrap.py`")
    return folder


def java() -> str:
    """Return the path of `java`, JAVA_HOME's before PATH's; raise NotInstalledError without one."""
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / "bin" / "java").is_file():
        return str(Path(home) / "bin" / "java")
    return command("java", "install a Java runtime, 17 or newer")


def redis_server() -> str:
    """Return the path of the `redis-server` command; raise NotInstalledError without one."""
    return command("redis-server", "install Redis 7 or newer (Debian: apt-get install redis-server)")


def prometheus() -> str:
    """Return the path of the `prometheus` command; raise NotInstalledError without one."""
    return command("prometheus", "install Prometheus 2.42 or newer (Debian: apt-get install prometheus)")


def promtool() -> str:
    """Return the path of the `promtool` command; raise NotInstalledError without one."""
    return command("promtool", "install Prometheus 2.42 or newer (Debian: apt-get install prometheus)")


def command(name: str, remedy: str) -> str:
    """Return the path of the command `name`; raise NotInstalledError naming `remedy` when PATH has none."""
    found = shutil.which(name)
    if found is None:
        raise NotInstalledError(f"{name} is missing: {remedy}")
    return found


def _digest(files: list[Path]) -> str:
    """Return 12 hex digits that change when one byte of `files` does."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]
