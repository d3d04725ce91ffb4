"""The shop's task list: what campaigns ask its people to do, and what came of it. For the shop's own servers.

The list is the topic `tasks`, folded: a process reads it once and afterwards only what is new. What is reported goes
onto the log, to the customer, who takes the task off the list (`pipeline.core.customer.tasks`); nothing is decided
here. Tasks of who was erased are not shown.
"""

import asyncio
import threading
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.api.answers import Refused, json_answer, unavailable
from pipeline.api.asked import limit_in, one_of
from pipeline.api.context import Context
from pipeline.api.orders import read_body
from pipeline.api.questions import append
from pipeline.api.words import facts_in_words
from pipeline.backends.contract import NewRecord, Reader
from pipeline.backends.reading import blocks
from pipeline.codec import Codec, Undecodable
from pipeline.core.customer.acting import CHANNEL_OF_TASK
from pipeline.core.customer.tasks import MAX_NOTE_CHARACTERS
from pipeline.core.effects import TOPIC_OF, Task, TaskDone
from pipeline.core.task_events import TaskCompleted
from pipeline.erased import ErasureList

EVENTS = "events"
TASKS = TOPIC_OF[Task]
DONE_REMEMBERED = 10_000
PAGE, LARGEST_PAGE = 100, 1_000
EXPECTED = 'expected {"outcome": small letters, digits and _, "note": text}'
KINDS = tuple(CHANNEL_OF_TASK)
STATES = ("open", "done")
LOOK_AGAIN_SECONDS = 0.02

Json = dict[str, Any]


class TaskOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a task."""

    outcome: Annotated[str, msgspec.Meta(pattern="^[a-z0-9_]{1,64}$")]
    """As the shop names it: `reached`, `not_reached`, `sent`, …"""
    note: Annotated[str, msgspec.Meta(max_length=MAX_NOTE_CHARACTERS)] = ""


_decode = msgspec.json.Decoder(TaskOutcome).decode


class TaskList:
    """The topic `tasks`, folded. Thread-safe."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._erased = ErasureList(codec)
        self._next: dict[int, int] = {}
        self._open: dict[str, Task] = {}
        self._done: dict[str, tuple[Task, TaskDone]] = {}
        self._lock = threading.Lock()

    def open(self, reader: Reader, now: int, kind: str = "") -> list[Task]:
        """What is to be done by now (epoch ms), the oldest first. Raises Unavailable."""
        with self._lock:
            self._read(reader)
            for task in [task for task in self._open.values() if task.not_after < now]:
                del self._open[task.id]
            found = [task for task in self._open.values() if kind in ("", task.kind)]
        return sorted(found, key=_place)

    def done(self, reader: Reader, kind: str = "") -> list[tuple[Task, TaskDone]]:
        """What was done, as far as it is remembered, in the order in which it was asked for. Raises Unavailable."""
        with self._lock:
            self._read(reader)
            found = [it for it in self._done.values() if kind in ("", it[0].kind)]
        return sorted(found, key=lambda it: _place(it[0]))

    def find(self, reader: Reader, task_id: str) -> tuple[Task, TaskDone | None] | None:
        """One task, and what came of it; None: there is none that is open or was done lately. Raises Unavailable."""
        with self._lock:
            self._read(reader)
            return self._done.get(task_id) or ((self._open[task_id], None) if task_id in self._open else None)

    def _read(self, reader: Reader) -> None:
        """What is new, less what is about somebody erased."""
        for number in range(reader.topic_partitions(TASKS)):
            start = max(self._next.get(number, 0), reader.start_offset(TASKS, number))
            end = reader.end_offset(TASKS, number)
            for records, _ in blocks(reader, TASKS, number, start, end):
                for record in records:
                    self._take(record.value)
            self._next[number] = max(start, end)
        self._erased.refresh(reader)
        for task in [task for task in self._open.values() if self._erased.hides(task.customer, task.decided_at)]:
            del self._open[task.id]
        for task, _ in [it for it in self._done.values() if self._erased.hides(it[0].customer, it[0].decided_at)]:
            del self._done[task.id]

    def _take(self, value: bytes) -> None:
        try:
            effect = self._codec.decode(value)
        except Undecodable:
            return  # the worker that wrote it is newer than this process
        if isinstance(effect, Task):
            self._open[effect.id] = effect
        elif isinstance(effect, TaskDone) and (task := self._open.pop(effect.id, None)):
            self._done[effect.id] = task, effect
            if len(self._done) > DONE_REMEMBERED:
                del self._done[next(iter(self._done))]


class Tasks:
    """The endpoints."""

    def __init__(self, api: Context) -> None:
        self._api = api
        self._list = TaskList(api.codec)

    def routes(self) -> list[Route]:
        """Its paths."""
        return [
            Route("/v1/tasks", self.tasks),
            Route("/v1/tasks/{id}/outcome", self.outcome, methods=["POST"]),
        ]

    async def tasks(self, request: Request) -> Response:
        """`GET /v1/tasks`: 200, 400, 401, 403, 503."""
        self._api.access.require(request)
        asked = request.query_params
        kind, state = one_of(asked, "kind", KINDS, ""), one_of(asked, "state", STATES, "open")
        limit, after = limit_in(asked, PAGE, LARGEST_PAGE), asked.get("after", "")
        now = self._api.clock()
        if state == "open":
            tasks = await self._api.questions.ask_at_length(lambda reader: self._list.open(reader, now, kind))
            found = [(_place(task), task_view(task)) for task in tasks]
        else:
            ended = await self._api.questions.ask_at_length(lambda reader: self._list.done(reader, kind))
            found = [(_place(task), task_view(task, done)) for task, done in ended]
        page = [each for each in found if _cursor(each[0]) > after][: limit + 1]
        more = len(page) > limit
        shown = page[:limit]
        answer: Json = {"tasks": [view for _, view in shown], "next": _cursor(shown[-1][0]) if more else ""}
        return json_answer(200, answer)

    async def outcome(self, request: Request) -> Response:
        """`POST /v1/tasks/{id}/outcome`: 200, 400, 401, 403, 404, 409, 413, 503."""
        self._api.access.require(request)
        said = _read_outcome(await read_body(request))
        task_id = request.path_params["id"]
        found = await self._api.questions.ask_at_length(lambda reader: self._list.find(reader, task_id))
        if found is None:
            raise Refused(404, "unknown_task", "no task of this id is open, or was done lately")
        task, done = found
        if done is None:
            try:
                async with asyncio.timeout(self._api.options.answer_seconds):
                    done = await self._completed(task, said)
            except TimeoutError as problem:
                raise unavailable("the outcome is on the log and not taken in yet: ask again") from problem
        if (done.outcome, done.note) != (said.outcome, said.note):
            raise Refused(409, "already_done", f"the task was done already: {done.outcome}")
        return json_answer(200, task_view(task, done))

    async def _completed(self, task: Task, said: TaskOutcome) -> TaskDone:
        """Tell the customer, and wait until the task is off the list."""
        record = completed(task, said, self._api.codec, self._api.options.source, self._api.clock())
        (position,) = await append(self._api.appender, [record])
        await self._api.questions.wait_for(task.customer, position)
        while True:
            found = await self._api.questions.ask_at_length(lambda reader: self._list.find(reader, task.id))
            if found is None:
                raise Refused(404, "unknown_task", "the customer was erased meanwhile")
            if found[1] is not None:
                return found[1]
            await asyncio.sleep(LOOK_AGAIN_SECONDS)


def completed(task: Task, said: TaskOutcome, codec: Codec, source: str, now: int) -> NewRecord:
    """The record that tells the customer."""
    event = TaskCompleted(task_id=task.id, outcome=said.outcome, note=said.note, source=source, received_at=now)
    return NewRecord(EVENTS, task.customer.encode(), codec.encode(event))


def task_view(task: Task, done: TaskDone | None = None) -> Json:
    """A task as it is shown."""
    view: Json = {
        "id": task.id,
        "kind": task.kind,
        "customer": task.customer,
        "campaign": task.campaign,
        "instructions": task.instructions,
        "reason": task.reason,
        "facts": msgspec.json.decode(task.facts or "{}"),
        "words": facts_in_words(task.facts or "{}"),
        "decided_at": task.decided_at,
        "not_after": task.not_after,
        "state": "done" if done else "open",
    }
    return view | ({"outcome": done.outcome, "note": done.note, "done_at": done.decided_at} if done else {})


def _place(task: Task) -> tuple[int, str]:
    return task.decided_at, task.id


def _cursor(place: tuple[int, str]) -> str:
    return f"{place[0]:015}-{place[1]}"


def _read_outcome(data: bytes) -> TaskOutcome:
    """Raises Refused (400)."""
    try:
        return _decode(data)
    except msgspec.ValidationError as problem:
        raise Refused(400, "malformed_outcome", f"{problem}; {EXPECTED}") from problem
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Refused(400, "malformed_body", f"the body is not JSON; {EXPECTED}") from problem
