"""Which destination serves which channel, as the settings say. Makes them, decides nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from pipeline.core.effects import WEBHOOK
from pipeline.links import Links
from pipeline.settings import Settings, SettingsError
from pipeline.sinks.destination import ON_SITE, Deliverable, Destination, channel_of
from pipeline.sinks.email import Email, Letterhead, Server
from pipeline.sinks.outbox import Outbox
from pipeline.sinks.push import Push
from pipeline.sinks.webhook import Webhook
from pipeline.sinks.writing import Templates

EMAIL = "email"
PUSH = "push"


class Served(msgspec.Struct, frozen=True):
    """One destination, what it takes, and whether an attempt whose outcome nobody knows is repeated."""

    destination: Destination[Any]
    takes: Callable[[Deliverable], bool]
    repeats: bool


def destinations(settings: Settings, clock: Callable[[], int]) -> list[Served]:
    """All of them; what no other takes goes to the outbox, what the site shows to none. Raises SettingsError."""
    made: dict[tuple[str, ...], Served] = {}

    def serve(channels: tuple[str, ...], destination: Destination[Any], repeats: bool) -> None:
        made[channels] = Served(destination, lambda effect: channel_of(effect) in channels, repeats)

    try:
        if settings.email_host:
            serve((EMAIL,), _email(settings, clock), settings.email_repeats)
        if settings.push_key:
            templates = Templates(Path(settings.templates))
            push = Push(settings.push_key, settings.push_contact, templates, settings.shop_url, clock)
            serve((PUSH,), push, settings.push_repeats)
        if settings.webhook_url:
            webhook = Webhook(
                settings.webhook_url,
                settings.webhook_secret,
                clock,
                allow_private=settings.webhook_allow_private,
            )
            serve((*settings.webhook_channels, WEBHOOK), webhook, settings.webhook_repeats)
    except ValueError as problem:
        raise SettingsError(str(problem)) from problem
    others = ON_SITE.union(*made)
    rest = Served(
        Outbox(settings.outbox_folder()), lambda effect: channel_of(effect) not in others, settings.outbox_repeats
    )
    return [rest, *made.values()]


def _email(settings: Settings, clock: Callable[[], int]) -> Email:
    """Raises ValueError."""
    server = Server(
        host=settings.email_host,
        port=settings.email_port,
        tls=settings.email_tls,
        user=settings.email_user,
        password=settings.email_password,
    )
    letterhead = Letterhead(
        sender=settings.email_from,
        reply_to=settings.email_reply_to,
        links_url=settings.links_url,
        shop_url=settings.shop_url,
        tracks=settings.email_tracks,
    )
    links = Links(settings.identity_secret.encode())
    return Email(server, letterhead, Templates(Path(settings.templates)), links, clock)
