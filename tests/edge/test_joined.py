"""Head and body of an answer leave together, everything else at once and in order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pipeline.edge.joined import Joined


class Wire(asyncio.Transport):
    """What was sent, a piece for each system call."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.ended = ""

    def write(self, data: Any) -> None:
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"


@pytest.mark.parametrize(
    ("said", "sent", "ended"),
    [
        (["head", "body"], [b"headbody"], ""),
        (["head"], [b"head"], ""),
        (["head", "turn", "body", "turn"], [b"head", b"body"], ""),
        (["head", "chunk", "chunk", "chunk"], [b"headchunk", b"chunkchunk"], ""),
        (["head", "body", "head", "body", "turn"], [b"headbody", b"headbody"], ""),
        (["head", "close", "turn"], [b"head"], "closed"),
        (["head", "abort", "turn"], [], "aborted"),
        (["close"], [], "closed"),
    ],
)
def test_what_leaves_together(said: list[str], sent: list[bytes], ended: str) -> None:
    wire = Wire()

    async def story() -> None:
        joined = Joined(wire, asyncio.get_running_loop())
        for word in said:
            if word == "turn":
                await asyncio.sleep(0)
            elif word in ("close", "abort"):
                getattr(joined, word)()
            else:
                joined.write(word.encode())
        await asyncio.sleep(0)

    asyncio.run(story())
    assert (wire.sent, wire.ended) == (sent, ended)
