"""Which destination serves which channel, as the settings say. Makes them, decides nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from pipeline.core.effects import CHAT, LINE_WAITS_MS, TOPIC_OF, WEBHOOK, ChatLine
from pipeline.links import Links
from pipeline.settings import Settings, SettingsError
from pipeline.sinks.chatwoot import Chatwoot, is_for_agents
from pipeline.sinks.destination import ON_SITE, Deliverable, Destination, channel_of
from pipeline.sinks.email import Email, Letterhead, Server
from pipeline.sinks.intake import TOPICS
from pipeline.sinks.outbox import Outbox
from pipeline.sinks.pacing import HOUR_MS, Schedule
from pipeline.sinks.push import Push
from pipeline.sinks.webhook import Webhook
from pipeline.sinks.writing import Templates
from pipeline.talks import Talks

EMAIL = "email"
PUSH = "push"


class Served(msgspec.Struct, frozen=True):
    """One destination, what it takes, and whether an attempt whose outcome nobody knows is repeated."""

    destination: Destination[Any]
    takes: Callable[[Deliverable], bool]
    repeats: bool
    topics: tuple[str, ...] = TOPICS
    """Where it stands."""
    schedule: Schedule = Schedule()
    in_order: bool = False
    """As `pipeline.sinks.steps.Options` has it."""


def destinations(settings: Settings, clock: Callable[[], int]) -> list[Served]:
    """All of them; what no other takes goes to the outbox, what the site shows to none. Raises SettingsError."""
    made: dict[tuple[str, ...], Served] = {}
    schedule = Schedule(give_up_ms=settings.delivery_retry_hours * HOUR_MS)

    def serve(channels: tuple[str, ...], destination: Destination[Any], repeats: bool) -> None:
        made[channels] = Served(
            destination, lambda effect: channel_of(effect) in channels, repeats, schedule=schedule
        )

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
        if settings.chatwoot_url:
            made[(CHAT,)] = _chatwoot(settings)
    except ValueError as problem:
        raise SettingsError(str(problem)) from problem
    others = ON_SITE.union(*made)
    rest = Served(
        Outbox(settings.outbox_folder()),
        lambda effect: channel_of(effect) not in others,
        settings.outbox_repeats,
        schedule=schedule,
    )
    return [rest, *made.values()]


def _chatwoot(settings: Settings) -> Served:
    """Raises ValueError."""
    chatwoot = Chatwoot(
        settings.chatwoot_url,
        settings.chatwoot_inbox,
        Talks(settings.identity_secret.encode()),
        allow_private=settings.chatwoot_allow_private,
    )
    # People wait at both ends: what failed is soon tried again.
    soon = Schedule(first_ms=1_000, longest_ms=60_000, give_up_ms=LINE_WAITS_MS)
    return Served(chatwoot, is_for_agents, settings.chatwoot_repeats, (TOPIC_OF[ChatLine],), soon, in_order=True)


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
