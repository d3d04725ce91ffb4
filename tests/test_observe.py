"""What is measured has few labels, whatever is measured: nothing of a customer, and no figure of a decision."""

from pipeline import replies
from pipeline.core.effects import Decision
from pipeline.observe import WorkerMeasures, exposition, new_registry


def test_a_decision_is_counted_by_its_named_reason() -> None:
    registry = new_registry()
    measures = WorkerMeasures(registry)
    for p in ("0.1998", "0.1871"):
        reason = f"lapsed: chance to buy again within 273 days fell to {p}"
        decision = Decision(
            id=p,
            customer="u:ann",
            campaign="win-back",
            occasion="o1",
            outcome="TAKEN",
            reason=reason,
            facts="{}",
            decided_at=1,
            campaigns_version=1,
        )
        measures.decided([decision], 1)
    counted = [line for line in exposition(registry).decode().splitlines() if "rapport_decisions_total{" in line]
    assert counted == ['rapport_decisions_total{campaign="win-back",outcome="TAKEN",reason="lapsed"} 2.0']


def test_what_became_of_a_message_is_counted_by_channel_outcome_and_campaign() -> None:
    registry = new_registry()
    told = replies.messages(registry)
    told("email", "opened", "win-back")
    told("email", "opened", "win-back")
    counted = [line for line in exposition(registry).decode().splitlines() if "message_outcomes_total{" in line]
    label = 'campaign="win-back",channel="email",outcome="opened"'
    assert counted == [f"rapport_message_outcomes_total{{{label}}} 2.0"]


def test_what_is_left_of_budgets_replaces_what_was() -> None:
    registry = new_registry()
    measures = WorkerMeasures(registry)

    def shown() -> list[str]:
        return [line for line in exposition(registry).decode().splitlines() if line.startswith("rapport_budget")]

    measures.budgets([("win-back", 7, None), ("thanks", None, 900)])
    assert shown() == [
        'rapport_budget_left{campaign="win-back"} 7.0',
        'rapport_budget_left_cents{campaign="thanks"} 900.0',
    ]
    measures.budgets([("win-back", 6, None)])
    assert shown() == ['rapport_budget_left{campaign="win-back"} 6.0']
    measures.owned([1])
    assert shown() == []
