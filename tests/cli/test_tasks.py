"""The task list on the command line: CSV for the printer and the call centre, and reporting back."""

import csv
import io
import json
from pathlib import Path

import pytest

from cli.home import Home, ask, until
from pipeline.commands.tasks import COLUMNS, plain_cell, row_of, write_csv
from pipeline.core.effects import Task

CALL = """\
name = "call"
[when]
kind = "nth_order"
order = 1
[do]
kind = "task"
task = "phone"
instructions = "Ask how it went."
"""


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("\t=1", "'\t=1"),
        ("+31 20 123 4567", "+31 20 123 4567"),
        ("+31201234567", "+31201234567"),
        ("+49 (30) 1234", "+49 (30) 1234"),
        ("+49-30-1234", "'+49-30-1234"),
        ("+49 30/1234", "'+49 30/1234"),
        ("Ann", "Ann"),
        ("", ""),
    ],
)
def test_a_spreadsheet_calculates_nothing(text: str, cell: str) -> None:
    assert plain_cell(text) == cell


def test_a_row_has_the_address_whichever_way_it_was_said() -> None:
    task = Task(
        id="t", customer="u:ann", campaign="c", occasion="o", kind="mailshot", instructions='Send "it",\nsoon',
        reason="r", facts="{}", decided_at=0, not_after=0,
    )  # fmt: skip
    as_object = {
        "firstName": "Ann",
        "lastName": "=Bee",
        "address": '{"street":"High St 1","postalCode":"1A","city":"Y"}',
    }
    flat = {"name": "Ann =Bee", "street": "High St 1", "zip": "1A", "city": "Y"}
    assert row_of(task, as_object) == row_of(task, flat)
    assert row_of(task, {"address": "High St 1"})["street"] == "High St 1"
    file = io.StringIO()
    write_csv(file, [row_of(task, flat)])
    [row] = csv.DictReader(io.StringIO(file.getvalue(), newline=""))
    assert (tuple(row), row["postal_code"], row["instructions"]) == (COLUMNS, "1A", 'Send "it",\nsoon')


def test_a_task_is_exported_and_reported(tmp_path: Path) -> None:
    home = Home(tmp_path).init()
    (tmp_path / "campaigns" / "call.toml").write_text(CALL)
    with home.role("up", "--port", "0") as up:
        common = {"userId": "ann", "type": "track"}
        traits = {"name": "=Ann", "phone": "+31201234567"}
        said = {"channel": "phone", "purpose": "marketing"}
        order = {"orderId": "o1", "total": 20, "currency": "EUR"}
        batch = [
            {**common, "type": "identify", "messageId": "i", "traits": traits},
            {**common, "messageId": "c", "event": "Consent Granted", "properties": said},
            {**common, "messageId": "o", "event": "Order Completed", "properties": order},
        ]
        assert ask(up.url, "POST", "/v1/batch", {"batch": batch}, home.server_key).status == 200

        def tasks() -> list[dict[str, str]]:
            return [json.loads(line) for line in home.run("tasks", "list", "--json").out.splitlines()]

        [task] = until(tasks)
        home.run("tasks", "export", "--kind", "phone", "--out", str(tmp_path / "calls.csv"))
        [row] = csv.DictReader((tmp_path / "calls.csv").open(newline=""))
        assert (row["name"], row["phone"], row["instructions"]) == ("'=Ann", "+31201234567", "Ask how it went.")
        assert home.run("tasks", "done", task["id"], "reached", "--note", "Fine.").code == 0
        assert until(lambda: not tasks())
        assert "no task" in home.run("tasks", "done", task["id"], "reached").err
        for words in ("list", "export"):
            wrong = home.run("tasks", words, "--kind", "letter")
            assert (wrong.code, wrong.out) == (1, "")
            assert "there is no kind of task letter; there are mailshot, phone, visit" in wrong.err
