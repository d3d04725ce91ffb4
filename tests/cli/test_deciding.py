"""A whole log decided by several processes: what one alone decides, and nothing else."""

import io
import os
import re
import signal
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from cli.home import ROOT
from pipeline.api.view import customer_view
from pipeline.app import App, publish_campaigns
from pipeline.backends.contract import Unavailable
from pipeline.backends.reading import blocks
from pipeline.codec import Codec
from pipeline.commands import deciding
from pipeline.commands.deciding import Deciders
from pipeline.commands.history import put_on_log
from pipeline.core import subjects
from pipeline.core.customer.profile import Profile
from pipeline.producers.replay.files import plan_file
from pipeline.settings import Settings

SAMPLE = ROOT / "examples" / "data" / "CDNOW_sample.txt.gz"


@pytest.fixture
def app(tmp_path):
    """On an embedded log of its own, with the campaigns published."""
    opened = App(Settings(data=str(tmp_path / "data")), demo=True)
    publish_campaigns(opened, ROOT / "campaigns", only_if_changed=True)
    yield opened
    opened.close()


def quiet():
    return Progress(console=Console(file=io.StringIO()))


def with_history(app):
    put_on_log(app, plan_file(SAMPLE, "cdnow"), pace=None, progress=quiet())


def outcome(app):
    """All vouchers and profiles, and what the vouchers themselves know; without the version of the campaigns."""
    codec, reader, found = Codec(), app.backend.reader(), {}
    try:
        for number in range(reader.topic_partitions("vouchers")):
            for records, _ in blocks(reader, "vouchers", number, 0, reader.end_offset("vouchers", number)):
                for voucher in map(codec.decode, (record.value for record in records)):
                    assert voucher.id not in found, "given twice"
                    found[voucher.id] = voucher
        for number in range(reader.partitions()):
            for key in app.backend.keys(number):
                state = subjects.decode(key, reader.subject(key)[1])
                found[key] = customer_view(state, state.now) if isinstance(state, Profile) else state
    finally:
        reader.close()
    return {key: re.sub(r"(campaigns_version\W+)\d+", r"\1", str(value)) for key, value in found.items()}


def test_three_processes_decide_what_one_does(app, tmp_path):
    with Deciders(app, 3) as deciders:  # they have begun when the history comes
        with_history(app)
        stepped = deciders.decide(quiet())
    with_one = App(Settings(data=str(tmp_path / "one")), demo=True)
    try:
        publish_campaigns(with_one, ROOT / "campaigns", only_if_changed=True)
        with_history(with_one)
        with Deciders(with_one, 1) as alone:
            assert alone.decide(quiet()) == stepped
        assert outcome(app) == outcome(with_one)
    finally:
        with_one.close()


def test_one_that_dies_is_said_and_the_next_run_goes_on(app):
    with_history(app)
    with Deciders(app, 2) as deciders:
        process = deciders._mates[0]._process
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with pytest.raises(Unavailable, match="ended with code -9; run it again"):
            deciders.decide(quiet())
    assert deciding.undecided(app) > 0
    with Deciders(app, 2) as deciders:
        deciders.decide(quiet())
    assert deciding.undecided(app) == 0


def test_they_end_with_the_first(app):
    with Deciders(app, 2) as deciders:
        process = deciders._mates[0]._process
    assert process.wait() == 0


def test_where_another_process_works_it_decides(app, tmp_path):
    with_history(app)
    worker = app.worker(ticks=False)
    other = App(Settings(data=str(tmp_path / "data")), demo=True)
    try:
        worker.run_until_idle()
        with Deciders(other, 2) as deciders:
            assert deciders.decide(quiet()) > 0
            assert not deciders._mates
    finally:
        worker.close()
        other.close()
    assert Path(app.settings.data).is_dir()


def test_few_records_are_not_worth_a_process():
    assert deciding.processes_for(deciding.SHARED_FROM_RECORDS - 1) == 1
    assert 1 <= deciding.processes_for(deciding.SHARED_FROM_RECORDS) <= deciding.MAX_PROCESSES
