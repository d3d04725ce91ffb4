"""Load that tells the truth: what wrk prints is read, and an open loop counts waits from when a request was due."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from bench.collector_load import Case, Load, bodies, read_wrk
from bench.open_loop import OpenLoop

WRK = """Running 5s test @ http://127.0.0.1:1
  Latency Distribution
     50%   {p50}
     75%   21.00ms
     99%   {p99}
  10 requests in 5.00s, 1.00MB read
{more}Requests/sec:   1000.50
"""


@pytest.mark.parametrize(
    ("p50", "p99", "expected"),
    [
        ("500.00us", "12.50ms", Load(50_025.0, 0.5, 12.5)),
        ("12.50ms", "1.56s ", Load(50_025.0, 12.5, 1560.0)),
    ],
)
def test_what_wrk_prints(p50: str, p99: str, expected: Load) -> None:
    assert read_wrk(WRK.format(p50=p50, p99=p99, more=""), 50) == expected


@pytest.mark.parametrize("more", ["  Non-2xx or 3xx responses: 3\n", "  Socket errors: connect 0, timeout 1\n"])
def test_an_answer_other_than_200_is_an_error(more: str) -> None:
    with pytest.raises(RuntimeError, match="not every request"):
        read_wrk(WRK.format(p50="1ms", p99="2ms", more=more), 1)


def test_no_two_events_are_the_same() -> None:
    made = bodies(Case(50, 16), 3)
    ids = [part.split(b'"')[1] for body in made for part in body.split(b'"messageId"')[1:]]
    assert len(set(ids)) == len(ids) == 150


def test_a_stall_counts_for_all_that_were_due_meanwhile() -> None:
    """One connection, a server that keeps silent until 20 requests are due: each has waited since its own moment."""

    async def story() -> list[float]:
        loop = asyncio.get_running_loop()
        stalled = loop.create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with_body = b"content-length: 2"
            while head := await reader.readuntil(b"\r\n\r\n"):
                assert with_body in head.lower()
                await reader.readexactly(2)
                await stalled
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
                writer.write(b"{}")

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        posted = OpenLoop(port, "/", {}, connections=1)
        running = loop.create_task(posted.run(itertools.repeat(b"{}"), per_second=100, seconds=0.2))
        while len(posted.waiting) < 19:
            await asyncio.sleep(0.001)
        stalled.set_result(None)
        await running
        server.close()
        assert posted.refused == 0
        return posted.waits_ms

    waits = asyncio.run(story())
    assert len(waits) == 20
    assert all(wait >= 189 - 10 * place for place, wait in enumerate(waits)), "each since its own moment"
