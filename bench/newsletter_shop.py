"""One process of a shop that sends a newsletter, embedded: what `bench.newsletter` starts, kills and starts again.

python -m bench.newsletter_shop fill FOLDER PEOPLE         so many people who said yes, in the store
python -m bench.newsletter_shop walk FOLDER                decide until nothing is left
python -m bench.newsletter_shop deliver FOLDER [PORT]      into a file that counts, or to a mail server here
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from bench.harness import on_path
from pipeline.app import collect_garbage_rarely, wall_ms
from pipeline.backends.contract import Change, NewRecord
from pipeline.backends.sqlite import Embedded
from pipeline.codec import Codec
from pipeline.core import subjects
from pipeline.core.category import CategoryState
from pipeline.core.customer.profile import Profile
from pipeline.core.do import DoMessage
from pipeline.core.events import SERVER, CampaignsChanged, ConsentChange, Customer
from pipeline.core.product import ProductState
from pipeline.core.rules import Campaign, Contact, Policy, Rules
from pipeline.core.subjects import State
from pipeline.core.when import WhenNewsletter
from pipeline.links import Link, Links
from pipeline.observe import DeliverMeasures, new_registry
from pipeline.processors.measures import Unmeasured
from pipeline.processors.worker import Worker, WorkerOptions
from pipeline.sinks.deliver import Deliverer
from pipeline.sinks.destination import Deliverable, Outcome, Recipient, Sent
from pipeline.sinks.email import Email, Letterhead, Mail, Server
from pipeline.sinks.intake import Intake
from pipeline.sinks.permission import Permission
from pipeline.sinks.steps import Options
from pipeline.sinks.writing import Templates, templates_of, values_of

on_path()
from sinks.world import Inline  # noqa: E402

EVENTS = "events"
PARTITIONS = 8
CODEC = Codec()
FILLED_AT_ONCE = 5_000
DIGEST_BYTES = 16
CACHE_BYTES = 16_000_000
"""Of the worker (`cache_mb`): so few that ten thousand people fill it as well."""
COUNTED = "counted"
"""The file in which the stand-in counts: a digest of each effect's id, as it is acted on."""
WEEKLY = Campaign(
    name="weekly", when=WhenNewsletter(), do=DoMessage(template="weekly"), contact=Contact(channels=("email",))
)
SHOP_URL = "https://shop.example/"
HEAD = Letterhead(
    sender="Example Shop <hello@shop.example>", links_url="https://hello.shop.example", shop_url=SHOP_URL
)
TEXT = """Subject: This week{{ ', ' + first_name if first_name else '' }}

New in the shop: {{ link(shop_url) }}
{% include "recommendations.txt" %}
"""
PAGE = """<p>Hello {{ first_name }},</p><p><a href="{{ link(shop_url) }}">New in the shop</a></p>
{% include "recommendations.html" %}
"""
PRODUCTS = 5


class Counting:
    """Renders subject, text and page of each mail, with its links, and counts where it would send. Implements
    `pipeline.sinks.destination.Destination`."""

    name = "counting"
    at_once = 250

    def __init__(self, folder: Path, templates: Templates, links: Links) -> None:
        self._file = os.open(folder / COUNTED, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._templates = templates
        self._links = links

    def render(self, effect: Deliverable, recipient: Recipient) -> Mail:
        """What it says."""
        link = Link(
            kind="click", customer=recipient.customer, channel="email", purpose=recipient.purpose,
            effect_id=effect.id, campaign=effect.campaign, url=SHOP_URL,
        )  # fmt: skip
        values = values_of(effect, recipient, SHOP_URL)
        written = self._templates.write(templates_of(effect), values | {"link": lambda _: self._links.sealed(link)})
        return Mail(effect.id, recipient.traits["email"], f"{written.subject}{written.text}{written.html}".encode())

    def send(self, request: Mail) -> Outcome:
        """One more, on file at once: what is killed has counted it."""
        os.write(self._file, hashlib.sha256(request.effect_id.encode()).digest()[:DIGEST_BYTES])
        return Sent()

    def withdraw(self, effect_id: str) -> bool:
        """What was counted stays counted."""
        raise NotImplementedError(effect_id)


def main() -> None:
    """Do what is said."""
    what, folder, *more = sys.argv[1:]
    collect_garbage_rarely()
    backend = Embedded(Path(folder), PARTITIONS)
    if what == "fill":
        fill(backend, int(more[0]))
    elif what == "walk":
        worker(backend).run_until_idle()
    else:
        deliver(backend, Path(folder), int(more[0]) if more else 0)
    backend.close()


def worker(backend: Embedded) -> Worker:
    """Decides; time stands as the people's own does."""
    log, store = backend.worker()
    options = WorkerOptions(code_secret=b"the bench's", ticks=False, cache_bytes=CACHE_BYTES)
    return Worker(log, store, CODEC, options, wall_ms, Unmeasured(), backend.log_identity)


def fill(backend: Embedded, people: int) -> None:
    """Put the newsletter in force, and the shop and the people into the store."""
    policy = msgspec.json.encode(Policy(quiet_from="00:00", quiet_until="00:00"))
    change = CampaignsChanged(
        version=1, campaigns=msgspec.json.encode([WEEKLY]), policy=policy, received_at=wall_ms()
    )
    records = [NewRecord(EVENTS, b"", CODEC.encode(change), partition=number) for number in range(PARTITIONS)]
    backend.appender("bench").append(records)
    first = worker(backend)
    first.run_until_idle()
    first.close()
    reader = backend.reader()
    _, store = backend.worker()
    everything = chain(_shop(), _people(people))
    while some := list(islice(everything, FILLED_AT_ONCE)):
        by_partition: dict[int, dict[str, bytes | None]] = {}
        for each in some:
            states = by_partition.setdefault(reader.partition_of(each.key), {})
            states[each.key] = subjects.encode(each)
        for number, states in by_partition.items():
            offset, _ = reader.stored(number)
            state = reader.partition_state(number)
            timers = dict.fromkeys(states, 0)
            store.commit([Change(number, offset, offset or 0, state or b"", None, states, timers)])
    store.close()
    reader.close()


def _shop() -> Iterator[State]:
    """What sells best: each mail looks at these products and shows three."""
    now = wall_ms()
    yield CategoryState("c:", now, {f"p{number}": PRODUCTS - number for number in range(PRODUCTS)})
    for number in range(PRODUCTS):
        yield ProductState(
            f"p:p{number}", now, name=f"Product {number}", is_listed=True, price_cents=990, currency="EUR",
            stock=number and 10, url=f"{SHOP_URL}p{number}",
        )  # fmt: skip


def _people(count: int) -> Iterator[Profile]:
    now = wall_ms()
    said = Customer(
        message_id="m", type="identify", user_id="p", occurred_at=now, received_at=now, trust=SERVER, trusted=True,
        consents=(ConsentChange(channel="email", purpose="marketing", granted=True),),
        properties='{"email":"p@customers.example","first_name":"Ada"}',
    )  # fmt: skip
    known, _ = subjects.step("u:p", None, said, now, Rules())
    if not isinstance(known, Profile):
        raise TypeError("an identify makes a profile")
    for number in range(count):
        traits = known.identity.traits | {"email": f"p{number}@customers.example"}
        yield replace(known, key=f"u:p{number}", identity=replace(known.identity, traits=traits))


def deliver(backend: Embedded, folder: Path, port: int) -> None:
    """Until there is nothing more to deliver."""
    templates = folder / "templates"
    templates.mkdir(exist_ok=True)
    (templates / "weekly.txt").write_text(TEXT)
    (templates / "weekly.html").write_text(PAGE)
    server = Server(host="127.0.0.1", port=port, tls="none")
    written, links = Templates(templates), Links(b"bench")
    destination: Any = Email(server, HEAD, written, links, wall_ms) if port else Counting(folder, written, links)
    pool: Executor = ThreadPoolExecutor(destination.at_once) if port else Inline()
    deliverer = Deliverer(
        lambda released: backend.deliveries(destination.name, released),
        backend.reader(),
        Intake(backend.reader, CODEC, lambda _: True),
        CODEC,
        destination,
        Permission(backend.reader(), CODEC),
        Options(repeats=False, deliverer=f"bench-{os.getpid()}"),
        wall_ms,
        DeliverMeasures(new_registry()),
        pool,
    )
    while deliverer.turn() or deliverer.pending():
        pass
    deliverer.close()


if __name__ == "__main__":
    main()
