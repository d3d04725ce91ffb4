"""Limits that several features keep, so that no sender can make a profile grow without end."""

MAX_TEXT_CHARACTERS = 256
"""Of a name or id kept in a profile: a category, a product, a coupon, a conversation."""
