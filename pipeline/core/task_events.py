"""What people of the shop report of tasks, on the log `events`. Data; one Avro schema each."""

import msgspec


class TaskCompleted(msgspec.Struct, frozen=True, kw_only=True):
    """To the customer: somebody did what a task asked for, or tried to."""

    task_id: str
    outcome: str
    """What came of it, as the shop names it: `reached`, `not_reached`, `sent`, …"""
    note: str = ""
    source: str
    received_at: int


OfTasks = TaskCompleted
