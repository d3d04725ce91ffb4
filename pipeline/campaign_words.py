"""A campaign as a marketer would say it. Words only: what is valid is for `pipeline.campaigns`."""

import msgspec

from pipeline.core.condition import Condition, Value
from pipeline.core.do import Do, DoChatPrompt, DoMessage, DoModule, DoPoints, DoTask, DoVoucher, DoWebhook
from pipeline.core.rules import (
    Campaign,
    Contact,
    Exit,
    ExitBought,
    ExitCartGone,
    ExitCondition,
    ExitSegmentEntered,
    ExitSegmentLeft,
    ExitUnsubscribed,
    Segment,
    Step,
)
from pipeline.core.when import (
    Kind,
    WhenAnswered,
    WhenBackInStock,
    WhenCartAbandoned,
    WhenDate,
    WhenHesitating,
    WhenInterested,
    WhenLapsed,
    WhenNewProduct,
    WhenNewsletter,
    WhenNthOrder,
    WhenPointsReached,
    WhenPriceDropped,
    WhenReferred,
    WhenRegular,
    WhenScheduled,
    WhenSegmentEntered,
    WhenSegmentLeft,
    WhenSignedUp,
    WhenStage,
    WhenTierReached,
    WhenWasReferred,
)

TASKS = {"mailshot": "send them a mailshot", "phone": "call them", "visit": "visit them"}


def in_words(campaign: Campaign) -> str:
    """The campaign as a marketer would say it, in a few sentences."""
    text = f"{campaign.name} ({campaign.state}): when {_when_in_words(campaign.when)}"
    if asked := _asked_in_words(campaign):
        text += f", and if {asked}"
    text += f", {_do_in_words(campaign.do, campaign.contact)}."
    for step in campaign.steps:
        asked = _asked_in_words(step)
        only = f", if {asked}" if asked else ""
        done = _do_in_words(step.do, step.contact or campaign.contact)
        text += f" {_wait_in_words(step)} later ({step.name}){only}: {done}."
    if campaign.exits:
        text += f" That ends when {' or '.join(_exit_in_words(one) for one in campaign.exits)}."
    text += _limits_in_words(campaign)
    if campaign.holdout_percent:
        text += f" {campaign.holdout_percent:g} % of the customers are left alone, to measure against."
    return text


def _when_in_words(when: Kind) -> str:
    match when:
        case WhenHesitating():
            return _hesitating_in_words(when)
        case WhenLapsed(threshold=threshold, horizon_days=days):
            return f"a customer's chance to buy again within {days} days falls below {threshold * 100:g} %"
        case WhenRegular(every_orders=orders):
            return f"a customer completes an order and has {orders} of them, or a multiple"
        case WhenSignedUp():
            return "somebody signs up"
        case WhenNthOrder(order=order):
            return f"a customer completes their order number {order}"
        case WhenStage(stage=stage):
            return f"a customer comes to the stage {stage}"
        case WhenInterested(category=category, views=views):
            return f"somebody has looked at {views} products of {category or 'one category'}"
        case WhenCartAbandoned(hours=hours, minutes=minutes):
            spans = ((hours, "hour"), (minutes, "minute"))
            return (
                f"a filled cart has been left alone for {' and '.join(_so_many(n, unit) for n, unit in spans if n)}"
            )
        case WhenScheduled(on=on, at=at):
            return f"it is {on}, {at}, where they live"
        case WhenSegmentEntered(segment=segment):
            return f"a customer comes into the segment {segment}"
        case WhenPriceDropped(percent=percent):
            return f"what is in a customer's cart, on their wish list or looked at often costs {percent} % less"
        case WhenBackInStock():
            return "what is in a customer's cart, on their wish list or looked at often can be had again"
        case WhenNewProduct(category=category):
            return f"there is a new product of {category or 'a category'} that a customer likes"
        case WhenSegmentLeft(segment=segment):
            return f"a customer drops out of the segment {segment}"
        case WhenNewsletter(segment=segment):
            return f"an edition is sent to {f'those in the segment {segment}' if segment else 'everybody known'}"
        case WhenPointsReached(points=points, count=count):
            return f"a customer comes to {points} points{' earned in all' if count == 'lifetime' else ''}"
        case WhenTierReached(tier=tier):
            return f"a customer comes up to the tier {tier}"
        case WhenAnswered(questionnaire=questionnaire, question=question, op=op, value=value):
            if not question:
                return f"a customer has answered all of the questionnaire {questionnaire}"
            return f"a customer answers {question} of {questionnaire}: {_op_in_words(op)} {_value_in_words(value)}"
        case WhenReferred():
            return "a friend they invited has bought, and kept it"
        case WhenWasReferred():
            return "somebody who came by an invitation has bought, and kept it"
        case WhenDate(trait=trait, days_before=days, at=at):
            return f"it is {days} days before their {trait}, {at}" if days else f"it is their {trait}, {at}"


def _hesitating_in_words(when: WhenHesitating) -> str:
    signs = []
    if when.products_in_category:
        signs.append(
            f"looks at {when.products_in_category} products of one category in {when.category_minutes} minutes"
        )
    if when.cart_idle_minutes:
        signs.append(f"leaves a filled cart alone for {when.cart_idle_minutes} minutes")
    if when.product_views:
        signs.append(f"looks at the same product {when.product_views} times in {when.product_hours} hours")
    return "a visitor " + (" or ".join(signs) if signs else "does nothing at all (every sign is switched off)")


def _limits_in_words(campaign: Campaign) -> str:
    budget, text = campaign.budget, f" Until {campaign.until}." if campaign.until else ""
    if campaign.per_customer:
        days = f" in {campaign.per_customer_days} days" if campaign.per_customer_days else ""
        times = f"{campaign.per_customer} times" if campaign.per_customer > 1 else "once"
        text += f" For one customer at most {times}{days}."
    limits = [f"{budget.vouchers} vouchers"] if budget.vouchers else []
    if budget.amount_cents and isinstance(campaign.do, DoVoucher):
        limits.append(f"vouchers worth {budget.amount_cents / 100:.2f} {campaign.do.currency}")
    if limits:
        text += f" In all at most {' and '.join(limits)}"
        text += ", those never used not counted." if budget.returns else "."
    return text


def segment_in_words(segment: Segment) -> str:
    """Who is in the segment."""
    return _asked_in_words(segment)


def _asked_in_words(asks: Campaign | Step | Segment) -> str:
    all_of = asks.all_of if isinstance(asks, Segment) else asks.conditions
    parts = [_condition_in_words(condition) for condition in all_of]
    if asks.any_of:
        parts.append(f"({' or '.join(_condition_in_words(condition) for condition in asks.any_of)})")
    parts += [f"not {_condition_in_words(condition)}" for condition in asks.none_of]
    return " and ".join(parts)


def _wait_in_words(step: Step) -> str:
    return " and ".join(_so_many(n, unit) for n, unit in ((step.wait_days, "day"), (step.wait_hours, "hour")) if n)


def _so_many(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"


def _exit_in_words(one: Exit) -> str:
    match one:
        case ExitBought():
            return "they buy"
        case ExitUnsubscribed():
            return "they take a permission back"
        case ExitCartGone():
            return "that cart is empty, bought or begun anew"
        case ExitSegmentEntered(segment=segment):
            return f"they come into the segment {segment}"
        case ExitSegmentLeft(segment=segment):
            return f"they drop out of the segment {segment}"
        case ExitCondition():
            return _condition_in_words(one)


def _condition_in_words(condition: Condition) -> str:
    return f"{condition.field} {_op_in_words(condition.op)} {_value_in_words(condition.value)}"


def _op_in_words(op: str) -> str:
    return op.replace("_", " ")


def _value_in_words(value: Value) -> str:
    return " or ".join(value) if isinstance(value, tuple) else msgspec.json.encode(value).decode().strip('"')


def _do_in_words(do: Do, contact: Contact) -> str:
    if isinstance(do, DoChatPrompt):
        return f'ask on the page "{do.text}", at most once a visit'
    if isinstance(do, DoPoints):
        return f"give them {do.points} points"
    soft = ", buyers also if they never said yes to e-mail" if contact.soft_opt_in else ""
    permitted = f"as far as they permit {contact.purpose}{soft}"
    if isinstance(do, DoMessage):
        return f"send them the message {do.template} {_by(contact)}, {permitted}"
    if isinstance(do, DoModule):
        refused = f"unless they refuse {contact.purpose} on the site"
        return f"show them the module {do.module} for {do.valid_days} days, {refused}"
    if isinstance(do, DoWebhook):
        return f"tell the webhook {do.event}, unless they refuse {contact.purpose} altogether"
    if isinstance(do, DoTask):
        within = _so_many(do.valid_days, "day")
        return f'have somebody {TASKS[do.task]} within {within} ("{do.instructions}"), {permitted}'
    off = f"{do.discount_percent} %" if do.discount_percent else f"{do.discount_cents / 100:.2f} {do.currency}"
    scope = {"": "", "most_bought": " the category they buy most"}.get(do.category, f" the category {do.category}")
    least = f" from {do.minimum_spend_cents / 100:.2f} {do.currency}".rstrip() if do.minimum_spend_cents else ""
    ways = _by(contact, "at their next visit")
    return f"give them once {off} off{scope}{least}, valid {do.valid_days} days, {ways}, {permitted}"


def _by(contact: Contact, *last: str) -> str:
    return ", else ".join((*(f"by {channel}" for channel in contact.channels), *last))
