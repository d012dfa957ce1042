"""A newer program upgrades the ledger after a copy; an older one refuses it and leaves it alone."""

import hashlib
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from ledger import schema
from ledger.schema import KEPT_COPIES, rotate, steps
from tests.support.home import Home, eventually, recorded

NEWEST = steps()[-1][0]
NAMED = """
  insert into proxies (name) values ('127.0.0.1:8317');
  insert into known_accounts (provider, label) values ('codex', 'ann@example.com');
  insert into known_models (name) values ('gpt-5');
  insert into known_clients (key_hash, label) values (x'0102', '…3f7a');
  insert into credentials (proxy_id, auth_index, provider, auth_type, account_id)
  values (1, '0123456789abcdef', 'codex', 'oauth', 1);
"""
EVENT = """
  insert into usage_events (
    occurred_at, event_hash, credential_id, model_id, client_id, failed, warm_up,
    input_tokens, cached_tokens, cache_write_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, total_tokens
  )
  values (:at, :hash, 1, 1, 1, :failed, 0, :tokens, 0, 0, 50, 0, 0, :tokens + 50)
"""
RECEIVED = """
  insert into failure_details (event_id) select id from usage_events where failed = 1;
  insert into ingest_ledger (hour_at, proxy_id, source, batches, received, stored)
  values (0, 1, 'resp', 2, 600, 600);
"""
ROWS = "select * from usage_events order by id"
SUMS = """
  select requests, failed, input_tokens, output_tokens from accounts_by_window
  where "window" = '90d'
"""
# The first release that had users: it knew events, rollups, quotas and what tells of trust.
OLD = 4


def old_ledger(data: Path, version: int) -> Path:
    """Make a ledger as an older program left it, with 600 events of 40 days."""
    data.mkdir(mode=0o700)
    file = data / "ledger.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as conn:
        conn.execute("pragma journal_mode = wal").fetchone()
        for number, script in steps():
            if number <= version:
                schema.apply(conn, number, script)
        conn.executescript(NAMED)
        conn.execute("begin")
        conn.executemany(EVENT, map(event, range(600)))
        conn.execute("commit")
        conn.executescript(RECEIVED)
    return file


def event(number: int) -> dict[str, object]:
    """Give one of the events: every hundredth minute, the newest now."""
    return {
        "at": time.time_ns() // 1_000_000 - number * 100 * 60_000,
        "hash": number.to_bytes(16),
        "tokens": 100 + number,
        "failed": number % 7 == 0,
    }


def asked(file: Path, sql: str) -> list[tuple[object, ...]]:
    """Ask a ledger file."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as conn:
        return conn.execute(sql).fetchall()


VERSION = "pragma user_version"


@pytest.fixture
def old(home: Home) -> Path:
    """An old ledger in a home."""
    return old_ledger(home.data, OLD)


def test_an_upgrade_keeps_the_rows_and_a_copy_of_what_was(home, old):
    before = asked(old, ROWS)
    home.run("ledger", "init")
    assert asked(old, VERSION) == [(NEWEST,)]
    assert [row[:26] for row in asked(old, ROWS)] == before
    assert len(before) == 600
    copy = home.data / f"ledger-before-{OLD + 1:04d}.db"
    assert asked(copy, VERSION) == [(OLD,)]
    assert asked(copy, ROWS) == before
    assert asked(copy, "pragma integrity_check") == [("ok",)]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert "WRONG" not in home.run("ledger", "check")


def test_an_upgraded_ledger_answers_with_the_old_events(home, old):
    home.run("ledger", "init")
    tokens = sum(event(number)["tokens"] for number in range(600))
    assert asked(old, SUMS) == [(600, 86, tokens, 600 * 50)]


def test_an_upgraded_ledger_goes_on_collecting(home, old, proxy):
    home.use(proxy)
    proxy.push(recorded("recorded-v7.2.140"))
    home.run("ingest", "--once")
    assert home.count() == 918
    assert "WRONG" not in home.run("ledger", "check")


def test_all_workers_at_once_make_one_copy_of_the_old_ledger(home, old, proxy):
    home.use(proxy)
    for _ in range(8):
        home.start("ledger", "init")
    for worker in ("ingest", "quota", "alerts"):
        home.start(worker)
    eventually(lambda: home.count("heartbeats") == 3)
    for process in home.started[:8]:
        assert process.wait(60) == 0
    [copy] = home.data.glob("ledger-before-*")
    assert asked(copy, VERSION) == [(OLD,)]
    assert asked(old, VERSION) == [(NEWEST,)]


def test_the_copy_can_be_brought_back(home, old):
    before = asked(old, ROWS)
    home.run("ledger", "init")
    home.run("ledger", "restore", str(home.data / f"ledger-before-{OLD + 1:04d}.db"))
    assert (asked(old, VERSION), asked(old, ROWS)) == ([(OLD,)], before)


def test_a_current_ledger_is_not_copied(home):
    home.run("ledger", "init")
    home.run("ledger", "init")
    assert list(home.data.glob("ledger-before-*")) == []


def test_an_upgrade_that_was_broken_off_goes_on_and_keeps_the_first_copy(home, old):
    home.run("ledger", "init")
    first = home.data / f"ledger-before-{OLD + 1:04d}.db"
    shutil.copy(first, old)
    for leftover in home.data.glob("ledger.db-*"):
        leftover.unlink()
    with closing(sqlite3.connect(old, isolation_level=None)) as conn:
        schema.apply(conn, *next(step for step in steps() if step[0] == OLD + 1))
    home.run("ledger", "init")
    assert asked(old, VERSION) == [(NEWEST,)]
    assert asked(first, VERSION) == [(OLD,)]
    assert asked(home.data / f"ledger-before-{OLD + 2:04d}.db", VERSION) == [(OLD + 1,)]


def test_old_copies_do_not_pile_up(tmp_path):
    for number in range(9):
        (tmp_path / f"ledger-before-{number:04d}.db").write_bytes(b"x")
    newest = tmp_path / "ledger-before-0003.db"
    newest.touch()
    (tmp_path / "ledger.db").touch()
    rotate(tmp_path)
    left = sorted(file.name for file in tmp_path.iterdir())
    assert len(left) == KEPT_COPIES + 1
    assert newest.name in left


def test_without_room_for_the_copy_nothing_is_upgraded(home, old):
    # A folder in the copy's place cannot be replaced by a file.
    (home.data / f"ledger-before-{OLD + 1:04d}.db").mkdir()
    said = home.run("ledger", "init", status=1)
    assert "no copy before the upgrade" in said
    assert asked(old, VERSION) == [(OLD,)]
    assert list(home.data.glob("*.partial*")) == []


@pytest.mark.parametrize(
    "module",
    [
        pytest.param(("ledger", "init"), id="init"),
        pytest.param(("ingest",), id="ingest"),
        pytest.param(("quota",), id="quota"),
        pytest.param(("alerts",), id="alerts"),
        pytest.param(("runtime.serve",), id="web"),
    ],
)
def test_a_newer_ledger_is_refused_with_a_sentence_and_left_alone(home, proxy, module):
    home.use(proxy)
    proxy.push(recorded("recorded-v7.2.140"))
    home.run("ledger", "init")
    file = home.data / "ledger.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as conn:
        conn.execute("pragma user_version = 99")
        conn.execute("pragma wal_checkpoint(truncate)").fetchone()
    before = hashlib.sha256(file.read_bytes()).digest()
    said = home.run(*module, status=1)
    assert said.count("\n") == 1, said
    assert f"schema version 99, this program knows {NEWEST}" in said
    assert "Upgrade the program, or use another data folder." in said
    assert hashlib.sha256(file.read_bytes()).digest() == before
    assert len(proxy.queue) == 318, "nothing was popped"
