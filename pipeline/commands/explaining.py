"""`why`: why campaigns acted for a customer, or why not."""

import json
from typing import Annotated

import typer

from pipeline.api.explaining import decisions_view
from pipeline.commands.looking import when
from pipeline.commands.opening import Config, Data, customer_of, settings_of, write_line


def why(
    id: Annotated[str, typer.Argument(help="A user id, or u:ID, or a:ID of a browser.")],  # noqa: A002
    campaign: Annotated[str, typer.Argument(help="Only this campaign.", show_default="all")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Say why campaigns acted for a customer or why not, with the facts of that moment; the latest first.

    \b
    Everything:     rapport why ada
    One campaign:   rapport why ada win-back
    """
    customer = customer_of(settings_of(config, data), id)
    found = decisions_view(customer, campaign)
    if not found and not as_json:
        who = f"{campaign} has not" if campaign else "No campaign has"
        write_line(f"{who} considered {customer.key} yet: what it waits for has not happened.")
    for one in found:
        if as_json:
            write_line(json.dumps(one, ensure_ascii=False))
        else:
            write_line(f"{when(one['decided_at'])}  {one['campaign']} for {one['occasion']}: {one['words']}")
