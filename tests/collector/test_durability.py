"""200 means that the log has it: when it is answered, when it is not, and what is said instead."""

import asyncio
import gzip
from collections.abc import Callable

import pytest

from collector.harness import BROWSER_KEY, Door, MemoryLog, Response, ask, basic
from pipeline.backends.contract import Position, Unavailable
from pipeline.producers.collector.acknowledge import Acknowledgement, Acknowledgements

AUTHORISED = {"authorization": basic(BROWSER_KEY)}
CLICK = b'{"event":"E","anonymousId":"a"}'


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_nothing_is_answered_before_the_log_has_it() -> None:
    door = Door(MemoryLog("later"))

    async def story() -> Response:
        asked = asyncio.create_task(ask(door.app, "POST", "/v1/track", [CLICK], AUTHORISED))
        await until(lambda: door.log.appends == 1)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not asked.done()
        assert door.counted.in_progress == 1
        door.log.release()
        return await asked

    assert asyncio.run(story()).status == 200


def test_a_batch_waits_for_all_of_its_parts() -> None:
    door = Door(MemoryLog("later"))
    body = b'{"batch":[' + b",".join([b'{"type":"track","event":"E","anonymousId":"a"}'] * 450) + b"]}"

    async def story() -> Response:
        asked = asyncio.create_task(ask(door.app, "POST", "/v1/batch", [body], AUTHORISED))
        await until(lambda: door.log.appends == 3)
        last = door.log.waiting.pop()
        door.log.release()
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not asked.done()
        door.log.waiting.append(last)
        door.log.release()
        return await asked

    assert asyncio.run(story()).status == 200
    assert len(door.events()) == 450


@pytest.mark.parametrize("confirm", ["refuse", "break", "raise", "never"])
@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
def test_a_log_that_is_away_is_503_and_come_again(path: str, confirm: str) -> None:
    door = Door(MemoryLog(confirm), {"answer_seconds": 0.05})
    body = CLICK if path == "/v1/track" else b'{"batch":[{"type":"track","event":"E","anonymousId":"a"},{}]}'
    response = door.ask("POST", path, body, AUTHORISED)
    assert (response.status, response.headers["retry-after"], response.json["code"]) == (503, "1", "unavailable")
    assert door.counted.out == {("unavailable", "log"): 1 if path == "/v1/track" else 2}
    door.log.confirm = "at once"
    assert Door(door.log).ask("POST", path, body, AUTHORISED).status == 200


def test_a_refused_event_is_not_forgotten_when_its_dead_letter_cannot_be_written() -> None:
    door = Door(MemoryLog("refuse"))
    assert door.ask("POST", "/v1/track", b'{"anonymousId":"a"}', AUTHORISED).status == 503


def test_many_confirmations_wake_the_loop_once() -> None:
    log = MemoryLog("later")
    wakes = 0

    async def story() -> None:
        loop = asyncio.get_running_loop()
        plain = loop.call_soon_threadsafe

        def counting(*args: object, **kwargs: object) -> asyncio.Handle:
            nonlocal wakes
            wakes += 1
            return plain(*args, **kwargs)  # type: ignore[arg-type]

        loop.call_soon_threadsafe = counting  # type: ignore[method-assign]
        acknowledgements = Acknowledgements(log, None, 60.0, loop)
        waits = []
        for _ in range(1000):
            acknowledgement = Acknowledgement(acknowledgements)
            acknowledgement.append([object()])  # type: ignore[list-item]
            waits.append(loop.create_task(acknowledgement.durable()))
        await asyncio.sleep(0)
        assert [count for count, _ in log.waiting] == [4] * 250, "in one turn of the loop, up to a bound"
        waiting, log.waiting = log.waiting, []
        for _, done in waiting:  # as from a thread that the loop can't interrupt
            done([])
        await asyncio.gather(*waits)

    asyncio.run(story())
    assert wakes == 1


@pytest.mark.parametrize(("brought", "together"), [(1, 4), (47, 5), (80, 10), (1000, 32)])
def test_the_more_a_turn_brings_the_more_the_next_appends_together(brought: int, together: int) -> None:
    log = MemoryLog("later")

    async def story() -> None:
        acknowledgements = Acknowledgements(log, None, 60.0, asyncio.get_running_loop())
        for turn in (brought, together + 3):
            log.waiting.clear()
            for _ in range(turn):
                Acknowledgement(acknowledgements).append([object()])  # type: ignore[list-item]
            await asyncio.sleep(0)
        assert [count for count, _ in log.waiting] == [together, 3], "the last at the end of the turn"

    asyncio.run(story())


def test_what_one_turn_of_the_loop_brings_is_appended_together_and_in_order() -> None:
    log = MemoryLog("later")

    async def story() -> None:
        acknowledgements = Acknowledgements(log, None, 60.0, asyncio.get_running_loop())
        first, second = Acknowledgement(acknowledgements), Acknowledgement(acknowledgements)
        first.append(["a"])  # type: ignore[list-item]
        second.append(["b"])  # type: ignore[list-item]
        first.append(["c"])  # type: ignore[list-item]
        assert log.appends == 0
        await asyncio.sleep(0)
        assert (log.appends, log.records) == (1, ["a", "b", "c"])
        log.release()
        await asyncio.gather(first.durable(), second.durable())
        log.confirm = "raise"
        second.append(["e"])  # type: ignore[list-item]
        with pytest.raises(Unavailable):
            await second.durable()
        await first.durable()

    asyncio.run(story())


def test_no_confirmation_is_left_lying_between_threads() -> None:
    door = Door()

    async def story() -> list[Response]:
        asks = [ask(door.app, "POST", "/v1/track", [CLICK], AUTHORISED) for _ in range(300)]
        return await asyncio.gather(*asks)

    assert {response.status for response in asyncio.run(story())} == {200}


def test_a_confirmation_nobody_waits_for_any_more_harms_nobody() -> None:
    door = Door(MemoryLog("later"), {"answer_seconds": 0.05})

    async def story() -> int:
        late = await ask(door.app, "POST", "/v1/track", [CLICK], AUTHORISED)
        for count, done in door.log.waiting:
            done([Position(0, n) for n in range(count)])
        await until(lambda: not door.app._log()._settled)
        return late.status

    assert asyncio.run(story()) == 503
    assert door.counted.in_progress == 0


def test_a_log_that_takes_asking_is_asked_while_somebody_waits() -> None:
    log = MemoryLog("later")
    asked = 0

    def ask_log() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            waiting, log.waiting = log.waiting, []
            for _, done in waiting:
                done([])

    async def story() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe = pytest.fail  # type: ignore[method-assign,assignment]
        acknowledgements = Acknowledgements(log, ask_log, 60.0, loop)
        acknowledgement = Acknowledgement(acknowledgements)
        for _ in range(2):
            acknowledgement.append([object()])  # type: ignore[list-item]
            await asyncio.sleep(0)
        await acknowledgement.durable()
        await asyncio.sleep(0.01)
        assert asked == 3, "nobody waits any more"

    asyncio.run(story())


def test_one_of_several_parts_that_fails_is_enough() -> None:
    log = MemoryLog("later")

    async def story() -> None:
        acknowledgement = Acknowledgement(Acknowledgements(log, None, 60.0, asyncio.get_running_loop()))
        for _ in range(3):
            acknowledgement.append([object()])  # type: ignore[list-item]
            await asyncio.sleep(0)
        log.waiting[1][1](Unavailable("away"))
        with pytest.raises(Unavailable, match="away"):
            await acknowledgement.durable()
        for place in (0, 2):
            log.waiting[place][1]([])

    asyncio.run(story())


def test_a_confirmation_after_the_end_of_the_loop_harms_nobody() -> None:
    log = MemoryLog("later")

    async def story() -> None:
        acknowledgements = Acknowledgements(log, None, 60.0, asyncio.get_running_loop())
        Acknowledgement(acknowledgements).append([object()])  # type: ignore[list-item]
        await asyncio.sleep(0)
        assert log.appends == 1

    asyncio.run(story())
    for _, done in log.waiting:
        done([])


def test_received_at_is_stamped_when_the_body_is_there() -> None:
    door = Door()

    async def story() -> None:
        chunks = asyncio.Queue[dict[str, object]]()
        sent: list[object] = []
        chunks.put_nowait({"type": "http.request", "body": CLICK[:9], "more_body": True})

        async def send(message: object) -> None:
            sent.append(message)

        headers = [(name.encode(), value.encode()) for name, value in AUTHORISED.items()]
        scope = {"type": "http", "method": "POST", "path": "/v1/track", "query_string": b"", "headers": headers}
        asked = asyncio.create_task(door.app(scope, chunks.get, send))
        await until(chunks.empty)
        door.now += 4_000
        chunks.put_nowait({"type": "http.request", "body": CLICK[9:]})
        await asked
        assert sent

    asyncio.run(story())
    assert door.events()[0].received_at == door.now


def test_a_body_that_does_not_come_is_cut_off_as_a_passing_fault() -> None:
    door = Door(options={"body_seconds": 0.05})

    async def story() -> list[dict[str, object]]:
        sent: list[dict[str, object]] = []
        came = False

        async def receive() -> dict[str, object]:
            nonlocal came
            if came:
                await asyncio.Event().wait()
            came = True
            return {"type": "http.request", "body": CLICK[:9], "more_body": True}

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/v1/track", "query_string": b"", "headers": []}
        await door.app(scope, receive, send)  # type: ignore[arg-type]
        return sent

    start, body = asyncio.run(story())
    assert start["status"] == 503
    assert (b"connection", b"close") in start["headers"]  # type: ignore[operator]
    assert b"body_timeout" in body["body"]  # type: ignore[operator]
    assert door.app._held.size == 0


@pytest.mark.parametrize("chunks", [[None], [CLICK[:5], None]])
def test_a_client_that_hangs_up_gets_nothing_and_leaves_nothing(chunks: list[bytes | None]) -> None:
    door = Door()
    response = asyncio.run(ask(door.app, "POST", "/v1/track", chunks, AUTHORISED))
    assert response.status == 0
    assert door.counted.requests == {("track", 499): 1}
    assert (door.counted.in_progress, door.app._held.size, door.log.records) == (0, 0, [])


def test_a_body_without_end_is_read_to_a_bound() -> None:
    door = Door()
    chunk = b"x" * 100_000
    read = 0

    class Endless(list[bytes]):
        def __len__(self) -> int:
            return 10**9

        def __iter__(self):  # type: ignore[no-untyped-def]
            nonlocal read
            for _ in range(100):
                read += 1
                yield chunk

    response = asyncio.run(ask(door.app, "POST", "/v1/track", Endless(), AUTHORISED))
    assert (response.status, response.json["code"], response.headers["connection"]) == (
        400,
        "body_too_large",
        "close",
    )
    assert door.app._held.size == 0


def test_more_bodies_than_fit_are_told_to_come_again() -> None:
    door = Door(MemoryLog("later"), {"held_bytes": len(CLICK) * 2})

    async def story() -> None:
        first = [asyncio.create_task(ask(door.app, "POST", "/v1/track", [CLICK], AUTHORISED)) for _ in range(2)]
        await until(lambda: len(door.log.records) == 2)
        third = await ask(door.app, "POST", "/v1/track", [CLICK], AUTHORISED)
        assert (third.status, third.json["code"], third.headers["retry-after"]) == (503, "busy", "1")
        door.log.release()
        assert [response.status for response in await asyncio.gather(*first)] == [200, 200]
        door.log.confirm = "at once"
        assert (await ask(door.app, "POST", "/v1/track", [CLICK], AUTHORISED)).status == 200

    asyncio.run(story())
    assert door.app._held.size == 0


def test_a_small_body_that_unpacks_to_a_large_one_counts_as_large() -> None:
    door = Door(options={"held_bytes": 100_000})
    click = b'{"event":"E","anonymousId":"a","properties":{"x":"%s"}}'
    assert door.ask("POST", "/v1/track", gzip.compress(click % (b"y" * 30_000)), AUTHORISED).status == 200
    response = door.ask("POST", "/v1/track", gzip.compress(click % (b"y" * 300_000)), AUTHORISED)
    assert (response.status, response.json["code"]) == (503, "busy")
    assert door.app._held.size == 0
