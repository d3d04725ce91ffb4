"""The safety check of the core: `assert` disappears under `-O`, this does not."""


class Violated(Exception):
    """Something that must always hold did not: a defect of the caller, never of the data."""


def require(holds: bool, must_hold: str) -> None:
    """Raise Violated, naming what must hold, unless it holds."""
    if not holds:
        raise Violated(must_hold)
