"""`rapport segments` and what a campaign could reach: counted and listed from the store, while others write to it."""

import json
import re
from pathlib import Path

from cli.home import Home, ask, until

FRIENDS = """\
name = "friends"
[[all]]
field = "purchases.orders"
op = "at_least"
value = 1
[[not]]
field = "groups"
op = "contains"
value = "staff"
"""
ASKED = """
[[if]]
field = "purchases.orders"
op = "at_least"
value = 1
"""


def test_who_is_in_a_segment_is_counted_and_listed(tmp_path: Path) -> None:
    home = Home(tmp_path).init(segments=str(tmp_path / "segments"))
    assert home.run("check").out.count("could reach cannot be said: No store is here yet (rapport up).") == 1
    nowhere = home.run(
        "check", environment={"RAPPORT_LOG": "kafka://127.0.0.1:1", "RAPPORT_STORE": "redis://127.0.0.1:1"}
    )
    assert (nowhere.code, "could reach cannot be said: " in nowhere.out) == (0, True)
    assert "could reach" not in home.run("check", "--no-reach").out
    assert "No segments are in force" in home.run("segments", "list").err
    (tmp_path / "segments").mkdir(exist_ok=True)
    (tmp_path / "segments" / "friends.toml").write_text(FRIENDS)
    with (tmp_path / "campaigns" / "win-back.toml").open("a") as file:
        file.write(ASKED)
    with home.role("up", "--port", "0") as up:
        messages = [
            {
                "type": "track",
                "event": "Order Completed",
                "messageId": customer,
                "userId": customer,
                "properties": {"orderId": f"o-{customer}", "total": 20, "currency": "EUR"},
            }
            for customer in ("ann", "ben", "cem")
        ]
        seen = {"type": "page", "messageId": "seen", "anonymousId": "phone"}
        assert ask(up.url, "POST", "/v1/batch", {"batch": [*messages, seen]}, home.server_key).status == 200

        def listed() -> dict[str, object] | None:
            entries = [json.loads(line) for line in home.run("segments", "list", "--json").out.splitlines()]
            return entries[0] if entries and entries[0]["members"] == 3 else None

        entry = until(listed)
        assert entry["segment"] == "friends"
        assert entry["words"] == "purchases.orders at least 1 and not groups contains staff"
        assert int(str(entry["decided_until"])) > 0
        assert home.run("segments", "list").out.startswith(
            "friends: 3 (if purchases.orders at least 1 and not groups"
        )
        rows = home.run("segments", "members", "friends", "--csv").out.splitlines()
        assert rows[0] == "customer,since"
        assert sorted(row.split(",")[0] for row in rows[1:]) == ["u:ann", "u:ben", "u:cem"]
        told = home.run("segments", "members", "friends")
        assert len(told.out.splitlines()) == 3
        assert "3 in friends, as decided up to 20" in told.err
        wrong = home.run("segments", "members", "fiends")
        assert (wrong.code, "no segment fiends is in force; valid are: friends" in wrong.err) == (1, True)
        said = home.run("check").out
        assert re.findall(r"^  Of 4 customers it could reach (\d) today", said, re.MULTILINE) == ["0", "4", "4", "3"]
