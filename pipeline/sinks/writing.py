"""Templates of what is sent: NAME.txt and NAME.html in the shop's folder, else the shipped ones beside this module.

The first line of NAME.txt is `Subject: …`, then a blank line, then the text. Jinja2 in its sandbox: HTML is escaped,
a name that is not given is an error, nothing of the program can be reached. Pure, but for the files themselves and
what the recipient reads when a template asks for it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import ChoiceLoader, FileSystemLoader, StrictUndefined, Template, TemplateError, TemplateNotFound
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pipeline.core.effects import Message, Voucher
from pipeline.recommending import Recommendation
from pipeline.sinks.destination import Deliverable, Recipient

SHIPPED = Path(__file__).parent / "templates"
SUBJECT = "Subject:"
_ZERO_DECIMALS = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "XAF"}
)


class Written(msgspec.Struct, frozen=True):
    """What a template comes to."""

    subject: str
    text: str
    html: str
    """"" if the template has text only."""


class Templates:
    """Thread-safe."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: the shop's own templates, before the shipped ones."""
        places = [FileSystemLoader(each) for each in (folder, SHIPPED) if each is not None]
        self._plain = self._environment(places, autoescape=False)
        self._html = self._environment(places, autoescape=True)

    def write(self, names: Sequence[str], values: Mapping[str, Any]) -> Written:
        """The first of these templates there is. Raises ValueError for a template that is missing or fails."""
        try:
            name, text = self._first(names)
            head, _, body = text.render(values).lstrip().partition("\n")
            if not head.startswith(SUBJECT):
                raise ValueError(f"{name}.txt begins with {head[:40]!r}: expected `{SUBJECT} …`")
            html = self._optional(name)
            page = html.render(values) if html is not None else ""
        except (TemplateError, TypeError, ArithmeticError) as problem:
            raise ValueError(f"template {names[0]}: {problem}") from problem
        return Written(" ".join(head.removeprefix(SUBJECT).split()), body.strip() + "\n", page)

    def _first(self, names: Sequence[str]) -> tuple[str, Template]:
        for name in names:
            try:
                return name, self._plain.get_template(f"{name}.txt")
            except TemplateNotFound:
                continue
        raise ValueError(f"there is no template {' or '.join(f'{name}.txt' for name in names)}")

    def _optional(self, name: str) -> Template | None:
        try:
            return self._html.get_template(f"{name}.html")
        except TemplateNotFound:
            return None

    @staticmethod
    def _environment(places: Sequence[FileSystemLoader], *, autoescape: bool) -> ImmutableSandboxedEnvironment:
        environment = ImmutableSandboxedEnvironment(
            loader=ChoiceLoader(places),
            autoescape=autoescape,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["money"] = money
        return environment


def money(cents: int, currency: str) -> str:
    """`1250`, `EUR` → `12.50 EUR`; currencies without a smaller unit (ISO 4217) as they are."""
    if currency in _ZERO_DECIMALS:
        return f"{cents:,} {currency}"
    return f"{cents / 100:,.2f} {currency}"


def templates_of(effect: Deliverable) -> tuple[str, ...]:
    """By name, the first that exists: the one a message asks for, else the campaign's own, else the voucher's."""
    return (effect.template,) if isinstance(effect, Message) else (effect.campaign, "voucher")


def values_of(effect: Deliverable, recipient: Recipient, shop_url: str) -> dict[str, Any]:
    """What every template can name; of a voucher also its terms in words."""
    values: dict[str, Any] = {
        "shop_url": shop_url,
        "first_name": recipient.traits.get("first_name") or recipient.traits.get("firstName") or "",
        "traits": recipient.traits,
        "reason": effect.reason,
        "values": msgspec.json.decode(effect.values or "{}") if isinstance(effect, Message) else {},
        "recommendations": lambda most: [_told(product) for product in recipient.recommended(most)],
    }
    if isinstance(effect, Voucher):
        percent = f"{effect.discount_percent} %"
        values |= {
            "voucher": effect,
            "worth": percent if effect.discount_percent else money(effect.discount_cents, effect.currency),
            "minimum": money(effect.minimum_spend_cents, effect.currency) if effect.minimum_spend_cents else "",
            "expires_on": datetime.fromtimestamp(effect.expires_at / 1000, UTC).strftime("%d %B %Y").lstrip("0"),
        }
    return values


def _told(product: Recommendation) -> dict[str, str]:
    """Of what the catalogue does not say: ""."""
    is_priced = product.price_cents >= 0 and product.currency
    return {
        "name": product.name,
        "price": money(product.price_cents, product.currency) if is_priced else "",
        "url": product.url,
        "image_url": product.image_url,
        "category": product.category,
        "product_id": product.product_id,
    }
