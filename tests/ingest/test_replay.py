"""Rejected records are replayed once, and the sums stay right."""

import json
import sqlite3
from contextlib import closing

import pytest

from ingest import parse as parsing
from tests.support.home import recorded

ACCOUNTING = """
  select source, received, stored, duplicate, rejected from ingest_ledger order by source
"""


def broken(number: int, **more: object) -> bytes:
    """Return a recorded event whose tokens are invalid."""
    event = json.loads(recorded("written-from-source")[0])
    tokens = {"input_tokens": "ten", "output_tokens": number}
    return json.dumps({**event, "request_id": f"{number:08x}", "tokens": tokens, **more}).encode()


@pytest.fixture
def rejecting(home, proxy):
    """A home with three good events, four rejected ones and one that is no JSON."""
    proxy.push([*recorded("written-from-source")[:3], *map(broken, range(4)), b"nonsense"])
    home.use(proxy)
    home.run("ingest", "--once")
    assert home.query(ACCOUNTING) == [("resp", 8, 3, 0, 5)]
    return home


def make_valid(home) -> None:
    """Change the rejected records so that they are valid."""
    with closing(sqlite3.connect(home.data / "ledger.db")) as conn, conn:
        conn.execute(
            'update rejected_events set record = replace(record, \'"input_tokens": "hash\', '
            '\'"input_tokens": 10, "x": "hash\') where form = \'json\''
        )


def test_a_record_that_is_still_invalid_stays(rejecting):
    output = rejecting.run("ingest", "replay")
    assert "0 stored, 0 duplicate, 4 still rejected" in output
    assert "tokens.input_tokens: expected `int`, got `str`" in output
    assert rejecting.query(ACCOUNTING) == [("resp", 8, 3, 0, 5)]
    assert rejecting.query("select count(*) from rejected_events where replayed_at") == [(0,)]


def test_a_replayed_record_is_stored_once_however_often_it_is_tried(rejecting):
    make_valid(rejecting)
    assert "4 stored" in rejecting.run("ingest", "replay")
    assert "0 stored, 0 duplicate, 0 still rejected" in rejecting.run("ingest", "replay")
    assert rejecting.query(ACCOUNTING) == [("replay", 4, 4, 0, 0), ("resp", 8, 3, 0, 5)]
    assert rejecting.count() == 7
    rejecting.run("ledger", "check")
    assert "4 replayed" in rejecting.facts()["accounting", "accounting"]
    assert ("records_rejected", "records") in rejecting.problems()
    assert rejecting.query("select count(*) from rejected_records where replayed") == [(4,)]


def test_a_replayed_record_has_the_client_that_it_came_with(rejecting):
    make_valid(rejecting)
    before = rejecting.query("select count(*) from known_clients")
    rejecting.run("ingest", "replay")
    assert rejecting.query("select count(*) from known_clients") == before


def test_the_collector_works_after_a_replay(rejecting, proxy):
    make_valid(rejecting)
    rejecting.run("ingest", "replay")
    proxy.push(recorded("recorded-v7.1.10"))
    rejecting.run("ingest", "--once")
    rejecting.run("ledger", "check")


def test_the_rejected_records_show_no_secret(rejecting):
    records = rejecting.query("select record from rejected_records")
    assert not [record for (record,) in records if "sk-" in record]
    assert parsing.parse(b"nonsense").reason == "not JSON"
