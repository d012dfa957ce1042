"""A ledger file in use: the size of its log, its identity, its locks."""

import os
import sqlite3
from contextlib import closing

import pytest

from ledger import Unwritable, database
from ledger.data_folder import prepare
from ledger.database import FileIdentity, Replaced, Wal
from ledger.locks import LockHeld, hold


def test_a_large_log_is_emptied_and_a_small_one_left_alone(tmp_path, monkeypatch):
    with closing(prepare(tmp_path, timezone="UTC")) as conn:
        log = Wal(conn, tmp_path / "ledger.db")
        conn.execute("create table ballast (x)")
        conn.executemany("insert into ballast values (randomblob(4000))", [()] * 50)
        before = log.size()
        log.trim()
        assert log.size() == before > 0
        monkeypatch.setattr(database, "MAX_WAL_BYTES", 1)
        log.trim()
        assert log.size() == 0


def test_a_log_that_a_reader_holds_is_tried_again_later(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "MAX_WAL_BYTES", 1)
    with (
        closing(prepare(tmp_path, timezone="UTC")) as conn,
        closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as reader,
    ):
        conn.execute("pragma busy_timeout = 50")
        reader.execute("begin")
        reader.execute("select count(*) from proxies").fetchone()
        conn.execute("insert into proxies (name) values ('x')")
        log = Wal(conn, tmp_path / "ledger.db")
        log.trim()
        assert log.size() > 0
        reader.execute("commit")
        log.trim()
        assert log.size() == 0


def test_a_file_that_is_gone_is_waited_for_and_another_one_is_noticed(tmp_path):
    file = tmp_path / "ledger.db"
    file.touch()
    identity = FileIdentity(file)
    identity.check()
    file.rename(tmp_path / "aside")
    with pytest.raises(Unwritable, match="deleted while in use"):
        identity.check()
    file.touch()
    with pytest.raises(Replaced):
        identity.check()
    (tmp_path / "aside").rename(file)
    identity.check()


def test_another_process_may_share_the_dashboards_lock_but_not_a_workers(tmp_path):

    first, second = (hold(tmp_path, "web", shared=True) for _ in range(2))
    taken = hold(tmp_path, "ingest")
    with pytest.raises(LockHeld, match="ingest"):
        hold(tmp_path, "ingest")
    for descriptor in (first, second, taken):
        os.close(descriptor)
