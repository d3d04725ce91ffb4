"""Foreign SDKs, unmodified, sending to the collector. What each sends on the wire: README.md."""
