"""The peers, made present: environments of Python from hashed lists, and a Java program built by Maven.

They lie in `.cache/peers/`, each under a name made of what it was made from: another version is another folder. Only
`make bench` makes them, never `make test`.
"""

import hashlib
import subprocess
import tempfile
import venv
from pathlib import Path

from bench.harness import ROOT, on_path, say

HERE = Path(__file__).resolve().parent
CACHE = ROOT / ".cache" / "peers"
STREAMS = HERE / "kafka_streams"


def python_of(peer: str) -> Path:
    """The interpreter that has this peer (`peers/PEER.txt`). Raises subprocess.CalledProcessError."""
    wanted = HERE / "peers" / f"{peer}.txt"
    folder = CACHE / f"{peer}-{_digest([wanted])}"
    if not (folder / "made").is_file():
        say(f"making the environment of {peer}")
        venv.create(folder, with_pip=True, clear=True)
        pip: list[str | Path] = [
            folder / "bin" / "python",
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
        ]
        subprocess.run([*pip, "--require-hashes", "-r", wanted], check=True)
        (folder / "made").touch()
    return folder / "bin" / "python"


def streams_classpath() -> str:
    """What java needs to run Kafka Streams' program. Raises servers.artifacts.NotInstalledError (no Maven),
    subprocess.CalledProcessError."""
    on_path()
    from servers.artifacts import command

    folder = CACHE / f"kafka-streams-{_digest([STREAMS / 'pom.xml', *sorted(STREAMS.rglob('*.java'))])}"
    if not folder.is_dir():
        say("building Kafka Streams' program")
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="incomplete-") as scratch:
            built = Path(scratch) / "built"
            maven = [command("mvn", "install Maven"), "-q", "-B", "-f", str(STREAMS / "pom.xml"), f"-Dbuilt={built}"]
            goals = ["compile", "dependency:copy-dependencies", "-DincludeScope=runtime"]
            subprocess.run([*maven, *goals, f"-DoutputDirectory={built / 'jars'}"], check=True)
            built.rename(folder)
    return f"{folder / 'classes'}:{folder / 'jars'}/*"


def _digest(files: list[Path]) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]
