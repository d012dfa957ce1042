"""Replies that are cut, late or nonsense, and records that no proxy should send."""

import contextlib
import json
import resource
import socket
import threading
import time

import psutil
import pytest

from demo.fake_proxy import FakeProxy, serving
from ledger import Unavailable
from ledger.data_folder import prepare
from ledger.settings import Settings
from runtime.refusals import Refused
from tests.support.chaos_rig import LARGE, SIZE, account, events, must_add_up, nothing_lost, record
from tests.support.home import KEY, collector_of, eventually, recorded

pytestmark = pytest.mark.timeout(1200)
MAX_MEGABYTES = 600


def test_a_reply_of_three_events_cut_at_every_byte(home, proxy, tmp_path):
    """In this process and without waiting, since a cut costs the loop a second's rest."""
    chosen = Settings(
        cliproxy_port=proxy.port,
        management_key=KEY,
        data_dir=str(home.data),
        auth_dir=str(tmp_path / "auth"),
    )
    conn = prepare(chosen.data_folder, timezone="UTC")
    job = collector_of(conn, chosen)
    job.step()
    length = len(reply_of(events(3)))
    cuts = range(0, length, 1 if LARGE else 29)
    for number, cut in enumerate(cuts):
        proxy.cut_after, proxy.cut_pops = cut, 1
        proxy.push(events(3, part=number))
        with pytest.raises(Unavailable) as error:
            job.step()
        job.failed(error.value)
        again(job)
    proxy.push(events(SIZE, part=1)[: SIZE // 2])
    while proxy.queued:
        again(job)
    job.close()
    conn.close()
    pushed = 3 * len(cuts) + SIZE // 2
    found = account(home, proxy, pushed)
    must_add_up(home, found)
    assert found.absent == found.at_risk == len(cuts) == home.count("gaps")
    assert home.query("select count(*) from gaps where ended_at is null") == [(0,)]
    record(
        f"a reply of three events cut at {len(cuts)} places",
        "nothing is stored twice or in part; each cut is recorded as a gap; collection "
        "continues by itself",
        found,
    )


def reply_of(batch: list[bytes]) -> bytes:
    """Return a batch as the fake proxy answers a pop."""
    from demo import resp

    return resp.array(batch)


def again(job) -> None:
    """Repeat a step until it succeeds, as the loop does after its rest."""
    for _ in range(5):
        try:
            job.step()
            return
        except (Unavailable, Refused) as error:
            job.failed(error)
    raise AssertionError("it does not recover")


def test_a_stalled_reply_and_a_reset(home, proxy):
    home.use(proxy)
    home.start("ingest")
    eventually(
        lambda: (
            home.query("select 1 from proxies where last_pop_at") if home.count("proxies") else 0
        )
    )
    made = events(SIZE)
    # Longer than the collector waits: the line is half open for it.
    proxy.stall = 6.0
    proxy.push(made[: SIZE // 2])
    eventually(lambda: home.query("select 1 from gaps where ended_at is null"), within=30)
    proxy.stall = 0.0
    eventually(lambda: not proxy.queued, within=30)
    for part in range(3):
        size = SIZE // 8
        proxy.push(made[SIZE // 2 + part * size : SIZE // 2 + (part + 1) * size])
        # Every connection is reset in the middle of whatever it says.
        proxy.stop()
        proxy.start()
    proxy.push(made[SIZE // 2 + 3 * (SIZE // 8) :])
    eventually(lambda: not proxy.queued, within=60)
    eventually(lambda: home.query("select count(*) from gaps where ended_at is null") == [(0,)])
    for process in home.started:
        process.terminate()
        process.communicate()
    home.run("ingest", "--once")
    found = account(home, proxy, SIZE)
    must_add_up(home, found)
    record(
        "stalled and half-open connections, resets",
        "the gap is recorded, collection continues by itself",
        found,
    )


class Liar:
    """Accepts any key, and answers each pop with the next of its replies; then with nothing."""

    def __init__(self, replies: list[bytes]) -> None:
        self.replies = list(replies)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._server.accept()
            except OSError:
                return
            with line, contextlib.suppress(OSError):
                line.settimeout(5)
                self._talk(line)

    def _talk(self, line: socket.socket) -> None:
        while heard := line.recv(65536):
            if b"AUTH" in heard:
                line.sendall(b"+OK\r\n")
            elif b"LPOP" not in heard:
                line.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            elif self.replies:
                line.sendall(self.replies.pop(0))
            else:
                line.sendall(b"*0\r\n")

    def close(self) -> None:
        """Stop answering."""
        self._server.close()
        self._thread.join(6)


NONSENSE = [
    *(b":7\r\n", b"+fine\r\n", b"$3\r\nabc\r\n", b"*2\r\n:1\r\n:2\r\n", b"*1\r\n*1\r\n$1\r\na\r\n"),
    *(b"*1\r\n$99999999999\r\nabc", b"*1\r\n$-7\r\n", b"*-5\r\n", b"*999999999999\r\n", b"*x\r\n"),
    *(b"$9223372036854775807\r\n", b"*1\r\n$70000000\r\n", b"?\r\n", b"\r\n", b"*1\r\n+a\r\n"),
    *(b"-ERR something new\r\n", b"*1\r\n$1\r\nabcdef\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
]


def test_replies_of_the_wrong_kind(home):
    liar = Liar(NONSENSE)
    home.env |= {"CLIPROXY_PORT": str(liar.port), "LEDGER_USAGE_SOURCE": "resp"}
    for _ in range(3 * len(NONSENSE)):
        if not liar.replies:
            break
        process = home.start("ingest", "--once")
        process.communicate(timeout=60)
        assert process.returncode in (0, 1)
    home.run("ingest", "--once")
    liar.close()
    # Three of them are lists of strings: records that are no events.
    [(received, rejected)] = home.query("select sum(received), sum(rejected) from ingest_ledger")
    assert received == rejected
    home.run("ledger", "check")
    [(at_risk,)] = home.query("select coalesce(sum(batches_at_risk), 0) from gaps")
    # The largest of all processes that this one has waited for.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    assert peak < MAX_MEGABYTES, peak
    record(
        "RESP replies of wrong types and impossible lengths",
        "a list of strings is rejected record by record, anything else ends the connection; each "
        f"start succeeds; memory at most {peak:.0f} MB",
        f"{len(NONSENSE)} kinds of reply: {received} records rejected, {at_risk} batches at risk",
    )


def strange() -> dict[str, bytes]:
    """Return invalid records by their fault."""
    event = json.loads(recorded("written-from-source")[0])

    def altered(**more: object) -> bytes:
        return json.dumps({**event, **more}).encode()

    fields = {
        f"{field} is {value!r}": altered(**{field: value})
        for field in event
        for value in (None, 7, "x", [1], {"a": 1}, True, 2.5)
    }
    return fields | {
        "50 MB of text": altered(fail={"status_code": 500, "body": "x" * 50_000_000}, failed=True),
        "50 MB of unknown fields": altered(unknown=["y" * 1000] * 50_000),
        "50 MB of nothing": b" " * 50_000_000,
        "invalid UTF-8": altered(model="m").replace(b'"m"', b'"\xff\xfe"'),
        "deep JSON": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "deep lists": b"[" * 1_000_000,
        "NaN": altered(latency_ms=1).replace(b'"latency_ms": 1', b'"latency_ms": NaN'),
        "negative tokens": altered(tokens={"input_tokens": -5, "total_tokens": -5}),
        "huge number": altered(latency_ms=10**30),
        "huge tokens": altered(tokens={"input_tokens": 2**63}),
        "duplicate keys": altered(model="a")[:-1] + b', "model": "b"}',
        "empty": b"",
        "null": b"null",
        "a zero byte": b"\x00",
        "a year 9999": altered(timestamp="9999-12-31T23:59:59Z"),
        "no zone": altered(timestamp="2026-11-24T00:00:00"),
    }


def test_records_that_no_proxy_should_send(home, proxy):
    found = strange()
    home.use(proxy, LEDGER_BATCH_SIZE="50")
    made = events(SIZE)
    process = home.start("ingest")
    watched = psutil.Process(process.pid)
    eventually(lambda: home.count("heartbeats"))
    step = max(SIZE // len(found), 1)
    for number, record_ in enumerate(found.values()):
        proxy.push([*made[number * step : (number + 1) * step], record_])
    proxy.push(made[len(found) * step :])
    peak = 0
    while home.query("select coalesce(sum(received), 0) from ingest_ledger") != [
        (SIZE + len(found),)
    ]:
        peak = max(peak, watched.memory_info().rss)
        time.sleep(0.02)
    process.terminate()
    process.communicate()
    [(received, stored, duplicate, rejected)] = home.query(
        "select sum(received), sum(stored), sum(duplicate), sum(rejected) from ingest_ledger"
    )
    assert received == SIZE + len(found) == stored + duplicate + rejected
    reasons = home.query("select reason, count(*) from rejected_events group by 1")
    assert sum(count for _, count in reasons) == rejected
    assert all(reason for reason, _ in reasons)
    [(longest,)] = home.query("select max(length(record)) from rejected_events")
    assert longest < 600_000
    [(negative,)] = home.query("select count(*) from usage_events where total_tokens < 0")
    assert negative == 0
    home.run("ledger", "check")
    assert peak < MAX_MEGABYTES * 1e6, peak
    record(
        "records: 50 MB, invalid UTF-8, deeply nested, NaN, negative, huge, wrong types "
        "in each field",
        f"each is stored, or rejected with its reason; memory at most {peak / 1e6:.0f} MB",
        f"{SIZE:,} events and {len(found)} strange records: {stored:,} stored, "
        f"{duplicate:,} duplicate, {rejected:,} rejected for {len(reasons)} reasons",
    )


@pytest.mark.parametrize("way", ["resp", "http"])
def test_both_ways_in_lose_nothing(home, way):
    with serving(FakeProxy(key=KEY, retention=3600)) as proxy:
        home.use(proxy, LEDGER_USAGE_SOURCE=way)
        proxy.push(events(SIZE))
        home.run("ingest", "--once")
        found = account(home, proxy, SIZE)
    nothing_lost(home, found)
