"""Looking without changing: log, profile, check, doctor; and keeping safe: backup, restore, campaigns publish."""

import itertools
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.home import RAPPORT, Home, Role, ask, until

ISSUE_FIELDS = {"id", "customer", "message_id", "type", "event", "occurred_at", "received_at"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Role]]:
    home = Home(tmp_path_factory.mktemp("shop")).init()
    with home.role("up", "--port", "0") as up:
        yield home, up


@pytest.fixture
def home(running: tuple[Home, Role]) -> Home:
    return running[0]


@pytest.fixture
def url(running: tuple[Home, Role]) -> str:
    return running[1].url


def track(home: Home, url: str, message_id: str, **fields: Any) -> None:
    message = {"type": "track", "event": "Product Viewed", "messageId": message_id, **fields}
    assert ask(url, "POST", "/v1/batch", {"batch": [message]}, home.server_key).status == 200


def test_log_shows_a_message_once_and_with_all_every_copy(home: Home, url: str) -> None:
    for _ in range(3):
        track(home, url, "once", userId="ann")
    track(home, url, "once", userId="ben")  # another sender may have counted to the same number
    shown = [line for line in home.log("events") if line["message_id"] == "once"]
    assert [line["customer"] for line in shown] == ["u:ann", "u:ben"]
    assert set(shown[0]) >= ISSUE_FIELDS
    assert (shown[0]["id"], shown[0]["type"], shown[0]["event"]) == ("once", "track", "Product Viewed")
    assert abs(shown[0]["received_at"] - time.time() * 1000) < 600_000
    every = home.log("events", "--all")
    assert len([line for line in every if line.get("message_id") == "once"]) == 4
    [campaigns, *_] = [line for line in every if line["record"] == "CampaignsChanged"]
    assert {c["name"] for c in campaigns["campaigns"]} >= {"win-back", "thanks-regulars", "hesitation-chat"}
    places = [(line["partition"], line["offset"]) for line in every]
    assert len(places) == len(set(places))


def test_every_type_of_call_says_which_it_was(home: Home, url: str) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("identify", {"traits": {"name": "Cem"}}),
        ("page", {"name": "Start"}),
        ("screen", {"name": "Home"}),
        ("group", {"groupId": "g"}),
        ("alias", {"previousId": "old"}),
        ("track", {"event": "Order Completed", "properties": {"order_id": "o", "total": 5, "currency": "EUR"}}),
        ("track", {"event": "Live Chat Message Sent", "properties": {"conversation_id": "c"}}),
    ]
    for n, (type_, fields) in enumerate(calls):
        message = {"userId": "cem", "messageId": f"cem-{n}", **fields}
        assert ask(url, "POST", f"/v1/{type_}", message, home.server_key).status == 200
    shown = [line for line in home.log("events") if line["customer"] == "u:cem"]
    assert [(line["id"], line["type"]) for line in shown] == [(f"cem-{n}", t) for n, (t, _) in enumerate(calls)]
    assert [line["event"] for line in shown][-2:] == ["Order Completed", "Live Chat Message Sent"]


def test_follow_shows_what_comes_as_it_comes(home: Home, url: str) -> None:
    track(home, url, "before", userId="dee")
    command = [str(RAPPORT), "log", "events", "--json", "--follow"]
    lines: list[str] = []
    with subprocess.Popen(command, cwd=home.path, stdout=subprocess.PIPE, text=True) as follower:
        reading = threading.Thread(target=lambda: lines.extend(follower.stdout or ()))
        reading.start()
        try:
            for n in itertools.count():
                if lines:
                    break
                track(home, url, f"now-{n}", userId="dee")
                time.sleep(0.1)  # until it stands at the log's end
            track(home, url, "last", userId="dee")
            # no later line pushes this one out of a buffer
            until(lambda: any('"last"' in line for line in lines))
        finally:
            follower.terminate()
            reading.join()
    assert '"before"' not in "".join(lines)


def test_a_reader_that_goes_away_is_no_error(home: Home, url: str) -> None:
    for n in range(300):
        track(home, url, f"many-{n}", userId="eve", properties={"words": "x" * 1000})
    done = subprocess.run(
        ["/bin/sh", "-c", f"{RAPPORT} log events --json | head -1"],
        cwd=home.path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_an_unknown_topic_is_refused_with_the_choices(home: Home) -> None:
    done = home.run("log", "event")
    assert (done.code, done.out) == (1, "")
    assert "did you mean events?" in done.err
    assert "chat-prompts, conversations, messages, tasks, loyalty, decisions, dead-letters" in done.err


def test_people_read_words(home: Home, url: str) -> None:
    track(home, url, "w-1", userId="flo", event="Order Completed",
          properties={"order_id": "flo-1", "total": 8, "currency": "EUR"})  # fmt: skip
    until(lambda: home.run("profile", "flo").code == 0)
    [line] = [line for line in home.run("log", "events").out.splitlines() if "u:flo" in line]
    assert "Order Completed" in line
    assert "order_id=flo-1" in line
    words = home.run("profile", "flo").out
    assert "stage: buyer" in words
    assert "EUR: 800" in words
    assert time.strftime("first_order: %Y-", time.gmtime()) in words


def test_profile(home: Home, url: str) -> None:
    track(home, url, "g-1", userId="gus", anonymousId="gus-browser", properties={"product_id": "p-9"})
    until(lambda: home.run("profile", "gus").code == 0)
    profile = json.loads(home.run("profile", "gus", "--json").out)
    assert profile == ask(url, "GET", "/v1/customers/gus", key=home.server_key).body
    assert profile["activity"]["recent_views"][0]["product_id"] == "p-9"
    until(lambda: home.run("profile", "a:gus-browser").code == 0)
    unknown = home.run("profile", "nobody", "--json")
    assert (unknown.code, unknown.out) == (1, "")
    assert "no customer u:nobody is known here" in unknown.err


def test_an_event_that_is_refused_stands_among_the_dead_letters(home: Home, url: str) -> None:
    batch = [{"type": "track", "userId": "u", "event": "Order Completed", "messageId": "bad", "properties": {}},
             {"type": "track", "userId": "u", "event": "Fine", "messageId": "good"}]  # fmt: skip
    reply = ask(url, "POST", "/v1/batch", {"batch": batch}, home.server_key)
    assert [r["messageId"] for r in reply.body["rejected"]] == ["bad"]
    [letter] = home.log("dead-letters")
    assert "order" in letter["reason"]
    assert "good" in {line["id"] for line in home.log("events")}


def test_check_says_every_campaign_in_words(home: Home) -> None:
    done = home.run("check")
    assert done.code == 0
    assert "win-back (live): when a customer's chance to buy again within 273 days falls below 20 %" in done.out
    assert done.out.count("win-back") == 1
    missing = home.run("check", environment={"RAPPORT_CAMPAIGNS": "nowhere"})
    assert missing.code == 1
    assert "nowhere is not a folder" in missing.err


def test_check_of_a_fresh_folder_finds_nothing_wrong(empty: Home) -> None:
    empty.run("init")
    done = empty.run("check")
    assert (done.code, done.err) == (0, "Settings are well-formed. No campaigns: there is no folder campaigns.\n")


def test_doctor_finds_everything_well_or_says_what_to_do(home: Home) -> None:
    until(lambda: "0 not decided yet" in home.run("doctor").err)
    done = home.run("doctor")
    assert done.code == 0
    assert "3 campaigns in force" in done.err
    ill = home.run("doctor", environment={"RAPPORT_CAMPAIGNS": "nowhere", "RAPPORT_CODE_SECRET": ""})
    assert ill.code == 1
    assert "nowhere is not a folder" in " ".join(ill.err.split())


def test_publish_puts_changed_campaigns_in_force(home: Home) -> None:
    file = home.path / "campaigns" / "win-back.toml"
    file.write_text(file.read_text().replace("discount_percent = 15", "discount_percent = 20"))
    done = home.run("campaigns", "publish")
    assert done.code == 0
    assert "Published 4 campaigns" in done.err
    published = [line for line in home.log("events", "--all") if line["record"] == "CampaignsChanged"]
    versions = sorted({line["version"] for line in published})
    assert len(versions) == 2
    assert len([line for line in published if line["version"] == versions[-1]]) == 8


def test_backup_and_restore(tmp_path: Path) -> None:
    home = Home(tmp_path).init()

    def orders(url: str, name: str) -> None:
        message = {"userId": "ann", "event": "Order Completed", "messageId": name,
                   "properties": {"order_id": name, "total": 10, "currency": "EUR"}}  # fmt: skip
        assert ask(url, "POST", "/v1/track", message, home.server_key).status == 200

    def spent() -> int:
        done = home.run("profile", "ann", "--json")
        return int(json.loads(done.out)["purchases"]["spend_cents"]["EUR"]) if done.code == 0 else 0

    with home.role("up", "--port", "0") as up:
        orders(up.url, "o-1")
        until(lambda: spent() == 1000)
        taken = home.run("backup", "night.backup")
        assert taken.code == 0
        orders(up.url, "o-2")
        until(lambda: spent() == 2000)
        under = home.run("restore", "night.backup")
        assert under.code == 1
        assert "Traceback" not in under.err
        assert up.end() == 0
    assert home.run("restore", "night.backup").code == 0
    assert spent() == 1000
    with home.role("up", "--port", "0"):
        until(lambda: spent() == 2000)
    assert [line["id"] for line in home.log("events")] == ["o-1", "o-2"]
    for wrong, sentence in (("nowhere", "there is no backup nowhere"), ("rapport.toml", "is not a backup")):
        done = home.run("restore", wrong)
        assert done.code == 1
        assert sentence in done.err


def test_why_says_what_was_decided_and_on_what(home: Home, url: str) -> None:
    for number in range(3):
        track(
            home, url, f"why-{number}", anonymousId="asks", properties={"product_id": f"{number}", "category": "tea"}
        )
    words = ("why", "a:asks", "hesitation-chat")
    found = until(lambda: " for visit-" in (said := home.run(*words).out) and said)
    assert "It acted: looked at several products of one category" in found
    [line] = map(json.loads, home.run(*words, "--json").out.splitlines())
    assert (line["outcome"], line["facts"]["category"]) == ("TAKEN", "tea")
    asked_in_vain = home.run("why", "a:asks", "no-such-campaign").out
    assert asked_in_vain.startswith("no-such-campaign has not considered a:asks yet")
    track(home, url, "why-nothing", anonymousId="glances")
    nothing = until(lambda: home.run("why", "a:glances").out)
    assert nothing.startswith("No campaign has considered a:glances yet")
    assert "no customer u:nobody" in home.run("why", "nobody").err
