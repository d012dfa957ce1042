"""A newer program upgrades the ledger after a copy; an older one refuses it and leaves it alone."""

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ledger.schema import MAX_COPIES, rotate
from tests.support.home import Home, eventually, recorded
from tests.support.old_ledger import NEWEST, OLD, event, old_ledger, select

ROWS = "select * from usage_events order by id"
SUMS = """
  select requests, failed, input_tokens, output_tokens from accounts_by_window
  where "window" = '90d'
"""
VERSION = "pragma user_version"


@pytest.fixture
def old(home: Home) -> Path:
    """An old ledger in a home."""
    return old_ledger(home.data)


def test_an_upgrade_keeps_the_rows_and_a_copy_of_what_was(home, old):
    before = select(old, ROWS)
    home.run("ledger", "init")
    assert select(old, VERSION) == [(NEWEST,)]
    # New columns follow those that were.
    assert [row[: len(before[0])] for row in select(old, ROWS)] == before
    assert len(before) == 600
    copy = home.data / f"ledger-before-{OLD + 1:04d}.db"
    assert select(copy, VERSION) == [(OLD,)]
    assert select(copy, ROWS) == before
    assert select(copy, "pragma integrity_check") == [("ok",)]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert "WRONG" not in home.run("ledger", "check")


def test_an_upgraded_ledger_answers_with_the_old_events(home, old):
    home.run("ledger", "init")
    tokens = sum(event(number)["tokens"] for number in range(600))
    assert select(old, SUMS) == [(600, 86, tokens, 600 * 50)]


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
    assert select(copy, VERSION) == [(OLD,)]
    assert select(old, VERSION) == [(NEWEST,)]


def test_the_copy_can_be_brought_back(home, old):
    before = select(old, ROWS)
    home.run("ledger", "init")
    home.run("ledger", "restore", str(home.data / f"ledger-before-{OLD + 1:04d}.db"))
    assert (select(old, VERSION), select(old, ROWS)) == ([(OLD,)], before)


def test_a_current_ledger_is_not_copied(home):
    home.run("ledger", "init")
    home.run("ledger", "init")
    assert list(home.data.glob("ledger-before-*")) == []


def test_a_ledger_that_is_copied_back_is_upgraded_again(home, old):
    home.run("ledger", "init")
    copy = home.data / f"ledger-before-{OLD + 1:04d}.db"
    first = copy.read_bytes()
    shutil.copy(copy, old)
    for leftover in home.data.glob("ledger.db-*"):
        leftover.unlink()
    home.run("ledger", "init")
    assert select(old, VERSION) == [(NEWEST,)]
    assert copy.read_bytes() == first


@pytest.mark.parametrize("module", [("ledger", "init"), ("ingest",), ("runtime.serve",)])
def test_a_ledger_too_old_to_convert_is_refused_with_a_sentence_and_left_alone(home, old, module):
    with closing(sqlite3.connect(old, isolation_level=None)) as conn:
        conn.execute("pragma user_version = 8")
        conn.execute("pragma wal_checkpoint(truncate)").fetchone()
    before = old.read_bytes()
    output = home.run(*module, status=1)
    assert output.count("\n") == 1, output
    assert "schema version 8, and this program converts only version 9" in output
    assert old.read_bytes() == before
    assert list(home.data.glob("ledger-before-*")) == []


def test_old_copies_do_not_pile_up(tmp_path):
    for number in range(9):
        (tmp_path / f"ledger-before-{number:04d}.db").write_bytes(b"x")
    newest = tmp_path / "ledger-before-0003.db"
    newest.touch()
    (tmp_path / "ledger.db").touch()
    rotate(tmp_path)
    left = sorted(file.name for file in tmp_path.iterdir())
    assert len(left) == MAX_COPIES + 1
    assert newest.name in left


def test_without_room_for_the_copy_nothing_is_upgraded(home, old):
    # A folder in the copy's place cannot be replaced by a file.
    (home.data / f"ledger-before-{OLD + 1:04d}.db").mkdir()
    output = home.run("ledger", "init", status=1)
    assert "no copy before the upgrade" in output
    assert select(old, VERSION) == [(OLD,)]
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
    output = home.run(*module, status=1)
    assert output.count("\n") == 1, output
    assert f"schema version 99, this program knows {NEWEST}" in output
    assert "Upgrade the program, or use another data folder." in output
    assert hashlib.sha256(file.read_bytes()).digest() == before
    assert len(proxy.queue) == 318, "nothing was popped"
