"""What the doctor says of a spool, and a second collector on the same folder."""

from pathlib import Path

from cli.home import Home

from pipeline.producers.spool import Disk
from pipeline.settings import Settings
from pipeline.spooling import finding
from spool.world import record


def test_the_doctor_sees_what_waits_and_what_was_set_aside(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path))
    assert finding(settings).level == "ok", "there is no folder yet"
    disk = Disk(tmp_path / "spool", lambda _: None)
    disk.append([record("ann", 0)], at=0)
    found = finding(settings)
    assert (found.part, found.level) == ("spool", "warn")
    assert "bytes of events wait in" in found.found
    disk.set_aside(disk.read(1)[0], "is refused")
    disk.leave(1)
    assert "1 pieces in" in finding(settings).found
    disk.close()


def test_a_second_collector_on_the_same_folder_is_refused_with_a_sentence(tmp_path: Path) -> None:
    home = Home(tmp_path).init(log="kafka://127.0.0.1:1", store="redis://127.0.0.1:1")
    disk = Disk(tmp_path / "rapport-data" / "spool", lambda _: None)
    done = home.run("collect", "--metrics-port", "0")
    disk.close()
    assert (done.code, done.out) == (1, "")
    assert "another collector uses the spool in" in done.err
    assert "Traceback" not in done.err
