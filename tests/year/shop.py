"""What the log says a shop has published, as plain JSON: campaigns, policy and segments. Nothing is decided here."""

from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

LAPSED_THRESHOLD, LAPSED_DAYS = 0.2, 273
"""Of the stage `lapsed` (docs/lapse.md)."""


def clock(zone: str) -> ZoneInfo:
    """Of the pinned tzdata, not of this machine."""
    with files("tzdata.zoneinfo").joinpath(*zone.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data)


class Shop:
    """What the log says is published: campaigns, policy and segments, as JSON."""

    def __init__(self, campaigns: bytes, policy: bytes, segments: bytes) -> None:
        self.campaigns: dict[str, dict[str, Any]] = {it["name"]: it for it in msgspec.json.decode(campaigns)}
        self.policy: dict[str, Any] = {
            "per_day": 1,
            "per_week": 3,
            "quiet_from": "21:00",
            "quiet_until": "08:00",
            "default_timezone": "UTC",
        } | msgspec.json.decode(policy)
        self._clocks: dict[str, ZoneInfo] = {}
        fans = next(it for it in msgspec.json.decode(segments) if it["name"] == "fans")
        self.fan_orders, self.fan_days = (condition["value"] for condition in fans["all"])
        self.interests = [(n, w.get("category", ""), w.get("views", 5)) for n, w in self._when("interested")]
        self.regulars = [(n, w.get("every_orders", 5)) for n, w in self._when("regular_buyer")]
        self.nth_orders = [(n, w.get("order", 1)) for n, w in self._when("nth_order")]
        self.carts = [(n, w.get("hours", 4)) for n, w in self._when("cart_abandoned")]
        self.days = [(n, w["on"], w.get("at", "09:00")) for n, w in self._when("scheduled")]
        self.dates = [
            (n, w.get("trait", "birthday"), w.get("days_before", 0), w.get("at", "09:00"))
            for n, w in self._when("date")
        ]
        self.lapse_rules = [
            ("", LAPSED_THRESHOLD, LAPSED_DAYS),
            *((n, w.get("threshold", 0.2), w.get("horizon_days", 273)) for n, w in self._when("lapsed")),
        ]

    def clock(self, zone: str) -> ZoneInfo:
        """Of somebody who said this."""
        name = zone or self.policy["default_timezone"]
        if name not in self._clocks:
            self._clocks[name] = clock(name)
        return self._clocks[name]

    def of_kind(self, kind: str) -> list[str]:
        """The campaigns that wait for this."""
        return [name for name, _ in self._when(kind)]

    def _when(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        return [(name, it["when"]) for name, it in self.campaigns.items() if it["when"]["kind"] == kind]
