"""The demonstration's mailbox: what is handed over by SMTP can be read on a page, and can do nothing there."""

from __future__ import annotations

import smtplib
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect
from web.conftest import browser, context  # noqa: F401  # fixtures
from web.serving import serving

from pipeline.demo.mail_server import HOST, MailServer
from pipeline.demo.mailbox import MOST, Mailbox
from pipeline.demo.mailbox_pages import MailboxPages

NOON = 1_790_000_000_000
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg"/>'
HOSTILE = """<html><head><title>Hello</title></head><body><p id="said">A <b>mail</b></p>
<script>document.getElementById('said').textContent = 'owned'; parent.document.title = 'owned'</script>
<img src="x" onerror="document.getElementById('said').textContent = 'owned'">
<img src="http://tracker.invalid/pixel.gif"><img src="/seen" alt="">
<iframe src="/mailbox"></iframe><form action="/taken"><button>Send</button></form>
<a href="/elsewhere">On</a></body></html>"""


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox(lambda: NOON)


@pytest.fixture
def port(mailbox: Mailbox) -> Iterator[int]:
    """Of a mail server that fills the mailbox."""
    server, stop = MailServer(mailbox.take), threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    yield server.port
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


def mail(subject: str = "Hello", to: str = "ada@example.com", html: str = "", **headers: str) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Shop <shop@shop.example>", to, subject
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content("Grüße,\n\nthe shop: http://127.0.0.1/l/abc\n")
    if html:
        made.add_alternative(html, subtype="html")
    return made


def take(mailbox: Mailbox, made: EmailMessage) -> None:
    mailbox.take(str(made["To"]), made.as_bytes())


def get(mailbox: Mailbox, path: str) -> httpx.Response:
    with serving(MailboxPages(mailbox, "@example.com")) as url:
        return httpx.get(url + path)


def test_a_mail_arrives_as_it_was_sent(mailbox: Mailbox, port: int) -> None:
    with smtplib.SMTP(HOST, port) as client:
        client.send_message(mail(html="<p>Grüße</p>", List_Unsubscribe="<https://shop.example/u/1>"))
        client.send_message(mail("Another", to="ben@example.com"))
    another, first = mailbox.newest(10)
    assert (first.number, first.at, first.to, first.subject) == (1, NOON, "ada@example.com", "Hello")
    assert first.text.startswith("Grüße,\n") and first.html == "<p>Grüße</p>\n"
    assert first.header("list-unsubscribe") == "<https://shop.example/u/1>"
    assert (another.number, another.html, mailbox.count()) == (2, "", 2)


def test_who_keeps_the_line_open_does_not_keep_the_server(port: int) -> None:
    client = smtplib.SMTP(HOST, port)  # the fixture ends the server, and waits for its end
    assert client.noop()[0] == 250


def test_the_oldest_make_room(mailbox: Mailbox) -> None:
    for number in range(MOST + 1):
        take(mailbox, mail(f"{number}"))
    assert (mailbox.count(), len(mailbox.newest(MOST + 5))) == (MOST + 1, MOST)
    assert mailbox.find(1) is None
    assert [each.number for each in mailbox.newest(2)] == [MOST + 1, MOST]


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        ({}, ""),
        ({"List_Unsubscribe": "<https://shop.example/u/1>"}, ""),
        (
            {"List_Unsubscribe": "<https://shop.example/u/1>", "List_Unsubscribe_Post": "List-Unsubscribe=One-Click"},
            "https://shop.example/u/1",
        ),
    ],
)
def test_one_click_is_offered_where_the_mail_offers_it(mailbox: Mailbox, headers: dict[str, str], url: str) -> None:
    take(mailbox, mail(**headers))
    assert get(mailbox, "/mailbox/mails/1").json()["unsubscribe_url"] == url


def test_the_list_is_of_everybody_or_of_whom_a_visitor_can_be(mailbox: Mailbox) -> None:
    take(mailbox, mail("Yours"))
    take(mailbox, mail("Another's", to="sim@mail.example"))

    def subjects(query: str) -> list[Any]:
        return [each["subject"] for each in get(mailbox, f"/mailbox/mails{query}").json()["mails"]]

    assert (subjects(""), subjects("?whose=own")) == (["Another's", "Yours"], ["Yours"])


@pytest.mark.parametrize("path", ["/mailbox/mails/7", "/mailbox/mails/7/html", "/mailbox/mailbox.py"])
def test_what_is_not_there_is_said(mailbox: Mailbox, path: str) -> None:
    assert get(mailbox, path).status_code == 404


def test_a_mails_html_is_fenced_in_also_when_it_is_opened_by_itself(mailbox: Mailbox) -> None:
    take(mailbox, mail(html=HOSTILE))
    answer = get(mailbox, "/mailbox/mails/1/html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';")
    assert "script" not in policy and '<head><base target="_blank">' in answer.text
    assert "script-src 'self'" in get(mailbox, "/mailbox").headers["content-security-policy"]


def test_a_hostile_mail_is_shown_and_does_nothing(mailbox: Mailbox, context: BrowserContext) -> None:  # noqa: F811
    take(mailbox, mail("<b>Hello</b>", html=HOSTILE))
    answered: list[str] = []
    context.on("response", lambda response: answered.append(response.url))
    for picture in ("http://tracker.invalid/**", "**/seen"):
        context.route(picture, lambda route: route.fulfill(body=PICTURE, content_type="image/svg+xml"))
    page = context.new_page()
    with serving(MailboxPages(mailbox, "@example.com")) as url:
        page.goto(f"{url}/mailbox")
        page.get_by_role("button", name="<b>Hello</b>").click()
        frame = page.frame_locator("#html")
        expect(frame.locator("#said")).to_have_text("A mail")
        with context.expect_page() as opened:
            frame.get_by_role("link", name="On").click()
        assert opened.value.url == f"{url}/elsewhere"
        expect(frame.locator("#said")).to_have_text("A mail")
        assert page.title() == "Rapport – mailbox"
        assert f"{url}/seen" in answered  # pictures of the shop's own: one of them counts openings
        assert not [each for each in answered if "tracker" in each]
        page.get_by_role("button", name="Text").click()
        link = page.get_by_role("link", name="http://127.0.0.1/l/abc")
        expect(link).to_have_attribute("rel", "noopener")
        page.get_by_role("button", name="Headers").click()
        expect(page.locator("#headers")).to_contain_text("<b>Hello</b>")
