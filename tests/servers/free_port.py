"""Ports nobody listens on. Here lives the choice of a port; never a server.

Ports come from below the kernel's ephemeral range, because a server that was killed has to come back on
its old port: from inside that range any outgoing connection could have taken it in between.
"""

from __future__ import annotations

import random
import socket

LOWEST = 15_000
HIGHEST = 32_000
ATTEMPTS = 200

_reserved: list[socket.socket] = []
"""Held until this process ends, then the kernel lets go of them."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago and that no test process of this machine has got.

    Raises OSError when none of `ATTEMPTS` random ports was free.
    """
    # Seeded by the system on purpose: two test runs with the same pytest seed must not pick the same ports.
    dice = random.SystemRandom()
    for _ in range(ATTEMPTS):
        port = dice.randrange(LOWEST, HIGHEST)
        if _is_free(port) and _reserve(port):
            return port
    raise OSError(f"no free port of 127.0.0.1 between {LOWEST} and {HIGHEST} in {ATTEMPTS} attempts")


def _reserve(port: int) -> bool:
    """Say whether the port is ours now: other tests run at the same time, and may ask before our server listens or
    while it is down. A name of Linux's abstract sockets belongs to one process and leaves nothing behind."""
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        holder.bind(f"\0rapport-tests-port-{port}")
    except OSError:
        holder.close()
        return False
    _reserved.append(holder)
    return True


def _is_free(port: int) -> bool:
    """Say whether 127.0.0.1:`port` can be bound; like a server would, past connections in TIME_WAIT."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
