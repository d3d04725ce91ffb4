"""The client: sends what people do to the collectors, keeps its ledger, sends again what it knows no answer to.

Each lane is a thread with customers of its own. A batch goes to any collector; without a 200 it goes again, the same
bytes, mostly to another one, until it is acknowledged or the client loses patience (its outcome stays unknown for
ever). Some that were acknowledged are sent again too, as clients do whose answer was lost on the way.
"""

import base64
import contextlib
import http.client
import threading
import time
from collections.abc import Sequence
from random import Random

import msgspec

from proof.ledger import UNKNOWN, Ledger
from proof.stage import SERVER_KEY
from proof.traffic import Message, people

LANES = 4
SENT_AGAIN = 0.08
LOSES_PATIENCE = 0.15
"""Share of refused or unanswered batches that are given up."""
PATIENT_SECONDS, IMPATIENT_SECONDS = 15.0, 0.05
IMPATIENT = 0.03
"""Share of requests that wait for their answer hardly at all: a client that vanished."""
REJECTED = 422
"""In the ledger: a 200 that rejects some of the batch."""
_HEADERS = {
    "Content-Type": "application/json",
    "Authorization": "Basic " + base64.b64encode(f"{SERVER_KEY}:".encode()).decode(),
}


class Client:
    """Sends `events_per_second` until it is stopped."""

    def __init__(self, ports: Sequence[int], ledger: Ledger, seed: int, events_per_second: float) -> None:
        self._ports = ports
        self._ledger = ledger
        self._pause_seconds = LANES * 4.5 / events_per_second  # a batch has 4.5 messages on average
        self._stopped = threading.Event()
        self._began = time.monotonic()
        self._threads = [threading.Thread(target=self._lane, args=(seed, lane)) for lane in range(LANES)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send nothing new; return when everybody has the answer they wait for."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def send(self, messages: Sequence[Message], port: int, seconds: float = PATIENT_SECONDS) -> int:
        """One attempt; its status, or UNKNOWN."""
        body = msgspec.json.encode({"batch": messages})
        ids = [message["messageId"] for message in messages]
        number = self._ledger.attempt(f"127.0.0.1:{port}", ids, self._now())
        status, why = _post(port, body, seconds)
        self._ledger.answer(number, ids, status, why, self._now())
        return status

    def _lane(self, seed: int, lane: int) -> None:
        dice = Random(f"{seed} lane {lane}")
        for batch in people(seed, lane):
            if self._stopped.is_set():
                return
            self._bring(batch, dice)
            if dice.random() < SENT_AGAIN:
                self.send(batch, dice.choice(self._ports))
            self._stopped.wait(dice.expovariate(1 / self._pause_seconds))

    def _bring(self, batch: Sequence[Message], dice: Random) -> None:
        """Until it is acknowledged, or patience is lost."""
        port = dice.choice(self._ports)
        pause = 0.1
        while True:
            impatient = dice.random() < IMPATIENT
            if self.send(batch, port, IMPATIENT_SECONDS if impatient else PATIENT_SECONDS) == 200:
                return
            if dice.random() < LOSES_PATIENCE:
                return
            # Also when all is stopped: a few more attempts, then patience is lost by chance.
            self._stopped.wait(pause)
            pause = min(2 * pause, 2.0)
            port = dice.choice(self._ports)

    def _now(self) -> float:
        return round(time.monotonic() - self._began, 3)


def _post(port: int, body: bytes, seconds: float) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    with contextlib.closing(connection):
        try:
            connection.request("POST", "/v1/batch", body, _HEADERS)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            return UNKNOWN, repr(problem)
    if answer.status == 200 and b"rejected" in said:
        return REJECTED, f"the proof's people send nothing to be rejected: {said[:500]!r}"
    return answer.status, "" if answer.status == 200 else said[:300].decode(errors="replace")
