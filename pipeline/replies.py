"""Counters of what comes back from outside: what became of messages that were sent, webhooks of another product.

Like all measures without an id of anybody; a campaign's name is one of the shop's own files.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter


def chat_webhooks(registry: CollectorRegistry) -> Callable[[str], None]:
    """Counts the webhooks of another chat product, by what became of each."""
    counter = Counter(
        "rapport_chat_webhooks_total",
        "Webhooks of Chatwoot: said (an agent's answer), ended, ignored, or foreign (of another inbox).",
        ["outcome"],
        registry=registry,
    )
    return lambda outcome: counter.labels(outcome).inc()


def messages(registry: CollectorRegistry) -> Callable[[str, str, str], None]:
    """Counts what became of messages, by channel, outcome and campaign."""
    counter = Counter(
        "rapport_message_outcomes_total",
        "What became of messages, each time it is said: delivered, opened, clicked, bounced, soft_bounced, "
        "complained, confirmed, unsubscribed.",
        ["channel", "outcome", "campaign"],
        registry=registry,
    )
    return lambda channel, outcome, campaign: counter.labels(channel, outcome, campaign).inc()
