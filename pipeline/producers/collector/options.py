"""What a shop can set about its collector, with the limits of the tracking protocol as defaults. Only data."""

from pathlib import Path

import msgspec

from pipeline.edge.limits import Limits
from pipeline.producers.collector.keys import Keys

LIBRARY = Path(__file__).parents[2] / "web" / "rapport.js"
FORMS = LIBRARY.with_name("rapport-forms.js")


class CollectorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The collector's settings."""

    keys: Keys
    limits: Limits = msgspec.field(default_factory=Limits)
    """How often who may send."""
    drop_crawlers: bool = True
    """Leave out what known crawlers do on pages."""
    identity_secret: bytes = b""
    """Key of `userHash` = HMAC-SHA256(identity secret, userId); empty: no userHash is ever right."""
    stream_secret: bytes
    """Signs the tokens of the site stream."""
    source: str = "collect@localhost"
    """`role@host`, stamped on every record."""
    trust_browser_purchases: bool = False
    """Whether orders under a browser key count as spend."""
    origins: tuple[str, ...] = ("*",)
    """Web origins (`https://shop.example`) whose pages may read answers; `*` for any, always without credentials."""
    public_url: str = ""
    """How browsers reach this collector (`https://events.shop.example`); "" takes the request's own host."""
    library: Path = LIBRARY
    forms: Path = FORMS
    """What the library loads on demand."""
    body_seconds: float = 10.0
    """A body that is not complete by then is cut off."""
    answer_seconds: float = 30.0
    """If the log has not confirmed by then, the sender is told to come again."""
    token_seconds: int = 900
    held_bytes: int = 64 * 1024 * 1024
    """Bodies held in memory at once; beyond it requests are told to come again."""
