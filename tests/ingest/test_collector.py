"""The collector reserves room before it pops, and pops as much as memory and the queue allow."""

import os
from contextlib import closing

import pytest

from ingest import collector, spool
from ledger import Unwritable
from ledger.data_folder import prepare
from ledger.settings import Settings
from tests.support.events import burst
from tests.support.home import KEY, collector_of


def test_without_room_nothing_is_popped(proxy, tmp_path, monkeypatch):
    def refuse(descriptor: int, size: int) -> None:
        raise OSError(28, os.strerror(28))

    with closing(prepare(tmp_path / "data", timezone="UTC")) as conn:
        worker = new_collector(proxy, tmp_path, conn)
        monkeypatch.setattr(spool, "allocate", refuse)
        proxy.push(burst(10))
        with pytest.raises(Unwritable, match="nothing is popped: No space left"):
            worker.step()
        assert proxy.queued == 10
        monkeypatch.undo()
        assert worker.step() == 0
        assert proxy.queued == 0
        worker.close()


def new_collector(proxy, tmp_path, conn) -> collector.Collector:
    """Return a collector that has not popped yet."""
    settings = Settings(
        cliproxy_port=proxy.port,
        management_key=KEY,
        data_dir=str(tmp_path / "data"),
        auth_dir=str(tmp_path / "auth"),
    )
    return collector_of(conn, settings)


def test_large_replies_make_the_next_pops_smaller_and_small_ones_larger(
    proxy, tmp_path, monkeypatch
):
    monkeypatch.setattr(collector, "LARGE_REPLY_BYTES", 10_000)
    with closing(prepare(tmp_path / "data", timezone="UTC")) as conn:
        worker = new_collector(proxy, tmp_path, conn)
        big = [event[:-1] + b', "user_agent": "' + b"x" * 2000 + b'"}' for event in burst(600)]
        proxy.push(big)
        while worker.step():
            pass
        proxy.push(burst(50))
        while worker.step():
            pass
        sizes = [len(batch) for batch in proxy.popped]
        worker.close()
        assert conn.execute("select count(*) from usage_events").fetchone() == (650,)
    assert sizes[0] == 500
    assert sizes[1] == 62
    assert min(sizes) >= 1


def test_pops_grow_while_the_queue_is_behind_and_shrink_once_it_is_empty(proxy, tmp_path):
    with closing(prepare(tmp_path / "data", timezone="UTC")) as conn:
        worker = new_collector(proxy, tmp_path, conn)
        for pushed in (3000, 700):
            proxy.push(burst(pushed))
            while worker.step():
                pass
        worker.close()
    assert [len(batch) for batch in proxy.popped] == [500, 1000, 1000, 500, 500, 200]
