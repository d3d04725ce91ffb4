"""Hostile input from public collections (README.md says whose). Here lives reading them, nothing else."""

import gzip
import json
import tarfile
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent


@cache
def json_texts() -> dict[str, bytes]:
    """JSONTestSuite: by file name, `y_` (valid), `n_` (not valid) and `i_` (either way)."""
    with tarfile.open(_HERE / "json-test-suite.tar.gz") as archive:
        files = [(member.name, archive.extractfile(member)) for member in archive.getmembers()]
        return {name.rpartition("/")[2]: file.read() for name, file in files if file is not None}


@cache
def naughty_strings() -> tuple[str, ...]:
    """The Big List of Naughty Strings."""
    return tuple(json.loads(gzip.decompress((_HERE / "naughty-strings.json.gz").read_bytes())))
