"""Everything the tests need beyond Python, made present: `python3 tests/bootstrap.py`, run by `make test`.

Here lives getting and checking; where things lie is `servers/artifacts.py`. What is present is left alone.
What cannot be had ends with exit code 1 and one line that says what is missing and how to get it: a test
that cannot run is never skipped. Only the standard library is imported, as any Python 3.11 may run this.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from servers import artifacts
from servers.artifacts import NotInstalledError

SDKS = artifacts.ROOT / "tests" / "sdks"
JAVA_MAJOR = 17
REDIS_MAJOR = 7
NODE_MAJOR = 20
# Another installation on this machine may hold apt's lock; it is worth waiting for.
APT_LOCK_SECONDS = 300
COMPLAINT_CHARACTERS = 400


def main() -> int:
    """Make every requirement present, one process of this machine at a time; return the exit code."""
    artifacts.CACHE.mkdir(exist_ok=True)
    with (artifacts.CACHE / "bootstrap.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            for ensure in REQUIREMENTS:
                ensure()
        except NotInstalledError as missing:
            print(f"bootstrap: {missing}", file=sys.stderr)
            return 1
    return 0


def ensure_java() -> None:
    """Have Java and Maven, new enough for the broker."""
    ensure_command(artifacts.java, "default-jre-headless", "Java 17 or newer")
    ensure_version([artifacts.java(), "-version"], r'version "(\d+)', JAVA_MAJOR, "Java")
    ensure_command(maven, "maven", "Maven")


def ensure_redis() -> None:
    """Have a Redis server, new enough for sharded cluster commands."""
    ensure_command(artifacts.redis_server, "redis-server", "Redis 7 or newer")
    ensure_version([artifacts.redis_server(), "--version"], r"v=(\d+)", REDIS_MAJOR, "Redis")


def ensure_prometheus() -> None:
    """Have Prometheus and promtool, for the tests of alerts and dashboards."""
    ensure_command(artifacts.prometheus, "prometheus", "Prometheus 2.42 or newer")
    ensure_command(artifacts.promtool, "prometheus", "promtool")


def ensure_chromium() -> None:
    """Have a browser for the tests of the tracking script and the pages."""
    ensure_command(lambda: artifacts.command("chromium", "install Chromium"), "chromium", "Chromium")


def ensure_kafka() -> None:
    """Have the jars of `deploy/kafka/pom.xml`."""
    ensure_jars(artifacts.kafka_libs(), artifacts.KAFKA_SOURCE, "dependency:copy-dependencies")


def ensure_registry() -> None:
    """Have the unpacked registry of `deploy/kafka/registry/pom.xml`."""
    ensure_jars(artifacts.registry_home(), artifacts.REGISTRY_SOURCE, "dependency:unpack-dependencies")


def ensure_sdks() -> None:
    """Have Node and the JavaScript SDKs that `tests/sdks/` locks, if it locks any."""
    lock = SDKS / "package-lock.json"
    if not (SDKS / "package.json").is_file():
        return
    remedy = f"install Node.js {NODE_MAJOR} or newer"
    node = artifacts.command("node", remedy)
    ensure_version([node, "--version"], r"v(\d+)", NODE_MAJOR, "Node.js")
    stamp = SDKS / "node_modules" / f".installed-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if not stamp.is_file():
        npm = artifacts.command("npm", remedy)
        run([npm, "ci", "--no-audit", "--no-fund"], "the packages of tests/sdks/", folder=SDKS)
        stamp.touch()


def ensure_faust() -> None:
    """Have an environment of `requirements/faust.txt`: Faust's pins are not to weigh on the product's."""
    python = artifacts.faust_python()
    folder = python.parents[1]
    stamp = folder / "installed"
    if stamp.is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    run([sys.executable, "-m", "venv", str(folder)], "an environment for Faust")
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-q", "install", "--require-hashes"]
    run([*pip, "-r", str(artifacts.FAUST_SOURCE)], "Faust")
    stamp.touch()


def ensure_command(find: Callable[[], str], package: str, what: str) -> None:
    """Have the command that `find` looks for, by Debian's `package` when this process may install it."""
    try:
        find()
    except NotInstalledError:
        apt_get = shutil.which("apt-get")
        if apt_get is None or os.geteuid() != 0:
            raise NotInstalledError(
                f"{what} is missing: apt-get install {package} (as root), or see its site"
            ) from None
        update_package_lists(apt_get)
        install = [apt_get, "install", "-y", "-q", "--no-install-recommends", package]
        run([*install, "-o", f"DPkg::Lock::Timeout={APT_LOCK_SECONDS}"], f"{what} (package {package})")
        find()


@functools.cache
def update_package_lists(apt_get: str) -> None:
    """Learn which packages there are, once per run: lists that came with an image name files long gone."""
    run([apt_get, "update", "-q", "-o", f"DPkg::Lock::Timeout={APT_LOCK_SECONDS}"], "Debian's package lists")


def ensure_version(command: Sequence[str], pattern: str, least: int, what: str) -> None:
    """Raise NotInstalledError unless the output of `command` shows, by `pattern`, a major version of `least`."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    found = re.search(pattern, done.stdout)
    if found is None or int(found[1]) < least:
        seen = found[1] if found else "unknown"
        raise NotInstalledError(f"{what} is too old ({seen}): install version {least} or newer")


def ensure_jars(target: Path, source: Path, goal: str) -> None:
    """Fill `target` by running Maven's `goal` on the pom in `source`; a half-filled folder is never left there."""
    if target.is_dir():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="incomplete-") as scratch:
        jars = Path(scratch) / "jars"
        command = [maven(), "-q", "-B", "--strict-checksums", "-f", str(source / "pom.xml")]
        # Maven notes what it has unpacked beside the pom, and would not unpack it again into another folder.
        folders = [f"-DoutputDirectory={jars}", f"-DmarkersDirectory={scratch}/markers"]
        run([*command, goal, *folders], f"{target.parent.name} from Maven Central")
        jars.rename(target)


def maven() -> str:
    """Return the path of the `mvn` command; raise NotInstalledError without one."""
    return artifacts.command("mvn", "install Maven")


def run(command: Sequence[str], what: str, folder: Path = artifacts.ROOT) -> None:
    """Run `command`, its output in a file; if it fails, raise NotInstalledError with what it complained of."""
    print(f"bootstrap: getting {what}", flush=True)
    log = artifacts.CACHE / "bootstrap.log"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with log.open("wb") as output:
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        )
    if done.returncode != 0:
        failed = f"{Path(command[0]).name} ended with exit code {done.returncode}"
        reason = complaint(log.read_text(errors="replace"))
        raise NotInstalledError(f"{what} can't be had: {failed}: {reason} (all of it: .cache/{log.name})")


def complaint(output: str) -> str:
    """Return, as one readable line, what a tool's output reports as errors; without such reports, its end."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", output)
    lines = [line.strip() for line in plain.splitlines() if line.strip()] or ["it said nothing"]
    reported = [line for line in lines if re.match(r"(npm error|\[ERROR\]|E:) ", line)]
    return " ".join(reported or lines[-1:])[:COMPLAINT_CHARACTERS]


REQUIREMENTS: tuple[Callable[[], None], ...] = (
    ensure_java,
    ensure_redis,
    ensure_prometheus,
    ensure_chromium,
    ensure_kafka,
    ensure_registry,
    ensure_sdks,
    ensure_faust,
)

if __name__ == "__main__":
    sys.exit(main())
