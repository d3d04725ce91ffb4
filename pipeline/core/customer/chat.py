"""Conversations, and the signs of hesitation that earn a visitor an offer of one.

Owns the slice `chat`.
"""

import msgspec


class Chatting(msgspec.Struct, frozen=True, array_like=True):
    """Slice of the profile."""

    open_conversation: str = ""
    opened_at: int = 0
    conversations: int = 0
    messages: int = 0
    last_message_at: int = 0
    prompts: int = 0
    last_prompt_id: str = ""
    cart_touched: int = 0
    """When the cart was last changed or the visitor last heard from while it held something."""
    idle_due: int = 0
    """When an idle cart earns a prompt; 0: not armed."""
