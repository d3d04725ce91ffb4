"""The last look at the customer: consent withdrawn since, somebody forgotten, a store that is not there yet."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from api.running import CODEC, EVENTS

from pipeline.core import subjects
from pipeline.core.category import CategoryState
from pipeline.core.customer.consent import Consent
from pipeline.core.customer.consent import Permission as Word
from pipeline.core.customer.identity import Identity
from pipeline.core.customer.profile import Profile
from pipeline.core.do import DoVoucher
from pipeline.core.effects import Task
from pipeline.core.partition import ActiveRules
from pipeline.core.product import ProductState
from pipeline.core.rules import Campaign, Contact
from pipeline.core.subjects import State
from pipeline.core.when import WhenLapsed
from pipeline.sinks.choosing import NotPermittedError, NotYetError
from pipeline.sinks.permission import Permission
from sinks.world import NOW, mail, message


class Store:
    """As far as a permission asks it."""

    def __init__(self, *profiles: State, offset: int | None = 100, rules: ActiveRules | None = None) -> None:
        self.states = {each.key: subjects.encode(each) for each in profiles}
        self.offset = offset
        self.end = 100
        self.rules = msgspec.msgpack.encode(rules) if rules else None
        self.asked: list[str] = []

    def subject(self, key: str) -> tuple[int | None, bytes | None]:
        self.asked.append(key)
        return self.offset, self.states.get(key)

    def stored(self, _partition: int) -> tuple[int | None, bytes | None]:
        return self.offset, self.rules

    def partition_of(self, _key: str) -> int:
        return 0

    def end_offset(self, topic: str, _partition: int) -> int:
        return self.end if topic == EVENTS else 0

    def start_offset(self, _topic: str, _partition: int) -> int:
        return 0

    def partitions(self) -> int:
        return 1

    def topic_partitions(self, _topic: str) -> int:
        return 1


def look(store: Store, effect: Any = None) -> str:
    """Why not; "": permitted."""
    return refusal(Permission(store, CODEC), effect or mail(1))  # type: ignore[arg-type]


def refusal(permission: Permission, effect: Any) -> str:
    try:
        permission.recipient(effect)
    except NotPermittedError as problem:
        return str(problem)
    return ""


def customer(key: str = "u:ada", *, owner: str = "", at: int = NOW, **words: bool) -> Profile:
    """`email_marketing=False`: withdrawn."""
    permissions = {name.replace("_", "."): Word(granted, NOW) for name, granted in words.items()}
    return Profile(key, at, consent=Consent(permissions), identity=Identity(owner=owner))


def task(kind: str) -> Task:
    return Task(
        id="task-1", customer="u:ada", campaign="c", occasion="o", kind=kind, instructions="", reason="", facts="{}",
        decided_at=NOW, not_after=NOW,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (customer(email_marketing=True), ""),
        (customer(), ""),
        (customer(email_marketing=False), "consent withdrawn"),
        (customer(sms_marketing=False), ""),
        (customer(email_service=False), ""),
    ],
    ids=["granted", "never a word (the decision knew why)", "withdrawn", "another channel", "another purpose"],
)
def test_what_was_withdrawn_since_is_refused(known: Profile, expected: str) -> None:
    assert look(Store(known)) == expected


def test_a_browser_that_was_handed_over_is_asked_of_its_person() -> None:
    browser = customer("a:b", owner="u:ada", email_marketing=True)
    person = customer("u:ada", email_marketing=False)
    assert look(Store(browser, person), mail(1, customer="a:b")) == "consent withdrawn"
    assert look(Store(browser), mail(1, customer="a:b")) == ""


def test_the_purpose_is_the_campaigns() -> None:
    contact = Contact(channels=("email",), purpose="service")
    campaign = Campaign(name="news", when=WhenLapsed(), do=DoVoucher(discount_percent=5), contact=contact)
    rules = ActiveRules(1, msgspec.json.encode([campaign]))
    assert look(Store(customer(email_marketing=False), rules=rules), mail(1, campaign="news", customer="u:ada")) == ""
    assert look(Store(customer(email_service=False), rules=rules), mail(1, campaign="news", customer="u:ada")) != ""


@pytest.mark.parametrize(
    ("effect", "withdrawn", "refused"),
    [
        (message(1, customer="u:ada"), "email.marketing", True),
        (message(1, customer="u:ada", purpose="service"), "email.marketing", False),
        (message(1, customer="u:ada", purpose="service"), "email.service", True),
        (message(1, customer="u:ada", purpose="transactional"), "*.*", False),
        (task("mailshot"), "post.marketing", True),
        (task("mailshot"), "phone.marketing", False),
        (task("phone"), "phone.marketing", True),
        (task("visit"), "*.marketing", True),
    ],
)
def test_a_message_names_its_purpose_and_a_task_goes_by_a_channel(effect: Any, withdrawn: str, refused: bool) -> None:
    known = Profile("u:ada", NOW, consent=Consent({withdrawn: Word(False, NOW)}))
    assert bool(look(Store(known), effect)) is refused


def test_the_address_and_the_objection_to_being_watched_go_with_it() -> None:
    words = Consent({"*.profiling": Word(False, NOW)})
    known = Profile("u:ada", NOW, consent=words, identity=Identity(traits={"email": "a@b.example"}))
    found = Permission(Store(known), CODEC).recipient(message(1, customer="u:ada"))  # type: ignore[arg-type]
    assert (found.traits["email"], found.profiled) == ("a@b.example", False)


@pytest.mark.parametrize("offset", [None, 0, 99])
@pytest.mark.parametrize(
    "known", [[], [customer(at=NOW - 1, email_marketing=True)]], ids=["nobody", "an older state"]
)
def test_a_store_that_has_not_come_to_the_decision_is_waited_for(offset: int | None, known: list[Profile]) -> None:
    """Redis was emptied, or fell a second back: what it says is not what was decided on."""
    store = Store(*known, offset=offset)
    permission = Permission(store, CODEC)  # type: ignore[arg-type]
    with pytest.raises(NotYetError):
        refusal(permission, mail(1))
    store.end = 200
    with pytest.raises(NotYetError):
        refusal(permission, mail(1))
    store.offset = 100
    assert refusal(permission, mail(1)) == ("" if known else "forgotten"), "the end as it was then counts"


def test_who_is_gone_when_the_store_has_come_so_far_was_forgotten() -> None:
    assert look(Store()) == "forgotten"


@pytest.mark.parametrize("stored", [b"", b"rubbish", msgspec.msgpack.encode(["u:ada", "no time"])])
def test_a_profile_that_cannot_be_read_is_waited_for_and_said(
    stored: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A newer version wrote it, or it is damaged: that says nothing of the customer, and can be put right."""
    store = Store(customer(email_marketing=True), customer("u:bob", email_marketing=True))
    permission = Permission(store, CODEC)  # type: ignore[arg-type]
    good, store.states["u:ada"] = store.states["u:ada"], stored + b"\x00" * 3
    for _ in range(3):
        with pytest.raises(NotYetError, match="the store holds of u:ada cannot be read"):
            refusal(permission, mail(1))
    assert [each.levelname for each in caplog.records] == ["ERROR"], "once, while nothing can be read"
    assert refusal(permission, mail(2, customer="u:bob")) == "", "nobody else waits"
    store.states["u:ada"] = good
    assert refusal(permission, mail(1)) == ""


def test_rules_that_cannot_be_read_are_waited_for() -> None:
    store = Store(customer(email_marketing=True))
    store.rules = b"rubbish"
    with pytest.raises(NotYetError):
        look(store)


def test_memory_of_what_is_waited_for_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.sinks.permission.MAX_WAITING", 3)
    permission = Permission(Store(offset=None), CODEC)  # type: ignore[arg-type]
    for number in range(20):
        with pytest.raises(NotYetError):
            refusal(permission, mail(number))
    assert len(permission._awaited) <= 3


TEA = ProductState("p:tea", NOW, is_listed=True, name="Tea")
BEST = CategoryState("c:", NOW, {"tea": 3})


def test_what_is_recommended_is_read_once_and_only_if_it_is_asked_for() -> None:
    store = Store(customer(), TEA, BEST)
    found = Permission(store, CODEC).recipient(message(1, customer="u:ada"))  # type: ignore[arg-type]
    assert store.asked == ["u:ada"]
    assert [it.product_id for it in found.recommended(3)] == ["tea"]
    assert found.recommended(3) is found.recommended(3)
    assert store.asked == ["u:ada", "c:", "p:tea"]


def test_a_product_that_cannot_be_read_is_waited_for() -> None:
    store = Store(customer(), BEST)
    store.states["p:tea"] = b"of a newer version"
    found = Permission(store, CODEC).recipient(message(1, customer="u:ada"))  # type: ignore[arg-type]
    with pytest.raises(NotYetError, match="a product cannot be read"):
        found.recommended(3)
