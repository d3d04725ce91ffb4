"""The producers that are not the collector: relay, replay, simulator."""
