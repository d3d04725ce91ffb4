"""What is asked for in a query: read strictly, or refused with what was expected. Pure."""

from collections.abc import Iterable

from starlette.datastructures import QueryParams

from pipeline.api.answers import Refused


def limit_in(query: QueryParams, usual: int, most: int) -> int:
    """How many to answer with: `limit`, from 1 to `most`; `usual` if it is not said. Raises Refused (400)."""
    text = query.get("limit") or str(usual)
    # Its length comes first: Python refuses to read a number of some thousand digits.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise Refused(400, "bad_limit", f"`limit` is a whole number from 1 to {most}")
    return int(text)


def one_of(query: QueryParams, name: str, choices: Iterable[str], usual: str) -> str:
    """What a parameter says, which is one of `choices`; `usual` if it is not said. Raises Refused (400)."""
    said = query.get(name, usual)
    if said != usual and said not in (valid := tuple(choices)):
        raise Refused(400, f"bad_{name}", f"`{name}` is one of {', '.join(valid)}; found {said[:40]!r}")
    return said
