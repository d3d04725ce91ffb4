"""What stands in the outbox of somebody erased is taken back; everybody else's stays."""

from pathlib import Path

import pytest
from api.running import CODEC, voucher
from erasing.town import RealTown, settle_ada_and_ben

from pipeline.backends.sqlite import Embedded
from pipeline.core.effects import Voucher
from pipeline.erased import ErasureList
from pipeline.sinks.choosing import NotPermittedError
from pipeline.sinks.forgetting import Forgetting
from pipeline.sinks.outbox import Outbox
from pipeline.sinks.permission import Permission
from pipeline.sinks.steps import FORGOTTEN
from sinks.world import ADA


def test_files_of_the_erased_go_and_nothing_is_sent_to_them_any_more(tmp_path: Path) -> None:
    town = RealTown(Embedded(tmp_path / "data", 3))
    settle_ada_and_ben(town)
    [adas] = town.effects("vouchers")
    assert isinstance(adas, Voucher)
    outbox = Outbox(tmp_path / "outbox")
    bens = voucher(2, customer="u:ben", id="bens")
    for effect in (adas, bens):
        outbox.send(outbox.render(effect, ADA))
    (tmp_path / "outbox" / "note.json").write_text("not ours")
    forgetting = Forgetting(town.backend.reader(), ErasureList(CODEC), outbox)
    permission = Permission(town.backend.reader(), CODEC)
    forgetting.turn()
    assert len(list((tmp_path / "outbox").iterdir())) == 3

    town.erases("u:ada")
    town.decides()
    forgetting.turn()
    assert {file.name for file in (tmp_path / "outbox").iterdir()} == {"bens.json", "note.json"}
    with pytest.raises(NotPermittedError, match=FORGOTTEN):
        permission.recipient(adas)
    town.backend.close()
