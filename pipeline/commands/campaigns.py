"""`campaigns list` and `campaigns publish`: which campaigns are in force, with what is left of their budgets."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline import campaigns as campaign_files
from pipeline.app import active_rules, open_backend, publish_campaigns
from pipeline.backends.contract import Reader
from pipeline.commands.opening import Config, Data, console, opened, settings_of, write_line
from pipeline.core import subjects
from pipeline.core.budget import BudgetState, left
from pipeline.core.identifiers import budget_key
from pipeline.core.rules import Campaign

campaigns_app = typer.Typer(help="Campaigns: which are in force, and putting them in force.", no_args_is_help=True)


@campaigns_app.command("list")
def list_campaigns(
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Show the campaigns that were published, and what is spent, reserved and left of their budgets."""
    backend = open_backend(settings_of(config, data))
    reader = backend.reader()
    try:
        active = active_rules(reader)
        published = campaign_files.from_json(active.campaigns) if active else ()
        entries = [_entry(campaign, _budget(reader, campaign)) for campaign in published]
    finally:
        reader.close()
        backend.close()
    if as_json:
        for entry in entries:
            write_line(json.dumps(entry, ensure_ascii=False))
        return
    table = Table("campaign", "state", "budget", "spent", "reserved", "left", box=None)
    for entry in entries:
        table.add_row(entry["campaign"], entry["state"], *_cells(entry))
    console.print(table if entries else "No campaigns are in force: rapport campaigns publish")


@campaigns_app.command()
def publish(config: Config = None, data: Data = None) -> None:
    """Check the campaign files and put them in force: every customer is looked at again."""
    settings = settings_of(config, data)
    folder = Path(settings.campaigns)
    with opened(settings) as app:
        version = publish_campaigns(app, folder, only_if_changed=False)
    count = len(campaign_files.load(folder))
    console.print(f"Published {count} campaigns of {folder} as version {version}.")


def _budget(reader: Reader, campaign: Campaign) -> BudgetState | None:
    key = budget_key(campaign.name)
    _, stored = reader.subject(key)
    state = subjects.decode(key, stored) if stored else None
    return state if isinstance(state, BudgetState) else None


def _entry(campaign: Campaign, state: BudgetState | None) -> dict[str, Any]:
    """What a program reads: limits and what is left are null where there is no limit."""
    budget = campaign.budget
    vouchers_left, cents_left = left(state, budget)
    return {
        "campaign": campaign.name,
        "state": campaign.state,
        "vouchers": budget.vouchers or None,
        "vouchers_spent": state.spent if state else 0,
        "vouchers_reserved": len(state.open) if state else 0,
        "vouchers_left": vouchers_left,
        "amount_cents": budget.amount_cents or None,
        "spent_cents": state.spent_cents if state else 0,
        "reserved_cents": state.reserved_cents if state else 0,
        "left_cents": cents_left,
    }


def _cells(entry: dict[str, Any]) -> list[str]:
    """Limit, spent, reserved, left: of vouchers, and below of amounts."""
    counts, amounts = (
        [entry[name] for name in names]
        for names in (
            ("vouchers", "vouchers_spent", "vouchers_reserved", "vouchers_left"),
            ("amount_cents", "spent_cents", "reserved_cents", "left_cents"),
        )
    )
    rows = [[f"{count:,}" for count in counts]] if counts[0] is not None else []
    rows += [[f"{cents / 100:,.2f}" for cents in amounts]] if amounts[0] is not None else []
    return ["\n".join(cell) for cell in zip(*rows, strict=True)] or ["no limit", "", "", ""]
