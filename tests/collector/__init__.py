"""The collector, asked as SDKs and strangers ask it. `harness.py` has what the tests share."""
