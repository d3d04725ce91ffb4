"""A store that is away, full, read-only, loading, behind or empty: the worker pauses and says so in one sentence,
skips nothing, goes on by itself, and nothing goes out twice."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from servers.redis import RedisServer

from faults.conftest import OpenRig
from faults.rig import until

Break = Callable[[RedisServer], None]


@pytest.fixture(autouse=True)
def everything_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis of the test's own, which forces each write to disk."""
    with RedisServer(fsync="always") as server:
        yield server


def command(words: str) -> Break:
    def send(server: RedisServer) -> None:
        client = server.client()
        client.execute_command(*words.split())
        client.close()

    return send


BROKEN: dict[str, tuple[Break, Break, str]] = {
    "down": (RedisServer.kill, RedisServer.start, "does not answer"),
    "full": (command("CONFIG SET maxmemory 1"), command("CONFIG SET maxmemory 0"), r"is full \(maxmemory\)"),
    "read-only": (command("REPLICAOF 127.0.0.1 1"), command("REPLICAOF NO ONE"), "is a replica now"),
}  # type: ignore[dict-item]


@pytest.mark.parametrize("case", BROKEN)
def test_the_worker_pauses_says_so_and_goes_on_by_itself(
    case: str, redis: RedisServer, open_rig: OpenRig, caplog: pytest.LogCaptureFixture
) -> None:
    breaks, mends, words = BROKEN[case]
    rig = open_rig(redis)
    with rig.working():
        rig.feed(20)
        until("a first part is decided", rig.is_decided)
        breaks(redis)
        rig.feed(20)
        until("the worker waits", rig.is_waiting)
        mends(redis)
        until("all is decided", rig.is_decided)
        until("the worker waits no more", lambda: not rig.is_waiting())
    rig.assert_decided_once()
    assert_said(caplog, words)


def assert_said(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Each thing it waited for once, in one line; then that it goes on."""

    said = [record.getMessage() for record in caplog.records if record.name == "rapport.worker"]
    waits = [line for line in said if line.startswith("waiting: ")]
    assert any(re.search(words, line) for line in waits), waits
    assert len(set(waits)) == len(waits) <= 3, waits
    assert all("\n" not in line for line in waits)
    assert "log and store are available again" in said


def test_while_redis_loads_its_data_the_worker_waits(open_rig: OpenRig, caplog: pytest.LogCaptureFixture) -> None:
    slowly = ("--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024")
    with RedisServer(appendonly=False, options=slowly) as redis:
        rig = open_rig(redis)
        with rig.working():
            rig.feed(20)
            until("a first part is decided", rig.is_decided)
            client = redis.client()
            client.mset({f"large {number}": os.urandom(2_000) for number in range(300)})
            client.close()
            save(redis)
            redis.kill()
            rig.feed(5)
            until("the worker waits", rig.is_waiting)
            loading = threading.Thread(target=redis.start)
            loading.start()
            until("it said so", lambda: "is loading its data" in caplog.text)
            loading.join()
            until("all is decided", rig.is_decided)
        rig.assert_decided_once()
        assert_said(caplog, "is loading its data")


@contextmanager
def snapshots() -> Iterator[RedisServer]:
    """A Redis that keeps only what was saved explicitly: a restart falls back to that."""
    with RedisServer(appendonly=False) as server:
        yield server


def save(redis: RedisServer) -> None:
    command("SAVE")(redis)


@pytest.mark.parametrize("saved", [False, True], ids=["restarted empty", "restored from an older snapshot"])
def test_a_store_that_lost_something_is_rebuilt_from_the_log_and_no_voucher_is_issued_again(
    saved: bool, open_rig: OpenRig
) -> None:
    with snapshots() as redis:
        rig = open_rig(redis)
        with rig.working():
            rig.feed(20)
            until("a first part is decided", rig.is_decided)
            if saved:
                save(redis)
            rig.feed(20)
            until("a second part is decided", rig.is_decided)
            issued = {voucher.code for voucher in rig.vouchers()}
            assert len(issued) == 40
            redis.restart(hard=True)
            rig.feed(20)
            until("all is decided", rig.is_decided)
        rig.assert_decided_once()
        assert len({voucher.code for voucher in rig.vouchers()} - issued) == 20


def test_flushall_under_an_idle_and_under_a_busy_worker_issues_nothing_again(
    redis: RedisServer, open_rig: OpenRig
) -> None:
    rig = open_rig(redis)
    with rig.working():
        for _ in range(3):
            rig.feed(20)
            until("some is decided", lambda: bool(rig.vouchers()))
            command("FLUSHALL")(redis)
        rig.feed(1)
        until("all is decided", rig.is_decided)
    rig.assert_decided_once()
