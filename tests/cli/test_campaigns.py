"""Campaigns in force: what `rapport campaigns list` says of their budgets."""

import json
from pathlib import Path
from typing import Any

from cli.home import Home, Role, ask, until


def buy(home: Home, up: Role, customer: str) -> None:
    order = {"orderId": f"order-{customer}", "total": 20, "currency": "EUR"}
    message = {"type": "track", "event": "Order Completed", "messageId": customer, "userId": customer}
    batch = {"batch": [{**message, "properties": order}]}
    assert ask(up.url, "POST", "/v1/batch", batch, home.server_key).status == 200


def listed(home: Home) -> dict[str, dict[str, Any]]:
    entries = map(json.loads, home.run("campaigns", "list", "--json").out.splitlines())
    return {entry["campaign"]: entry for entry in entries}


def test_what_is_left_of_a_budget_is_listed(tmp_path: Path) -> None:
    home = Home(tmp_path).init()
    file = tmp_path / "campaigns" / "thanks-regulars.toml"
    text = file.read_text().replace("every_orders = 5", "every_orders = 1")
    text = text.replace("discount_percent = 10", 'discount_cents = 500\ncurrency = "EUR"')
    file.write_text(text + "[budget]\nvouchers = 2\namount_cents = 1200\n")
    with home.role("up", "--port", "0") as up:
        for customer in ("ann", "ben", "cem"):
            buy(home, up, customer)
        found = until(lambda: (found := listed(home)).get("thanks-regulars", {}).get("vouchers_spent") == 2 and found)
        assert found["thanks-regulars"] == {
            "campaign": "thanks-regulars",
            "state": "live",
            "vouchers": 2,
            "vouchers_spent": 2,
            "vouchers_reserved": 0,
            "vouchers_left": 0,
            "amount_cents": 1200,
            "spent_cents": 1000,
            "reserved_cents": 0,
            "left_cents": 200,
        }
        assert found["win-back"]["vouchers_left"] is None
        table = [line.split() for line in home.run("campaigns", "list").err.splitlines()]
        assert ["thanks-regulars", "live", "2", "2", "0", "0"] in table
        assert ["12.00", "10.00", "0.00", "2.00"] in table
        assert ["win-back", "live", "no", "limit"] in table
