"""`rapport loyalty`, as it is typed, and the scheme in the words of `rapport check`."""

import json

from cli.home import Home

ORDER = {
    "type": "track",
    "event": "Order Completed",
    "userId": "ada",
    "messageId": "m1",
    "timestamp": "2026-05-01T10:00:00Z",
    "properties": {"order_id": "o-1", "total": 20.0, "currency": "EUR"},
}
REFUND = ORDER | {
    "event": "Order Refunded",
    "messageId": "m2",
    "timestamp": "2026-05-02T10:00:00Z",
    "properties": {"order_id": "o-1", "refund_id": "r-1", "total": 5.0, "currency": "EUR"},
}
TIER = '[[tier]]\nname = "club"\nat_least = 10\n'


def test_points_are_shown(home: Home) -> None:
    (home.path / "campaigns" / "loyalty.toml").write_text(f"per_order = 4\nexpire_after_days = 1000\n{TIER}")
    assert "loyalty: a point for each 1.00 spent, 4 for each order" in home.run("check").out
    (home.path / "history.jsonl").write_text("\n".join(map(json.dumps, (ORDER, REFUND))))
    assert home.run("replay", "history.jsonl", "--format", "segment").code == 0
    shown = home.run("loyalty", "ada")
    assert shown.code == 0
    first, expires, taken, earned = shown.out.splitlines()
    assert first.startswith("u:ada: 18 points of 18 ever earned, tier club until 2027-05-01 ")
    assert expires.startswith("18 expire 2029-01-")
    assert taken.endswith("  -6  taken back  order/o-1  = 18")
    assert earned.endswith("  +24  earned  order/o-1  = 24")
    assert json.loads(home.run("loyalty", "u:ada", "--json").out)["points"] == 18
    assert json.loads(home.run("profile", "ada", "--json").out)["loyalty"]["tier"] == "club"
    unknown = home.run("loyalty", "nobody")
    assert unknown.code != 0 and "no customer u:nobody is known here" in unknown.err
