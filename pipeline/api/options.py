"""What can be set about the API, with its limits. Only data."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from pipeline.api.desk.desk import DeskOptions
from pipeline.edge.limits import Limits


class ChatwootOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set about Chatwoot's webhooks."""

    secret: str
    """The inbox's webhook secret; two with a space between while it is being replaced."""
    heard: Callable[[str], None] = lambda _outcome: None
    """Told what became of each webhook: one of `pipeline.api.chatwoot.OUTCOMES`."""


class ApiOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The API's settings."""

    server_keys: tuple[str, ...]
    """Of the shop's own servers: profiles, vouchers, redemption."""
    write_keys: tuple[str, ...] = ()
    """The public keys of pages, the current one first: known here only to be refused with 403."""
    limits: Limits = msgspec.field(default_factory=Limits)
    """How often who may ask."""
    identity_secret: bytes = b""
    """Key of `userHash` = HMAC-SHA256(identity secret, userId); the demo shop signs with it."""
    stream_secret: bytes
    """Signs the tokens of the site stream and, derived from it, those of the live feed."""
    source: str = "serve@localhost"
    """`role@host`, stamped on every record."""
    allowed_origins: tuple[str, ...] = ("*",)
    """Web origins whose pages may open the site stream; `*` for any, always without credentials."""
    desk: DeskOptions | None = None
    """None: there is no desk."""
    chatwoot: ChatwootOptions | None = None
    """None: agents answer elsewhere."""
    shop: Path | None = None
    """Folder of the demo shop's pages; None: there is no shop."""
    shop_vendor: Path | None = None
    """Folder with a foreign SDK's browser build, served under `/shop/vendor/`; None: there is none."""
    message_outcome: Callable[[str, str, str], None] = lambda _channel, _outcome, _campaign: None
    """Told what became of each message: one of `pipeline.api.said.OUTCOMES`, or `unsubscribed`."""
    follows_events: bool = False
    """The live feed also shows what people do with what reached them. It reads all events for that: for
    demonstrations."""
    answer_seconds: float = 2.0
    """A redemption that is not decided by then is answered 503."""
    keep_alive_seconds: float = 15.0
    """A silent stream says so often that it is there."""
    max_streams: int = 10_000
    """Open site streams; one more is answered 503."""
    max_feeds: int = 20
    """Open live feeds; one more is answered 503."""
