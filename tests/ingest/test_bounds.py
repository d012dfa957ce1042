"""What keeps files, memory and replies within bounds."""

import os
import sqlite3
from contextlib import closing

import pytest

from ingest import collector, spool
from ingest.rejected import redact_record
from ingest.spool import Spool
from ledger import Unwritable, prepare, wal
from ledger.presence import Presence, Replaced
from ledger.settings import Settings
from ledger.wal import Wal
from tests.support.events import burst
from tests.support.home import KEY, collector_of


def test_a_large_log_is_emptied_and_a_small_one_left_alone(tmp_path, monkeypatch):
    with closing(prepare(tmp_path, timezone="UTC")) as conn:
        log = Wal(conn, tmp_path / "ledger.db")
        conn.execute("create table ballast (x)")
        conn.executemany("insert into ballast values (randomblob(4000))", [()] * 50)
        before = log.size()
        log.trim()
        assert log.size() == before > 0
        monkeypatch.setattr(wal, "MOST_BYTES", 1)
        log.trim()
        assert log.size() == 0


def test_a_log_that_a_reader_holds_is_tried_again_later(tmp_path, monkeypatch):
    monkeypatch.setattr(wal, "MOST_BYTES", 1)
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


def test_a_file_that_is_gone_is_waited_for_and_another_one_is_told(tmp_path):
    file = tmp_path / "ledger.db"
    file.touch()
    presence = Presence(file)
    presence.check()
    file.rename(tmp_path / "aside")
    with pytest.raises(Unwritable, match="deleted while in use"):
        presence.check()
    file.touch()
    with pytest.raises(Replaced):
        presence.check()
    (tmp_path / "aside").rename(file)
    presence.check()


def test_room_is_reserved_before_anything_is_popped(tmp_path):
    with closing(Spool(tmp_path / "spool")) as opened:
        opened.reserve()
        status = (tmp_path / "spool").stat()
        assert status.st_size == spool.LEAST_ROOM
        assert opened.read() == (None, False)
        opened.clear()
    assert (tmp_path / "spool").stat().st_size == 0


def test_without_room_nothing_is_popped(proxy, tmp_path, monkeypatch):
    def refuse(descriptor: int, size: int) -> None:
        raise OSError(28, os.strerror(28))

    with closing(prepare(tmp_path / "data", timezone="UTC")) as conn:
        made = at_work(proxy, tmp_path, conn)
        monkeypatch.setattr(spool, "allocate", refuse)
        proxy.push(burst(10))
        with pytest.raises(Unwritable, match="nothing is popped: No space left"):
            made.step()
        assert proxy.queued == 10
        monkeypatch.undo()
        assert made.step() == 0
        assert proxy.queued == 0
        made.close()


def at_work(proxy, tmp_path, conn) -> collector.Collector:
    """Give a collector that has not popped yet."""
    chosen = Settings(
        cliproxy_port=proxy.port,
        management_key=KEY,
        data_dir=str(tmp_path / "data"),
        auth_dir=str(tmp_path / "auth"),
    )
    return collector_of(conn, chosen)


def test_large_replies_make_the_next_pops_smaller_and_small_ones_larger(
    proxy, tmp_path, monkeypatch
):
    monkeypatch.setattr(collector, "LARGE_REPLY", 10_000)
    with closing(prepare(tmp_path / "data", timezone="UTC")) as conn:
        made = at_work(proxy, tmp_path, conn)
        big = [event[:-1] + b', "user_agent": "' + b"x" * 2000 + b'"}' for event in burst(600)]
        proxy.push(big)
        while made.step():
            pass
        proxy.push(burst(50))
        while made.step():
            pass
        sizes = [len(batch) for batch in proxy.popped]
        made.close()
        assert conn.execute("select count(*) from usage_events").fetchone() == (650,)
    assert sizes[0] == 500
    assert sizes[1] == 62
    assert min(sizes) >= 1


def test_pops_grow_while_the_queue_is_behind_and_shrink_once_it_is_empty(proxy, tmp_path):
    with closing(prepare(tmp_path / "data", timezone="UTC")) as conn:
        made = at_work(proxy, tmp_path, conn)
        for pushed in (3000, 700):
            proxy.push(burst(pushed))
            while made.step():
                pass
        made.close()
    assert [len(batch) for batch in proxy.popped] == [500, 1000, 1000, 500, 500, 200]


def test_a_record_too_long_to_be_kept_leaves_an_excerpt():
    form, kept = redact_record(b'{"a": "' + b"x" * 300_000 + b'"}', lambda text: "hash")
    assert form == "excerpt"
    assert len(kept) <= 300


def test_another_process_may_share_the_dashboards_lock_but_not_a_workers(tmp_path):
    from ledger.locks import LockHeld, hold

    first, second = (hold(tmp_path, "web", shared=True) for _ in range(2))
    taken = hold(tmp_path, "ingest")
    with pytest.raises(LockHeld, match="ingest"):
        hold(tmp_path, "ingest")
    for descriptor in (first, second, taken):
        os.close(descriptor)
