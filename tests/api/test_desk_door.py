"""Who gets in at the desk, and what others cannot do there: other pages, guessers, thieves of sessions."""

import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.desk import PASSWORD, Seat, desk_options, wrote
from api.running import Running, wait_until
from pipeline.api.desk.agents import Agents, BadAgents, hashed, is_password, read_agents
from pipeline.api.desk.pages import is_web_address
from pipeline.api.desk.sessions import COOKIE, IDLE_MS, LASTS_MS, MOST_OF_ONE, Sessions, cookie
from pipeline.edge.limits import Limits, Rates

SCRIPT = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
TRIES = 4
CONVERSATION = "0" * 32
CALLS = [
    ("GET", "me"), ("GET", "events"), ("GET", f"conversations/{CONVERSATION}"),
    ("POST", "logout"), ("POST", "presence"), ("POST", f"conversations/{CONVERSATION}/messages"),
    ("POST", f"conversations/{CONVERSATION}/close"),
]  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("desk")
    with Running(folder / "data", desk=desk_options(folder)).serving() as served, served.working():
        yield served


@pytest.fixture
def seat(desk: Running) -> Iterator[Seat]:
    made = Seat(desk)
    yield made
    made.client.close()


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_without_a_session_nothing_is_answered(seat: Seat, method: str, path: str) -> None:
    answer = seat.post(path) if method == "POST" else seat.get(path)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_logged_in")
    seat.client.cookies.set(COOKIE, "a name somebody made up", path="/desk")
    answer = seat.post(path) if method == "POST" else seat.get(path)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
        {},
        {"Sec-Fetch-Site": "same-origin", "Content-Type": "text/plain"},
        {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"},
    ],
)
@pytest.mark.parametrize("path", ["login", *(path for method, path in CALLS if method == "POST")])
def test_another_page_can_do_nothing(seat: Seat, path: str, headers: dict[str, str]) -> None:
    assert seat.log_in().status_code == 200
    seat.own = {"Content-Type": "application/json"}
    body = '{"available":true,"agent":"kim","password":"' + PASSWORD + '"}'
    answer = seat.client.post(f"/desk/{path}", content=body, headers={**seat.own, **headers})
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    assert seat.get("me").json()["available"] is False


def test_a_browser_that_says_no_site_is_known_by_its_origin(desk: Running, seat: Seat) -> None:
    seat.own = {"Origin": desk.url}
    assert seat.log_in().status_code == 200


def test_a_session_begins_at_log_in_and_ends_with_it(desk: Running, seat: Seat) -> None:
    seat.client.cookies.set(COOKIE, "brought-along", path="/desk")
    answer = seat.log_in()
    set_cookie = answer.headers["set-cookie"]
    name = set_cookie.partition("=")[2].partition(";")[0]
    assert name != "brought-along"
    assert len(name) >= 43, "256 bits"
    assert {"HttpOnly", "SameSite=Strict", "Path=/desk"} <= set(set_cookie.split("; "))
    with httpx.Client(base_url=desk.url, cookies={COOKIE: name}) as thief:
        assert thief.get("/desk/me").status_code == 200
        again = thief.post("/desk/login", json={"agent": "lou", "password": PASSWORD}, headers=seat.own)
        assert again.status_code == 200
        assert httpx.get(f"{desk.url}/desk/me", cookies={COOKIE: name}).status_code == 401, (
            "a log-in ends the old one"
        )
    assert "Secure" in cookie(name, secure=True)


def test_an_ended_session_stays_ended(seat: Seat) -> None:
    seat.log_in()
    name = seat.client.cookies[COOKIE]
    assert seat.post("logout").status_code == 200
    seat.client.cookies.set(COOKIE, name, path="/desk")
    assert seat.get("me").status_code == 401


@pytest.mark.parametrize(
    "tried",
    [
        ("kim", "wrong password"),
        ("nobody", PASSWORD),
        ("KIM", PASSWORD),
        ("", ""),
        ("../kim", PASSWORD),
        ("kim", "x" * 9_999),
    ],
)
def test_a_refusal_says_nothing_of_who_exists(seat: Seat, tried: tuple[str, str]) -> None:
    answer = seat.log_in(*tried)
    assert (answer.status_code, answer.json()) == (
        401,
        {"code": "bad_log_in", "message": "the name or the password is wrong"},
    )
    assert "set-cookie" not in answer.headers


def test_guessing_is_slowed_down_at_one_name_and_from_one_address(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits(Rates(log_ins_per_minute=TRIES))
    with Running(tmp_path / "data", desk=desk_options(tmp_path), limits=limits).serving() as served:
        seat = Seat(served)
        with caplog.at_level(logging.INFO, "rapport.audit"):
            answers = [seat.log_in("kim", "a guess") for _ in range(TRIES + 1)]
            assert [it.status_code for it in answers] == [401] * TRIES + [429]
            assert int(answers[-1].headers["retry-after"]) >= 1
            assert seat.log_in("kim", PASSWORD).status_code == 429, "also the right one"
            assert seat.log_in("lou", PASSWORD).status_code == 429, "also somebody else's, from here"
        seat.client.close()
    said = [record.getMessage() for record in caplog.records]
    assert said.count("desk: a log-in was refused") == TRIES
    assert said.count("desk: too many tries to log in") == 3
    assert "guess" not in "".join(said)


def test_who_came_looked_and_was_refused_is_on_record_and_nothing_of_the_visitor(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Running(tmp_path / "data", desk=desk_options(tmp_path)).serving() as served, served.working():
        seat = Seat(served)
        with caplog.at_level(logging.INFO, "rapport.audit"):
            seat.log_in()
            served.put("a:browser", wrote("my secret", conversation_id="private"))
            [entry] = seat.waits()
            seat.get(f"conversations/{entry['id']}")
            seat.client.post("/desk/presence", json={"available": True}, headers={"Sec-Fetch-Site": "cross-site"})
            seat.post("presence", {"available": True})
            seat.post("logout")
        seat.client.close()
    assert [record.getMessage() for record in caplog.records if record.name == "rapport.audit"] == [
        "desk: kim logged in",
        f"desk: kim looked at conversation {entry['id']}",
        "desk: a request from another page was refused",
        "desk: kim is available",
        "desk: kim logged out",
    ]


def test_what_visitors_write_is_handed_out_as_data_and_the_page_takes_no_script_from_anywhere(
    desk: Running, seat: Seat
) -> None:
    seat.log_in()
    desk.put("a:browser", wrote(SCRIPT, conversation_id=SCRIPT))
    [entry] = seat.waits()
    answer = seat.get(f"conversations/{entry['id']}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["said"][0]["text"] == SCRIPT
    assert SCRIPT not in entry["id"]
    for path in ("/desk", "/desk/desk.js", "/desk/desk.css"):
        page = httpx.get(desk.url + path)
        policy = page.headers["content-security-policy"]
        assert page.status_code == 200
        assert "default-src 'none'; script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
    html = httpx.get(f"{desk.url}/desk").text
    assert "<script>" not in html
    assert " on" + "click=" not in html
    assert "innerHTML" not in httpx.get(f"{desk.url}/desk/desk.js").text


def test_nobody_is_found_but_by_a_conversation(seat: Seat) -> None:
    seat.log_in()
    for path in ("conversations/a:browser", "conversations/u:ada", "conversations/../../v1/customers/ada", "x.js"):
        assert seat.get(path).status_code in (401, 404)
    assert seat.client.get("/v1/customers/a:browser").status_code == 401, "a session opens the desk and nothing else"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "nothing_said"),
        ({"text": "  "}, 400, "nothing_said"),
        ({"text": "x" * 2_001}, 400, "malformed_body"),
        ({"text": 5}, 400, "malformed_body"),
        ({"url": "javascript:alert(1)"}, 400, "bad_link"),
        ({"video": True}, 400, "no_video"),
    ],
)
def test_what_an_agent_may_not_send(
    desk: Running, seat: Seat, body: dict[str, object], status: int, code: str
) -> None:
    seat.log_in()
    desk.put("a:other", wrote("Hello", anonymous_id="other"))
    wait_until(lambda: [it for it in seat.conversations() if it["customer"] == "a:other"])
    [entry] = [it for it in seat.conversations() if it["customer"] == "a:other"]
    answer = seat.post(f"conversations/{entry['id']}/messages", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://meet.example/room", True),
        ("https://meet.example:8443/a?b=c#d", True),
        ("http://meet.example/room", False),
        ("https://", False),
        ("https://user:password@meet.example/", False),
        ("https://meet.example/\nX", False),
        ('https://meet.example/"onclick=', False),
        ("https://meet.example:99999/", False),
        ("https://[", False),
        ("https://mеet.example/", False),
        ("//meet.example", False),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
    ],
)
def test_a_link_is_a_whole_https_address(url: str, fine: bool) -> None:
    assert is_web_address(url) is fine


def test_a_hash_is_of_one_password_and_salted() -> None:
    one, other = hashed(PASSWORD), hashed(PASSWORD)
    assert one != other
    assert one.startswith("scrypt$32768$8$1$")
    assert is_password(PASSWORD, one)
    assert not is_password(PASSWORD + " ", one)
    for bad in ("", "plain text", "scrypt$32768$8$1$!$!", "scrypt$3$8$1$AAAA$AAAA", "scrypt$4194304$8$1$AAAA$AAAA"):
        assert not is_password(PASSWORD, bad)
    for password in ("short", "x" * 201):
        with pytest.raises(ValueError, match="expected 12 to 200"):
            hashed(password)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[kim", "is not a file of agents"),
        ("[kim]\nname = 'Kim'", "password"),
        ("[kim]\nname = 'Kim'\npassword = 'plain text'", "a scrypt hash"),
        ("[Kim]\nname = 'Kim'\npassword = 'scrypt$32768$8$1$AAAA$AAAA'", "small letters"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "agents.toml"
    file.write_text(text)
    with pytest.raises(BadAgents, match=words):
        read_agents(file)


def test_who_is_taken_out_of_the_file_is_out_at_once(tmp_path: Path) -> None:
    agents = Agents(desk_options(tmp_path).agents, check=lambda password, _hash: password == "right")
    assert agents.admits("kim", "right")
    assert not agents.admits("kim", "wrong")
    assert not agents.admits("nobody", "right")
    (tmp_path / "agents.toml").unlink()
    assert not agents.admits("kim", "right")
    assert agents.find("kim") is None


def test_a_session_ends_by_itself() -> None:
    now = [1_000]
    sessions = Sessions(lambda: now[0])
    name = sessions.begin("kim")
    for _ in range(LASTS_MS // IDLE_MS):
        assert sessions.agent(name) == "kim"
        now[0] += IDLE_MS - 1
    now[0] = 1_000 + LASTS_MS
    assert sessions.agent(name) == "", "however much it is used"
    name = sessions.begin("kim")
    now[0] += IDLE_MS
    assert sessions.agent(name) == "", "unused"
    names = [sessions.begin("kim") for _ in range(MOST_OF_ONE + 1)]
    assert [sessions.agent(one) for one in names] == ["", *["kim"] * MOST_OF_ONE]
