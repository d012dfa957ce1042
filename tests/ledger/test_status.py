"""The status line is right and short, starts fast, and never hangs."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ledger import connect
from ledger.status import query_status, short_number, status_line, status_words
from quota.decisions import decide_due
from tests.support import quota_ledger
from tests.support.brute import DAY, HOUR, MINUTE, NOW, Ledger, random_uses
from tests.support.home import ROOT

SLOW = {
    "click",
    "inspect",
    "logging",
    "tqdm",
    "typing_extensions",
    "tzlocal",
    "yaml",
    "sqlite_utils",
    "tabulate",
    "httpx",
    "genai_prices",
    "datasette",
    "redis",
}


def run_status(home, *options: str, status: int = 0) -> str:
    """Run the command and return its output."""
    return home.run("ledger", "status", *options, status=status)


def test_without_a_ledger_it_says_so_and_ends_with_status_1(home):
    home.data.mkdir(parents=True)
    assert run_status(home, status=1).startswith("! there is no ledger at ")
    assert "`make init` creates one" in json.loads(run_status(home, "--json", status=1))["error"]
    assert not (home.data / "ledger.db").exists()


def test_its_numbers_are_those_of_the_pages(seeded, site):
    answer = json.loads(run_status(seeded, "--json"))
    [summary] = site.get("/ledger/summary.json?window=today&_shape=array").json()
    assert answer["today"] == {name: summary[name] for name in answer["today"]}
    assert answer["today"]["requests"] > 0
    shown = run_status(seeded)
    assert shown.startswith(
        f"{short_number(summary['total_tokens'])} tok ≥ ${summary['cost_dollars']:,.2f}, "
        f"{summary['unpriced']} attempt"
    )
    assert len(shown.splitlines()) == 1
    accounts = site.get("/ledger/usable_accounts.json?_shape=array").json()
    assert answer["best"]["account"] == accounts[0]["account"]


def pool(*accounts: list[tuple[float | None, int | None]]) -> sqlite3.Connection:
    """Open a ledger at noon in Berlin whose accounts have these limits: used, until when."""
    conn = quota_ledger.ledger(NOW)
    conn.execute("insert into local_days values ('2026-11-24', ?, ?)", (NOW - 7 * HOUR, NOW + DAY))
    conn.execute("insert into zone_offsets values (0, ?, ?)", (NOW + 99 * DAY, HOUR))
    conn.execute(
        "insert into heartbeats (worker, role, pid, started_at, beat_at, state) "
        "values ('ingest', 'ingest', 1, ?, ?, 'working')",
        (NOW, NOW),
    )
    for number, limits in enumerate(accounts):
        account = quota_ledger.add_account(conn, state="ok", observed_at=NOW)
        windows = [
            quota_ledger.limit(used, f"w{n}", resets_at=at) for n, (used, at) in enumerate(limits)
        ]
        quota_ledger.add_windows(conn, account, windows)
        assert number < 9
    decide_due(conn, NOW)
    return conn


LINES = [
    pytest.param(pool, "0 tok $0.00 · ok", id="no account is known"),
    pytest.param(
        lambda: pool([(17.2, NOW + HOUR), (5.0, NOW + DAY)], [(60.0, NOW + 2 * HOUR)]),
        "0 tok $0.00 · best user0@example.com 83 % (resets 08:00) · ok",
        id="the one with most left, by its tightest limit",
    ),
    pytest.param(
        lambda: pool([(17.2, NOW + 3 * DAY)]),
        "0 tok $0.00 · best user0@example.com 83 % (resets Fri 07:00) · ok",
        id="another day",
    ),
    pytest.param(
        lambda: pool([(17.2, NOW + 20 * DAY)]),
        "0 tok $0.00 · best user0@example.com 83 % (resets 14 Dec) · ok",
        id="another week",
    ),
    pytest.param(
        lambda: pool([(17.2, None)]),
        "0 tok $0.00 · best user0@example.com 83 % · ok",
        id="no reset is known",
    ),
    pytest.param(
        lambda: pool([(100.0, NOW + 3 * HOUR)], [(100.0, NOW + 2 * HOUR)]),
        "0 tok $0.00 · no account usable until 09:00 (user1@example.com) · ok",
        id="all are used up",
    ),
    pytest.param(
        lambda: pool([(100.0, NOW + 3 * HOUR)], [(None, NOW + 2 * HOUR)]),
        "0 tok $0.00 · no account known to be usable · ok",
        id="of one nothing is known",
    ),
    pytest.param(
        lambda: pool([(None, NOW + 3 * HOUR)]),
        "0 tok $0.00 · no account known to be usable · ok",
        id="nothing is known",
    ),
]


@pytest.mark.parametrize(("made", "expected"), LINES)
def test_the_line_names_the_account_to_use(made, expected):
    with closing(made()) as conn:
        assert status_line(query_status(conn)) == expected


def test_the_next_reset_is_that_of_any_account():
    with closing(pool([(10.0, NOW + 5 * HOUR)], [(100.0, NOW + 2 * HOUR)])) as conn:
        status = query_status(conn)
    assert status["next_reset"]["account"] == "user1@example.com"
    assert status_words(status)["next_reset"] == "09:00"
    assert status_words(status)["best"] == "user0@example.com"


WRONG = [
    pytest.param(
        "update heartbeats set beat_at = beat_at - 300000",
        "! collector silent since 06:55",
        id="silent",
    ),
    pytest.param(
        "update heartbeats set state = 'stopped'",
        "! collector stopped",
        id="stopped",
    ),
    pytest.param(
        "update heartbeats set state = 'waiting', "
        "detail = 'the proxy at http://127.0.0.1:8317 cannot be reached: it is away'",
        "! collector waiting: the proxy at http://127.0.0.1:8317 canno…",
        id="waiting, for a long reason",
    ),
    pytest.param("delete from heartbeats", "! collector never started", id="never started"),
    pytest.param(
        "update proxies set statistics_enabled = 0",
        "! statistics of 127.0.0.1:8317 off",
        id="statistics are off",
    ),
    pytest.param(
        f"insert into gaps (proxy_id, started_at, cause) values (1, {NOW - MINUTE * 5}, 'x')",
        "! nothing collected since 06:55",
        id="an open gap",
    ),
    pytest.param(
        "insert into gaps (proxy_id, started_at, ended_at, cause, retention_exceeded) "
        f"values (1, {NOW - 9 * HOUR}, {NOW - 8 * HOUR}, 'x', 1)",
        "ok",
        id="a gap of today in which nothing can be missing",
    ),
    pytest.param(
        "insert into gaps (proxy_id, started_at, ended_at, cause, batches_at_risk) "
        f"values (1, {NOW - 3 * HOUR}, {NOW - 2 * HOUR}, 'x', 1)",
        "! gap from 04:00 until 05:00",
        id="a gap of today with a batch at risk",
    ),
    pytest.param(
        "insert into gaps (proxy_id, started_at, ended_at, cause, retention_exceeded) "
        f"values (1, {NOW - 49 * HOUR}, {NOW - 48 * HOUR}, 'x', 1)",
        "ok",
        id="a gap of long ago",
    ),
    pytest.param(
        "insert into rejected_events (proxy_id, received_at, reason, form, record) "
        f"values (1, {NOW - HOUR}, 'x', 'excerpt', 'x')",
        "! 1 record rejected",
        id="a rejected record",
    ),
    pytest.param(
        "insert into rejected_events (proxy_id, received_at, reason, form, record) "
        f"values (1, {NOW - 25 * HOUR}, 'x', 'excerpt', 'x')",
        "ok",
        id="a rejected record of long ago",
    ),
    pytest.param(
        "update quota_accounts set state = 'needs_login'",
        "! user0@example.com: log in again",
        id="a login is needed",
    ),
    pytest.param(
        "insert into alerts (rule, subject, severity, sentence, tells_over, own, began_at) "
        "values ('mine', 'x', 'warning', 'Something is up.', 0, 1, 1)",
        "! Something is up.",
        id="an open alert",
    ),
    pytest.param(
        "insert into alerts (rule, subject, severity, sentence, tells_over, own, began_at) "
        "values ('mine', 'x', 'notice', 'A limit has reset.', 0, 1, 1)",
        "ok",
        id="an alert that is only a notice",
    ),
]


@pytest.mark.parametrize(("change", "expected"), WRONG)
def test_what_is_wrong_is_said_in_few_words(change, expected):
    with closing(pool([(10.0, NOW + HOUR)])) as conn:
        assert status_words(query_status(conn))["state"] == "ok"
        conn.execute(change)
        assert status_words(query_status(conn))["state"] == expected
        assert status_line(query_status(conn)).endswith(f" · {expected}")


def test_several_troubles_are_counted():
    with closing(pool([(10.0, NOW + HOUR)])) as conn:
        conn.execute("delete from heartbeats")
        conn.execute("update quota_accounts set state = 'needs_login'")
        assert status_words(query_status(conn))["state"] == "! collector never started (+1)"


def test_today_is_the_local_day_and_unpriced_requests_leave_a_mark(tmp_path):
    with closing(Ledger(tmp_path, "Asia/Kathmandu")) as ledger:
        at = NOW - 12 * HOUR  # 23:45 of the day before
        [event] = random_uses(1)
        ledger.keep([{**event, "at": at, "input": 300, "output": 0, "model": "own-large"}])
        ledger.keep([{**event, "at": at + HOUR, "input": 150, "output": 7, "model": "own-large"}])
        ledger.set_clock(NOW)
        assert status_line(query_status(ledger.conn)).startswith("157 tok $0.00 · ")
        ledger.keep([{**event, "at": NOW - 1, "input": 1500, "output": 0, "model": "unknown"}])
        assert status_line(query_status(ledger.conn)).startswith(
            "1.7k tok ≥ $0.00, 1 attempt without a price · "
        )


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0k"),
        (99_949, "99.9k"),
        (99_950, "100k"),
        (999_499, "999k"),
        (999_500, "1.0M"),
        (12_345_678, "12.3M"),
        (808_411_263, "808M"),
        (25_587_242_993, "25.6B"),
        (10**13, "10.0T"),
    ],
)
def test_numbers_are_short(count, expected):
    assert short_number(count) == expected


def test_a_format_of_ones_own_and_one_that_makes_no_sense(seeded):
    assert run_status(seeded, "--format", "{requests}|{failed}|{nothing}", status=1).startswith(
        "The format is malformed; it may name, in braces: requests, failed, tokens"
    )
    for malformed in ("{", "{}", "{tokens.x}", "{tokens[a]}"):
        assert "malformed" in run_status(seeded, "--format", malformed, status=1)
    today = json.loads(run_status(seeded, "--json"))["today"]
    shown = run_status(seeded, "--format", "{requests} of which {failed} failed")
    assert shown == f"{today['requests']} of which {today['failed']} failed\n"


def test_check_ends_with_status_1_only_where_something_is_wrong(home, proxy):
    home.use(proxy)
    home.run("ingest", "--once")
    assert "stopped" in run_status(home)
    run_status(home, "--check", status=1)
    with closing(connect(home.data / "ledger.db")) as conn:
        conn.execute("update heartbeats set state = 'working'")
    assert run_status(home, "--check").endswith(" · ok\n")


@pytest.mark.timeout(60)
def test_a_locked_ledger_keeps_nobody_waiting(home):
    home.run("ledger", "init")
    with closing(sqlite3.connect(home.data / "ledger.db", isolation_level=None)) as conn:
        conn.execute("pragma locking_mode = exclusive")
        conn.execute("begin exclusive")
        assert run_status(home, status=1) == "! the ledger is locked by another process\n"


@pytest.mark.parametrize("content", [b"", b"this is no ledger at all " * 99])
def test_a_file_that_is_no_ledger_is_told_in_a_sentence(home, content):
    home.data.mkdir(parents=True)
    (home.data / "ledger.db").write_bytes(content)
    shown = run_status(home, status=1)
    assert shown.startswith("! the ledger cannot be read")
    assert len(shown.splitlines()) == 1


def test_nothing_is_written(seeded):
    def state() -> list[tuple[str, int, int]]:
        files = sorted(seeded.data.glob("ledger.db*"))
        return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]

    run_status(seeded)  # The log's index may be made by the first reader.
    before = [entry for entry in state() if not entry[0].endswith("-shm")]
    run_status(seeded)
    assert [entry for entry in state() if not entry[0].endswith("-shm")] == before


LOADED = """
import atexit, runpy, sys
atexit.register(lambda: print("loaded", *(name for name, module in sys.modules.items() if module)))
sys.argv = ["ledger", "status"]
runpy.run_module("ledger", run_name="__main__")
"""


def test_it_loads_nothing_that_is_slow_to_load(seeded):
    loaded = subprocess.run(
        [sys.executable, "-c", LOADED],
        cwd=ROOT,
        env=seeded.env,
        capture_output=True,
        text=True,
        check=True,
    )
    names = {name.split(".")[0] for name in loaded.stdout.partition("loaded ")[2].split()}
    assert "sqlite3" in names
    # What msgspec loads by itself, which reads the settings, differs by version of Python.
    own = subprocess.run(
        [sys.executable, "-c", "import msgspec, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert names & SLOW - set(own.stdout.split()) == set()


def test_the_documents_name_every_word_of_a_format():
    with closing(pool()) as conn:
        names = status_words(query_status(conn))
    page = Path(ROOT / "docs" / "reports.md").read_text("utf-8")
    [row] = [text for text in page.splitlines() if text.startswith("| `--format")]
    assert all(f"`{name}`" in row for name in names)


def test_the_list_of_commands_names_it(home):
    assert "Print the status in one line." in home.run("ledger", "--help")
