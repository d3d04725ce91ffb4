"""From what happened, told over HTTP, to what reaches the person by each channel; and to nothing where it may not be.

| channel | it may | it may not |
|---|---|---|
| e-mail | here; tests/sinks/test_email_story.py::test_an_order_is_thanked_for_by_mail | here; tests/sinks/test_email_story.py::test_who_takes_it_back_between_decision_and_sending_gets_no_mail |
| e-mail, asked for on a page | tests/web/test_web_demo.py::test_mail_is_asked_for_confirmed_comes_and_is_left_with_one_click | the same, before it is confirmed |
| push | tests/sinks/test_push_story.py::test_an_order_is_thanked_for_by_a_notification | tests/sinks/test_push_story.py::test_who_never_said_yes_gets_no_notification; tests/sinks/test_push_story.py::test_who_takes_it_back_before_it_is_pushed_gets_none |
| banner | tests/web/test_web_demo.py::test_the_fifth_order_brings_a_voucher_to_its_customer_alone | the same: a stranger who claims to be her |
| prompt | tests/web/test_web_desk.py::test_a_visitor_is_asked_and_answered | tests/web/test_web_desk.py::test_with_no_agent_free_nobody_is_asked_and_the_reason_is_kept; tests/web/test_web_desk.py::test_who_said_no_to_being_contacted_on_the_site_is_not_asked |
| task | here | here |

The mail server is a real one, the push service a stand-in that decrypts as a browser does, the pages are in Chromium.
A voucher that no channel may bring waits on the site for the customer's next visit: it is never lost.
"""  # noqa: E501  a table's row is one line

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.home import Home, until
from sinks.postbox import Postbox

from end_to_end.shop import Shop

ROOT = Path(__file__).resolve().parents[2]
MAIL = """\
name = "thanks-by-mail"
[when]
kind = "nth_order"
order = 1
[do]
kind = "message"
template = "reminder"
values = { title = "Thank you", text = "Thank you for your order." }
[contact]
channels = ["email"]
"""
CALL = """\
name = "call"
[when]
kind = "nth_order"
order = 1
[do]
kind = "task"
task = "phone"
instructions = "Ask how they like it."
"""


@pytest.fixture(scope="module")
def postbox() -> Iterator[Postbox]:
    with Postbox() as made:
        yield made


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, postbox: Postbox) -> Iterator[Shop]:
    home = Home(tmp_path_factory.mktemp("channels")).init(
        email_host="127.0.0.1",
        email_port=postbox.port,
        email_tls="none",
        email_from="Example Shop <hello@shop.example>",
        links_url="https://hello.shop.example",
    )
    for name, text in (("thanks-by-mail", MAIL), ("call", CALL)):
        (home.path / "campaigns" / f"{name}.toml").write_text(text)
    with home.role("up", "--port", "0") as role:
        yield Shop(home, role)


def registers(shop: Shop, user_id: str, **permits: bool) -> None:
    """The shop's own server says who they are and what they permit."""
    consent = {channel: {"marketing": permitted} for channel, permitted in permits.items()}
    traits = {"email": f"{user_id}@customers.example", "consent": consent}
    shop.say("identify", userId=user_id, traits=traits, key=shop.server_key)


def answer(shop: Shop, user_id: str, campaign: str) -> tuple[str, str]:
    """What was decided, and the reason."""
    [found] = [it for it in shop.profile(user_id)["decisions"]["answers"] if it["campaign"] == campaign]
    return found["outcome"], found["reason"]


def mails(postbox: Postbox, user_id: str) -> list[str]:
    return [str(it["Subject"]) for it in postbox.mails if it["To"] == f"{user_id}@customers.example"]


def tasks(shop: Shop, user_id: str) -> list[dict[str, Any]]:
    """On the list of the shop's people."""
    files = (Path(shop.home.path) / "rapport-data" / "outbox").glob("*.json")
    found = [json.loads(file.read_text()) for file in files]
    return [it for it in found if it["customer"] == f"u:{user_id}" and it.get("instructions")]


def test_an_order_brings_a_mail_and_a_call_to_who_permits_both(shop: Shop, postbox: Postbox) -> None:
    registers(shop, "ann", email=True, phone=True)
    shop.order("ann-1", "ann")
    until(lambda: mails(postbox, "ann") and tasks(shop, "ann"))
    assert mails(postbox, "ann") == ["Thank you"]
    [call] = tasks(shop, "ann")
    assert (call["kind"], call["instructions"]) == ("phone", "Ask how they like it.")
    shop.order("ann-1", "ann", again=True)
    shop.order("ann-2", "ann")
    assert {answer(shop, "ann", name)[0] for name in ("thanks-by-mail", "call")} == {"TAKEN"}
    assert (len(mails(postbox, "ann")), len(tasks(shop, "ann"))) == (1, 1)


@pytest.mark.parametrize("permits", [{}, {"email": False, "phone": False}, {"push": True}])
def test_who_did_not_permit_it_gets_neither_and_the_reason_is_kept(
    shop: Shop, postbox: Postbox, permits: dict[str, bool]
) -> None:
    who = "-".join(["bob", *permits])
    registers(shop, who, **permits)
    shop.order(f"{who}-1", who)
    for campaign in ("thanks-by-mail", "call"):
        assert answer(shop, who, campaign) == ("REFUSED", "no_consent")
    # Whoever comes later gets theirs: what was to be sent until then, was.
    registers(shop, f"after-{who}", email=True, phone=True)
    shop.order(f"after-{who}-1", f"after-{who}")
    until(lambda: mails(postbox, f"after-{who}") and tasks(shop, f"after-{who}"))
    assert (mails(postbox, who), tasks(shop, who)) == ([], [])


def test_the_table_names_tests_that_there_are() -> None:
    named = re.findall(r"(tests/\S+\.py)::(\w+)", __doc__ or "")
    assert len(named) > 8
    assert [it for it in named if f"def {it[1]}(" not in (ROOT / it[0]).read_text(encoding="utf-8")] == []
