"""Erasing who followed products and bought: nothing names them any more; what everybody bought together stays."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from erasing.town import CODEC, NOON, PARTITIONS, RealTown
from pipeline.backends.contract import NewRecord
from pipeline.backends.sqlite import Embedded
from pipeline.core import subjects
from pipeline.core.catalogue import ProductChanged
from pipeline.core.do import DoMessage
from pipeline.core.events import SERVER, CampaignsChanged, Clickstream, Product
from pipeline.core.followers import FollowersState
from pipeline.core.product import ProductState
from pipeline.core.rules import Campaign, Contact
from pipeline.core.when import WhenNewProduct, WhenPriceDropped

NEWS = [
    Campaign(name=name, when=when, do=DoMessage(template="news"), contact=Contact(channels=("email",)))
    for name, when in (("cheaper", WhenPriceDropped()), ("new", WhenNewProduct()))
]
RULES = CampaignsChanged(version=2, campaigns=msgspec.json.encode(NEWS), received_at=NOON)
TRACES = (b"u:ada", b"a:phone", b"phone")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[RealTown]:
    """Ada and Ben wish for a tea and have bought two cups; Ada's phone did before anybody knew that it is hers."""
    made = RealTown(Embedded(tmp_path / "data", PARTITIONS))
    made.append([NewRecord("events", b"", CODEC.encode(RULES), partition=number) for number in range(PARTITIONS)])
    wishes(made, "a:phone", "green", trust="BROWSER")
    wishes(made, "a:phone", "red", "Product Removed from Wishlist", trust="BROWSER")
    for who in ("u:ada", "u:ben"):
        made.identifies(who, **({"anonymous_id": "phone"} if who == "u:ada" else {}))
        for tea in ("green", "black"):
            wishes(made, who, tea)
        cups = (Product(product_id="cup", category="cups"), Product(product_id="mug", category="cups"))
        made.buys(who, f"order-{who}", products=cups)
    settle(made)
    yield made
    made.backend.close()


def wishes(town: RealTown, who: str, product: str, event: str = "Product Added to Wishlist", **more: str) -> None:
    fields = town._fields(who, "track", {"trust": SERVER, "trusted": True, **more})
    town.says(who, Clickstream(**fields, event=event, product_id=product, category="tea"))


def settle(town: RealTown) -> None:
    for _ in range(4):
        town.decides()


def followers(town: RealTown) -> dict[str, set[str]]:
    """By topic."""
    found: dict[str, set[str]] = {}
    for key, stored in town.states().items():
        state = subjects.decode(key, stored) if key.startswith("f:") else None
        if isinstance(state, FollowersState):
            found.setdefault(key.split(":", 2)[2], set()).update(state.customers)
    return found


def test_they_are_no_followers_and_nothing_on_the_disk_names_them(town: RealTown, tmp_path: Path) -> None:
    assert followers(town)["p:green"] == {"u:ada", "u:ben"}
    wishes(town, "u:ada", "black", "Product Removed from Wishlist")
    settle(town)
    assert followers(town)["p:black"] == {"u:ben"}
    town.erases("u:ada")
    settle(town)
    town.says("p:green", ProductChanged(product_id="green", price_cents=1000, received_at=town.now))
    town.says("p:green", ProductChanged(product_id="green", price_cents=500, received_at=town.now))
    settle(town)
    assert set.union(*followers(town).values()) == {"u:ben"}
    assert town.known() == {"u:ben"}
    data = tmp_path / "data"
    assert [trace for file in data.iterdir() for trace in TRACES if trace in file.read_bytes()] == []
    cup = subjects.decode("p:cup", town.states()["p:cup"])
    assert isinstance(cup, ProductState)
    assert (cup.orders, cup.partners) == (2, {"mug": 2})
