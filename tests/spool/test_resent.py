"""The same batch sent again by a client that heard no answer: wherever the copies are met, they have one effect."""

from pathlib import Path
from typing import Any

from collector.harness import CODEC, NOW, SERVER_KEY, Door
from core.making import rules

from pipeline.core.customer.profile import Profile
from pipeline.core.events import Purchase
from pipeline.producers.spool import Leaving
from pipeline.rehearsal.little_log import LittleLog
from spool.world import OPTIONS, World

ORDER: dict[str, Any] = {
    "type": "track",
    "event": "Order Completed",
    "userId": "ada",
    "messageId": "m1",
    "properties": {"order_id": "o1", "total": 20, "currency": "EUR"},
}
VIEW: dict[str, Any] = {"type": "page", "userId": "ada", "messageId": "m2"}


def test_a_batch_that_is_sent_again_counts_once(tmp_path: Path) -> None:
    """Unanswered, in the spool, after a restart, when all has left, and with the events in other batches."""
    world = World(tmp_path / "spool", stamps=Leaving(CODEC, lambda: NOW + world.wall))
    send(world, [ORDER, VIEW])
    world.log.up = False
    send(world, [ORDER, VIEW])
    world.turn(OPTIONS.after_seconds)
    send(world, [ORDER, VIEW])
    world.turn()
    world.die()
    world.start()
    send(world, [VIEW])
    world.turn()
    world.log.up = True
    world.drain()
    send(world, [VIEW, ORDER])
    world.turn()
    assert world.refused == []
    assert len(world.log.records) == 9

    log = LittleLog(rules())
    for each in world.log.records:
        event = CODEC.decode(each.value)
        assert isinstance(event, Purchase) or event.message_id == "m2"  # type: ignore[union-attr]
        log.pass_to(max(log.now, event.received_at))  # type: ignore[union-attr]
        log.accept("u:ada", event)  # type: ignore[arg-type]
    ada = log.states["u:ada"]
    assert isinstance(ada, Profile)
    assert (ada.purchases.count, ada.purchases.spend_cents) == (1, {"EUR": 2000})
    assert ada.dedup.duplicates == 7


def send(world: World, batch: list[dict[str, Any]]) -> None:
    """What the collector makes of it, at its present moment."""
    door = Door(now=NOW + world.wall)
    assert door.post("/v1/batch", {"batch": batch}, SERVER_KEY).status == 200
    world.post(*door.log.records)
