"""`loyalty`: a customer's points, tier and statement."""

import json
from typing import Annotated

import typer

from pipeline.api.statement import statement
from pipeline.commands.looking import when
from pipeline.commands.opening import Config, Data, customer_of, settings_of, write_line


def loyalty(
    id: Annotated[str, typer.Argument(help="A user id, or u:ID, or a:ID of a browser.")],  # noqa: A002
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Show a customer's points and tier, and the last lines of their statement.

    \b
    For example:  rapport loyalty ada
    """
    customer = customer_of(settings_of(config, data), id)
    told = statement(customer)
    if as_json:
        write_line(json.dumps({"id": customer.key, **told}, ensure_ascii=False))
        return
    tier = f", tier {told['tier']}" if told["tier"] else ""
    until = f" until {when(told['tier_until_at'])}" if told["tier_until_at"] else ""
    write_line(f"{customer.key}: {told['points']} points of {told['lifetime_points']} ever earned{tier}{until}")
    for lot in told["expiring"]:
        write_line(f"{lot['points']} expire {when(lot['expires_at'])}")
    for entry in told["entries"]:
        said = f"{entry['points']:+}  {entry['reason'].lower().replace('_', ' ')}  {entry['source']}".rstrip()
        write_line(f"{when(entry['at'])}  {said}  = {entry['balance']}")
    if told["carried_points"]:
        write_line(f"before that: {told['carried_points']:+}")
