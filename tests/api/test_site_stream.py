"""The site stream: each visitor gets their own and nobody else's, what waited and what comes, and it is reported."""

import socket

import httpx
import msgspec
import pytest

from api.running import (
    DAY_MS,
    Running,
    first,
    now_ms,
    order,
    prompt,
    revoked,
    token,
    viewed,
    voucher,
    wait_until,
)
from pipeline.api.hub import MAX_WAITING
from pipeline.core.do import DoChatPrompt, DoVoucher
from pipeline.core.events import SERVER, ConsentChange, Customer, EffectDelivered
from pipeline.core.rules import Campaign, Contact
from pipeline.core.when import WhenHesitating, WhenRegular

THANKS = Campaign(name="thanks", when=WhenRegular(every_orders=2), do=DoVoucher(discount_percent=10))
HELP = Campaign(name="help", when=WhenHesitating(), do=DoChatPrompt(text="Help?"))
VOUCHER_FIELDS = {
    "id", "code", "campaign", "discount_percent", "discount_cents", "currency", "minimum_spend_cents", "category",
    "expires_at", "text", "redeemable",
}  # fmt: skip


def test_a_hesitating_visitor_is_asked_and_it_is_noted(at_work: Running) -> None:
    at_work.publish(HELP)
    with at_work.stream(token("browser")) as events:
        wait_until(lambda: at_work.api.open_streams() == 1)
        for number in range(3):
            at_work.put("a:browser", viewed("browser", f"c-{number}", number))
        [(event_id, name, data)] = first(events, 1)
        assert (name, event_id) == ("prompt", data["id"])
        assert set(data) == {"id", "reason", "category", "product_id", "text"}
        assert (data["text"], data["reason"]) == ("Help?", "products_in_category")
        wait_until(lambda: at_work.get("/v1/customers/a:browser").json()["chat"]["prompts"] == 1)
    wait_until(lambda: at_work.api.open_streams() == 0, "the closed page's stream being gone")


def test_no_stream_begins_once_all_were_told_to_end(running: Running) -> None:
    """A page opens the next one at once: the server would wait for it, and cut it off in the end."""
    stream = token("browser")
    with running.client.stream("GET", stream) as answer:
        assert answer.status_code == 200
        running.api.end_streams()
        assert list(answer.iter_lines())[-1:] == [""], "ended in good order"
    for path in (stream, "/feed/events", "/desk/events"):
        late = running.get(path)
        assert (late.status_code, late.json()["code"], "Retry-After" in late.headers) == (503, "unavailable", True)
    assert running.get("/healthz").status_code == 200


def test_a_voucher_comes_live_and_waits_for_the_next_visit(at_work: Running) -> None:
    at_work.publish(THANKS)
    at_work.put("u:ada", order(1))
    with at_work.stream(token("browser", "ada")) as events:
        wait_until(lambda: at_work.api.open_streams() == 1)
        at_work.put("u:ada", order(2))
        [(_, name, data)] = first(events, 1)
        assert name == "voucher"
        assert set(data) == VOUCHER_FIELDS
        assert data["discount_percent"] == 10
    wait_until(lambda: at_work.get("/v1/customers/ada").json()["vouchers"][0]["status"] == "sent")
    with at_work.stream(token("another", "ada")) as events:
        assert first(events, 1)[0][2] == data
    reports = [event for event in at_work.decided() if isinstance(event, EffectDelivered)]
    assert [(it.effect_id, it.channel, it.outcome) for it in reports] == [(data["id"], "site", "SENT")]


def says(message_id: str, granted: bool, channel: str = "site", purpose: str = "marketing") -> Customer:
    change = ConsentChange(channel=channel, purpose=purpose, granted=granted)
    return Customer(
        message_id=message_id,
        type="track",
        event="Consent Changed",
        user_id="ada",
        occurred_at=now_ms(),
        received_at=now_ms(),
        source="test",
        trust=SERVER,
        trusted=True,
        consents=(change,),
    )


@pytest.mark.parametrize("contact", [Contact(), Contact(purpose="service")], ids=["marketing", "service"])
def test_who_took_back_the_permission_for_the_site_is_shown_no_voucher_there(
    at_work: Running, contact: Contact
) -> None:
    at_work.publish(msgspec.structs.replace(THANKS, contact=contact))
    at_work.put("u:ada", says("c-1", granted=False, purpose=contact.purpose))
    at_work.settle("u:ada")
    with at_work.stream(token("browser", "ada")) as events:
        wait_until(lambda: at_work.api.open_streams() == 1)
        at_work.put("u:ada", order(1), order(2))
        wait_until(lambda: at_work.get("/v1/customers/ada").json()["vouchers"])
        at_work.emit(prompt(1, customer="u:ada", anonymous_id=""))
        assert first(events, 1)[0][1] == "prompt"
    with at_work.stream(token("another", "ada")) as events:
        assert first(events, 1)[0][1] == "prompt"
    assert at_work.get("/v1/customers/ada").json()["vouchers"][0]["status"] == "issued"
    at_work.put("u:ada", says("c-2", granted=True, purpose=contact.purpose))
    at_work.settle("u:ada")
    with at_work.stream(token("third", "ada")) as events:
        assert {name for _, name, _ in first(events, 2)} == {"prompt", "voucher"}


def test_a_voucher_of_service_is_shown_to_who_took_back_marketing(at_work: Running) -> None:
    at_work.publish(msgspec.structs.replace(THANKS, contact=Contact(purpose="service")))
    at_work.put("u:ada", says("c-1", granted=False), order(1), order(2))
    at_work.settle("u:ada")
    with at_work.stream(token("browser", "ada")) as events:
        assert first(events, 1)[0][1] == "voucher"


def test_an_unverified_visitor_sees_nothing_of_the_person(at_work: Running) -> None:
    at_work.publish(THANKS)
    at_work.put("u:ada", order(1), order(2))
    at_work.settle("u:ada")
    with at_work.stream(token("stranger")) as events:
        wait_until(lambda: at_work.api.open_streams() == 1)
        at_work.emit(voucher(7), prompt(8, anonymous_id="other"), prompt(9, anonymous_id="stranger"))
        assert first(events, 1)[0][2]["id"] == "prompt-9"


@pytest.mark.parametrize("channel", ["email", "push", "post"])
def test_what_other_channels_deliver_is_not_shown(running: Running, channel: str) -> None:
    with running.stream(token("browser", "ada")) as events:
        wait_until(lambda: running.api.open_streams() == 1)
        running.emit(voucher(1, channel=channel), voucher(2))
        assert first(events, 1)[0][0] == "voucher-2"


def test_what_is_over_is_not_shown(running: Running) -> None:
    with running.stream(token("browser", "ada")) as events:
        wait_until(lambda: running.api.open_streams() == 1)
        running.emit(prompt(1, not_after=now_ms() - 1), voucher(1, not_after=1_000), prompt(2))
        assert first(events, 1)[0][0] == "prompt-2"


def test_a_visitor_between_two_pages_misses_nothing(running: Running) -> None:
    with running.stream(token("browser")) as events:
        wait_until(lambda: running.api.open_streams() == 1)
        running.emit(prompt(1), prompt(2))
        first(events, 2)
    with running.stream(token("browser") + "&last_event_id=prompt-1") as events:
        assert first(events, 1)[0][0] == "prompt-2"
    with running.stream(token("browser")) as events:
        assert [event[0] for event in first(events, 2)] == ["prompt-1", "prompt-2"]


def test_a_voucher_taken_back_is_taken_off_the_page(running: Running) -> None:
    given = voucher(1)
    with running.stream(token("browser", "ada")) as events:
        wait_until(lambda: running.api.open_streams() == 1)
        running.emit(given, revoked(given))
        names = [(name, data["code"]) for _, name, data in first(events, 2)]
    assert names == [("voucher", "CODE1"), ("revoked", "CODE1")]
    with running.stream(token("browser", "ada")) as events:
        assert first(events, 1)[0][1] == "revoked"


def test_every_page_of_the_visitor_gets_it_and_it_is_reported_once(running: Running) -> None:
    with running.stream(token("browser", "ada")) as one, running.stream(token("phone", "ada")) as other:
        wait_until(lambda: running.api.open_streams() == 2)
        running.emit(voucher(1), voucher(2))
        assert [event[0] for event in first(one, 2)] == ["voucher-1", "voucher-2"]
        assert [event[0] for event in first(other, 2)] == ["voucher-1", "voucher-2"]
    wait_until(lambda: len(running.decided()) == 2)
    assert {event.effect_id for event in running.decided()} == {"voucher-1", "voucher-2"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/stream",
        "/v1/stream?token=",
        "/v1/stream?token=x.y",
        "/v1/stream?token=%ff",
        token("browser", lives_ms=-1),
        token("browser")[:-2] + "xx",
    ],
)
def test_a_bad_or_old_token_is_401_and_the_page_may_read_why(idle: Running, path: str) -> None:
    answer = httpx.get(idle.url + path, headers={"Origin": "https://shop.example"})
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")
    assert answer.headers["access-control-allow-origin"] == "*"


def test_a_stream_ends_with_its_token(running: Running) -> None:
    with running.stream(token("browser", lives_ms=300)) as events:
        assert [event for event in events if event[1] != "comment"] == []


def test_only_named_origins_may_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("origins")
    with Running(
        folder, allowed_origins=("https://shop.example",), max_streams=1, keep_alive_seconds=0.02
    ).serving() as it:
        for origin, allowed in (("https://shop.example", "https://shop.example"), ("https://evil.example", None)):
            with httpx.stream("GET", it.url + token("b"), headers={"Origin": origin}) as answer:
                assert answer.headers.get("access-control-allow-origin") == allowed
                assert answer.headers["content-type"].startswith("text/event-stream")
            wait_until(lambda: it.api.open_streams() == 0)
        with it.stream(token("b")) as events:
            assert next(events)[1] == "comment"
            full = httpx.get(it.url + token("c"))
            assert (full.status_code, full.headers["retry-after"]) == (503, "1")


def test_an_old_voucher_of_the_browser_itself_waits_for_it(at_work: Running) -> None:
    at_work.publish(THANKS)
    guest = {"user_id": "", "anonymous_id": "guest"}
    at_work.put("a:guest", order(1, **guest), order(2, **guest))
    at_work.settle("a:guest")
    with at_work.stream(token("guest")) as events:
        [(_, name, data)] = first(events, 1)
    assert name == "voucher"
    assert data["expires_at"] > now_ms() + DAY_MS


def test_a_page_that_does_not_read_is_cut_off(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", running.port)) as page:
        page.sendall(f"GET {token('browser')} HTTP/1.1\r\nHost: shop\r\n\r\n".encode())
        wait_until(lambda: running.api.open_streams() == 1)
        long_text = "x" * 100_000
        for number in range(MAX_WAITING + 200):
            running.emit(prompt(number, text=long_text))
        wait_until(lambda: running.api.open_streams() == 0, "the slow page being cut off")
    assert running.get("/healthz").status_code == 200


def test_a_person_without_a_browser_is_asked_on_any_verified_page(running: Running) -> None:
    with running.stream(token("browser", "ada")) as events:
        wait_until(lambda: running.api.open_streams() == 1)
        running.emit(
            prompt(1, customer="u:ada", anonymous_id="elsewhere"), prompt(2, customer="u:ada", anonymous_id="")
        )
        assert first(events, 1)[0][0] == "prompt-2"


def test_an_ending_server_ends_its_streams(running: Running) -> None:
    with running.stream(token("browser")) as events:
        wait_until(lambda: running.api.open_streams() == 1)
        running.api.end_streams()
        assert [event for event in events if event[1] != "comment"] == []
    wait_until(lambda: running.api.open_streams() == 0)


def test_only_get_opens_a_stream(idle: Running) -> None:
    for method in ("HEAD", "POST", "OPTIONS"):
        assert httpx.request(method, idle.url + token("browser")).status_code == 405
    assert idle.api.open_streams() == 0
