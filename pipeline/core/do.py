"""`[do]` of a campaign: what can be done for a customer. One struct each; here is no logic."""

from typing import Annotated, Literal

import msgspec

from pipeline.core.part import Cents, Currency, Name, Part, Positive


class DoVoucher(Part, frozen=True, kw_only=True, tag_field="kind", tag="voucher"):
    """Give a voucher: a percentage or an amount off."""

    discount_percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    discount_cents: Cents = 0
    currency: Currency = ""
    """Of `discount_cents` and `minimum_spend_cents`; "" takes the currency the customer buys in."""
    minimum_spend_cents: Cents = 0
    valid_days: Positive = 30
    category: str = ""
    """"" for the whole shop, `most_bought` for the category the customer buys most often, else its name."""


class DoChatPrompt(Part, frozen=True, kw_only=True, tag_field="kind", tag="chat_prompt"):
    """Offer a sales chat."""

    text: str = "Do you need help?"
    needs_agent: bool = True
    """Whether it waits for an agent of the desk to be free; where there is no desk, it never does."""


class DoMessage(Part, frozen=True, kw_only=True, tag_field="kind", tag="message"):
    """Send a message, by the first of `contact.channels` that the customer permits; by none, and there is none."""

    template: Name
    """Names the text: what each channel makes of it is said by its templates."""
    values: dict[str, str] = msgspec.field(default_factory=dict)
    """For the template; `category` and `product_id` of the occasion are added where they are known."""
    valid_days: Positive = 3
    """Not sent later than this."""


class DoTask(Part, frozen=True, kw_only=True, tag_field="kind", tag="task"):
    """Put a task on the list of the shop's people. It needs the permission for `post` (a mailshot) or `phone`."""

    task: Literal["mailshot", "phone", "visit"]
    instructions: str
    """What to do, for whoever does it."""
    valid_days: Positive = 14
    """Not done later than this."""


class DoPoints(Part, frozen=True, kw_only=True, tag_field="kind", tag="points"):
    """Give points of the loyalty scheme: it needs no permission, and only who is known can have any."""

    points: Positive


class DoModule(Part, frozen=True, kw_only=True, tag_field="kind", tag="module"):
    """Show a content module of `site/modules/` in its slot: at once where a page is open, and on every page after."""

    module: Name
    valid_days: Positive = 30
    """Not shown for this reason any longer."""


class DoWebhook(Part, frozen=True, kw_only=True, tag_field="kind", tag="webhook"):
    """Tell a system of the shop, by the signed webhook. Nobody is contacted: no limit on contacts, no quiet hours."""

    event: Name
    """What is told, for the system: `template` of the request's `data`."""
    values: dict[str, str] = msgspec.field(default_factory=dict)
    """Also for it; `category` and `product_id` of the occasion are added where they are known."""
    valid_days: Positive = 3
    """Not told later than this."""


Do = DoVoucher | DoChatPrompt | DoMessage | DoTask | DoPoints | DoModule | DoWebhook
