"""What is well formed in a campaign file and still makes no sense. Says where, and what would; reads no file."""

from collections.abc import Iterator, Sequence
from datetime import date

from pipeline.core.condition import Condition
from pipeline.core.customer import conditions
from pipeline.core.customer.acting import CHANNEL_OF_TASK
from pipeline.core.customer.activity import MAX_RECENT
from pipeline.core.do import Do, DoChatPrompt, DoMessage, DoModule, DoPoints, DoTask, DoVoucher, DoWebhook
from pipeline.core.rules import Campaign, Contact, ExitCartGone, ExitCondition
from pipeline.core.when import (
    Kind,
    WhenBackInStock,
    WhenCartAbandoned,
    WhenHesitating,
    WhenInterested,
    WhenNewProduct,
    WhenPriceDropped,
    WhenScheduled,
)
from pipeline.toml_files import Place, Problem, choices

BY_LOOKING = WhenInterested | WhenPriceDropped | WhenBackInStock | WhenNewProduct
CHANNELS = ("email", "push", "site", "sms", "phone", "post")
PURPOSES = ("marketing", "service", "profiling")


def meaning(campaign: Campaign) -> Iterator[Problem]:
    """Every contradiction in a campaign that is well formed."""
    when = campaign.when
    yield from _asked((), campaign.conditions, campaign.any_of, campaign.none_of)
    if isinstance(when, WhenHesitating):
        for key in ("products_in_category", "product_views"):
            if getattr(when, key) > MAX_RECENT:
                yield ("when", key), f"`{key}` is {getattr(when, key)}; at most {MAX_RECENT} views are remembered"
    if isinstance(when, WhenCartAbandoned) and not (when.hours or when.minutes):
        yield ("when",), "`hours` and `minutes` are both 0; a cart is abandoned after some time"
    yield from _done((), campaign.do, when)
    yield from _contact(("contact",), campaign.do, campaign.contact)
    for path, day in ((("until",), campaign.until), (("when", "on"), getattr(when, "on", ""))):
        if day and not _is_day(day):
            yield path, f"`{path[-1]}` is {day}, and there is no such day"
    if isinstance(when, WhenScheduled) and _is_day(when.on) and not 2000 <= date.fromisoformat(when.on).year < 3000:
        yield ("when", "on"), f"`on` is {when.on}; it must be a day of the years 2000 to 2999"
    yield from _limits(campaign)
    yield from _steps(campaign)


def _asked(
    path: Place,
    all_of: Sequence[Condition],
    any_of: Sequence[Condition] = (),
    none_of: Sequence[Condition] = (),
    *,
    in_journey: bool = False,
) -> Iterator[Problem]:
    for key, asked in (("if", all_of), ("any", any_of), ("not", none_of)):
        for index, condition in enumerate(asked):
            wrong = conditions.check(condition, in_journey=in_journey)
            if wrong:
                yield (*path, key, index), wrong


def _done(path: Place, do: Do, when: Kind) -> Iterator[Problem]:
    """What cannot be done, or not on such an occasion."""
    here = (*path, "do")
    if isinstance(do, DoVoucher):
        if (do.discount_percent > 0) == (do.discount_cents > 0):
            yield here, "a voucher needs either `discount_percent` or `discount_cents`, above 0, and not both"
        if do.discount_cents and not do.currency:
            yield here, '`discount_cents` needs a `currency`, for example "EUR"'
    if isinstance(do, DoVoucher | DoPoints) and isinstance(when, BY_LOOKING):
        what = "a voucher does" if isinstance(do, DoVoucher) else "points do"
        yield (
            (*here, "kind"),
            f"{what} not go with [when] kind {when.__struct_config__.tag}: anybody can look at products",
        )
    if isinstance(do, DoVoucher | DoPoints if isinstance(when, WhenHesitating) else DoChatPrompt):
        yield (
            (*here, "kind"),
            (
                "a chat prompt goes with [when] kind hesitating and with nothing else, since only then is somebody "
                "there, and a voucher or points go with any other, since anybody can look like hesitating"
            ),
        )
    elif isinstance(do, DoChatPrompt) and path:
        yield (*here, "kind"), "a chat prompt cannot be a step: nobody is there any more when the wait is over"


def _contact(path: Place, do: Do, contact: Contact) -> Iterator[Problem]:
    yield from _ways(path, do, contact)
    for channel in contact.channels:
        if channel not in CHANNELS:
            yield (*path, "channels"), f"`{channel}` is not a channel; {choices(channel, CHANNELS)}"
    if contact.purpose not in PURPOSES:
        yield (*path, "purpose"), f"`{contact.purpose}` is not a purpose; {choices(contact.purpose, PURPOSES)}"


def _ways(path: Place, do: Do, contact: Contact) -> Iterator[Problem]:
    if isinstance(do, DoMessage) and not contact.channels:
        yield path, "a message needs `channels` in [contact]: by which ways it may be sent"
    if isinstance(do, DoPoints) and contact.channels:
        yield (*path, "channels"), "points have no `channels`: nobody is contacted"
    if isinstance(do, DoModule) and contact.channels:
        yield (*path, "channels"), "a module has no `channels`: it is shown on the site"
    if isinstance(do, DoWebhook) and contact.channels:
        yield (*path, "channels"), "a webhook has no `channels`: a system is told, and nobody contacted"
    if isinstance(do, DoTask) and contact.channels:
        needed = CHANNEL_OF_TASK[do.task]
        yield (*path, "channels"), f"a task has no `channels`: {do.task} needs the permission for {needed}"


def _steps(campaign: Campaign) -> Iterator[Problem]:
    """What is wrong with its journey."""
    names = [step.name for step in campaign.steps]
    for index, step in enumerate(campaign.steps):
        path: Place = ("step", index)
        if names.index(step.name) < index:
            yield (*path, "name"), f"there is a step `{step.name}` before; each needs a name of its own"
        if not step.wait_ms():
            yield path, "a step needs `wait_days` or `wait_hours`: how long after the one before it"
        yield from _asked(path, step.conditions, step.any_of, step.none_of, in_journey=True)
        yield from _done(path, step.do, campaign.when)
        if step.contact:
            yield from _contact((*path, "contact"), step.do, step.contact)
        elif isinstance(step.do, DoMessage):
            yield from _ways(path, step.do, campaign.contact)
    for index, one in enumerate(campaign.exits):
        if not campaign.steps:
            yield ("exit", index), "an exit ends a journey, and this campaign has no [[step]]"
        if isinstance(one, ExitCondition):
            wrong = conditions.check(one, in_journey=True)
            if wrong:
                yield ("exit", index), wrong
        if isinstance(one, ExitCartGone) and not isinstance(campaign.when, WhenCartAbandoned):
            yield ("exit", index, "kind"), "cart_gone goes with [when] kind cart_abandoned: there is no cart else"


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _limits(campaign: Campaign) -> Iterator[Problem]:
    budget = campaign.budget
    vouchers = [do for do in (campaign.do, *(step.do for step in campaign.steps)) if isinstance(do, DoVoucher)]
    if budget.is_limited() and not vouchers:
        yield ("budget",), "a budget is for vouchers; anything else can have `per_customer`"
    elif budget.amount_cents and not all(do.discount_cents for do in vouchers):
        yield (
            ("budget", "amount_cents"),
            "`amount_cents` goes with a voucher of `discount_cents`: what a percentage is worth is known only when "
            "it is redeemed; limit the number of `vouchers`",
        )
    if budget.returns and not budget.is_limited():
        yield ("budget", "returns"), "`returns` needs a limit to return to: `vouchers` or `amount_cents`"
    if campaign.per_customer_days and not campaign.per_customer:
        yield ("per_customer_days",), "`per_customer_days` needs `per_customer`: how often within these days"
