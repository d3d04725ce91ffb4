"""Setting up and starting: init, up, the single roles, and what is refused before anything starts."""

import json
import os
import re
import signal
import stat
import threading

import pytest
from servers.free_port import free_port
from typer.testing import CliRunner

from cli.home import Home, ask, until
from pipeline.__main__ import command_line

PURCHASE = {"userId": "ada", "messageId": "m-1", "event": "Order Completed",
            "properties": {"order_id": "o-1", "total": 12, "currency": "EUR"}}  # fmt: skip


def refused(said: str) -> str:
    """The one plain sentence of an error."""
    assert "Traceback" not in said
    assert said.startswith("rapport: ")
    assert said.count("\n") == 1, said
    return said.removeprefix("rapport: ").rstrip()


def test_init_writes_fresh_keys_for_the_owner_alone_and_prints_the_snippet(empty: Home) -> None:
    done = empty.run("init")
    file = empty.path / "rapport.toml"
    assert (done.code, stat.S_IMODE(file.stat().st_mode)) == (0, 0o600)
    settings = empty.settings
    assert len({settings[name] for name in ("write_key", "server_key", "identity_secret", "code_secret")}) == 4
    snippet = (
        f'<script async src="http://127.0.0.1:8080/rapport.js" data-write-key="{settings["write_key"]}"></script>'
    )
    assert done.out.strip() == snippet
    assert "rapport up" in done.err


def test_init_keeps_keys_that_are_in_use(empty: Home) -> None:
    empty.run("init")
    before = empty.settings
    again = empty.run("init")
    assert again.code == 1
    assert "rapport.toml exists already" in refused(again.err)
    assert empty.settings == before
    assert empty.run("init", "--force").code == 0
    assert empty.settings != before
    nowhere = empty.run("init", "no/such/folder.toml")
    assert "there is no folder no/such" in refused(nowhere.err)


def test_up_answers_and_ends_in_order_with_everything_written(home: Home) -> None:
    with home.role("up", "--port", "0") as up:
        url = up.url
        assert ask(url, "GET", "/healthz").body == {"status": "alive"}
        until(lambda: ask(url, "GET", "/readyz").status == 200)
        assert "rapport_" in ask(url, "GET", "/metrics").body
        assert "write-key" in ask(url, "GET", "/rapport.js").body
        accepted: list[str] = []

        def send(sender: int) -> None:
            for n in range(200):
                message = {"userId": f"u{sender}", "event": "Product Viewed", "messageId": f"{sender}-{n}"}
                try:
                    if ask(url, "POST", "/v1/track", message, home.write_key).status == 200:
                        accepted.append(f"{sender}-{n}")
                except OSError:
                    return  # it listens no more

        senders = [threading.Thread(target=send, args=(n,)) for n in range(3)]
        for sender in senders:
            sender.start()
        until(lambda: len(accepted) > 50)
        assert up.end() == 0
        for sender in senders:
            sender.join()
        assert "Traceback" not in up.said()
    kept = [line["message_id"] for line in home.log("events")]
    assert len(kept) == len(set(kept))
    assert set(accepted) <= set(kept)


def test_a_role_says_where_its_threads_stand_and_goes_on(home: Home) -> None:
    with home.role("work", "--metrics-port", "0") as work:

        def asked() -> bool:
            os.kill(work.pid, signal.SIGUSR1)
            return "in turn" in work.said()

        until(asked)  # the thread that works may not stand anywhere yet
        assert ask(work.url, "GET", "/healthz").status == 200
        assert work.end() == 0


def test_roles_run_one_by_one_and_end_in_order(home: Home) -> None:
    with (
        home.role("collect", "--metrics-port", "0") as collect,
        home.role("serve", "--metrics-port", "0") as serve,
        home.role("work", "--metrics-port", "0") as work,
        home.role("deliver", "--metrics-port", "0") as deliver,
    ):
        assert ask(collect.url, "POST", "/v1/track", PURCHASE, home.server_key).body["success"]
        until(lambda: ask(serve.url, "GET", "/v1/customers/ada", key=home.server_key).status == 200)
        customer = ask(serve.url, "GET", "/v1/customers/ada", key=home.server_key).body
        assert customer["purchases"]["spend_cents"] == {"EUR": 1200}
        for role in (collect, serve, work, deliver):
            assert ask(role.url, "GET", "/metrics").status == 200
        second = home.run("work", "--metrics-port", "0", seconds=30)
        assert second.code == 1
        assert "Traceback" not in second.err
        assert "rapport: " in second.err.splitlines()[-1]
        assert [role.end() for role in (collect, serve, work, deliver)] == [0, 0, 0, 0]


def test_relay_says_what_it_needs(home: Home) -> None:
    done = home.run("relay")
    assert done.code == 1
    assert "RAPPORT_LOG=kafka://" in refused(done.err)


def test_faust_says_what_it_needs(home: Home) -> None:
    done = home.run("work", "--engine", "faust")
    assert done.code == 1
    assert "RAPPORT_LOG=kafka://" in refused(done.err)


def test_up_without_keys_says_how_to_get_them(empty: Home) -> None:
    done = empty.run("up", "--port", "0")
    assert done.code == 1
    assert "run `rapport init`" in refused(done.err)


def test_a_port_that_is_taken_is_named(home: Home) -> None:
    with home.role("up", "--port", "0") as up:
        port = up.url.rpartition(":")[2]
        done = home.run("collect", "--metrics-port", port)
    assert done.code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in refused(done.err)


SETTINGS = [
    ("write_keys = 'x'", "rapport.toml:1: unknown setting `write_keys`: did you mean `write_key`?"),
    ("xyzzy = 'x'", "rapport.toml:1: unknown setting `xyzzy`; valid are write_key, server_key, "),
    ("\nport = 'x'", "rapport.toml:2: port = 'x': expected a whole number"),
    ("port = 99999", "rapport.toml:1: port = 99999: expected a whole number <= 65535"),
    ("trust_browser_purchases = 'maybe'", "expected true or false"),
    ("port = \n", "rapport.toml is not TOML: Invalid value (at line 1, column 8)"),
    ("log = 'kafka://127.0.0.1:1'", "`log` and `store` go together"),
    ("log_level = 'LOUD'", "expected DEBUG, INFO, WARNING or ERROR"),
]


@pytest.mark.parametrize(("text", "sentence"), SETTINGS)
def test_a_bad_settings_file_is_refused_with_place_and_choices(empty: Home, text: str, sentence: str) -> None:
    (empty.path / "rapport.toml").write_text(text)
    done = empty.run("up", "--port", "0")
    assert done.code == 1
    assert sentence in refused(done.err)


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("RAPPORT_WRITEKEY", "x", "RAPPORT_WRITEKEY: did you mean `RAPPORT_WRITE_KEY`?"),
        ("RAPPORT_FOO", "x", "valid are RAPPORT_WRITE_KEY, RAPPORT_SERVER_KEY, "),
        ("RAPPORT_PORT", "abc", "RAPPORT_PORT='abc': expected a whole number"),
        ("RAPPORT_SERVER_KEY_FILE", "nowhere", "names the file nowhere, which cannot be read"),
        ("RAPPORT_CONFIG", "nowhere.toml", "cannot read the settings file nowhere.toml"),
    ],
)
def test_an_unknown_environment_setting_is_refused(home: Home, variable: str, value: str, sentence: str) -> None:
    done = home.run("up", "--port", "0", environment={variable: value})
    assert done.code == 1
    assert sentence in refused(done.err)


def test_the_environment_goes_before_the_file(home: Home) -> None:
    home.path.joinpath("key").write_text("from-a-file\n")
    done = home.run("init", "other.toml", environment={"RAPPORT_WRITE_KEY": "from-the-environment"})
    assert 'data-write-key="from-the-environment"' in done.out
    assert home.run("check", environment={"RAPPORT_SERVER_KEY_FILE": "key"}).code == 0


CAMPAIGNS = [
    (
        "stat = 'live'",
        r"win-back.toml, line 3: `stat` is not a key of a campaign; did you mean `state`\? Valid are: ",
    ),
    ("state = 'on'", r'win-back.toml, line 3: `state` is "on"; it must be one of draft, ended, live, paused'),
    ("state = ", r"win-back.toml.*line 3"),
]


@pytest.mark.parametrize(
    ("command", "line", "sentence"), [(name, *CAMPAIGNS[n]) for n, name in enumerate(("up", "work", "check"))]
)
def test_a_bad_campaign_file_is_refused_at_start(home: Home, command: str, line: str, sentence: str) -> None:
    file = home.path / "campaigns" / "win-back.toml"
    rest = re.sub(r"(?m)^(#.*|state = .*|name = .*|)\n", "", file.read_text())
    file.write_text(f"name = 'win-back'\n\n{line}\n{rest}")
    done = home.run(command, *(["--port", "0"] if command == "up" else []))
    assert (done.code, done.out) == (1, "")
    assert re.search(sentence, done.err), done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", ["up", "work", "collect", "relay"])
def test_a_missing_broker_is_named_once_and_waited_for(home: Home, command: str) -> None:
    port = free_port()
    with (home.path / "rapport.toml").open("a") as file:
        file.write(f"log = 'kafka://127.0.0.1:{port}'\nstore = 'redis://127.0.0.1:{port}'\n")
    role = home.role(command, "--port" if command == "up" else "--metrics-port", "0").begin()
    try:
        until(lambda: f"Kafka at 127.0.0.1:{port} cannot be reached" in role.said())
        assert role.running, "it waits, and does not give up"
        assert role.end() == 0
        lines = [line for line in role.said().splitlines() if "cannot be reached" in line]
        assert len(lines) <= 2, role.said()
        assert "Traceback" not in role.said()
    finally:
        role.close()


@pytest.mark.parametrize("words", [("log", "events"), ("profile", "ada"), ("doctor",), ("backup", "file")])
def test_a_command_that_can_not_reach_log_or_store_says_so_and_ends(home: Home, words: tuple[str, ...]) -> None:
    port = free_port()
    where = {"RAPPORT_LOG": f"kafka://127.0.0.1:{port}", "RAPPORT_STORE": f"redis://127.0.0.1:{port}"}
    done = home.run(*words, environment=where)
    assert done.code == 1
    assert f"127.0.0.1:{port}" in (done.err + done.out)
    assert "Traceback" not in done.err


def test_usage(empty: Home) -> None:
    assert re.fullmatch(r"rapport \d+\.\d+\.\d+\n", empty.run("--version").out)
    assert "rapport demo" in empty.run().out
    for words, sentence in (
        (["nonsense"], "No such command 'nonsense'; see `rapport --help`"),
        (["up", "--prot", "1"], "No such option: --prot (Possible options: --host, --port); see `rapport up --help`"),
        (["log"], "Missing argument 'topic'; see `rapport log --help`"),
        (["up", "--port", "99999"], "Invalid value for '--port'"),
    ):
        done = empty.run(*words)
        assert done.code == 2
        assert sentence in refused(done.err)


COMMANDS = ("demo", "init", "up", "collect", "serve", "work", "deliver", "relay", "replay", "simulate", "rebuild",
            "fit", "profile", "log", "check", "doctor", "backup", "restore", "campaigns publish",
            "deliveries list", "deliveries retry")  # fmt: skip


def test_help_names_every_command(empty: Home) -> None:
    said = empty.run("--help").out
    for command in COMMANDS:
        assert f"  {command.split()[0]} " in said


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_says_what_it_does(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    done = CliRunner().invoke(command_line(), [*command.split(), "--help"], prog_name="rapport")
    assert done.exit_code == 0
    assert f"Usage: rapport {command} " in done.output
    first = done.output.split("\n\n")[1].strip()
    assert first.endswith(".") and len(first) > 20, first
    assert not json.dumps(done.output).count("\\u0008")
