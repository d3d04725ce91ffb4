"""One Faust application, from joining the workers' group to leaving it: what `faust_log` polls and publishes with.

Here lives all that knows Faust: its event loop has a thread of its own, an agent on `events` hands each record over,
its producer writes. Never here: decoding, stepping, the store, a second try: one that failed is left behind for a
new one. Where it differs from Faust's habits, and why:

- It reads from where the store stands, not from the committed offset: the host names the places after each
  assignment, and nothing flows before.
- It reads committed records only, since collectors, relays and deliverers write to `events` in transactions.
- It acknowledges nothing by itself (`acks=False`): the host commits the offsets with the batch they belong to.
"""

import asyncio
import logging
import ssl
import threading
from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any

import faust
from aiokafka.errors import (
    InvalidMessageError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from faust.exceptions import FaustError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from pipeline.backends.contract import LogRecord, NewRecord, RecordsRefused, Unavailable
from pipeline.backends.kafka_redis.cluster import EVENTS, Cluster

_AHEAD_RECORDS = 20_000
"""How many records wait for the worker, at most; then Faust's own buffers fill up."""
_MAX_POLL_SECONDS = 120.0
_REQUEST_SECONDS = 40.0
_LEAVE_SECONDS = 15.0
_REFUSALS = (
    InvalidMessageError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
"""What a broker, or the client for it, says of a record that it will not take while it takes others."""

log = logging.getLogger("rapport.faust")


class Member:
    """One member of the group. The worker's thread calls it; what Faust hears it tells through `arrived`."""

    def __init__(self, cluster: Cluster, session_timeout_ms: int, folder: Path) -> None:
        self.arrived = threading.Condition()
        """Guards what follows; notified when any of it changes."""
        self.records: deque[LogRecord] = deque()
        self.owned: tuple[int, ...] = ()
        self.epoch = 0
        """Rises with every change of assignment: what was polled under another one is void."""
        self.failure = ""
        """Why this member ended by itself."""
        self._cluster = cluster
        self._topic = cluster.topic(EVENTS)
        self._session_timeout_ms = session_timeout_ms
        self._folder = folder
        self._room = asyncio.Event()
        self._ending = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._starts: asyncio.Future[dict[int, int] | None] = self._loop.create_future()
        """Where to read on, once the host has said it; None: there is another assignment."""
        self._thread = threading.Thread(target=self._run, name="faust", daemon=True)
        self._thread.start()

    # Called by the host

    def begin(self, epoch: int, starts: Mapping[int, int]) -> None:
        """Read on from these offsets, if the assignment is still the same; of other partitions nothing is read."""

        def begin() -> None:
            if self.epoch == epoch:
                self._starts.set_result(dict(starts))

        self._loop.call_soon_threadsafe(begin)

    def take(self, max_records: int) -> list[LogRecord]:
        """What waits, at most so many; `arrived` is held."""
        taken = [self.records.popleft() for _ in range(min(max_records, len(self.records)))]
        self._loop.call_soon_threadsafe(self._room.set)
        return taken

    def publish(self, records: Sequence[NewRecord], offsets: Mapping[int, int], epoch: int, seconds: float) -> None:
        """All records, then the offsets. Raises RecordsRefused, or Unavailable: what is written is unknown."""
        going = asyncio.run_coroutine_threadsafe(self._publish(records, offsets, epoch), self._loop)
        try:
            going.result(seconds)
        except TimeoutError as problem:
            going.cancel()
            raise Unavailable(f"the batch may be published or not: nothing heard for {seconds:g} s") from problem

    def send(self, record: NewRecord) -> None:
        """Write it without waiting; a failure is logged."""

        async def sent() -> None:
            try:
                await (await self._send(record))
            except (KafkaError, FaustError) as problem:
                log.warning("a tick was not written: %s", problem)

        asyncio.run_coroutine_threadsafe(sent(), self._loop)

    def leave(self) -> None:
        """Leave the group and end."""
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(_LEAVE_SECONDS)

    # Called by Faust, in the thread of its loop

    def revoked(self) -> None:
        """Nothing is owned; what waits is void."""
        self._assign(())

    def assigned(self, numbers: Sequence[int]) -> None:
        """These are owned from now on; they stand still until the host names their places."""
        self._assign(tuple(sorted(numbers)))

    async def starts(self) -> dict[int, int]:
        """Where to read on in the present assignment; waits for the host."""
        starts = None
        while starts is None:
            starts = await asyncio.shield(self._starts)
        return starts

    async def hand_over(self, stream: Any) -> None:
        """The agent: every record to the host, in order, as far as it belongs to the present assignment."""
        async for event in stream.noack().events():
            message = event.message
            while len(self.records) >= _AHEAD_RECORDS:
                self._room.clear()
                await self._room.wait()
            if message.generation_id == event.app.consumer_generation_id:
                with self.arrived:
                    self.records.append(_record_of(message))
                    self.arrived.notify()

    # Its own

    def _assign(self, owned: tuple[int, ...]) -> None:
        before, self._starts = self._starts, self._loop.create_future()
        if not before.done():
            before.set_result(None)
        with self.arrived:
            self.owned = owned
            self.epoch += 1
            self.records.clear()
            self.arrived.notify()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        except Exception as problem:  # noqa: BLE001  told to the host, whatever it is
            self._fail(f"{type(problem).__name__}: {problem}")
        else:
            self._fail("it has ended")
        finally:
            self._loop.close()

    async def _live(self) -> None:
        self._app = app = _application(self, self._cluster, self._session_timeout_ms, self._folder)
        starting = asyncio.ensure_future(app.start())  # ends only when the host has named the first places
        try:
            await app.wait(self._ending)
            if starting.done():
                starting.result()
            if app.crashed:
                raise app.crash_reason or RuntimeError("the application crashed")
        finally:
            starting.cancel()
            await asyncio.wait_for(app.stop(), _LEAVE_SECONDS)

    def _fail(self, reason: str) -> None:
        with self.arrived:
            self.failure = reason
            self.arrived.notify()

    async def _publish(self, records: Sequence[NewRecord], offsets: Mapping[int, int], epoch: int) -> None:
        refused: dict[int, Exception] = {}
        other: list[BaseException] = []
        sent: list[Awaitable[Any]] = []
        for record in records:
            try:
                sent.append(await self._send(record))
            except (KafkaError, FaustError) as problem:
                sent.append(_failed(problem))
        for place, answer in enumerate(await asyncio.gather(*sent, return_exceptions=True)):
            if isinstance(answer, BaseException):
                cause = answer.__cause__ if isinstance(answer, FaustError) and answer.__cause__ else answer
                if isinstance(cause, _REFUSALS):
                    refused[place] = cause
                else:
                    other.append(cause)
        if other:
            raise Unavailable(f"the batch may be published or not: Kafka at {self._cluster.bootstrap}: {other[0]!r}")
        if refused:
            place, reason = next(iter(refused.items()))
            topic = self._cluster.topic(records[place].topic)
            raise RecordsRefused(
                f"Kafka at {self._cluster.bootstrap} does not take a record for {topic}: {reason!r}", refused
            )
        # The consumer passes over offsets of partitions that it lost, and says that all went well: an assignment that
        # is the same before and after is the only proof that it did not.
        if epoch != self.epoch:
            raise Unavailable("the partitions were given to others")
        if offsets:
            places = {TP(self._topic, number): offset for number, offset in offsets.items()}
            if not await self._app.consumer._commit(places) or epoch != self.epoch:
                raise Unavailable("the offsets may be committed or not: the partitions were given to others")

    async def _send(self, record: NewRecord) -> Awaitable[Any]:
        sent: Awaitable[Any] = await self._app.producer.send(
            self._cluster.topic(record.topic), record.key, record.value, record.partition, None, list(record.headers)
        )
        return sent


async def _failed(problem: Exception) -> None:
    raise problem


def _record_of(message: Any) -> LogRecord:
    return LogRecord(
        EVENTS,
        message.partition,
        message.offset,
        message.key or b"",
        message.value or b"",
        tuple((name, value or b"") for name, value in message.headers or ()),
        round(message.timestamp * 1000),
    )


class _ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust has no setting for it short of transactions of its own; the consumer reads it when it starts.
        consumer._isolation_level = "read_committed"
        return consumer


class _Consumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer, which tells of each assignment and begins where the host says."""

    def _new_consumer_thread(self) -> Any:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self.app.member.revoked()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self.app.member.assigned([each.partition for each in assigned])
        await super().on_partitions_assigned(assigned, generation_id)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Faust asks for this after every assignment and before anything flows."""
        topic = self.app.member_topic
        places = {TP(topic, number): offset for number, offset in (await self.app.member.starts()).items()}
        await self.seek_wait(places)
        return places


class _Producer(driver.Producer):  # type: ignore[misc]
    """Faust's producer, made idempotent: what is sent again must not overtake."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class _Transport(driver.Transport):  # type: ignore[misc]
    Consumer = _Consumer
    Producer = _Producer


class _Application(faust.App):  # type: ignore[misc]
    """An application of one agent."""

    member: Member
    member_topic: str

    def _new_transport(self) -> Any:
        return _Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Any:
        return _Transport(self.conf.broker_producer, self)


def _application(member: Member, cluster: Cluster, session_timeout_ms: int, folder: Path) -> _Application:
    session_seconds = session_timeout_ms / 1000
    app = _Application(
        cluster.group_id(),
        broker=[f"aiokafka://{host.strip()}" for host in cluster.bootstrap.split(",")],
        broker_credentials=_credentials(cluster.options),
        broker_session_timeout=session_seconds,
        broker_heartbeat_interval=session_seconds / 3,
        broker_max_poll_interval=_MAX_POLL_SECONDS,
        broker_request_timeout=max(_REQUEST_SECONDS, 2 * session_seconds),
        # Only for the moment before the host has named the places.
        consumer_auto_offset_reset="earliest",
        producer_compression_type="lz4",
        key_serializer="raw",
        value_serializer="raw",
        stream_recovery_delay=0.0,
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        datadir=str(folder),
    )
    app.member = member
    app.member_topic = cluster.topic(EVENTS)
    topic = app.topic(app.member_topic, key_type=bytes, value_type=bytes, acks=False)
    app.agent(topic, name="rapport")(member.hand_over)
    return app


def _credentials(options: Mapping[str, str]) -> Any:
    """What `kafka_*` of the settings says, for Faust; None: plain text."""
    protocol = options.get("security.protocol", "PLAINTEXT").upper()
    context = None
    if protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=options.get("ssl.ca.location"))
        if certificate := options.get("ssl.certificate.location"):
            context.load_cert_chain(certificate, options.get("ssl.key.location"), options.get("ssl.key.password"))
    if protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=options.get("sasl.username"),
            password=options.get("sasl.password"),
            mechanism=options.get("sasl.mechanism", "PLAIN"),
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None
