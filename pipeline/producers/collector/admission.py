"""Who is let in, and how often: keys and limits over one request, before and after its body is read. No I/O.

A wrong key is refused as such only so often; after that its address is heard only with a right one, which is looked
at first: a flood of wrong keys neither costs a body nor locks out who has a right one.
"""

from collections import Counter
from collections.abc import MutableMapping, Sequence
from typing import Any

from pipeline.backends.contract import NewRecord
from pipeline.edge.caller import who
from pipeline.edge.limits import Limits
from pipeline.producers.collector.answers import Refused, limited
from pipeline.producers.collector.keys import Access, Keys, presented

Scope = MutableMapping[str, Any]


class Admission:
    """The keys that are valid and the limits that hold."""

    def __init__(self, keys: Keys, limits: Limits) -> None:
        self._keys = keys
        self._limits = limits

    def before_body(self, scope: Scope, headers: dict[bytes, bytes]) -> Access | None:
        """What the keys in header and query allow; None if they allow nothing: one in the body still may. Raises
        Refused (429)."""
        access = self._keys.of_head(headers.get(b"authorization", b""), scope["query_string"])
        if access is None and (wait := self._limits.bad_keys.spent(_caller(scope))):
            raise limited("too many requests without a valid key", wait)
        return access

    def access(self, scope: Scope, so_far: Access | None, more: object = None) -> Access:
        """What the keys allow when one `more` was shown, in body or path. Raises Refused (401)."""
        if more is None and so_far is not None:
            return so_far
        shown = presented(b"", b"", more)
        found = self._keys.access(shown) if so_far is None or so_far.kind == "browser" else None
        access = found if found is not None and (so_far is None or found.kind == "server") else so_far
        if access is None:
            self._limits.bad_keys.take(_caller(scope))
            said = "the write key is missing, or not valid here"
            raise Refused(401, "bad_key", f"{said}: send it as Basic base64(key:) or as writeKey")
        return access

    def events(self, access: Access, count: int) -> None:
        """So many under one key. Raises Refused (429)."""
        if wait := self._limits.key.take(access.name, count):
            raise limited("too many events under this key", wait)

    def customers(self, access: Access, records: Sequence[NewRecord], share: float) -> None:
        """Events by whom they are about; `records` are such a share of the request's. Raises Refused (429). Servers
        send as much of one customer as they have: history, say."""
        if access.kind == "server":
            return
        keys = [record.key for record in records if record.topic == "events"]
        for key, count in Counter(keys).items() if len(keys) > 1 else [(key, 1) for key in keys]:
            if wait := self._limits.customer.take(key.decode(), count if share == 1 else round(count / share)):
                raise limited("too many events of one customer", wait)


def _caller(scope: Scope) -> str:
    return who(scope["client"][0]) if scope.get("client") else ""
