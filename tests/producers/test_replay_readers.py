"""What the readers make of rows: tables of lines and what stands on the log for them."""

import gzip
from pathlib import Path

import pytest

from pipeline.core.events import Chat, Clickstream, Customer, Purchase
from pipeline.producers.replay import cdnow, segment, table
from pipeline.producers.replay.files import plan_file
from pipeline.producers.replay.rows import BadFileError, BadRow, Row

DATA = Path(__file__).parents[2] / "examples" / "data"
NOON_1997_01_12 = 853_070_400_000


def bad(rows: list[Row]) -> list[str]:
    return [str(row) for row in rows if isinstance(row, BadRow)]


def test_the_real_file_whole() -> None:
    plan = plan_file(DATA / "CDNOW_master.txt.gz", "cdnow")
    assert len(plan.records) == 69_659
    assert len({record.user_id for record in plan.records}) == 23_570
    assert len({record.message_id for record in plan.records}) == 69_659
    assert plan.bad_rows == 0
    assert plan.first_at == 852_120_000_000  # 1997-01-01 12:00
    assert plan.last_at == 899_208_000_000  # 1998-06-30 12:00
    days = {(record.user_id, record.received_at) for record in plan.records}
    assert len(days) == 67_591


def test_the_sample_has_a_column_more() -> None:
    plan = plan_file(DATA / "CDNOW_sample.txt.gz", "cdnow")
    assert len(plan.records) == 6_919
    assert len({record.user_id for record in plan.records}) == 2_357
    assert plan.records[0].user_id == "00004"


def test_cdnow_orders_of_one_day_are_numbered_and_amounts_are_exact() -> None:
    lines = [
        " customer_id  date number_of_cds  dollar_value\r\n",
        " 00002 19970112  1   12.00\r\n",
        " 00002 19970112  5   77.01\r\n",
        "\r\n",
        " 00003 19970112  2    0.00\r\n",
    ]
    first, second, third = cdnow.read(lines)
    assert isinstance(first, Purchase) and isinstance(second, Purchase) and isinstance(third, Purchase)
    assert (first.order_id, second.order_id) == ("cdnow-00002-19970112-1", "cdnow-00002-19970112-2")
    assert second.message_id == second.order_id
    assert (second.received_at, second.occurred_at) == (NOON_1997_01_12, NOON_1997_01_12)
    assert (second.total_cents, second.currency, second.products[0].price_cents) == (7701, "USD", 1540)
    assert (second.products[0].category, second.products[0].quantity) == ("cd", 5)
    assert (second.trust, second.trusted, second.event) == ("SERVER", True, "Order Completed")
    assert third.total_cents == 0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("00001 19970101 1", "line 1: found '00001 19970101 1', expected 4 columns"),
        ("00001 19971301 1 11.77", "line 1, date: found '19971301', expected a day as YYYYMMDD"),
        ("00001 1997011 1 11.77", "line 1, date: found '1997011'"),
        ("00001 19970101 x 11.77", "line 1, cds: found 'x', expected a whole number"),
        ("00001 19970101 1 11,77", "line 1, dollars: found '11,77', expected an amount such as 11.77"),
        ("00001 19970101 1 -1.00", "line 1, dollars: found '-1.00'"),
        ("00001 19970101 1 1.005", "line 1, dollars: found '1.005'"),
        ("00001 19970101 1 NaN", "line 1, dollars: found 'NaN'"),
        ("\udcff0001 19970101 1 1.00", "expected UTF-8 text"),
    ],
)
def test_cdnow_rows_that_are_refused(line: str, says: str) -> None:
    (found,) = bad(list(cdnow.read([line])))
    assert says in found


MAP = "customer=cust,at=day,order_id=id,total=sum,currency=EUR,category==book"


def read_table(text: str, map_: str = MAP) -> list[Row]:
    return list(table.read(text.splitlines(keepends=True), table.mapping(map_), "d1ge57"))


@pytest.mark.parametrize(
    ("day", "at"),
    [
        ("1997-01-12", NOON_1997_01_12),
        ("19970112", NOON_1997_01_12),
        ("853070400", NOON_1997_01_12),
        ("853070400000", NOON_1997_01_12),
        ("1997-01-12T12:00:00Z", NOON_1997_01_12),
        ("1997-01-12 13:00:00.000+01:00", NOON_1997_01_12),
        ("1997-01-12 12:00", NOON_1997_01_12),
        ("1997-01-12T12:00:00.123456", NOON_1997_01_12 + 123),
    ],
)
def test_table_times(day: str, at: int) -> None:
    (row,) = read_table(f"cust,day,id,sum\n7,{day},o1,12.50\n")
    assert isinstance(row, Purchase)
    assert (row.received_at, row.occurred_at) == (at, at)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_table_of_orders(separator: str) -> None:
    text = "cust,day,id,sum\n7,19970112,o1,12.50\n\n8,19970113,o2,0\n".replace(",", separator)
    first, second = read_table(text)
    assert isinstance(first, Purchase) and isinstance(second, Purchase)
    assert (first.user_id, first.order_id, first.total_cents, first.currency) == ("7", "o1", 1250, "EUR")
    assert (first.products[0].category, first.products[0].price_cents) == ("book", 1250)
    assert (first.message_id, first.trust, first.trusted) == ("Order Completed-o1", "SERVER", True)
    assert second.total_cents == 0


def test_table_currencies_have_their_own_decimals() -> None:
    map_ = "customer=cust,at=day,order_id=id,total=sum,currency=money"
    yen, dinar = read_table("cust,day,id,sum,money\n7,19970112,o1,1200,JPY\n7,19970112,o2,1.234,KWD\n", map_)
    assert isinstance(yen, Purchase) and isinstance(dinar, Purchase)
    assert (yen.total_cents, dinar.total_cents) == (1200, 1234)


def test_table_of_a_visit_and_a_refund() -> None:
    text = "c,t,what,thing,eur,o\n7,853070400,Viewed Product,p-1,9.90,\n7,853070401,Order Refunded,p-1,9.90,o9\n"
    click, refund = read_table(
        text, "customer=c,at=t,event=what,product_id=thing,price=eur,total=eur,currency=EUR,order_id=o"
    )
    assert isinstance(click, Clickstream) and isinstance(refund, Purchase)
    assert (click.event, click.product_id, click.price_cents, click.currency) == ("Product Viewed", "p-1", 990, "EUR")
    assert click.message_id == "d1ge57-2"
    assert (refund.event, refund.order_id, refund.total_cents) == ("Order Refunded", "o9", 990)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (",19970112,o1,1", "line 2, cust: found '', expected a user id"),
        ("7,yesterday,o1,1", "line 2, day: found 'yesterday', expected an ISO 8601 time, YYYYMMDD, or epoch"),
        ("7,19970112,o1,1.2.3", "line 2, sum: found '1.2.3', expected an amount such as 12.50"),
        ("7,19970112,o1,-4", "line 2, sum: found '-4'"),
        ("7,19970112,o1,", "line 2, sum: found ''"),
        ("7,19970112,o1", "line 2: found '7,19970112,o1', expected 4 values as in the header"),
        ('7,19970112,"o1\nx",1\n7,19970112,o2,x', "line 4, sum: found 'x'"),
        (
            "7,19970112,o1,1\n7,19970112,o1,2",
            "line 3, id: found 'Order Completed-o1', expected one row a record (line 2",
        ),
        ("7,19970112,\udcfc,1", "expected UTF-8 text"),
    ],
)
def test_table_rows_that_are_refused(row: str, says: str) -> None:
    (found,) = bad(read_table(f"cust,day,id,sum\n{row}\n"))
    assert says in found


@pytest.mark.parametrize(
    ("map_", "says"),
    [
        ("customer=cust", "--map: at missing"),
        ("costumer=cust,at=day", "found field 'costumer' (did you mean 'customer'?)"),
        ("customer", "found 'customer', expected field=column or field==constant"),
        ("customer=cust,at=dya", "found no column 'dya' (did you mean 'day'?) for at"),
    ],
)
def test_mappings_that_are_refused(map_: str, says: str) -> None:
    with pytest.raises(BadFileError) as refused:
        read_table("cust,day\n7,19970112\n", map_)
    assert says in str(refused.value)


TRACK = '"type":"track","userId":"7","messageId":"m1"'


@pytest.mark.parametrize(
    ("line", "received_at", "occurred_at"),
    [
        ('{TRACK,"event":"x","timestamp":"1997-01-12T12:00:00Z"}', 0, 0),
        ('{TRACK,"event":"x","timestamp":853070400}', 0, 0),
        ('{TRACK,"event":"x","timestamp":"1997-01-12T12:00:00Z","sentAt":"1999-01-01T00:00:00Z"}', 0, 0),
        ('{TRACK,"event":"x","receivedAt":"1997-01-12T12:00:09Z","timestamp":"1997-01-12T12:00:00Z"}', 9_000, 0),
        (
            '{TRACK,"event":"x","receivedAt":"1997-01-12T12:00:09Z","timestamp":"1997-01-12T12:00:00Z",'
            '"originalTimestamp":"1997-01-12T13:00:00Z","sentAt":"1997-01-12T13:00:09Z"}',
            9_000,
            0,
        ),
        (
            '{TRACK,"event":"x","receivedAt":"1997-01-12T12:00:09Z","timestamp":"1997-01-12T12:00:00Z",'
            '"originalTimestamp":"1997-01-12T13:00:00Z"}',
            9_000,
            0,
        ),
        (
            '{TRACK,"event":"x","receivedAt":"1997-01-12T12:00:09Z","timestamp":"1997-01-12T13:00:00Z",'
            '"sentAt":"1997-01-12T13:00:09Z"}',
            9_000,
            0,
        ),
    ],
)
def test_segment_times(line: str, received_at: int, occurred_at: int) -> None:
    (row,) = segment.read([line.replace("TRACK", TRACK)])
    assert isinstance(row, Clickstream)
    assert (row.received_at - NOON_1997_01_12, row.occurred_at - NOON_1997_01_12) == (received_at, occurred_at)
    assert (row.trust, row.trusted, row.clamped) == ("SERVER", True, "")


def test_segment_types_and_batches() -> None:
    at = '"timestamp":"1997-01-12T12:00:00Z"'
    lines = [
        '{"type":"batch","receivedAt":"1997-01-12T12:00:05Z","batch":['
        f'{{{TRACK},"event":"Completed Order",{at},"properties":{{"order_id":"o1","total":12.5,"currency":"EUR"}}}},'
        f'{{"type":"identify","anonymousId":"a1","userId":"7","messageId":"m2",{at},"traits":{{"name":"Ann"}}}},'
        f'{{"type":"track","messageId":"m3",{at},"event":"x"}}]}}',
        "\n",
        f'{{"type":"track","anonymousId":"a1","messageId":"m4",{at},"event":"Live Chat Conversation Started"}}',
    ]
    order, person, refused, chat = segment.read(lines)
    assert isinstance(order, Purchase) and isinstance(person, Customer) and isinstance(chat, Chat)
    assert (order.event, order.total_cents, order.received_at) == ("Order Completed", 1250, NOON_1997_01_12 + 5_000)
    assert (person.user_id, person.anonymous_id) == ("7", "a1")
    assert "line 1, batch[2]" in str(refused) and "userId" in str(refused)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "expected a JSON object"),
        ("[]", "expected a JSON object"),
        ('{TRACK,"event":"x"}', "line 1, timestamp: found '', expected an ISO 8601 time"),
        ('{TRACK,"event":"x","timestamp":"soon"}', "line 1, timestamp: found 'soon'"),
        ('{TRACK,"timestamp":1}', "`event` is missing"),
        ('{"type":"tarck","userId":"7","timestamp":1}', "the event's type is none of"),
        ('{"type":"batch","batch":{}}', "line 1"),
        ('{"type":"track\udcff"}', "expected UTF-8 text"),
    ],
)
def test_segment_lines_that_are_refused(line: str, says: str) -> None:
    (found,) = bad(list(segment.read([line.replace("TRACK", TRACK)])))
    assert says in found


def test_a_file_is_refused_whole_and_named(tmp_path: Path) -> None:
    path = tmp_path / "orders.txt"
    path.write_text("1 19970101 1 1.00\n" + "x\n" * 7)
    with pytest.raises(BadFileError) as refused:
        plan_file(path, "cdnow")
    assert f"{path}: 7 bad rows, nothing was written. line 2: found 'x'" in str(refused.value)
    assert "and 2 more" in str(refused.value) and "--skip-bad" in str(refused.value)
    plan = plan_file(path, "cdnow", skip_bad=True)
    assert (len(plan.records), plan.bad_rows, len(plan.bad_samples)) == (1, 7, 5)


def test_history_that_ends_in_the_future_is_refused_since_the_clock_would_stand_there(tmp_path: Path) -> None:
    path = tmp_path / "orders.txt"
    path.write_text("1 19970101 1 1.00\n1 19970112 1 1.00\n")
    with pytest.raises(BadFileError, match=r"received at 1997-01-12 12:00:00Z, after now .* --shift-to now"):
        plan_file(path, "cdnow", now_ms=NOON_1997_01_12 - 1)
    assert plan_file(path, "cdnow", now_ms=NOON_1997_01_12).last_at == NOON_1997_01_12
    assert plan_file(path, "cdnow", shift_to_ms=5, now_ms=5).last_at == 5


@pytest.mark.parametrize(
    ("content", "format_", "map_", "says"),
    [
        (b"", "cdnow", "", "found no record"),
        (b"", "xml", "", "--format: found 'xml', expected one of cdnow, segment, csv"),
        (b"a,b\n", "csv", "", "--format csv needs --map"),
        (b"", "cdnow", "customer=a,at=b", "--map is for --format csv only"),
        (gzip.compress(b"1 19970101 1 1.00\n", mtime=0)[:-4], "cdnow", "", "cannot be read"),
        (None, "cdnow", "", "cannot be read"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: bytes | None, format_: str, map_: str, says: str) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadFileError, match=says):
        plan_file(path, format_, map_=map_)
