"""What a body may hold: limits to the byte, compression bombs, and every text of the JSON test suite."""

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from functools import partial

import msgspec
import pytest
from corpora import json_texts

from collector.harness import BROWSER_KEY, NOW, Door, basic

AUTHORISED = {"authorization": basic(BROWSER_KEY)}
EVENT_LIMIT, BATCH_LIMIT, EVENTS_LIMIT = 32_768, 512_000, 2_500


def padded(size: int, message_id: str = "m") -> bytes:
    """A track message of exactly so many bytes."""
    message = {"type": "track", "event": "E", "messageId": message_id, "anonymousId": "a", "properties": {"x": ""}}
    empty = msgspec.json.encode(message)
    return empty.replace(b'"x":""', b'"x":"' + b"y" * (size - len(empty)) + b'"')


def batch_of(*messages: bytes) -> bytes:
    return b'{"batch":[' + b",".join(messages) + b"]}"


def full_batch(size: int) -> bytes:
    """A batch of exactly so many bytes, of allowed events."""
    messages = [padded(32_000, f"m-{n}") for n in range(15)]
    return batch_of(*messages, padded(size - len(batch_of(*messages, b"")), "last"))


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
def test_an_event_of_32_kb_is_taken_and_one_byte_more_is_not(path: str) -> None:
    door = Door()
    for size, refused in ((EVENT_LIMIT, False), (EVENT_LIMIT + 1, True)):
        body = padded(size)
        response = door.ask("POST", path, batch_of(body) if path == "/v1/batch" else body, AUTHORISED)
        if path == "/v1/batch":
            assert response.status == 200
            rejected = response.json.get("rejected", [])
            assert [entry["code"] for entry in rejected] == ["event_too_large"] * refused
        else:
            assert response.status == (400 if refused else 200)
    assert len(door.events()) == 1
    (letter,) = door.dead_letters()
    assert len(letter.value) == EVENT_LIMIT
    assert letter.reason.startswith("event_too_large: the event has 32769 bytes")


def test_a_batch_of_500_kb_is_taken_and_one_byte_more_is_not() -> None:
    door = Door()
    for packed in (bytes, gzip.compress):
        assert door.ask("POST", "/v1/batch", packed(full_batch(BATCH_LIMIT)), AUTHORISED).status == 200
        response = door.ask("POST", "/v1/batch", packed(full_batch(BATCH_LIMIT + 1)), AUTHORISED)
        assert (response.status, response.json["code"]) == (400, "body_too_large")
    assert len(door.events()) == 32


def test_2500_events_are_taken_and_2501_are_not() -> None:
    door = Door()
    response = door.ask(
        "POST", "/v1/batch", batch_of(*[padded(100, str(n)) for n in range(EVENTS_LIMIT)]), AUTHORISED
    )
    assert (response.status, len(door.events())) == (200, EVENTS_LIMIT)
    assert [event.message_id for event in door.events()] == [str(n) for n in range(EVENTS_LIMIT)]
    response = door.ask("POST", "/v1/batch", batch_of(*[padded(100)] * (EVENTS_LIMIT + 1)), AUTHORISED)
    assert (response.status, response.json["code"]) == (400, "too_many_events")


def test_an_empty_batch_is_a_success() -> None:
    door = Door()
    assert door.post("/v1/batch", {"batch": []}).body == b'{"success":true}'
    assert door.log.appends == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_body"),
        (b"[]", "malformed_body"),
        (b"null", "malformed_body"),
        (b'"text"', "malformed_body"),
        (b"{}", "malformed_body"),
        (b'{"batch":null}', "malformed_body"),
        (b'{"batch":{}}', "malformed_body"),
        (b'{"batch":[],"context":[]}', "malformed_body"),
        (b'{"batch":[]', "malformed_body"),
        (b'{"batch":[]}}', "malformed_body"),
        (b"\xef\xbb\xbf" + b'{"batch":[]}', "malformed_body"),
        ('{"batch":[]}'.encode("utf-16"), "malformed_body"),
        (b'{"batch":[NaN]}', "malformed_body"),
        (b'{"batch":' + b"[" * 100_000, "too_deep"),
        (b'{"a":' * 100_000, "too_deep"),
        (b"a=1&b=2", "malformed_body"),
    ],
)
def test_a_body_that_is_no_batch(body: bytes, code: str) -> None:
    response = Door().ask("POST", "/v1/batch", body, AUTHORISED)
    assert (response.status, response.json["code"]) == (400, code)
    assert response.json["message"]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"1", "malformed_event"),
        (b"null", "malformed_event"),
        (b"[]", "malformed_event"),
        (b'{"type":"track","event":"E","anonymousId":"a","properties":{"x":1e400}}', "malformed_event"),
        (b'{"type":"track","event":"E","anonymousId":"a","properties":{"x":"\xff"}}', "malformed_event"),
        (b'{"type":"track","event":"E","anonymousId":"a","properties":{"\xc3":1}}', "malformed_event"),
        (
            b'{"type":"track","event":"E","anonymousId":"a","properties":' + b'{"a":' * 65 + b"1" + b"}" * 66,
            "too_deep",
        ),
        (
            b'{"type":"track","event":"E","anonymousId":"a","properties":' + b'{"a":' * 900 + b"1" + b"}" * 901,
            "too_deep",
        ),
        (b'{"type":"track","event":"E","anonymousId":"a","properties":[]}', "bad_properties"),
        (b'{"type":"track","event":"E","anonymousId":"a","context":"x"}', "bad_context"),
        (b'{"type":"track","event":"","anonymousId":"a"}', "event_missing"),
        (b'{"type":"track","anonymousId":"a"}', "event_missing"),
        (b'{"type":"track","event":7,"anonymousId":"a"}', "event_missing"),
        (b'{"type":"track","event":"E"}', "id_missing"),
        (b'{"type":"track","event":"E","anonymousId":null,"userId":""}', "id_missing"),
        (b'{"type":"track","event":"E","anonymousId":{}}', "bad_id"),
        (b'{"type":"track","event":"E","anonymousId":true}', "bad_id"),
        (b'{"type":"delete","anonymousId":"a"}', "unknown_type"),
        (b'{"type":["track"],"anonymousId":"a"}', "unknown_type"),
        (b'{"anonymousId":"a"}', "unknown_type"),
        (b'{"type":"group","anonymousId":"a"}', "group_id_missing"),
        (b'{"type":"alias","userId":"u"}', "previous_id_missing"),
    ],
)
def test_one_bad_event_is_refused_alone_named_and_kept(bad: bytes, code: str) -> None:
    door = Door()
    response = door.ask("POST", "/v1/batch", batch_of(padded(200, "before"), bad, padded(200, "after")), AUTHORISED)
    assert response.status == 200
    assert response.json["success"] is True
    (rejected,) = response.json["rejected"]
    assert (rejected["code"], rejected["messageId"]) == (code, "")
    assert [event.message_id for event in door.events()] == ["before", "after"]
    (letter,) = door.dead_letters()
    assert (letter.topic, letter.partition, letter.offset, letter.at) == ("http", -1, -1, NOW)
    assert letter.value == bad
    assert letter.reason.startswith(f"{code}: ")


def test_a_refused_single_message_is_400_and_kept() -> None:
    door = Door()
    response = door.post("/v1/track", {"messageId": "m-9", "userId": "u-1"})
    assert (response.status, response.json["code"]) == (400, "event_missing")
    assert [letter.key for letter in door.dead_letters()] == [b"u:u-1"]


def test_64_levels_are_read() -> None:
    nested = b'{"type":"track","event":"E","anonymousId":"a","properties":' + b'{"a":' * 64 + b"1" + b"}" * 65
    door = Door()
    assert "rejected" not in door.ask("POST", "/v1/batch", batch_of(nested), AUTHORISED).json
    many = b'{"type":"track","event":"E","anonymousId":"a","properties":{"list":[' + b"{}," * 500 + b"{}]}}"
    assert "rejected" not in door.ask("POST", "/v1/batch", batch_of(many), AUTHORISED).json


def test_half_an_emoji_is_mended_and_the_rest_is_left_alone() -> None:
    text = rb"cut \ud83d, back \ude00, whole \ud83d\ude00, escaped \\ud83d, e \u00e9, twice \ud83d\ud83d\ude00"
    body = b'{"type":"track","event":"E","anonymousId":"a","properties":{"t":"' + text + b'"}}'
    door = Door()
    assert "rejected" not in door.ask("POST", "/v1/batch", batch_of(padded(200), body), AUTHORISED).json
    _, record = door.events()
    mended = msgspec.json.decode(record.properties)["t"]
    assert mended == "cut \ufffd, back \ufffd, whole \U0001f600, escaped \\ud83d, e é, twice \ufffd\U0001f600"


def test_numbers_and_duplicate_keys_keep_what_json_means() -> None:
    properties = b'{"big":123456789012345678901234567890,"d":1,"d":2}'
    body = b'{"type":"track","event":"E","anonymousId":"a","properties":' + properties + b"}"
    door = Door()
    door.ask("POST", "/v1/batch", batch_of(body), AUTHORISED)
    assert door.events()[0].properties == '{"big":123456789012345678901234567890,"d":2}'


packed = partial(gzip.compress, mtime=0)
"""The same bytes at any time: every process of the tests must collect the same cases."""


@pytest.mark.parametrize(
    ("body", "encoding", "status", "code"),
    [
        (b"\x1f\x8b", "", 400, "malformed_compression"),
        (packed(b'{"batch":[]}')[:-4], "gzip", 400, "malformed_compression"),
        (packed(b'{"batch":[]}')[:-8] + b"CRC?" + b"\x0c\0\0\0", "gzip", 400, "malformed_compression"),
        (packed(b'{"batch":[]}') + b"rest", "gzip", 400, "malformed_compression"),
        (packed(b"") * 10_000, "gzip", 400, "malformed_compression"),
        (packed(packed(b'{"batch":[]}')), "gzip", 400, "malformed_body"),
        (zlib.compress(b'{"batch":[]}')[:-2], "deflate", 400, "malformed_compression"),
        (b"nonsense", "deflate", 400, "malformed_compression"),
        (b"nonsense", "gzip", 400, "malformed_body"),
        (b'{"batch":[]}', "br", 415, "unsupported_encoding"),
        (b'{"batch":[]}', "zstd", 415, "unsupported_encoding"),
        (b'{"batch":[]}', "gzip, gzip", 415, "unsupported_encoding"),
        (b"\x28\xb5\x2f\xfd....", "", 415, "unsupported_encoding"),
    ],
)
def test_broken_compression(body: bytes, encoding: str, status: int, code: str) -> None:
    headers = {**AUTHORISED, **({"content-encoding": encoding} if encoding else {})}
    response = Door().ask("POST", "/v1/batch", body, headers)
    assert (response.status, response.json["code"]) == (status, code)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_bomb_costs_no_more_than_its_limit(pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(b"[" * 100_000_000)
    door = Door()
    tracemalloc.start()
    try:
        response = door.ask("POST", "/v1/batch", bomb, AUTHORISED)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (response.status, response.json["code"]) == (400, "body_too_large")
    assert peak < 6 * BATCH_LIMIT


def test_top_level_context_is_not_multiplied_without_bound() -> None:
    door = Door()
    context = {"x": "y" * 30_000}
    click = {"type": "track", "event": "E", "anonymousId": "a"}
    few = {"batch": [click] * 100, "context": context}
    assert door.post("/v1/batch", few).status == 200
    many = {"batch": [click] * 1000, "context": context}
    assert door.post("/v1/batch", many).json["code"] == "context_too_large"
    assert door.post("/v1/batch", {**few, "context": {"x": "y" * 40_000}}).json["code"] == "context_too_large"
    deep: object = 1
    for _ in range(70):
        deep = {"a": deep}
    assert door.post("/v1/batch", {**few, "context": {"x": deep}}).json["code"] == "too_deep"


def places(text: bytes) -> Iterator[tuple[str, bytes]]:
    """Where a JSON text can stand: it is the body, or a part of it that is read at another depth."""
    head = b'{"type":"track","event":"E","messageId":"m","anonymousId":"a","properties":{"x":'
    yield "/v1/track", text
    yield "/v1/batch", text
    yield "/v1/stream/token", text
    yield "/v1/batch", b'{"batch":' + text + b"}"
    yield "/v1/batch", b'{"batch":[' + text + b"]}"
    yield "/v1/batch", b'{"batch":[],"context":' + text + b"}"
    yield "/v1/track", head + text + b"}}"
    yield "/v1/batch", batch_of(head + text + b"}}")


def test_every_text_of_the_json_test_suite_is_answered_200_or_400() -> None:
    door = Door()
    slowest = 0.0
    for name, text in json_texts().items():
        for path, body in places(text):
            started = time.perf_counter()
            response = door.ask("POST", path, body, AUTHORISED)
            slowest = max(slowest, time.perf_counter() - started)
            assert response.status in (200, 400), (name, path)
            assert response.status == 200 or set(response.json) == {"code", "message"}, (name, path)
    assert door.post("/v1/track", {"event": "E", "anonymousId": "a"}).status == 200
    print(f"slowest answer: {slowest * 1000:.1f} ms")


@pytest.mark.parametrize("name", [name for name in json_texts() if name.startswith("y_")])
def test_what_must_be_read_is_read(name: str) -> None:
    head = b'{"type":"track","event":"E","anonymousId":"a","properties":{"x":'
    door = Door()
    assert (
        "rejected" not in door.ask("POST", "/v1/batch", batch_of(head + json_texts()[name] + b"}}"), AUTHORISED).json
    )


@pytest.mark.parametrize("name", [name for name in json_texts() if name.startswith("n_")])
def test_what_must_not_be_read_is_not(name: str) -> None:
    # A text such as `1]` would close the list around it, so it stands alone here.
    door = Door()
    assert door.ask("POST", "/v1/track", json_texts()[name], AUTHORISED).status == 400
    assert door.events() == []
