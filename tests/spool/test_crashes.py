"""A crash at every single step of the disk, a disk that fails at every step, and dice that do all of it at once.

A crash is an exception out of a system call, with half of what was being written in the file: that is what kill -9
leaves. A power cut also takes from the files what was not fsynced.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.producers.spool import disk as under_test
from spool.world import OPTIONS, World, record

CALLS = ("write", "fsync", "pwrite", "open", "truncate")


class Crash(BaseException):
    """The process is gone."""


class System:
    """Stands for the module `os` in the disk's code: the call number `at` does part of its work and then `fails`."""

    def __init__(self, fails: BaseException, at: int = -1) -> None:
        self.fails, self.at, self.calls = fails, at, 0
        self.synced: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._counting(name, real) if name in CALLS else real

    def _counting(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.calls += 1
            if self.calls != self.at:
                return self._synced(*arguments) if name == "fsync" else real(*arguments)
            if name == "write":
                file, data = arguments
                real(file, data[: len(data) // 2])
            raise self.fails

        return call

    def _synced(self, file: int) -> None:
        """Only remembered: the disk of the machine that runs the tests is not what is tested."""
        self.synced[str(Path(f"/proc/self/fd/{file}").readlink())] = os.fstat(file).st_size

    def cut_power(self, folder: Path) -> None:
        """Take what was never fsynced."""
        for path in folder.glob("*-*"):
            os.truncate(path, self.synced.get(str(path), 0))


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[BaseException, int], System]]:
    def made(fails: BaseException, at: int = -1) -> System:
        system = System(fails, at)
        monkeypatch.setattr(under_test, "os", system)
        return system

    yield made


def story(world: World) -> Iterator[None]:
    """Outage, requests, return, requests, outage, requests; a pause after each step."""
    number = 0
    for up, steps in ((True, 2), (False, 14), (True, 8), (False, 8)):
        world.log.up = up
        for _ in range(steps):
            for customer in ("ann", "bob", "cid"):
                world.post(record(customer, number, 40))
            number += 1
            yield
            world.turn(1.0)


def steps(world: World, system: Callable[..., System], fails: BaseException) -> int:
    """How many system calls the story takes."""
    counting = system(fails)
    for _ in story(world):
        pass
    return counting.calls


@pytest.mark.parametrize("power", ["stays", "is cut"])
def test_a_crash_at_every_system_call_loses_nothing(
    tmp_path: Path, system: Callable[..., System], power: str
) -> None:
    total = steps(World(tmp_path / "count"), system, Crash())
    for at in range(1, total + 1):
        world = World(tmp_path / str(at))
        crashing = system(Crash(), at)
        try:
            for _ in story(world):
                pass
        except Crash:
            pass
        system(Crash())
        world.die()
        if power == "is cut":
            crashing.cut_power(world.folder)
        world.log.up = True
        world.start()
        world.drain()
        world.check()
        world.die()
    assert total >= 100


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_fails_at_any_call_refuses_and_loses_nothing(
    tmp_path: Path, system: Callable[..., System], code: int
) -> None:
    fault = OSError(code, os.strerror(code))
    total = steps(World(tmp_path / "count"), system, fault)
    for at in range(1, total + 1, 3):
        world = World(tmp_path / str(at))
        system(fault, at)
        for _ in story(world):
            pass
        world.log.up = True
        world.drain()
        world.check()
        answered = len(world.acknowledged) + len(world.refused)
        assert answered == 3 * 32, "each request has one answer"
        world.die()


@pytest.mark.parametrize("round_", range(30))
def test_whatever_the_dice_do_nothing_is_lost_and_nobody_overtaken(
    tmp_path: Path, system: Callable[..., System], round_: int, request: pytest.FixtureRequest
) -> None:
    seed = f"{request.config.getoption('--seed')} {round_}"
    dice = random.Random(seed)
    options = msgspec.structs.replace(OPTIONS, in_flight_bytes=dice.choice((200, 1 << 20)))
    world = World(tmp_path / "spool", options, seed)
    numbers = dict.fromkeys("abcdef", 0)
    for _ in range(300):
        match dice.choice(("post", "post", "post", "time", "time", "log", "fail", "zombie", "disk", "crash")):
            case "post":
                chosen = dice.sample(sorted(numbers), dice.randint(1, 3))
                world.post(*(record(customer, numbers[customer], dice.randint(0, 60)) for customer in chosen))
                for customer in chosen:
                    numbers[customer] += 1
            case "time":
                turn(world, dice.choice((0.0, 0.1, 1.0, 3.0)))
            case "log":
                world.log.up = not world.log.up
                if world.log.up:
                    world.log.come_back()
            case "fail":
                world.log.fail()
            case "zombie":
                arrive(world, dice)
            case "disk":
                system(OSError(errno.ENOSPC, "No space left on device"), dice.randint(1, 3))
            case "crash":
                system(Crash(), dice.randint(1, 4))
    system(Crash())
    world.die()
    world.start()
    world.log.up = True
    world.drain()
    world.check()
    assert world.acknowledged


def turn(world: World, seconds: float) -> None:
    """Time passes; a process that dies of it is started again, its requests unanswered."""
    try:
        world.turn(seconds)
    except Crash:
        world.die()
        world.start()


def arrive(world: World, dice: random.Random) -> None:
    """What an abandoned session had sent arrives after all: from its first on, for nothing in it is overtaken."""
    for zombie in world.log.zombies:
        if zombie.failure is None and zombie.sent and dice.random() < 0.5:
            zombie.deliver(answered=dice.random() < 0.5)
