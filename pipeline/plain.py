"""Text from anybody on one line of a terminal or a log: as it is, but for what would move, colour, reorder or forge
lines there. Pure."""

import re

_ACTING = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (ANSI escapes begin with one), line and paragraph ends, marks of writing direction, and halves
of characters, which no terminal's encoding has."""


def one_line(text: str) -> str:
    """The text with each such character as `\\uXXXX`: within JSON it means the same."""
    return _ACTING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
