"""How a conversation is called in another chat product: a name that says, to us alone, who talks where.

The name goes out with what the visitor writes and comes back with what an agent answers, so no table of both sides'
ids is kept anywhere. It is sealed (`pipeline.links.Seal`): nobody else reads a customer in it or makes one, and the
same conversation always has the same name.
"""

import msgspec
from msgspec.structs import replace

from pipeline.links import BadLinkError, Seal


class Talk(msgspec.Struct, frozen=True, array_like=True):
    """Who talks where."""

    customer: str
    """Subject key, `u:…` or `a:…`."""
    browser: str
    """The visitor's `anonymous_id`; "" if none is known."""
    conversation_id: str


_decode = msgspec.msgpack.Decoder(Talk).decode


class Talks:
    """Names conversations. Thread-safe."""

    def __init__(self, secret: bytes) -> None:
        """Raises ValueError without a secret."""
        self._seal = Seal(secret, b"conversations elsewhere")

    def name(self, talk: Talk) -> str:
        """The conversation's name: the same for whoever logs in meanwhile, as the browser is the same."""
        return self.with_customer(replace(talk, customer="") if talk.browser else talk)

    def with_customer(self, talk: Talk) -> str:
        """All of it, to be kept beside the name."""
        return self._seal.sealed(msgspec.msgpack.encode(talk))

    def found(self, name: str, kept: str) -> Talk:
        """The conversation of this name, with the customer it was `kept` with; without that it is the browser's,
        which hands on to its person. Raises BadLinkError: none of ours."""
        talk = self._opened(name)
        try:
            whole = self._opened(kept)
        except BadLinkError:
            whole = talk
        if (whole.browser, whole.conversation_id) == (talk.browser, talk.conversation_id) and whole.customer:
            return whole
        return talk if talk.customer else replace(talk, customer=f"a:{talk.browser}")

    def _opened(self, text: str) -> Talk:
        try:
            return _decode(self._seal.opened(text))
        except msgspec.DecodeError as problem:
            raise BadLinkError("it was made by another version") from problem
