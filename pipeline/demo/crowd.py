"""Simulated people: they shop over HTTP as a page and a shop's server would, and read the mails they get."""

import itertools
import re
from collections.abc import Callable
from random import Random
from typing import Any

from pipeline.demo.door import Door, with_key
from pipeline.demo.mailbox import Mail, Mailbox
from pipeline.producers.simulator.live import play
from pipeline.producers.simulator.simulate import simulate

EVENTS = 10_000
VISITORS = 2_000
SPAN_DAYS = 0.05
SPEED = 40.0
"""People live forty times as fast as by the clock: some sixty events a second."""
ADDRESSES = "@mail.example"
"""How the addresses of simulated people end."""
OPENED, CLICKED, UNSUBSCRIBED = 0.6, 0.25, 0.02
"""Shares: of the mails; of those that were opened; of all again."""
READ_SECONDS = 0.5
_OPENING, _CLICK = re.compile(r'src="[^"]*(/o/[\w-]+)"'), re.compile(r'href="[^"]*(/l/[\w-]+)"')
_PATH = re.compile(r"/u/[\w-]+")
_ONE_CLICK = b"List-Unsubscribe=One-Click"
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def shop(door: Door, write_key: str, server_key: str, seed: int, clock: Callable[[], int]) -> None:
    """One crowd after another, until EndedError. `clock` returns epoch ms."""

    def send(message: dict[str, Any]) -> None:
        body = dict(message)
        key = server_key if body.pop("_key", "") == "server" else write_key
        door.ask("POST", f"/v1/{body.get('type', 'track')}", json=body, headers=with_key(key))

    for number in itertools.count(seed):
        messages = simulate(number, EVENTS, VISITORS, clock(), "several", span_days=SPAN_DAYS)
        play(messages, send, speed=SPEED, now_ms=clock, sleep=door.wait)


def read_mails(door: Door, mailbox: Mailbox, seed: int) -> None:
    """Open some, follow a link now and then, unsubscribe seldom: until EndedError."""
    rng, seen = Random(seed), 0
    while True:
        door.wait(READ_SECONDS)
        for mail in reversed(mailbox.newest(mailbox.count() - seen, ADDRESSES, after=seen)):
            seen = mail.number
            _read(door, mail, rng)


def _read(door: Door, mail: Mail, rng: Random) -> None:
    opening, click = _OPENING.search(mail.html), _CLICK.search(mail.html)
    if opening and rng.random() < OPENED:
        door.ask("GET", opening[1])
        if click and rng.random() < CLICKED:
            door.ask("GET", click[1])
    leaving = _PATH.search(mail.unsubscribe_url())
    if leaving and rng.random() < UNSUBSCRIBED:
        door.ask("POST", leaving[0], body=_ONE_CLICK, headers=_FORM)
