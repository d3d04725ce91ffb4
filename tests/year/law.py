"""What must hold of a log, whoever decided it: every contact as permitted, every occasion answered once, every reason
true. `broken` reads a log and says what does not hold, in plain sentences."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
from simulation.memory import EVENTS, MemoryLog
from simulation.test_simulation import CODEC
from year.lives import DAY_MS, Life, Standing, lived
from year.shop import Shop

from pipeline.core.effects import ChatPrompt, Decision, Effect, Message, Task, Voucher
from pipeline.core.events import CampaignsChanged, Input, Tick

REACHING = frozenset({"email", "push", "sms", "phone", "post"})
RINGING = frozenset({"email", "push", "sms", "phone"})
TOPICS = ("vouchers", "messages", "tasks", "chat-prompts", "decisions")
TASKS = {"mailshot": "post", "phone": "phone"}
LONGEST_WAIT_MS = 7 * DAY_MS + 60_000


@dataclass
class Reading:
    """What is on a log."""

    records: list[Input] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    shop: Shop | None = None
    end: int = 0


@dataclass(frozen=True)
class Contact:
    """Somebody was contacted."""

    customer: str
    campaign: str
    occasion: str
    channel: str
    at: int
    is_task: bool


def read(log: MemoryLog) -> Reading:
    """The log's inputs in order of arrival, what was decided, and what came of it."""
    found = Reading()
    for record in log.of(EVENTS):
        event = CODEC.decode(record.value)
        if isinstance(event, CampaignsChanged):
            found.shop = Shop(event.campaigns, event.policy, event.segments)
        elif isinstance(event, Tick):
            found.end = max(found.end, event.received_at)
        elif isinstance(event, Input):
            found.records.append(event)
    found.records.sort(key=lambda it: it.received_at)
    for topic in TOPICS:
        for record in log.of(topic):
            effect = CODEC.decode(record.value)
            (found.decisions if isinstance(effect, Decision) else found.effects).append(effect)  # type: ignore[arg-type,attr-defined]
    return found


def broken(reading: Reading) -> list[str]:
    """Every law that does not hold, where."""
    assert reading.shop is not None
    lives = lived(reading.records, reading.shop, reading.end)
    contacts = [it for effect in reading.effects if (it := _contact(effect))]
    return [
        *_not_permitted(contacts, lives, reading.shop),
        *_too_many(contacts, reading.shop),
        *_not_once(reading),
        *_not_answered(reading, lives),
        *_untrue(reading, lives, contacts),
        *_beyond_budget(reading),
    ]


def _contact(effect: Effect) -> Contact | None:
    """A marketing contact that goes to the person."""
    match effect:
        case Message() if effect.purpose != "transactional":
            channel = effect.channel
        case Voucher() if effect.channel in REACHING:
            channel = effect.channel
        case Task():
            channel = TASKS[effect.kind]
        case _:
            return None
    is_task = isinstance(effect, Task)
    return Contact(effect.customer, effect.campaign, effect.occasion, channel, effect.decided_at, is_task)


def _shown(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _named(it: Contact | Decision) -> str:
    at = it.at if isinstance(it, Contact) else it.decided_at
    return f"{it.customer} {it.campaign} for {it.occasion} at {_shown(at)}"


def _not_permitted(contacts: list[Contact], lives: dict[str, Life], shop: Shop) -> Iterator[str]:
    for it in contacts:
        standing = lives[it.customer].standing(it.at)
        terms = shop.campaigns[it.campaign].get("contact", {})
        if not standing.permits(it.channel, soft_opt_in=terms.get("soft_opt_in", False)):
            yield f"without permission for {it.channel}: {_named(it)}"
        if standing.complaints:
            yield f"during a complaint: {_named(it)}"
        if not it.is_task and it.channel in RINGING and _quiet_until(it.at, standing, shop):
            yield f"in quiet hours: {_named(it)}"


def _quiet_until(at: int, standing: Standing, shop: Shop) -> int:
    """When the quiet hours end in which the moment falls; 0: it falls in none."""
    zone = shop.clock(standing.zone)
    there = datetime.fromtimestamp(at / 1000, zone)
    if shop.policy["quiet_until"] <= f"{there:%H:%M}" < shop.policy["quiet_from"]:
        return 0
    hours, minutes = (int(part) for part in shop.policy["quiet_until"].split(":"))
    day = there.date() if there.hour < hours else there.date() + timedelta(days=1)
    morning = datetime(day.year, day.month, day.day, hours, minutes, tzinfo=zone)
    return int(morning.timestamp()) * 1000


def _too_many(contacts: list[Contact], shop: Shop) -> Iterator[str]:
    by_person: dict[str, list[Contact]] = defaultdict(list)
    for it in contacts:
        by_person[it.customer].append(it)
    for theirs in by_person.values():
        theirs.sort(key=lambda it: it.at)
        for limit, days in ((shop.policy["per_day"], 1), (shop.policy["per_week"], 7)):
            for place in range(limit, len(theirs)):
                if theirs[place].at - theirs[place - limit].at < days * DAY_MS:
                    yield f"more than {limit} contacts in {days} days: {_named(theirs[place])}"


def _not_once(reading: Reading) -> Iterator[str]:
    """What was taken had one effect, and every effect was taken once."""
    taken = Counter((it.customer, it.campaign, it.occasion) for it in reading.decisions if it.outcome == "TAKEN")
    kinds = (Voucher, Message, Task, ChatPrompt)
    done = Counter(
        (it.customer, it.campaign, it.occasion)
        for it in reading.effects
        if isinstance(it, kinds) and not (isinstance(it, Message) and it.purpose == "transactional")
    )
    for what in sorted(taken.keys() | done.keys()):
        if what[1].startswith("segment:"):
            continue
        if (taken[what], done[what]) != (1, 1):
            yield f"taken {taken[what]} times and done {done[what]} times: {what}"
    ids = Counter((type(it).__name__, it.id) for it in reading.effects)
    yield from (f"twice on the log: {one}" for one, count in ids.items() if count > 1)


def _not_answered(reading: Reading, lives: dict[str, Life]) -> Iterator[str]:
    """Every occasion there was has an answer, nothing else has one, and none ends with a promise."""
    answers: dict[tuple[str, str, str], list[Decision]] = defaultdict(list)
    assert reading.shop is not None
    considered = {name for name, it in reading.shop.campaigns.items() if it["do"]["kind"] != "chat_prompt"}
    for it in reading.decisions:
        if it.campaign in considered:
            answers[it.customer, it.campaign, it.occasion].append(it)
    expected = {(key, *what): moments for key, life in lives.items() for what, moments in life.occasions.items()}
    expected |= _steps(reading, lives)
    for what in sorted(expected.keys() - answers.keys()):
        if not any((browser, *what[1:]) in answers for browser in lives[what[0]].absorbed):
            yield f"never answered: {what} of {_shown(expected[what][0])}"
    yield from (f"no such occasion: {_named(answers[what][0])}" for what in sorted(answers.keys() - expected.keys()))
    for what, given in answers.items():
        given.sort(key=lambda it: it.decided_at)
        if what in expected and given[0].decided_at < expected[what][0]:
            yield f"answered before it came, {_shown(expected[what][0])}: {_named(given[0])}"
        last = given[-1]
        ended = _journey_ended(answers, what)
        if last.outcome == "DEFERRED" and not ended and last.decided_at < reading.end - LONGEST_WAIT_MS:
            yield f"put off and never heard of again: {_named(last)} ({last.reason})"
        final = [it for it in given if it.outcome == "TAKEN" or it.reason == "holdout"]
        after = given[given.index(final[0]) + 1 :] if final else []
        if any(it.outcome not in ("REVOKED", "ENDED") and it.reason != "already_issued" for it in after):
            yield f"answered again after it was settled: {_named(after[0])}"
        for before, later in pairwise(given):
            if before.reason == "already_issued" and not final:
                yield f"said to be issued, which it was not: {_named(later)}"


def _steps(reading: Reading, lives: dict[str, Life]) -> dict[tuple[str, str, str], list[int]]:
    """The second steps of those who began and neither bought nor lost their order before it was time."""
    assert reading.shop is not None
    found = {}
    for it in reading.decisions:
        steps = reading.shop.campaigns.get(it.campaign, {}).get("step", ())
        if not steps or it.occasion.startswith("step:") or (it.outcome != "TAKEN" and it.reason != "holdout"):
            continue
        life, began = lives[it.customer], it.decided_at
        due = began + steps[0]["wait_days"] * DAY_MS
        over = [*life.bought, life.cancelled.get(it.occasion, 0)]
        if due < reading.end and not any(began < at <= due for at in over):
            found[it.customer, it.campaign, f"step:{steps[0]['name']}:{it.occasion}"] = [due]
    return found


def _journey_ended(answers: dict[tuple[str, str, str], list[Decision]], what: tuple[str, str, str]) -> bool:
    """Whether what is put off is a step of a journey that is over."""
    begun = answers.get((*what[:2], what[2].rpartition(":")[2]), ())
    return any(it.outcome == "ENDED" for it in begun)


def _untrue(reading: Reading, lives: dict[str, Life], contacts: list[Contact]) -> Iterator[str]:
    """Every reason is true of the moment at which it was given."""
    shop = reading.shop
    assert shop is not None
    moments: dict[str, list[int]] = defaultdict(list)
    for it in sorted(contacts, key=lambda it: it.at):
        moments[it.customer].append(it.at)
    held_out: set[tuple[str, str]] = set()
    for decision in reading.decisions:
        if decision.campaign in shop.campaigns:
            if decision.reason == "holdout":
                held_out.add((decision.customer, decision.campaign))
            elif not _is_true(decision, lives, moments[decision.customer], shop):
                yield f"not true: {decision.outcome} {decision.reason} {decision.facts}: {_named(decision)}"
    yield from (f"held out and contacted: {_named(it)}" for it in contacts if (it.customer, it.campaign) in held_out)
    for name, campaign in shop.campaigns.items():
        if not campaign.get("holdout_percent") and any(of == name for _, of in held_out):
            yield f"{name} holds nobody out, and did"


def _is_true(it: Decision, lives: dict[str, Life], contacted: list[int], shop: Shop) -> bool:
    facts = msgspec.json.decode(it.facts)
    campaign, standing = shop.campaigns[it.campaign], lives[it.customer].standing(it.decided_at)
    kind = campaign["do"]["kind"]
    if kind == "chat_prompt":
        return True
    contact = campaign.get("contact", {})
    wanted = [TASKS[campaign["do"]["task"]]] if kind == "task" else contact.get("channels", [])
    soft = contact.get("soft_opt_in", False)
    open_to = [channel for channel in wanted if standing.permits(channel, soft_opt_in=soft)]
    match it.outcome, it.reason:
        case "TAKEN", _:
            return facts["channel"] == (open_to[0] if open_to else "next_visit")
        case _, "no_consent":
            return not open_to and kind != "voucher"
        case _, "complaint_open":
            return bool(standing.complaints)
        case _, "capped":
            counted = [
                sum(it.decided_at - days * DAY_MS < at <= it.decided_at for at in contacted) for days in (1, 7)
            ]
            return counted[0] >= shop.policy["per_day"] or counted[1] >= shop.policy["per_week"]
        case _, "quiet_hours":
            until = _quiet_until(it.decided_at, standing, shop)
            return until > 0 and facts.get("again_at", until) == until
        case "ENDED", "bought":
            return it.decided_at in lives[it.customer].bought
        case "ENDED", "occasion_gone":
            return lives[it.customer].cancelled.get(it.occasion) == it.decided_at
        case "REFUSED", "cart_gone":
            return it.occasion != standing.cart
        case "REFUSED", "no_longer_lapsed":
            return it.occasion != standing.last_order
        case "REFUSED", "condition_false":
            return standing.orders < campaign["if"][0]["value"]
        case _, "customer_limit":
            return campaign.get("per_customer", 0) > 0
        case _, "budget_spent":
            return campaign.get("budget", {}).get("vouchers", 0) > 0
        case _, "already_issued" | "order_cancelled" | "claim_open":
            return True
    return False


def _beyond_budget(reading: Reading) -> Iterator[str]:
    assert reading.shop is not None
    given = Counter(it.campaign for it in reading.effects if isinstance(it, Voucher))
    for name, campaign in reading.shop.campaigns.items():
        limit = campaign.get("budget", {}).get("vouchers", 0)
        if limit and given[name] > limit:
            yield f"{name} gave {given[name]} vouchers, of {limit}"
