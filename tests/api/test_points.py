"""Points over HTTP: the statement, and converted into a voucher once for each request."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from api.running import CODEC, EVENTS, Running, now_ms, order
from pipeline.backends.contract import NewRecord
from pipeline.core.effects import LoyaltyChanged, Voucher
from pipeline.core.events import CampaignsChanged
from pipeline.core.scheme import Referral, Reward, Scheme

SCHEME = Scheme(
    rewards=(Reward(name="five", points=50, discount_cents=500, currency="EUR"),), referral=Referral(days=1)
)
ASKED = {"request_id": "r", "reward": "five"}
CONVERT = "/v1/customers/ada/points/convert"


def earn(running: Running, points: int = 60) -> None:
    """An order that is worth so many points, a multiple of 10; decided."""
    scheme = msgspec.json.encode(SCHEME)
    change = CampaignsChanged(version=now_ms(), campaigns=b"[]", loyalty=scheme, received_at=now_ms())
    numbers = range(running.reader.partitions())
    running.appender.append([NewRecord(EVENTS, b"", CODEC.encode(change), partition=number) for number in numbers])
    running.put("u:ada", order(points // 10))
    running.settle("u:ada")


def test_fifty_at_once_convert_once(at_work: Running) -> None:
    earn(at_work)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: at_work.client.post(CONVERT, json=ASKED), range(50)))
    assert {answer.status_code for answer in answers} == {200}
    [told] = {answer.text for answer in answers}
    assert (answers[0].json()["points"], answers[0].json()["balance"]) == (50, 10), told
    [voucher] = [it for it in at_work.decided("vouchers") if isinstance(it, Voucher)]
    assert voucher.code == answers[0].json()["code"]
    assert at_work.redeem(voucher.code).json()["discount_cents"] == 500


def test_refusals_say_why_and_can_be_asked_again(at_work: Running) -> None:
    earn(at_work, 40)
    short = at_work.client.post(CONVERT, json=ASKED)
    assert (short.status_code, short.json()["code"]) == (422, "not_enough_points")
    assert short.json()["message"] == "five needs 50 points, and there are 40"
    unknown = at_work.client.post(CONVERT, json={"request_id": "s", "reward": "six"})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "no_such_reward")
    earn(at_work, 10)
    assert at_work.client.post(CONVERT, json=ASKED).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/customers/nobody/points/convert", b'{"request_id":"r","reward":"five"}', 404, "unknown_customer"),
        (CONVERT, b'{"request_id":"","reward":"five"}', 400, "malformed_conversion"),
        (CONVERT, b"{", 400, "malformed_body"),
        ("/v1/customers/a:phone/points/convert", b'{"request_id":"r","reward":"five"}', 422, "not_a_person"),
    ],
)
def test_what_is_wrong_is_refused_before_the_log(
    at_work: Running, path: str, body: bytes, status: int, code: str
) -> None:
    at_work.put("a:phone", order(1, "", anonymous_id="phone"))
    at_work.settle("a:phone")
    answer = at_work.client.post(path, content=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_the_server_key_is_needed(at_work: Running) -> None:
    assert at_work.client.post(CONVERT, auth=("", "")).status_code == 401
    assert at_work.get("/v1/customers/ada/loyalty", auth=("", "")).status_code == 401


def test_what_is_not_decided_in_time_may_be_asked_again(tmp_path: Path) -> None:
    with Running(tmp_path / "data", answer_seconds=0.2).serving() as running:
        with running.working():
            earn(running)
        slow = running.client.post(CONVERT, json=ASKED)
        assert (slow.status_code, slow.headers["Retry-After"]) == (503, "1")
        with running.working():
            running.settle("u:ada")
            assert running.client.post(CONVERT, json=ASKED).json()["balance"] == 10
        changes = [it for it in running.decided("loyalty") if isinstance(it, LoyaltyChanged)]
        assert [it.points for it in changes] == [60, -50]


def test_the_statement_is_the_latest_line_first(at_work: Running) -> None:
    earn(at_work)
    at_work.client.post(CONVERT, json=ASKED)
    told = at_work.get("/v1/customers/ada/loyalty").json()
    assert (told["id"], told["points"], told["lifetime_points"]) == ("u:ada", 10, 60)
    assert [(line["points"], line["reason"]) for line in told["entries"]] == [(-50, "CONVERTED"), (60, "EARNED")]
    assert told["conversions"][0]["outcome"] == "CONVERTED"
    assert at_work.get("/v1/customers/ada").json()["loyalty"]["points"] == 10


def test_an_invitation_code_is_shown_once_somebody_has_bought(at_work: Running) -> None:
    at_work.put("u:bob", order(1, "bob"))
    at_work.settle("u:bob")
    assert at_work.get("/v1/customers/bob/referral").json()["code"] == ""
    earn(at_work)
    told = at_work.get("/v1/customers/ada/referral").json()
    assert (told["id"], len(told["code"]), told["friends"]) == ("u:ada", 16, 0)
    assert at_work.get("/v1/customers/ada").json()["referral"]["code"] == told["code"]
