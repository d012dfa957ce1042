"""Several proxies in one ledger: each by itself, and none held up by another."""

import json
import re
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing

import pytest

from demo.fake_proxy import FakeProxy
from ingest.spool import Batch, Spool
from ledger import Unwritable, database, transaction
from tests.support.events import burst, digest
from tests.support.home import KEY, ROOT, eventually
from tests.support.several import begin, entry, fake_proxies, gaps, stored, use

SUMS = """
  select proxies.name, sum(requests), sum(input_tokens)
  from total_rollup
  join proxies on proxies.id = total_rollup.proxy_id
  where resolution = 4
  group by proxies.id
  order by proxies.name
"""


@pytest.fixture
def pair(home):
    """Two fake proxies, `home` and `office`, that the settings name."""
    with fake_proxies("home", "office") as proxies:
        use(home, proxies)
        yield proxies


def hashes(home) -> dict[str, Counter]:
    """Return the hashes of the stored events by proxy."""
    rows = home.query("""
      select proxies.name, event_hash
      from usage_events
      join credentials on credentials.id = usage_events.credential_id
      join proxies on proxies.id = credentials.proxy_id
    """)
    by_proxy: dict[str, Counter] = {}
    for name, hash_ in rows:
        by_proxy.setdefault(name, Counter())[hash_] += 1
    return by_proxy


def of(events: list[bytes]) -> Counter:
    """Return the hashes of events, each once."""
    return Counter(map(digest, events))


def test_two_proxies_are_collected_together_and_add_up_apart(home, pair, all_recorded):
    events = burst(3000)
    pair["home"].push(events[:1200])
    pair["office"].push(events[1200:])
    home.run("ingest", "--once")
    assert stored(home) == {"home": (1200, 1200), "office": (1800, 1800)}
    assert hashes(home) == {"home": of(events[:1200]), "office": of(events[1200:])}
    assert home.query(SUMS) == [("home", 1200, 12_000), ("office", 1800, 18_000)]
    assert home.count() == 3000
    home.run("ledger", "check")
    states = home.query("select worker, role, proxy, state from worker_states order by worker")
    assert states == [
        ("ingest home", "ingest", "home", "stopped"),
        ("ingest office", "ingest", "office", "stopped"),
    ]
    assert {subject for code, subject in home.facts() if code == "collected_since"} == {
        "home",
        "office",
    }


def test_a_refused_key_stops_its_own_proxy_alone(home, pair):
    use(home, pair, LEDGER_USAGE_SOURCE="http")
    worker = begin(home)
    pair["office"].key = "another-management-key"
    eventually(lambda: gaps(home) == [("office", "key refused", 1)])
    tried = pair["office"].auth_failures
    events = burst(2000)
    pair["home"].push(events)
    eventually(lambda: stored(home)["home"] == (2000, 2000), within=5)
    assert pair["office"].auth_failures == tried == 1
    assert {("key_refused", "office"), ("collection_blocked", "office")} <= set(home.problems())
    assert home.facts()["worker_working", "ingest home"] == "working"
    assert gaps(home) == [("office", "key refused", 1)]
    worker.terminate()
    worker.communicate()
    # A restart tries the refused key no sooner.
    home.run("ingest", "--once", status=1)
    assert pair["office"].auth_failures == 1


def answered(proxy: FakeProxy) -> int:
    """Count the pops that a proxy has answered."""
    return sum(each.command == "LPOP" for each in list(proxy.commands))


def test_a_slow_proxy_does_not_make_another_late(home, pair):
    begin(home)
    pair["office"].stall = 3.0
    before = answered(pair["office"])
    for number, event in enumerate(burst(12), start=1):
        pair["home"].push([event])
        eventually(lambda number=number: home.count() == number)
    # One pop of the slow one outlasts several events of the other.
    assert answered(pair["office"]) - before < 3
    assert gaps(home) == []


def test_a_burst_of_one_proxy_does_not_make_another_late(home, pair):
    """SQLite alone would let the one that waits starve, for seconds."""
    begin(home)
    events = burst(61_000)
    passed, own = [], iter(events[60_000:])
    pair["home"].push(events[:60_000])
    while pair["home"].queued:
        before = stored(home)
        pair["office"].push([next(own)])
        eventually(lambda before=before: stored(home)["office"] > before["office"])
        passed.append(stored(home)["home"][1] - before["home"][1])
    print(f"{len(passed)} events, each passed by at most {max(passed)} of the other proxy")
    assert len(passed) >= 5
    assert max(passed) < 8000


def test_a_thread_waits_for_its_turn_no_longer_than_for_another_process(tmp_path, monkeypatch):
    """Else a ledger that is locked would hold each of several collectors up after the other."""
    monkeypatch.setattr(database, "WRITER_SECONDS", 0.1)
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with database.only_writer():
            held.set()
            over.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as conn:
        with pytest.raises(Unwritable, match="locked"), transaction(conn):
            pass
        over.set()
        holder.join()
        with transaction(conn):
            pass


def test_a_refusing_and_a_slow_proxy_leave_another_its_speed(home):
    with fake_proxies("home", "slow", "refusing") as proxies:
        use(home, proxies)
        listed = json.loads(home.env["LEDGER_PROXIES"])
        listed[2]["management_key"] = "wrong-management-key"
        home.env["LEDGER_PROXIES"] = json.dumps(listed)
        begin(home)
        eventually(lambda: proxies["refusing"].auth_failures == 1)
        proxies["slow"].stall = 3.0
        before = answered(proxies["slow"])
        proxies["home"].push(burst(30_000))
        eventually(lambda: home.count() == 30_000, within=60)
        # It took 60 batches or more.
        assert answered(proxies["slow"]) - before < 3
        assert proxies["refusing"].auth_failures == 1


def test_a_proxy_that_goes_and_comes_leaves_a_gap_of_its_own(home, pair):
    begin(home)
    events = burst(500)
    pair["office"].stop()
    eventually(lambda: gaps(home) == [("office", "proxy away", 1)])
    pair["office"].push(events[:200])
    pair["home"].push(events[200:])
    eventually(lambda: stored(home)["home"] == (300, 300), within=3)
    assert ("collection_waiting", "office") in home.problems()
    pair["office"].start()
    eventually(lambda: stored(home)["office"] == (200, 200))
    eventually(lambda: gaps(home) == [("office", "proxy away", 0)])
    assert ("collection_waiting", "office") not in home.problems()


def test_kill_9_with_a_batch_in_each_spool_loses_and_doubles_nothing(home, pair):
    worker = begin(home)
    events = burst(900)
    with closing(sqlite3.connect(home.data / "ledger.db", isolation_level=None)) as locker:
        locker.execute("begin immediate")
        pair["home"].push(events[:400])
        pair["office"].push(events[400:])
        for number in (1, 2):
            eventually(lambda number=number: home.spool(number).read_bytes().strip(b"\0"))
        worker.kill()
        worker.communicate()
        locker.execute("rollback")
    assert (pair["home"].queued, pair["office"].queued) == (0, 0)
    home.run("ingest", "--once")
    assert hashes(home) == {"home": of(events[:400]), "office": of(events[400:])}
    assert home.query("select sum(batches_at_risk) from gaps") == [(0,)]
    assert [home.spool(number).read_bytes() for number in (1, 2)] == [b"", b""]
    home.run("ledger", "check")


def test_sigterm_ends_every_collector_cleanly(home, pair):
    worker = begin(home)
    pair["home"].push(burst(20_000))
    pair["office"].push(burst(40_000)[20_000:])
    eventually(lambda: home.count() > 500)
    worker.terminate()
    output, _ = worker.communicate(timeout=300)
    assert worker.returncode == 0, output
    assert [home.spool(number).read_bytes() for number in (1, 2)] == [b"", b""]
    assert home.query("select distinct state from heartbeats") == [("stopped",)]
    home.run("ingest", "--once")
    assert home.count() == 40_000
    assert home.query("select sum(batches_at_risk) from gaps") == [(0,)]


def test_the_log_names_the_proxy_where_there_are_several(home, pair):
    pair["office"].stop()
    output = home.run("ingest", "--once", status=1)
    waiting = r"^[\d:]+ WARNING office: waiting: the proxy at .* cannot be reached"
    assert re.search(waiting, output, re.M)
    assert re.search(r"^[\d:]+ INFO home: working$", output, re.M)
    use(home, {"home": pair["home"]})
    assert re.search(r"^[\d:]+ INFO working$", home.run("ingest", "--once"), re.M)


def test_once_fails_when_one_proxy_is_away_but_empties_the_other(home, pair):
    pair["office"].stop()
    pair["home"].push(burst(700))
    home.run("ingest", "--once", status=1)
    assert stored(home) == {"home": (700, 700), "office": (0, 0)}


def test_history_continues_from_the_single_setting_to_a_list_and_back(home, pair):
    events = burst(50)
    single = home.env | {"CLIPROXY_MANAGEMENT_KEY": KEY, "LEDGER_PROXIES": ""}
    single["CLIPROXY_PORT"] = str(pair["home"].port)
    ways = [
        (single, f"127.0.0.1:{pair['home'].port}"),
        ({"home": pair["home"], "office": pair["office"]}, "home"),
        ({"cottage": pair["home"], "office": pair["office"]}, "cottage"),
        (single, f"127.0.0.1:{pair['home'].port}"),
    ]
    for number, (way, name) in enumerate(ways):
        if way is single:
            home.env = dict(single)
        else:
            use(home, way)
        pair["home"].push(events[number * 10 : number * 10 + 10])
        home.run("ingest", "--once")
        assert home.query("select id, name from proxies where id = 1") == [(1, name)]
        assert stored(home)[name] == (10 * number + 10, 10 * number + 10)
    assert home.query("select distinct proxy_id from credentials") == [(1,)]
    assert home.query("select worker from heartbeats") == [("ingest",)]
    assert home.query("select name, configured from proxies where id > 1") == [("office", 0)]
    assert {cause for _, cause, _ in gaps(home)} == {"collector stopped"}


def test_a_name_keeps_its_history_when_its_address_changes(home, pair):
    pair["home"].push(burst(10))
    home.run("ingest", "--once")
    moved = entry("home", pair["office"].port)
    home.env["LEDGER_PROXIES"] = json.dumps([moved])
    pair["office"].push(burst(30)[10:])
    home.run("ingest", "--once")
    assert stored(home)["home"] == (30, 30)
    assert home.query("select address, configured from proxies order by id") == [
        (moved["address"], 1),
        (moved["address"], 0),
    ]


def test_a_removed_proxy_alarms_no_more_and_keeps_its_history(home, pair):
    events = burst(60)
    worker = begin(home)
    pair["office"].push(events[:20])
    eventually(lambda: stored(home)["office"] == (20, 20))
    pair["office"].statistics = False
    pair["office"].stop()
    eventually(lambda: gaps(home) == [("office", "proxy away", 1)])
    worker.terminate()
    worker.communicate()
    [(last,)] = home.query("select last_pop_at from proxies where name = 'office'")
    [(number,)] = home.query("select last_batch from proxies where name = 'office'")
    spool = Spool(home.spool(2))
    spool.write(Batch(number + 1, "resp", last, events[20:40]))
    spool.close()

    use(home, {"home": pair["home"]})
    home.run("ingest", "--once")
    assert stored(home)["office"] == (40, 40)
    assert not home.spool(2).exists()
    assert ("office", "proxy away", 0) in gaps(home)
    shown = [code for code, subject in home.facts() if "office" in subject]
    assert shown == ["collected_until"]
    assert list(home.problems()) == [("collector_stopped", "ingest")]
    home.run("ledger", "check")

    # Back again, the gap goes on where it began.
    pair["office"].start()
    use(home, pair)
    home.run("ingest", "--once")
    [gap] = home.query("select started_at, ended_at > ? from gaps where proxy_id = 2", last)
    assert gap == (last, 1)


def test_a_batch_of_a_removed_proxy_that_was_torn_is_on_record(home, pair):
    pair["office"].push(burst(20))
    home.run("ingest", "--once")
    home.spool(2).write_bytes(b"torn")
    use(home, {"home": pair["home"]})
    home.run("ingest", "--once")
    assert home.query("select batches_at_risk from gaps where proxy_id = 2") == [(1,)]
    assert not home.spool(2).exists()


def test_the_spool_of_an_earlier_version_is_stored_for_its_proxy(home, pair):
    """It knew one proxy, and the one with the newest pop is the one that it collected from."""
    events = burst(30)
    pair["home"].push(events[:10])
    pair["office"].push(events[10:20])
    home.run("ingest", "--once")
    use(home, {"office": pair["office"]})
    home.run("ingest", "--once")
    [(number,)] = home.query("select last_batch from proxies where name = 'office'")
    home.spool(2).unlink()
    old = Spool(home.data / "ingest.spool")
    old.write(Batch(number + 1, "resp", 1_795_500_000_000, events[20:]))
    old.close()
    use(home, pair)
    home.run("ingest", "--once")
    assert hashes(home) == {"home": of(events[:10]), "office": of(events[10:])}
    assert not (home.data / "ingest.spool").exists()
    assert [file.name for file in sorted(home.data.glob("*.spool"))] == [
        "ingest-1.spool",
        "ingest-2.spool",
    ]


def test_every_collector_restarts_when_the_ledger_is_replaced(home, pair, tmp_path):
    worker = begin(home)
    pair["home"].push(burst(10))
    eventually(lambda: home.count() == 10)
    other = tmp_path / "other"
    subprocess.run(
        [sys.executable, "-m", "ledger", "init"],
        env=home.env | {"LEDGER_DATA_DIR": str(other)},
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for suffix in ("-wal", "-shm", ""):
        file = other / f"ledger.db{suffix}"
        (home.data / f"ledger.db{suffix}").unlink(missing_ok=True)
        if file.exists():
            file.rename(home.data / file.name)
    pair["home"].push(burst(20)[10:])
    pair["office"].push(burst(30)[20:])
    eventually(lambda: stored(home) == {"home": (10, 10), "office": (10, 10)})
    assert worker.poll() is None
    worker.terminate()
    output, _ = worker.communicate()
    assert output.count("starting again with it") == 1
    assert worker.returncode == 0, output


WRONG: list[tuple[str, Callable[[list], object], str]] = [
    ("empty-name", lambda two: two[0].update(name=""), "proxies[0].name in the environment"),
    ("control", lambda two: two[1].update(name="a\nb"), "proxies[1].name is malformed"),
    ("spaces", lambda two: two[1].update(name=" a"), "proxies[1].name is malformed"),
    ("long", lambda two: two[1].update(name="a" * 61), "proxies[1].name is malformed"),
    ("same-name", lambda two: two[1].update(name="home"), "a name of its own"),
    ("no-name", lambda two: two[1].pop("name"), "missing required field `name`"),
    ("no-address", lambda two: two[1].pop("address"), "missing required field `address`"),
    ("no-port", lambda two: two[1].update(address="10.0.0.1"), "proxies[1].address is malformed"),
    ("port-0", lambda two: two[1].update(address="10.0.0.1:0"), "proxies[1].address is malformed"),
    ("bare-six", lambda two: two[1].update(address="::1:8317"), "proxies[1].address is malformed"),
    ("scheme", lambda two: two[1].update(address="ftp://a"), "proxies[1].address is malformed"),
    ("password", lambda two: two[1].update(address="http://a:b@c"), "proxies[1].address is"),
    ("same-place", lambda two: two[1].update(address="127.0.0.1:1"), "each address only once"),
    (
        "same-url",
        lambda two: two[1].update(address="https://127.0.0.1:1"),
        "each address only once",
    ),
    ("no-key", lambda two: two[1].pop("management_key"), "proxies[1] is malformed"),
    ("two-keys", lambda two: two[1].update(management_key_variable="A"), "proxies[1] is malformed"),
    ("key-number", lambda two: two[1].update(management_key=1234), "Expected `str`, got `int`"),
    ("unknown", lambda two: two[1].update(port=1), "contains unknown field `port`"),
    ("auth-dir", lambda two: two[1].update(auth_dir="~nobody-of-that-name/a"), "].auth_dir is"),
    ("no-object", lambda two: two.append("office"), "Expected `object`, got `str`"),
]


@pytest.mark.parametrize(("change", "sentence"), [pytest.param(*rest, id=n) for n, *rest in WRONG])
def test_a_wrong_list_of_proxies_is_refused_in_a_sentence(home, change, sentence):
    listed = [entry("home", 1), entry("office", 2)]
    change(listed)
    home.env.pop("CLIPROXY_MANAGEMENT_KEY")
    home.env["LEDGER_PROXIES"] = json.dumps(listed)
    output = home.run("cli", "preflight", status=1)
    assert sentence in output
    assert (output.count("\n"), output[-2:], KEY in output) == (1, ".\n", False)


def test_a_key_may_come_from_a_variable_that_must_be_set(home, pair):
    home.env["LEDGER_PROXIES"] = json.dumps(
        [
            entry("home", pair["home"].port, management_key_variable="CLIPROXY_MANAGEMENT_KEY"),
            entry("office", pair["office"].port, management_key_variable="OFFICE_KEY"),
        ]
    )
    home.env |= {"CLIPROXY_MANAGEMENT_KEY": KEY}
    for command in (("cli", "preflight"), ("ingest",), ("quota",)):
        output = home.run(*command, status=1)
        assert output == (
            "No management key for the proxy office: the variable that its "
            "management_key_variable names is not set.\n"
        )
    home.env["OFFICE_KEY"] = KEY
    home.run("ingest", "--once")
    assert ("collected_since", "office") in home.facts()


def test_the_single_key_beside_a_list_that_may_lack_it_is_refused(home, pair):
    home.env["CLIPROXY_MANAGEMENT_KEY"] = KEY
    output = home.run("ingest", "--once", status=1)
    assert output.startswith("Both management_key and proxies are set: proxies is the whole list")
    assert output.count("\n") == 1


def test_the_data_folder_lies_in_no_proxys_auth_dir(home, pair):
    listed = entry("home", pair["home"].port, auth_dir=str(home.data.parent))
    home.env["LEDGER_PROXIES"] = json.dumps([listed])
    assert "not lie inside a proxy's auth_dir" in home.run("cli", "preflight", status=1)


def test_the_keys_of_a_list_are_masked(home, pair):
    shown = "from ledger import settings; s = settings.load(); print(s, s.pool, [s.proxies])"
    done = subprocess.run(
        [sys.executable, "-c", shown], cwd=ROOT, env=home.env, capture_output=True, text=True
    )
    assert (KEY in done.stdout, done.stdout.count("management_key='…'")) == (False, 4)


BROKEN = """
import sys
from pathlib import Path
from runtime.tasks import start_tasks, Task


class Job:
    def __init__(self, number): self.number, self.steps = number, 0
    def step(self):
        self.steps += 1
        if self.number == 1 and self.steps > 20: 1 / 0
        return 0
    def status_note(self): return None
    def failed(self, error): pass
    def close(self): sys.stdout.write(f"closed {self.number}\\n")

def plan(given):
    return [Task(f"test {n}", lambda given, n=n: Job(n), label=str(n)) for n in range(3)]

start_tasks("test", plan, rest=lambda settings: 0.01, once=False)
"""


def test_a_bug_in_one_task_ends_all_after_the_others_have_stopped(home):
    done = subprocess.run(
        [sys.executable, "-c", BROKEN],
        cwd=ROOT,
        env=home.env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert sorted(done.stdout.split("\n")) == ["", "closed 0", "closed 2"]
    assert home.query("select worker, state from heartbeats order by worker") == [
        ("test 0", "stopped"),
        ("test 1", "working"),
        ("test 2", "stopped"),
    ]
