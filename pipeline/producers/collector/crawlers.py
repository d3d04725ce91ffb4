"""Whose pages nobody looks at: crawlers, by the user agent they give themselves. Pure but for what it remembers.

The patterns are those of the kept list crawler-user-agents, without two kinds: HTTP libraries, with which apps and
servers send their own events, and browsers driven by programs, with which shops try out their pages.
"""

import re
from functools import lru_cache

MAX_CHARACTERS = 512
"""So much of a user agent is looked at."""
REMEMBERED = 10_000
_NOT_CRAWLERS = frozenset({"http-library", "browser-automation"})
_ESCAPED = re.compile(r"\\([^A-Za-z0-9])")
_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}]")


class Crawlers:
    """The list. Most patterns are plain text, which is found far faster than one expression of all of them."""

    def __init__(self) -> None:
        from crawleruseragents import CRAWLER_USER_AGENTS_DATA  # a large file: only for who collects

        patterns = [e["pattern"] for e in CRAWLER_USER_AGENTS_DATA if not _NOT_CRAWLERS & set(e.get("tags", ()))]
        plain = {pattern: _plain(pattern) for pattern in patterns}
        self._words = tuple(dict.fromkeys(word for word in plain.values() if word))
        self._expression = re.compile("|".join(pattern for pattern, word in plain.items() if not word))
        self.is_crawler = lru_cache(REMEMBERED)(self._is_crawler)
        """Whether a user agent is a known crawler's."""

    def _is_crawler(self, user_agent: str) -> bool:
        seen = user_agent[:MAX_CHARACTERS]
        return any(word in seen for word in self._words) or self._expression.search(seen) is not None


def _plain(pattern: str) -> str:
    """The text that a pattern without special characters stands for; "" if it has some."""
    return "" if _SPECIAL.search(_ESCAPED.sub("", pattern)) else _ESCAPED.sub(r"\1", pattern)
