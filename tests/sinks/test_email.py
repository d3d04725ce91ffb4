"""E-mail: what arrives at a real SMTP server, and what each of its answers means."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from servers.free_port import free_port

from pipeline.core.customer.reach import Reach
from pipeline.core.identifiers import address_name
from pipeline.recommending import Recommendation
from pipeline.sinks.destination import Later, Outcome, Rejected, Sent, Unknown, UnreachableError
from pipeline.sinks.email import Email, Server
from pipeline.sinks.writing import Templates
from sinks.postbox import HANG_UP, HEAD, LINKS, OK, Postbox
from sinks.world import ADA, NOW, mail, message

ADDRESS = ADA.traits["email"]


def wall() -> int:
    return NOW


@pytest.fixture
def postbox() -> Iterator[Postbox]:
    with Postbox() as made:
        yield made


def send(postbox: Postbox, effect: object = None, **about: object) -> Outcome:
    destination = postbox.email(wall)
    recipient = msgspec.structs.replace(ADA, **about)
    return destination.send(destination.render(effect or mail(1), recipient))  # type: ignore[arg-type]


def test_a_voucher_arrives_as_a_mail_of_text_and_html(postbox: Postbox) -> None:
    assert (
        send(postbox, mail(1, campaign="thanks", discount_percent=10, minimum_spend_cents=2000, currency="EUR"))
        == Sent()
    )
    (received,) = postbox.mails
    assert received["From"] == HEAD.sender
    assert received["To"] == ADDRESS
    assert received["Reply-To"] == HEAD.reply_to
    assert received["Subject"] == "10 % off your next order"
    assert received["Date"] == "Fri, 15 Jan 2027 08:00:00 +0000"
    text, html = (part.get_content() for part in received.iter_parts())
    for body in (text, html):
        assert "Hello Ada," in body
        assert "CODE1" in body
        assert "20.00 EUR" in body
    assert [part.get_content_type() for part in received.iter_parts()] == ["text/plain", "text/html"]


def test_one_click_unsubscribes_and_the_link_is_readable_to_nobody_else(postbox: Postbox) -> None:
    send(postbox)
    (received,) = postbox.mails
    assert received["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = received["List-Unsubscribe"].strip("<>")
    assert url.startswith("https://hello.shop.example/u/")
    link = LINKS.opened(urlsplit(url).path.removeprefix("/u/"), "unsubscribe")
    assert (link.customer, link.channel, link.purpose) == ("u:ada", "email", "marketing")
    assert b"ada" not in re.sub(rb"(?i)hello ada|ada@customers", b"", postbox.raw[0].replace(b"=\r\n", b""))


def test_who_is_written_to_because_of_an_order_is_offered_no_unsubscribing(postbox: Postbox) -> None:
    send(postbox, purpose="service")
    assert postbox.mails[0]["List-Unsubscribe"] is None
    assert "nsubscribe" not in postbox.raw[0].decode()


def test_whoever_objects_to_profiling_is_not_watched(postbox: Postbox) -> None:
    send(postbox)
    send(postbox, profiled=False)
    watched, plain = (part.get_body(("html",)).get_content() for part in postbox.mails)  # type: ignore[union-attr]
    assert "/o/" in watched
    assert "/l/" in watched
    assert "/o/" not in plain
    assert 'href="https://shop.example/"' in plain


def test_a_repeat_is_the_same_mail(postbox: Postbox) -> None:
    destination = postbox.email(wall)
    assert destination.render(mail(1), ADA) == destination.render(mail(1), ADA)
    send(postbox)
    send(postbox)
    send(postbox, mail(2))
    first, again, other = (each["Message-ID"] for each in postbox.mails)
    assert first == again != other
    assert LINKS.opened(first.strip("<>").partition("@")[0], "mail").effect_id == "voucher-1"


@pytest.mark.parametrize(
    "evil",
    ["Ada\r\nBcc: all@evil.example", "Ada\nSubject: won", "Ada\x00", "Ada\u2028Bcc: x@evil.example", "=?utf-8?q?x?="],
)
def test_what_a_customer_calls_themself_becomes_no_header_and_no_html(
    postbox: Postbox, tmp_path: Path, evil: str
) -> None:
    (tmp_path / "news.txt").write_text("Subject: Hello {{ first_name }}\n\n{{ first_name }}")
    (tmp_path / "news.html").write_text("<p>{{ first_name }}</p>")
    destination = postbox.email(wall, templates=Templates(tmp_path))
    named = msgspec.structs.replace(ADA, traits={**ADA.traits, "first_name": f"{evil}<script>"})
    assert destination.send(destination.render(message(1), named)) == Sent()
    (received,) = postbox.mails
    assert received["Subject"].startswith("Hello ")
    assert received["Bcc"] is None
    assert "<script>" not in received.get_body(("html",)).get_content()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("traits", "reach", "reason"),
    [
        ({}, Reach(), "no e-mail address is known"),
        ({"email": " "}, Reach(), "no e-mail address is known"),
        ({"email": "not one"}, Reach(), "no e-mail address"),
        ({"email": "a@b"}, Reach(), "no e-mail address"),
        ({"email": "a@b.example, c@d.example"}, Reach(), "no e-mail address"),
        ({"email": "a@b.example\r\nRCPT TO:<c@d.example>"}, Reach(), "no e-mail address"),
        ({"email": "jürgen@b.example"}, Reach(), "no e-mail address"),
        ({"email": ADDRESS}, Reach(bounced=address_name(ADDRESS.upper())), "came back"),
    ],
)
def test_without_an_address_nothing_is_sent(
    postbox: Postbox, traits: dict[str, str], reach: Reach, reason: str
) -> None:
    with pytest.raises(UnreachableError, match=reason):
        send(postbox, traits=traits, reach=reach)


def test_a_domain_of_other_letters_is_written_as_dns_has_it(postbox: Postbox) -> None:
    send(postbox, traits={"email": "ada@bücher.example"})
    assert postbox.mails[0]["To"] == "ada@xn--bcher-kva.example"


GONE = (address_name(ADDRESS),)


@pytest.mark.parametrize(
    ("stage", "answer", "expected"),
    [
        ("RCPT", "550 5.1.1 no such user", Rejected("the mail server refuses it: 550 5.1.1 no such user", GONE)),
        ("RCPT", "550 no such user", Rejected("the mail server refuses it: 550 no such user", GONE)),
        ("RCPT", "550 5.7.1 you are blocked", Rejected("the mail server refuses it: 550 5.7.1 you are blocked")),
        ("RCPT", "452 4.2.2 full", Later("the mail server does not take it now: 452 4.2.2 full")),
        ("DATA", "554 5.6.0 spam", Rejected("the mail server refuses it: 554 5.6.0 spam")),
        ("DATA", "451 4.7.1 greylisted", Later("the mail server does not take it now: 451 4.7.1 greylisted")),
        ("RCPT", HANG_UP, Later("the mail server hung up: SMTPServerDisconnected")),
        ("DATA", HANG_UP, Unknown("the mail server did not answer to the mail: SMTPServerDisconnected")),
    ],
)
def test_what_an_answer_means(postbox: Postbox, stage: str, answer: str, expected: Outcome) -> None:
    postbox.says = lambda at: answer if at == stage else OK
    destination = postbox.email(wall)
    assert destination.send(destination.render(mail(1), ADA)) == expected
    postbox.says = lambda _: OK
    assert destination.send(destination.render(mail(2), ADA)) == Sent(), "the next mail is not its victim"


def product(name: str, **about: object) -> Recommendation:
    known = {"category": "tea", "price_cents": -1, "currency": "", "url": "", "image_url": ""}
    named = {"product_id": "p-1", "name": name, "score": 1.0, "reason": "best_seller", "because": ""}
    return Recommendation(**(known | named | about))  # type: ignore[arg-type]


ASSAM = product("Assam <1st>", price_cents=740, currency="EUR", url="https://shop.example/t-1?a=1&b=2",
                image_url="https://shop.example/t-1.jpg")  # fmt: skip


def bodies(postbox: Postbox, folder: Path, *found: Recommendation, asks: str = "", **about: object) -> list[str]:
    """Text and page of a mail to somebody to whom these are recommended."""
    asks = asks or '{% include "recommendations.TYPE" %}'
    (folder / "news.txt").write_text("Subject: News\n\nHello!\n" + asks.replace("TYPE", "txt"))
    (folder / "news.html").write_text("<p>Hello!</p>" + asks.replace("TYPE", "html"))
    destination = postbox.email(wall, templates=Templates(folder))
    recipient = msgspec.structs.replace(ADA, recommended=lambda most: found[:most], **about)
    assert destination.send(destination.render(message(1), recipient)) == Sent()
    return [part.get_content().replace("\r\n", "\n") for part in postbox.mails[-1].iter_parts()]


def test_what_is_recommended_stands_in_the_mail_and_its_links_are_the_clicks_own(
    postbox: Postbox, tmp_path: Path
) -> None:
    text, page = bodies(postbox, tmp_path, ASSAM, product("Sencha"), *[product("Another")] * 5)
    for body in (text, page):
        assert "You might also like" in body
        assert "7.40 EUR" in body
        assert "Sencha" in body
        assert body.count("Another") == 1
        (sealed,) = re.findall(r"https://hello.shop.example/l/([\w-]+)", body)
        link = LINKS.opened(sealed, "click")
        assert (link.url, link.customer, link.effect_id) == (ASSAM.url, "u:ada", "message-1")
    assert "- Assam <1st>, 7.40 EUR\n" in text
    assert ">Assam &lt;1st&gt;</a> · 7.40 EUR" in page
    assert page.count("<img") == 1
    assert 'src="https://shop.example/t-1.jpg" alt=""' in page


def test_the_links_of_who_is_not_watched_are_the_products_own(postbox: Postbox, tmp_path: Path) -> None:
    text, page = bodies(postbox, tmp_path, ASSAM, profiled=False)
    assert ASSAM.url in text
    assert 'href="https://shop.example/t-1?a=1&amp;b=2"' in page


def test_where_nothing_is_recommended_the_block_is_left_out(postbox: Postbox, tmp_path: Path) -> None:
    assert bodies(postbox, tmp_path) == ["Hello!\n", "<p>Hello!</p>\n"]


def test_a_template_says_itself_what_it_shows_of_them(postbox: Postbox, tmp_path: Path) -> None:
    asks = "{% for it in recommendations(2) %}{{ it.product_id }} {{ it.category }} {{ it.price }};{% endfor %}"
    text, _ = bodies(postbox, tmp_path, ASSAM, product("x", price_cents=1), product("y"), asks=asks)
    assert text == "Hello!\np-1 tea 7.40 EUR;p-1 tea ;\n"


def test_a_mail_that_recommends_nothing_reads_nothing(postbox: Postbox) -> None:
    def asked(_most: int) -> list[Recommendation]:
        raise AssertionError("nobody asked for it")

    assert send(postbox, recommended=asked) == Sent()


def test_where_nobody_listens_nothing_was_done() -> None:
    nowhere = Email(Server(host="127.0.0.1", port=free_port(), tls="none"), HEAD, Templates(), LINKS, wall)
    assert isinstance(nowhere.send(nowhere.render(mail(1), ADA)), Later)


def test_one_connection_carries_many_mails_and_is_made_anew_when_it_went_away(postbox: Postbox) -> None:
    destination = postbox.email(wall)
    for number in range(5):
        assert destination.send(destination.render(mail(number), ADA)) == Sent()
    assert postbox.sessions == 1
    assert len(postbox.mails) == 5


def test_a_server_that_cannot_encrypt_gets_no_mail_by_default(postbox: Postbox) -> None:
    server = Server(host="127.0.0.1", port=postbox.port)
    strict = Email(server, HEAD, Templates(), LINKS, wall)
    assert isinstance(strict.send(strict.render(mail(1), ADA)), Later)
    assert postbox.mails == []


@pytest.mark.parametrize(
    ("template", "files", "sentence"),
    [
        ("missing", {}, "there is no template missing.txt"),
        ("../../etc/passwd", {}, "there is no template"),
        ("news", {"news.txt": "Hello"}, "expected `Subject: …`"),
        ("news", {"news.txt": "Subject: x\n\n{{ frist_name }}"}, "'frist_name' is undefined"),
        ("news", {"news.txt": "Subject: x\n\n{{ ''.__class__.__mro__ }}"}, "unsafe"),
        ("news", {"news.txt": "Subject: x\n\n{{ link('javascript:alert(1)') }}"}, "expected https"),
        ("news", {"news.txt": "Subject: {% if %}"}, "template news"),
    ],
)
def test_a_template_that_fails_is_said_and_sends_nothing(
    postbox: Postbox, tmp_path: Path, template: str, files: dict[str, str], sentence: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    destination = postbox.email(wall, templates=Templates(tmp_path))
    with pytest.raises(ValueError, match=sentence):
        destination.render(message(1, template=template), ADA)


@pytest.mark.parametrize("name", ["voucher", "win-back", "confirm-email", "reminder"])
def test_the_shipped_templates_can_be_written(postbox: Postbox, name: str) -> None:
    destination = postbox.email(wall)
    effect = mail(1, campaign=name) if name in ("voucher", "win-back") else message(1, template=name)
    assert (
        destination.send(destination.render(effect, msgspec.structs.replace(ADA, traits={"email": ADDRESS})))
        == Sent()
    )
    text, html = (part.get_content() for part in postbox.mails[0].iter_parts())
    for body in (text, html):
        assert "Example Shop" in body
        assert "{" not in body
        assert "/u/" in body
        assert ("/c/" in body) == (name == "confirm-email")


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        ({"sender": ""}, "email_from"),
        ({"sender": "a@b.example, c@d.example"}, "email_from"),
        ({"sender": "Shop\r\nBcc: x@y.example <a@b.example>"}, "email_from"),
        ({"reply_to": "nobody"}, "email_reply_to"),
        ({"links_url": "hello.shop.example"}, "links_url"),
    ],
)
def test_a_letterhead_that_can_be_none_is_refused(postbox: Postbox, head: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        postbox.email(wall, msgspec.structs.replace(HEAD, **head))
