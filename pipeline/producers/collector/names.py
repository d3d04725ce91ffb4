"""The names of e-commerce, chat and e-mail events, and what is made of each. Only tables.

A name is recognised whatever its case, spaces, underscores or hyphens (`product_viewed`, `Viewed Product`), as
Segment's own integrations do; one that is in no table is the shop's own and stays as it is.
"""

from typing import Literal

Kind = Literal["click", "product", "purchase", "chat", "consent", "preferences"]
"""What is made of an event: `product` is a click whose properties are one product; `preferences` is the answer to a
consent banner, which stands in the context."""

EVENTS: dict[str, Kind] = {
    **dict.fromkeys(
        (
            "Products Searched", "Product List Viewed", "Product List Filtered",
            "Promotion Viewed", "Promotion Clicked",
            "Cart Viewed", "Checkout Started", "Checkout Step Viewed", "Checkout Step Completed",
            "Payment Info Entered",
            "Coupon Entered", "Coupon Applied", "Coupon Denied", "Coupon Removed",
            "Cart Shared",
            "Email Delivered", "Email Opened", "Email Link Clicked", "Email Bounced", "Email Marked as Spam",
            "Email Unsubscribed",
            "Experiment Viewed",
        ),
        "click",
    ),
    **dict.fromkeys(
        (
            "Product Clicked", "Product Viewed", "Product Added", "Product Removed",
            "Product Added to Wishlist", "Product Removed from Wishlist", "Wishlist Product Added to Cart",
            "Product Shared", "Product Reviewed",
        ),
        "product",
    ),
    **dict.fromkeys(("Order Completed", "Order Updated", "Order Refunded", "Order Cancelled"), "purchase"),
    **dict.fromkeys(
        (
            "Live Chat Conversation Started", "Live Chat Conversation Ended",
            "Live Chat Message Sent", "Live Chat Message Received",
        ),
        "chat",
    ),
    **dict.fromkeys(("Consent Granted", "Consent Withdrawn"), "consent"),
    "Segment Consent Preference Updated": "preferences",
}  # fmt: skip

ALIASES: dict[str, str] = {
    "Searched Products": "Products Searched",
    "Viewed Product List": "Product List Viewed",
    "Viewed Product Category": "Product List Viewed",
    "Filtered Product List": "Product List Filtered",
    "Viewed Promotion": "Promotion Viewed",
    "Clicked Promotion": "Promotion Clicked",
    "Clicked Product": "Product Clicked",
    "Viewed Product": "Product Viewed",
    "Viewed Product Detail": "Product Viewed",
    "Viewed Product Details": "Product Viewed",
    "Added Product": "Product Added",
    "Removed Product": "Product Removed",
    "Viewed Cart": "Cart Viewed",
    "Started Checkout": "Checkout Started",
    "Started Order": "Checkout Started",
    "Order Started": "Checkout Started",
    "Viewed Checkout Step": "Checkout Step Viewed",
    "Completed Checkout Step": "Checkout Step Completed",
    "Entered Payment Info": "Payment Info Entered",
    "Added Payment Info": "Payment Info Entered",
    "Payment Info Added": "Payment Info Entered",
    "Completed Order": "Order Completed",
    "Updated Order": "Order Updated",
    "Refunded Order": "Order Refunded",
    "Cancelled Order": "Order Cancelled",
    "Canceled Order": "Order Cancelled",
    "Order Canceled": "Order Cancelled",
    "Entered Coupon": "Coupon Entered",
    "Applied Coupon": "Coupon Applied",
    "Denied Coupon": "Coupon Denied",
    "Removed Coupon": "Coupon Removed",
    "Added Product to Wishlist": "Product Added to Wishlist",
    "Removed Product from Wishlist": "Product Removed from Wishlist",
    "Wishlist Product Removed": "Product Removed from Wishlist",
    "Added Wishlist Product to Cart": "Wishlist Product Added to Cart",
    "Shared Product": "Product Shared",
    "Shared Cart": "Cart Shared",
    "Reviewed Product": "Product Reviewed",
}
"""Names of Segment's first e-commerce specification (verb first) and other spellings, to today's."""

_SEPARATORS = str.maketrans("", "", " _-")


def _normal(name: str) -> str:
    return name.translate(_SEPARATORS).casefold()


_BY_NORMAL = {**{_normal(name): name for name in EVENTS}, **{_normal(old): new for old, new in ALIASES.items()}}


def recognised(name: str) -> tuple[str, Kind]:
    """The name an event is stored under, and what is made of it."""
    kind = EVENTS.get(name)
    if kind:
        return name, kind
    known = _BY_NORMAL.get(_normal(name))
    return (known, EVENTS[known]) if known else (name, "click")
