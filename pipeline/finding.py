"""What a look at one part of the system found: plain data, between who looks (`pipeline.diagnosis`, a backend at its
own servers) and who shows it (`rapport doctor`). Never here: a look, a judgement."""

from typing import Literal

import msgspec

Level = Literal["ok", "warn", "red"]
LEVELS: tuple[Level, ...] = ("ok", "warn", "red")


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part as it is. `red`: something does not work, or will not when it is needed; `warn`: it works."""

    part: str
    level: Level
    found: str
    expected: str = ""
    remedy: str = ""
    """What to do; said whenever the level is not `ok`."""


def worst(findings: list[Finding]) -> Level:
    """The worst level among them."""
    return max((finding.level for finding in findings), key=LEVELS.index, default="ok")
