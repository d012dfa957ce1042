"""The proxy's own counters beside what was stored, and who else takes from the queue."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import count

import pytest

from demo.accounts import ALICE, BOB, LUMEN, Account
from demo.fake_proxy import FakeProxy, serving
from demo.proxy_state import Counters
from ingest import idle
from ingest.collector import Collector
from ingest.management import Attempts, auth_index, file_attempts, key_attempts
from ingest.reconcile import has_restarted
from ledger import Unwritable, text
from ledger.data_folder import prepare
from ledger.database import FILE_NAME
from ledger.settings import Settings
from tests.support.home import KEY, add_rollup_rows, collector_of, set_clock

numbers = count()


def events(account: Account, number: int, *, failed: bool = False) -> list[bytes]:
    """Return distinct attempts of an account."""
    fields = {
        "source": account.source("sk-demo-client-alpha"),
        "auth_index": account.auth_index,
        "provider": account.provider,
        "model": "gpt-5.5",
        "api_key": "sk-demo-client-alpha",
        "tokens": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
        "failed": failed,
        "fail": {"status_code": 500 if failed else 200, "body": ""},
    }
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.{:09}Z")
    return [
        json.dumps({"timestamp": at.format(next(numbers)), **fields}).encode()
        for _ in range(number)
    ]


class Rig:
    """A collector in this process that reads the counters after each empty pop."""

    def __init__(self, job: Collector, conn) -> None:
        self.job, self.conn = job, conn

    def work(self, steps: int = 2) -> None:
        """Collect until the queue is empty, and read the counters as often as that."""
        for _ in range(steps):
            while self.job.step():
                pass

    def runs(self, columns: str = "counted, stored, missing, finding") -> list[tuple]:
        """Return the runs of the proxy."""
        return self.conn.execute(f"select {columns} from proxy_run_counts").fetchall()

    def sentence(self, code: str) -> str:
        """Return the sentence of a problem or a fact of the state page."""
        sql = "select parameters from problems where code = :code"
        sql += " union all select parameters from state_facts where code = :code"
        ((parameters,),) = self.conn.execute(sql, {"code": code}).fetchall()
        return text.sentence(code, json.loads(parameters), "en")


@pytest.fixture
def make_rig(tmp_path, monkeypatch) -> Iterator[Callable[[FakeProxy], Rig]]:
    """A function that starts a collector for a proxy."""
    monkeypatch.setattr(idle, "POLL_SECONDS", 0.0)
    started: list[Rig] = []

    def start(proxy: FakeProxy) -> Rig:
        settings = Settings(
            cliproxy_port=proxy.port,
            management_key=KEY,
            data_dir=str(tmp_path / "data"),
            auth_dir=str(tmp_path / "auth"),
            batch_size=100,
        )
        conn = prepare(settings.data_folder, timezone="UTC")
        started.append(Rig(collector_of(conn, settings), conn))
        return started[-1]

    yield start
    for rig in started:
        rig.job.close()
        rig.conn.close()


def test_a_ledger_that_is_locked_during_a_status_poll_is_unwritable(make_rig, proxy, tmp_path):
    rig = make_rig(proxy)
    rig.work()
    rig.conn.execute("pragma busy_timeout = 20")
    with closing(sqlite3.connect(tmp_path / "data" / FILE_NAME, isolation_level=None)) as locker:
        locker.execute("begin immediate")
        # The last reading, then the next status, cannot be written.
        for _ in range(2):
            with pytest.raises(Unwritable, match="locked by another process"):
                rig.job.step()
        locker.execute("commit")
    proxy.push(events(ALICE, 40))
    rig.work()
    assert rig.runs() == [(40, 40, 0, "ok")]


def test_what_the_proxy_counted_is_in_the_ledger(make_rig, proxy):
    proxy.push(events(ALICE, 40))
    rig = make_rig(proxy)
    rig.work()
    assert rig.runs() == [(0, 0, 0, "ok")]
    proxy.push(events(ALICE, 1200) + events(BOB, 3, failed=True) + events(LUMEN, 1))
    rig.work()
    assert rig.runs() == [(1204, 1204, 0, "ok")]
    sentence = rig.sentence("counters_agree")
    assert sentence == "the proxy counted 1,204 attempts; the ledger has 1,204"
    rows = rig.conn.execute("select account, counted, stored from proxy_counts where counted > 0")
    assert sorted(rows) == [
        ("alice@example.com", 1200, 1200),
        ("bob@example.com", 3, 3),
        ("openai-compatible-lumen …0001", 1, 1),
    ]


def test_no_upstream_key_of_the_counters_is_kept(make_rig, proxy, tmp_path):
    rig = make_rig(proxy)
    proxy.push(events(LUMEN, 3))
    rig.work()
    rig.conn.execute("pragma wal_checkpoint(truncate)")
    for file in (tmp_path / "data").iterdir():
        assert LUMEN.key.encode() not in file.read_bytes(), file.name


def test_another_program_on_the_queue_is_reported(make_rig, proxy):
    proxy.push(events(ALICE, 10))
    rig = make_rig(proxy)
    rig.work()
    proxy.push(events(ALICE, 30))
    # Whoever pops first has them.
    assert len(proxy.queue.pop(30)) == 30
    rig.work()
    assert rig.runs("finding") == [("taken",)]
    assert rig.sentence("queue_shared").startswith("Another program is taking events")


def test_a_part_of_the_events_missing_is_reported(make_rig, proxy):
    proxy.push(events(ALICE, 10))
    rig = make_rig(proxy)
    rig.work()
    for _ in range(5):
        proxy.push(events(ALICE, 20))
        proxy.queue.pop(5)
        rig.work()
    assert rig.runs() == [(100, 75, 25, "missing")]
    assert "25 are missing" in rig.sentence("events_missing")


def test_a_few_events_that_are_never_published_are_no_alarm(make_rig, proxy):
    proxy.push(events(ALICE, 10))
    rig = make_rig(proxy)
    rig.work()
    proxy.push(events(ALICE, 200))
    proxy.queue.pop(4)
    rig.work()
    assert rig.runs() == [(200, 196, 4, "ok")]
    assert "publishes no event for some cancelled streams" in rig.sentence("counters_agree")


def test_a_restart_of_the_proxy_begins_a_new_count(make_rig, proxy):
    proxy.push(events(ALICE, 50))
    rig = make_rig(proxy)
    rig.work()
    proxy.push(events(ALICE, 20))
    rig.work()
    proxy.counters = Counters()
    proxy.push(events(ALICE, 7))
    rig.work()
    proxy.push(events(ALICE, 5))
    rig.work()
    assert rig.runs("counted, stored, missing, current") == [(20, 20, 0, 0), (5, 5, 0, 1)]


def test_a_rejected_record_is_not_missing(make_rig, proxy):
    proxy.push(events(ALICE, 10))
    rig = make_rig(proxy)
    rig.work()
    bad = [event.replace(b'"gpt-5.5"', b"55") for event in events(ALICE, 8)]
    proxy.push(events(ALICE, 2) + bad)
    rig.work()
    assert rig.runs("counted, stored, rejected, missing, finding") == [(10, 2, 8, 0, "ok")]


def test_switched_off_statistics_are_no_loss(make_rig, proxy):
    proxy.push(events(ALICE, 10))
    rig = make_rig(proxy)
    rig.work()
    proxy.statistics = False
    proxy.push(events(ALICE, 50))
    rig.work()
    assert rig.runs("finding") == [("statistics off",)]


def test_an_older_proxy_without_counts_leaves_no_run(make_rig):
    with serving(FakeProxy(key=KEY, version="v6.9.40", retention=3600)) as old:
        old.push(events(ALICE, 3))
        rig = make_rig(old)
        rig.work()
        assert rig.runs() == []


def test_a_changed_key_is_tried_once_and_pops_go_on(make_rig, proxy):
    proxy.push(events(ALICE, 3))
    rig = make_rig(proxy)
    rig.work()
    proxy.key = "another-management-key"
    for _ in range(10):
        proxy.push(events(ALICE, 2))
        rig.work()
    assert proxy.auth_failures == 1
    assert rig.conn.execute("select count(*) from usage_events").fetchone() == (23,)
    assert "refuses the management key" in rig.sentence("key_refused")


def test_the_index_of_a_configured_key_is_the_proxys():
    assert auth_index("lumen", LUMEN.base_url, LUMEN.key) == LUMEN.auth_index


@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"files": None}, {"files": [1, {"auth_index": 3, "success": 1}]}, "text"],
)
def test_an_unexpected_answer_has_no_counts(answer):
    assert file_attempts(answer) == {}
    assert (
        key_attempts({"lumen": answer, "x": {"|": {"success": -1, "failed": True}}}, answer) == {}
    )


def test_a_key_that_is_listed_as_a_file_counts_once():
    files = {"files": [{"auth_index": "a", "account": "sk-1", "success": 2, "failed": 1}]}
    usage = {"codex": {"https://x|sk-1": {"success": 2, "failed": 1}}}
    assert file_attempts(files) == {"a": Attempts(2, 1)}
    assert key_attempts(usage, files) == {}


def test_only_a_count_that_falls_is_a_restart():
    assert has_restarted({"a": 5}, {"a": Attempts(2, 2)})
    assert not has_restarted({"a": 5, "b": 1}, {"a": Attempts(5, 0), "c": Attempts(0, 0)})


def test_a_gap_is_estimated_from_the_rates_around_it(tmp_path):
    minute = 60_000
    start = 1_795_500_000_000 // 900_000 * 900_000
    with closing(prepare(tmp_path, timezone="UTC")) as conn:
        conn.execute("insert into proxies (id, name, first_pop_at) values (1, 'p', ?)", (start,))
        buckets = [start + n * 15 * minute for n in range(4)]
        buckets += [start + 180 * minute + n * 15 * minute for n in range(4)]
        row = {"resolution": 2, "proxy_id": 1, "requests": 30}
        add_rollup_rows(conn, "total_rollup", [{**row, "bucket_at": at} for at in buckets])
        gap = (start + 60 * minute, start + 180 * minute)
        set_clock(conn, gap[1] + 600 * minute)
        sql = "insert into gaps (proxy_id, started_at, ended_at, cause, retention_exceeded) "
        conn.execute(sql + "values (1, ?, ?, 'collector stopped', 1)", gap)
        conn.execute(sql + "values (1, ?, ?, 'collector stopped', 0)", gap)
        rows = conn.execute(
            "select requests_per_hour_around, expected, recorded, maybe_missing from gap_estimates"
        ).fetchall()
    assert rows == [(120.0, 240, 0, 240), (120.0, 240, 0, 0)]
