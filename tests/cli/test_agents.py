"""Who may log in at the desk: `rapport agents`; and prompts again where a shop has no desk any more."""

import itertools
import stat
import subprocess
from pathlib import Path

import pytest

from cli.home import RAPPORT, Done, Home, Role, ask, until
from pipeline.api.desk.agents import is_password, read_agents

PASSWORD = "a sentence nobody guesses"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path).init(agents=str(tmp_path / "agents.toml"))


def add(home: Home, *words: str, password: str = PASSWORD) -> Done:
    """`rapport agents add …` with the password on its standard input."""
    command = [RAPPORT, "agents", "add", *words]
    done = subprocess.run(command, cwd=home.path, input=f"{password}\n", capture_output=True, text=True, timeout=120)
    return Done(done.returncode, done.stdout, done.stderr)


def test_an_agent_is_added_listed_given_another_password_and_removed(home: Home) -> None:
    file = home.path / "agents.toml"
    first = add(home, "kim", "--name", "Kim Lee")
    assert (first.code, "has a desk" in first.err) == (0, True)
    assert PASSWORD not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert is_password(PASSWORD, read_agents(file)["kim"].password)

    assert "has a desk" not in add(home, "bo").err
    assert home.run("agents", "list").out == f"{'bo':20}  bo\n{'kim':20}  Kim Lee\n"

    assert add(home, "kim", password="quite another sentence").code == 0
    changed = read_agents(file)["kim"]
    assert (changed.name, is_password(PASSWORD, changed.password)) == ("Kim Lee", False)

    assert home.run("agents", "remove", "kim").code == 0
    assert home.run("agents", "list").out == f"{'bo':20}  bo\n"


@pytest.mark.parametrize(
    ("log_in", "password", "says"),
    [
        ("Kim", PASSWORD, "the log-in name 'Kim': expected small letters, digits and -, at most 64"),
        ("kim", "short", "a password of 5 characters: expected 12 to 200"),
        ("kim", "", "a password of 0 characters: expected 12 to 200"),
    ],
)
def test_what_is_no_agent_is_refused_in_a_sentence(home: Home, log_in: str, password: str, says: str) -> None:
    done = add(home, log_in, password=password)
    assert done.code != 0
    assert says in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert not (home.path / "agents.toml").exists()


def test_who_is_not_there_cannot_be_removed(home: Home) -> None:
    add(home, "bo")
    done = home.run("agents", "remove", "kim")
    assert done.code != 0
    assert "has no agent kim; it has: bo" in " ".join(done.err.split())


def test_a_file_that_is_none_of_agents_is_named(home: Home) -> None:
    (home.path / "agents.toml").write_text("kim = 3\n")
    done = home.run("agents", "list")
    assert done.code != 0
    assert "agents.toml" in " ".join(done.err.split())
    assert "Traceback" not in done.err


def test_with_a_desk_prompts_wait_from_the_first_moment_and_without_one_for_nobody(home: Home) -> None:
    add(home, "kim")
    numbers = itertools.count()
    with home.role("up", "--port", "0") as shop:
        assert answer(home, shop, next(numbers)) == ("REFUSED", "no_agent_free"), (
            "nobody has logged in, nor opened a page"
        )
    home.run("agents", "remove", "kim")
    with home.role("up", "--port", "0") as shop:
        until(lambda: answer(home, shop, next(numbers)) == ("TAKEN", "products_in_category"))


def answer(home: Home, shop: Role, number: int) -> tuple[str, str] | None:
    """What is decided about prompting a new visitor who hesitates."""
    views = [
        {
            "type": "track",
            "event": "Product Viewed",
            "anonymousId": f"visitor-{number}",
            "messageId": f"{number}-{product}",
            "properties": {"product_id": f"p{product}", "category": "coffee"},
        }
        for product in range(3)
    ]
    assert ask(shop.url, "POST", "/v1/batch", {"batch": views}, home.write_key).status == 200
    reply = until(lambda: found if (found := profile(home, shop, number)) else None)
    return next(((it["outcome"], it["reason"]) for it in reply if it["campaign"] == "hesitation-chat"), None)


def profile(home: Home, shop: Role, number: int) -> list[dict[str, str]]:
    reply = ask(shop.url, "GET", f"/v1/customers/a:visitor-{number}", key=home.server_key)
    answers: list[dict[str, str]] = reply.body["decisions"]["answers"] if reply.status == 200 else []
    return answers
