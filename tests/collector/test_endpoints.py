"""Every endpoint, under every way to show a key, in every form a body can have."""

import gzip
import zlib
from collections.abc import Callable

import msgspec
import pytest

from collector.harness import BROWSER_KEY, NOW, SERVER_KEY, Door, basic
from pipeline.core.events import SERVER, Clickstream, Customer

SINGLES = {
    "identify": "/v1/identify", "track": "/v1/track", "page": "/v1/page", "screen": "/v1/screen",
    "group": "/v1/group", "alias": "/v1/alias",
}  # fmt: skip
LETTERS = {type_: f"/v1/{type_[0]}" for type_ in SINGLES}
BATCHES = ("/v1/batch", "/v1/b", "/beacon/v1/batch")
MESSAGE = {"messageId": "m-1", "anonymousId": "a-1", "event": "Sofa Rotated", "groupId": "g", "previousId": "p"}

Form = Callable[[bytes], tuple[bytes, dict[str, str]]]


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


FORMS: dict[str, Form] = {
    "json": lambda b: (b, {"content-type": "application/json"}),
    "json with charset": lambda b: (b, {"content-type": "application/json; charset=utf-8"}),
    "text/plain (analytics-next)": lambda b: (b, {"content-type": "text/plain"}),
    "no content type": lambda b: (b, {}),
    "gzip (analytics-python gzip=True)": lambda b: (gzip.compress(b), {"content-encoding": "gzip"}),
    "gzip called a web form (rudder-sdk-node)": lambda b: (
        gzip.compress(b), {"content-type": "application/x-www-form-urlencoded"},
    ),
    "gzip that says nothing": lambda b: (gzip.compress(b), {}),
    "zlib": lambda b: (zlib.compress(b), {"content-encoding": "deflate"}),
    "zlib that says nothing": lambda b: (zlib.compress(b), {}),
    "raw deflate": lambda b: (raw_deflate(b), {"content-encoding": "deflate"}),
    "says gzip, is not": lambda b: (b, {"content-encoding": "gzip"}),
    "two gzip members": lambda b: (gzip.compress(b[:7]) + gzip.compress(b[7:]), {}),
    "white space around": lambda b: (b" \r\n" + b + b"\t\n", {}),
}  # fmt: skip

KEYS: dict[str, tuple[dict[str, str], str, dict[str, str]]] = {
    # name: headers, query, fields of the body
    "Basic key:": ({"authorization": basic(BROWSER_KEY)}, "", {}),
    "basic in small letters": ({"authorization": basic(BROWSER_KEY).replace("Basic", "basic")}, "", {}),
    "Bearer key": ({"authorization": f"Bearer {BROWSER_KEY}"}, "", {}),
    "Bearer of somebody else, key in the body": ({"authorization": "Bearer oauth"}, "", {"writeKey": BROWSER_KEY}),
    "key in the body alone (analytics-python 2.3)": ({}, "", {"writeKey": BROWSER_KEY}),
    "key in the query": ({}, f"?writeKey={BROWSER_KEY}", {}),
}

WRONG_KEYS: dict[str, tuple[dict[str, str], str, dict[str, object]]] = {
    "none": ({}, "", {}),
    "unknown": ({"authorization": basic("unknown")}, "", {}),
    "nearly": ({"authorization": basic(BROWSER_KEY[:-1])}, "", {}),
    "a prefix": ({"authorization": basic(BROWSER_KEY + "x")}, "", {}),
    "empty": ({"authorization": basic("")}, "", {"writeKey": ""}),
    "not base64": ({"authorization": "Basic %%%"}, "", {}),
    "base64 of no text": ({"authorization": "Basic /w=="}, "", {}),
    "another scheme": ({"authorization": f"Digest {BROWSER_KEY}"}, "", {}),
    "a number in the body": ({}, "", {"writeKey": 7}),
    "a list in the body": ({}, "", {"writeKey": [BROWSER_KEY]}),
    "very long": ({}, "", {"writeKey": BROWSER_KEY * 100}),
    "query of a thousand fields": ({}, "?" + "a=1&" * 1000 + f"writeKey={BROWSER_KEY}", {}),
}


@pytest.mark.parametrize("path", [*SINGLES.values(), *LETTERS.values()])
def test_a_single_message_takes_its_type_from_the_path(path: str) -> None:
    door = Door()
    response = door.post(path, {**MESSAGE, "type": "nonsense"})
    assert (response.status, response.body) == (200, b'{"success":true}')
    (record,) = door.events()
    assert record.type == next(type_ for type_ in SINGLES if path in (SINGLES[type_], LETTERS[type_]))
    assert (record.message_id, record.received_at, record.source) == ("m-1", NOW, "collect@test")
    assert door.log.records[0].key == b"a:a-1"


@pytest.mark.parametrize("path", BATCHES)
def test_a_batch_keeps_order_and_gives_its_context_to_each_message(path: str) -> None:
    door = Door()
    batch: list[dict[str, object]] = [{**MESSAGE, "type": type_, "messageId": type_} for type_ in SINGLES]
    batch[0]["context"] = {"locale": "de"}
    response = door.post(path, {"batch": batch, "context": {"locale": "en", "ip": "::1"}, "integrations": {}})
    assert (response.status, response.body) == (200, b'{"success":true}')
    assert [event.message_id for event in door.events()] == list(SINGLES)
    contexts = [msgspec.json.decode(event.context) for event in door.events()]
    assert contexts == [{"locale": "de", "ip": "::1"}] + [{"locale": "en", "ip": "::1"}] * 5


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", ["/v1/track", "/v1/t", *BATCHES])
def test_every_form_of_body(path: str, form: str) -> None:
    value = {"batch": [{"type": "track", **MESSAGE}]} if path in BATCHES else MESSAGE
    body, headers = FORMS[form](msgspec.json.encode(value))
    door = Door()
    response = door.ask("POST", path, body, {"authorization": basic(BROWSER_KEY), **headers})
    assert response.status == 200, response.body
    (record,) = door.events()
    assert isinstance(record, Clickstream)
    assert record.event == "Sofa Rotated"


@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("path", [*SINGLES.values(), *LETTERS.values(), *BATCHES])
def test_every_form_of_key(path: str, keys: str) -> None:
    headers, query, fields = KEYS[keys]
    value = {"batch": [{"type": "track", **MESSAGE}]} if path in BATCHES else MESSAGE
    door = Door()
    response = door.ask("POST", path + query, msgspec.json.encode({**value, **fields}), headers)
    assert response.status == 200, response.body
    assert len(door.events()) == 1


@pytest.mark.parametrize("keys", WRONG_KEYS)
@pytest.mark.parametrize("path", ["/v1/track", "/v1/i", *BATCHES, "/v1/stream/token"])
def test_every_wrong_key_is_401_with_code_and_message(path: str, keys: str) -> None:
    headers, query, fields = WRONG_KEYS[keys]
    value = {"batch": [{"type": "track", **MESSAGE}]} if path in BATCHES else MESSAGE
    door = Door()
    response = door.ask("POST", path + query, msgspec.json.encode({**value, **fields}), headers)
    assert response.status == 401
    assert set(response.json) == {"code", "message"}
    assert response.json["code"] == "bad_key"
    assert BROWSER_KEY not in response.json["message"]
    assert door.log.records == []


@pytest.mark.parametrize("body_key", [BROWSER_KEY, "unknown", SERVER_KEY])
def test_whoever_shows_the_server_key_has_the_servers_trust(body_key: str) -> None:
    door = Door()
    door.post("/v1/identify", {"userId": "u-1", "writeKey": body_key}, SERVER_KEY)
    (record,) = door.events()
    assert isinstance(record, Customer)
    assert (record.trust, record.trusted) == (SERVER, True)


@pytest.mark.parametrize("body", [b"", b"nonsense", b'{"e":[]}'])
def test_the_sdks_own_metrics_are_ignored(body: bytes) -> None:
    door = Door()
    response = door.ask("POST", "/v1/m", body)
    assert (response.status, response.body) == (200, b'{"success":true}')
    assert door.log.records == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/v1/trackk", 404, "not_found"),
        ("POST", "/v1/track/", 404, "not_found"),
        ("POST", "//v1/track", 404, "not_found"),
        ("POST", "/v1/../v1/track", 404, "not_found"),
        ("POST", "/v1/x", 404, "not_found"),
        ("POST", "/V1/track", 404, "not_found"),
        ("GET", "/v1/projects//settings", 404, "not_found"),
        ("GET", "/v1/projects/a/b/settings", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/track", 405, "method_not_allowed"),
        ("PUT", "/v1/track", 405, "method_not_allowed"),
        ("DELETE", "/v1/batch", 405, "method_not_allowed"),
        ("HEAD", "/v1/batch", 405, "method_not_allowed"),
        ("POST", "/rapport.js", 405, "method_not_allowed"),
        ("POST", "/sourceConfig/", 405, "method_not_allowed"),
    ],
)
def test_other_paths_and_methods(method: str, path: str, status: int, code: str) -> None:
    response = Door().ask(method, path)
    assert response.status == status
    if method != "HEAD":
        assert response.json["code"] == code
        assert response.json["message"]


def test_it_says_which_paths_it_handles() -> None:
    ours = [*SINGLES.values(), *LETTERS.values(), *BATCHES, "/v1/m", "/v1/stream/token", "/rapport.js",
            "/rapport-forms.js", "/sourceConfig", "/sourceConfig/", "/v1/projects/k/settings"]  # fmt: skip
    assert [path for path in ours if not Door().app.handles(path)] == []
    assert [path for path in ("/", "/v1/stream", "/v1/customers/u") if Door().app.handles(path)] == []


def test_requests_and_events_are_counted() -> None:
    door = Door()
    door.post("/v1/track", MESSAGE)
    door.post("/v1/batch", {"batch": [{"type": "track", **MESSAGE}, {"type": "track"}, {"type": "dance", **MESSAGE}]})
    door.post("/v1/batch", {"batch": []}, "unknown")
    door.ask("GET", "/nowhere")
    assert door.counted.requests == {
        ("track", 200): 1, ("batch", 200): 1, ("batch", 401): 1, ("unknown", 404): 1,
    }  # fmt: skip
    assert door.counted.seen == 4
    assert door.counted.out == {
        ("accepted", ""): 2, ("rejected", "id_missing"): 1, ("rejected", "unknown_type"): 1,
    }  # fmt: skip
    assert door.counted.in_progress == 0
