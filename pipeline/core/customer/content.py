"""Which content module stands in a slot for a customer, and why. Reads the profile, decides for one page view.

In this order: what a campaign decided to show, what the person asked for themselves (a condition on their
preferences), what is known of them; else the fallback, which needs to know nobody. Among equals the higher priority.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from pipeline.core.customer.conditions import FIELDS, found, holds
from pipeline.core.customer.notes import Fact
from pipeline.core.site import Content, Module, Site, Variant

if TYPE_CHECKING:
    from pipeline.core.customer.profile import Profile

By = Literal["campaign", "choice", "profile", "fallback"]
PLACEHOLDER = re.compile(r"\{([a-z][\w.-]*)\}")
TRAITS = "traits."
OWN_CHOICE = "preferences."
SITE_CHANNEL = "site"
FILLED = ("title", "text", "link_text", "image_text")
"""What a placeholder can stand in: never in an address."""
_encode = msgspec.json.Encoder(order="sorted").encode


class Face(msgspec.Struct, frozen=True):
    """One variant of a module, or its fallback, filled in for somebody."""

    variant: str
    """"" for the fallback."""
    content: Content
    facts: dict[str, Fact]
    """What it rests on: each condition's field and what was found."""


class Choice(msgspec.Struct, frozen=True):
    """What stands in a slot."""

    module: Module
    face: Face
    by: By
    campaign: str = ""


def chosen(slot: str, profile: "Profile | None", now: int, site: Site, *, recommends: bool = True) -> Choice | None:
    """What stands in the slot for this customer (None: nobody is known) at `now`, epoch ms; None: what the page has
    by itself. `recommends`: whether there is anything to recommend; else modules that do are passed over."""
    modules = [
        it for it in site.modules if it.slot == slot and it.state == "live" and (recommends or not it.recommendations)
    ]
    if profile is not None:
        for choices in (_by_campaigns, _by_themselves, _by_profile):
            for choice in choices(modules, profile, now):
                return choice
    for module in modules:
        if module.fallback is not None:
            return Choice(module, Face("", module.fallback, {}), "fallback")
    return None


def face_of(module: Module, profile: "Profile", now: int) -> Face | None:
    """The module's first variant that is for this customer, else its fallback; None: it has nothing for them."""
    variant = next(_faces(module.variants, profile, now), None)
    if variant is not None or module.fallback is None:
        return variant
    return Face("", module.fallback, {})


def as_json(module: Module, face: Face) -> str:
    """What a page needs to show it: the same content, the same bytes."""
    return _encode(shown(module, face)).decode()


def shown(module: Module, face: Face) -> dict[str, object]:
    """The same as plain data; `recommends`: so many products belong to it, which the page asks for."""
    content = {name: value for name in Content.__struct_fields__ if (value := getattr(face.content, name))}
    told: dict[str, object] = {
        "slot": module.slot, "module": module.name, "variant": face.variant, "content": content,
    }  # fmt: skip
    if module.recommendations:
        told["recommends"] = module.recommendations
    return told


def placeholders(content: Content) -> list[str]:
    """What is to be filled in, in order, once each."""
    texts = (getattr(content, name) for name in FILLED)
    return list(dict.fromkeys(name for text in texts for name in PLACEHOLDER.findall(text)))


def _by_campaigns(modules: list[Module], profile: "Profile", now: int) -> Iterator[Choice]:
    for module in modules:
        decided = profile.modules.shown.get(module.name)
        if decided is not None and decided.until > now and _is_permitted(module, profile):
            face = face_of(module, profile, now)
            if face is not None:
                yield Choice(module, face, "campaign", decided.campaign)


def _by_themselves(modules: list[Module], profile: "Profile", now: int) -> Iterator[Choice]:
    for module in modules:
        own = (it for it in module.variants if any(each.field.startswith(OWN_CHOICE) for each in it.conditions))
        for face in _faces(own, profile, now):
            yield Choice(module, face, "choice")


def _by_profile(modules: list[Module], profile: "Profile", now: int) -> Iterator[Choice]:
    for module in modules:
        if _is_permitted(module, profile):
            for face in _faces(module.variants, profile, now):
                yield Choice(module, face, "profile")


def _is_permitted(module: Module, profile: "Profile") -> bool:
    """Whether the customer has not refused what the module does with what is known of them."""
    return module.purpose == "none" or profile.consent.allows(SITE_CHANNEL, module.purpose) is not False


def _faces(variants: "Iterator[Variant] | tuple[Variant, ...]", profile: "Profile", now: int) -> Iterator[Face]:
    for variant in variants:
        if all(holds(condition, profile, now) for condition in variant.conditions):
            content = _filled(variant, profile, now)
            if content is not None:
                facts: dict[str, Fact] = {it.field: found(it, profile, now) for it in variant.conditions}
                yield Face(variant.name, content, facts)


def _filled(variant: Variant, profile: "Profile", now: int) -> Content | None:
    """The content with every placeholder replaced; None: one of them is not known."""
    names = placeholders(variant)
    known = {name: text for name in names if (text := _text_of(name, profile, now))}
    if len(known) < len(names):
        return None
    texts = {
        name: PLACEHOLDER.sub(lambda match: known[match[1]], getattr(variant, name))
        if name in FILLED
        else getattr(variant, name)
        for name in Content.__struct_fields__
    }
    return Content(**texts)


def _text_of(name: str, profile: "Profile", now: int) -> str:
    """What stands in a placeholder's place; "" if it is not known."""
    if name.startswith(TRAITS):
        return profile.identity.traits.get(name.removeprefix(TRAITS), "")
    field = FIELDS.get(name)
    reading = field.read(profile, now) if field else None
    return ", ".join(reading) if isinstance(reading, list) else "" if reading is None else str(reading)
