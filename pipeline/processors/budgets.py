"""What is left of the budgets that a partition keeps, for whoever measures it. Reads, and decides nothing."""

from collections.abc import Iterator

from pipeline.backends.contract import Store
from pipeline.core import subjects
from pipeline.core.budget import BudgetState, left
from pipeline.core.identifiers import budget_key
from pipeline.core.rules import Rules


def budgets_left(store: Store, partition: int, rules: Rules) -> Iterator[tuple[str, int | None, int | None]]:
    """Campaign, vouchers left and minor units left (None: no limit) of the budgets in force that stand in this
    partition, as far as anybody has asked for them. Raises Unavailable."""
    limited = {budget_key(it.name): it for it in rules.campaigns if it.budget.is_limited()}
    found = store.load(partition, list(limited)).subjects if limited else {}
    for key, stored in found.items():
        state = subjects.decode(key, stored) if stored else None
        if isinstance(state, BudgetState):
            yield limited[key].name, *left(state, limited[key].budget)
