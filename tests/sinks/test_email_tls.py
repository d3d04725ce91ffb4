"""E-mail over TLS and with a log-in: to whom it is not sure it speaks, it gives neither a password nor a mail."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from servers.signed import DAY, Authority

from pipeline.sinks.destination import Later, Outcome, Sent
from pipeline.sinks.email import Email, Server, Tls
from pipeline.sinks.writing import Templates
from sinks.postbox import HEAD, LINKS, Postbox
from sinks.world import ADA, NOW, mail

ACCOUNT = ("rapport", "corréct horse")
# The server does not see that the line it listens on is encrypted already.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
BOTH = pytest.mark.parametrize("tls", ["starttls", "tls"])


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The one this machine trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made


def destination(postbox: Postbox, tls: Tls, account: tuple[str, str] = ("", "")) -> Email:
    server = Server(host="127.0.0.1", port=postbox.port, tls=tls, user=account[0], password=account[1])
    return Email(server, HEAD, Templates(), LINKS, lambda: NOW)


def send(to: Email) -> Outcome:
    return to.send(to.render(mail(1), ADA))


@BOTH
def test_who_shows_a_certificate_and_is_logged_in_to_gets_the_mails(authority: Authority, tls: Tls) -> None:
    with Postbox(certificate=authority.server(), tls=tls, account=ACCOUNT) as postbox:
        to = destination(postbox, tls, ACCOUNT)
        assert [send(to), send(to)] == [Sent(), Sent()]
    assert len(postbox.mails) == 2
    assert postbox.log_ins == 1, "one connection, one log-in"


@BOTH
@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (lambda authority: authority.server(lives=-DAY), "certificate has expired"),
        (
            lambda authority: authority.server("127.0.0.2"),
            "IP address mismatch, certificate is not valid for '127.0.0.1'.",
        ),
        (lambda authority: authority.stranger().server(), "unable to get local issuer certificate"),
        (lambda authority: authority.stranger().itself(), "self-signed certificate"),
    ],
)
def test_a_certificate_that_is_not_valid_gets_neither_password_nor_mail_and_is_named(
    authority: Authority, tls: Tls, shown: Callable[[Authority], ssl.SSLContext], reason: str
) -> None:
    with Postbox(certificate=shown(authority), tls=tls, account=ACCOUNT) as postbox:
        said = send(destination(postbox, tls, ACCOUNT))
    assert said == Later(f"the mail server's certificate is not valid: {reason}")
    assert (postbox.log_ins, postbox.mails) == (0, [])


@BOTH
def test_a_certificate_that_was_renewed_is_asked_for_anew(authority: Authority, tls: Tls) -> None:
    shown = authority.server(lives=-DAY)
    with Postbox(certificate=shown, tls=tls) as postbox:
        to = destination(postbox, tls)
        assert isinstance(send(to), Later)
        authority.renew(shown)
        assert send(to) == Sent()


@BOTH
@pytest.mark.parametrize("given", [(ACCOUNT[0], "wrong"), ("nobody", ACCOUNT[1])])
def test_a_refused_log_in_is_named_and_the_password_is_not(
    authority: Authority, tls: Tls, given: tuple[str, str]
) -> None:
    with Postbox(certificate=authority.server(), tls=tls, account=ACCOUNT) as postbox:
        said = send(destination(postbox, tls, given))
    refusal = "535 5.7.8 Authentication credentials invalid"
    assert said == Later(f"the mail server refuses email_user and email_password: {refusal}")
    assert postbox.mails == []


def test_who_wants_a_log_in_and_gets_none_says_so(authority: Authority) -> None:
    with Postbox(certificate=authority.server(), tls="tls", account=ACCOUNT) as postbox:
        said = send(destination(postbox, "tls"))
    assert said == Later("the mail server refuses the sender: 530 5.7.0 Authentication required")


def test_a_server_that_offers_no_starttls_gets_neither_password_nor_mail() -> None:
    with Postbox(account=ACCOUNT) as postbox:
        said = send(destination(postbox, "starttls", ACCOUNT))
    assert said == Later("the mail server cannot do what is asked: SMTP STARTTLS extension not supported by server.")
    assert (postbox.log_ins, postbox.mails) == (0, [])


def test_the_port_of_the_other_way_to_encrypt_is_named(authority: Authority) -> None:
    with Postbox(certificate=authority.server(), tls="starttls") as postbox:
        said = send(destination(postbox, "tls"))
    assert isinstance(said, Later)
    assert said.reason.startswith("the mail server does not speak TLS as expected: ")
    assert said.reason.endswith("see email_tls and email_port")
