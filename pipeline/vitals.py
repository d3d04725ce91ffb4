"""Vital signs as metrics: what an operator's alerts ask of every process, whatever its role does.

Here live the gauges of the heartbeat, of the roles that run and of the disk; what stages measure is in
`pipeline.observe`.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge


class HeartMeasures:
    """Implements `pipeline.heartbeat.Measures`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._age = Gauge(
            "rapport_heartbeat_age_seconds",
            "Since the last heartbeat that came through the log, the worker and the store was written.",
            ["partition"],
            registry=registry,
        )
        self._importing = Gauge(
            "rapport_import_open",
            "1 while history is being imported into the partition: its timers follow that history's time.",
            ["partition"],
            registry=registry,
        )
        self._dependency = Gauge(
            "rapport_dependency_up",
            "1 if the log took the last heartbeat, if the store answered the last question.",
            ["dependency"],
            registry=registry,
        )

    def watch(self, partition: int, age_seconds: Callable[[], float]) -> None:
        """Asked at every scrape, so that it grows also while nobody looks."""
        self._age.labels(str(partition)).set_function(age_seconds)

    def importing(self, partition: int, is_open: bool) -> None:
        """An import window stands open, or not."""
        self._importing.labels(str(partition)).set(is_open)

    def dependency(self, name: str, is_up: bool) -> None:
        """`log` or `store`."""
        self._dependency.labels(name).set(is_up)


class ProcessMeasures:
    """What every role has: which one it is, and the disk its data folder lies on."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._role = Gauge("rapport_role", "1 for each role this process runs.", ["role"], registry=registry)
        self._free = Gauge("rapport_disk_free_bytes", "Free where the data folder lies.", registry=registry)
        self._size = Gauge("rapport_disk_size_bytes", "Size of that disk.", registry=registry)

    def runs(self, role: str) -> None:
        """The role has started."""
        self._role.labels(role).set(1)

    def watch_disk(self, folder: Path) -> None:
        """Asked at every scrape; a folder that is not there yet will lie where the nearest one above it does."""
        self._free.set_function(lambda: shutil.disk_usage(nearest_folder(folder)).free)
        self._size.set_function(lambda: shutil.disk_usage(nearest_folder(folder)).total)


def nearest_folder(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.is_dir())
