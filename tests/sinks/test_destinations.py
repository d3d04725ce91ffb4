"""What every destination is held to, whatever it does: one suite over all of them.

A new destination gets a row in `DESTINATIONS`: how it is made, and how the test sees what it did.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.core.customer.reach import Reach, Subscription
from pipeline.core.effects import ChatLine, Task
from pipeline.sinks.destination import Deliverable, Later, Recipient, Sent
from pipeline.sinks.outbox import Outbox
from pipeline.sinks.push import Push, key_of, new_key, public_bytes, to_text
from pipeline.sinks.webhook import Webhook
from pipeline.sinks.writing import Templates
from sinks.chatwoot import Chatwoot
from sinks.chatwoot import destination as to_chatwoot
from sinks.postbox import LINKS, Postbox
from sinks.receiver import SECRET, Receiver
from sinks.world import ADA, LATER, NOW, line, mail, message


class Seen(msgspec.Struct):
    """A destination, and the world behind it."""

    destination: Any
    ids: Callable[[], list[str]]
    """What is there by now, each as often as whoever it is for would act on it."""
    content: Callable[[str], dict[str, Any]]
    breaks: Callable[[], None]
    """From now on it does not take anything."""
    recipient: Recipient = ADA
    effect: Callable[..., Deliverable] = mail
    """What it takes, by number; it has the id `voucher-NUMBER` unless told otherwise."""


@contextmanager
def outbox(folder: Path) -> Iterator[Seen]:
    def broken() -> None:
        (folder / "out").rename(folder / "away")
        (folder / "out").write_text("no folder")

    yield Seen(
        Outbox(folder / "out"),
        lambda: [file.stem for file in (folder / "out").glob("*.json")],
        lambda effect_id: json.loads((folder / "out" / f"{effect_id}.json").read_bytes()),
        broken,
    )


@contextmanager
def webhook(_folder: Path) -> Iterator[Seen]:
    with Receiver() as receiver:

        def content(effect_id: str) -> dict[str, Any]:
            data: dict[str, Any] = receiver.body(effect_id)["data"]
            return data

        def broken() -> None:
            receiver.answers = lambda _: (503, {})

        # Who receives webhooks acts on each id once; what it refused it has not got.
        yield Seen(
            Webhook(receiver.url, SECRET, lambda: NOW, allow_private=True),
            lambda: list(set(receiver.taken)),
            content,
            broken,
        )


@contextmanager
def email(_folder: Path) -> Iterator[Seen]:
    with Postbox() as postbox:

        def ids() -> list[str]:
            tokens = {each["Message-ID"].strip("<>").partition("@")[0] for each in postbox.mails}
            return [LINKS.opened(token, "mail").effect_id for token in tokens]

        # A mail is no list of fields: `tests/sinks/test_email.py` reads it.
        yield Seen(postbox.email(lambda: NOW), ids, lambda _: {}, postbox.close)


@contextmanager
def push(_folder: Path) -> Iterator[Seen]:
    with Receiver(lambda _: (201, {})) as service:
        browser = Subscription(service.url, to_text(public_bytes(key_of(new_key()))), to_text(b"sixteen bytes ok"))
        destination = Push(new_key(), "mailto:it@shop.example", Templates(), "", lambda: NOW, allow_private=True)

        def broken() -> None:
            service.answers = lambda _: (503, {})

        # A browser shows each id once: the later one takes the place of the former.
        yield Seen(
            destination,
            lambda: list({each.headers["topic"] for each in service.requests}),
            lambda _: {},
            broken,
            msgspec.structs.replace(ADA, reach=Reach(subscriptions=(browser,))),
        )


@contextmanager
def chatwoot(_folder: Path) -> Iterator[Seen]:
    with Chatwoot() as there:

        def said(number: int, **terms: Any) -> ChatLine:
            return line(number, **({"id": f"voucher-{number}"} | terms))

        def ids() -> list[str]:
            return [it["echo_id"] for each in there.conversations for it in each["messages"]]

        def broken() -> None:
            there.before = lambda _method, _path: 503

        # A message is no list of fields: `tests/sinks/test_chatwoot.py` reads it.
        yield Seen(to_chatwoot(there.url), ids, lambda _: {}, broken, effect=said)


DESTINATIONS = [outbox, webhook, email, push, chatwoot]
WHOLE = [outbox, webhook]
"""Those that hand on all fields."""
REPEATABLE = [outbox, webhook, email, push]
"""Those whose receivers know a repeat by its id."""


@pytest.fixture(params=DESTINATIONS, ids=lambda make: make.__name__)
def seen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Seen]:
    with request.param(tmp_path) as made:
        yield made


TASK = Task(
    id="task-1", customer="u:ada", campaign="c", occasion="o", kind="call", instructions="Call them", reason="r",
    facts='{"orders":2}', decided_at=NOW, not_after=LATER,
)  # fmt: skip
EFFECTS: list[Deliverable] = [mail(1), message(1, values='{"name":"Ada"}'), TASK]


@pytest.mark.parametrize("seen", WHOLE, ids=lambda make: make.__name__, indirect=True)
@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: type(effect).__name__)
def test_what_is_sent_arrives_with_all_its_fields(seen: Seen, effect: Deliverable) -> None:
    assert seen.destination.send(seen.destination.render(effect, seen.recipient)) == Sent()
    assert seen.ids() == [effect.id]
    found = seen.content(effect.id)
    expected = msgspec.structs.asdict(effect)
    expected |= {name: json.loads(expected[name]) for name in ("facts", "values") if name in expected}
    assert found == {"kind": type(effect).__name__.lower(), **expected}


def test_rendering_is_pure(seen: Seen) -> None:
    first, again = (seen.destination.render(seen.effect(1), seen.recipient) for _ in range(2))
    assert first == again
    assert seen.ids() == []


@pytest.mark.parametrize("seen", REPEATABLE, ids=lambda make: make.__name__, indirect=True)
def test_the_same_again_is_the_same_for_whoever_receives_it(seen: Seen) -> None:
    for _ in range(3):
        assert seen.destination.send(seen.destination.render(seen.effect(1), seen.recipient)) == Sent()
    assert seen.ids() == ["voucher-1"]


def test_what_cannot_be_taken_now_is_said_to_be_tried_later(seen: Seen) -> None:
    seen.destination.send(seen.destination.render(seen.effect(1), seen.recipient))
    seen.breaks()
    outcome = seen.destination.send(seen.destination.render(seen.effect(2), seen.recipient))
    assert isinstance(outcome, Later)
    assert outcome.reason


@pytest.mark.parametrize("bad", ["", "../evil", "a/b", "a\nb", "x" * 200, "naïve"])
def test_an_id_no_core_makes_is_refused(seen: Seen, bad: str) -> None:
    with pytest.raises(ValueError, match="the id of an effect"):
        seen.destination.render(seen.effect(1, id=bad), seen.recipient)
    with pytest.raises(ValueError, match="the id of an effect"):
        seen.destination.withdraw(bad)


def test_taking_back_says_whether_it_could(seen: Seen) -> None:
    seen.destination.send(seen.destination.render(seen.effect(1), seen.recipient))
    was_there = seen.destination.withdraw("voucher-1")
    assert seen.ids() == ([] if was_there else ["voucher-1"])
    assert not seen.destination.withdraw("voucher-1")
    assert not seen.destination.withdraw("never-sent")


def test_its_name_is_a_label_and_a_lock_and_a_group(seen: Seen) -> None:
    assert seen.destination.name.replace("-", "").isalnum()
    assert 1 <= seen.destination.at_once <= 1_000
