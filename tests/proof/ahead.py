"""`rapport` whose worker always steps the next batch while the one before is published and stored, as the product
does only where many records come: the proof sends few. Started as `python -m proof.ahead ...` with the tests' folder
on the path.
"""

from pipeline.__main__ import main
from pipeline.processors.committing import InThread


def always_ahead() -> None:
    """After however small a batch."""

    def overlaps(self: InThread, records: int) -> bool:  # noqa: ARG001
        return True

    InThread.overlaps = overlaps  # type: ignore[method-assign]


if __name__ == "__main__":
    always_ahead()
    main()
