"""Records of other programs are imported once, complete, and with their origin."""

import gzip
import json
import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from demo.fake_proxy import FakeProxy
from ingest.importers.reader import Unreadable, open_database
from ingest.parse import instant
from tests.support.home import Home, eventually, recorded, unwritable
from tests.support.import_files import (
    EXPORT,
    KEEPER,
    ORIGINAL,
    write_export,
    write_keeper,
    write_lines,
)

EVERYTHING = """
  select
    occurred_at, auth_index, model, failed, input_tokens, cached_tokens, cache_write_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, cost_dollars, client, account
  from recent_requests
  order by occurred_at, auth_index, model, total_tokens
"""
SAMPLES = {"keeper": KEEPER, "original": ORIGINAL, "export": EXPORT}
COUNTS = "select received, stored, duplicate, improved, rejected from imports order by id"


@pytest.fixture
def lines(tmp_path: Path, all_recorded: list[bytes]) -> Path:
    """Every recorded event as JSON lines."""
    file = tmp_path / "events.jsonl"
    write_lines(file, all_recorded)
    return file


def import_file(home: Home, file: Path, *more: str, status: int = 0) -> str:
    """Run the command as a user would."""
    return home.run("ledger", "import", str(file), *more, status=status)


def counts(home: Home) -> list[tuple[int, ...]]:
    """Return (received, stored, duplicate, improved, rejected) of each import."""
    return home.query(COUNTS)


def check(home: Home) -> None:
    """Check that the ledger adds up."""
    home.run("ledger", "check")


def test_keepers_rows_are_imported_with_keepers_numbers(home: Home) -> None:
    output = import_file(home, KEEPER)
    with closing(sqlite3.connect(f"file:{KEEPER}?mode=ro", uri=True)) as conn:
        rows = conn.execute(
            "select timestamp, auth_index, model, failed, input_tokens, cache_read_tokens,"
            " cache_creation_tokens, output_tokens, reasoning_tokens, total_tokens, id"
            " from usage_events"
        ).fetchall()
    expected = sorted((instant(row[0]), *row[1:10]) for row in rows)
    found = home.query(
        "select occurred_at, auth_index, model, failed, input_tokens, cached_tokens,"
        " cache_write_tokens, output_tokens, reasoning_tokens, total_tokens"
        " from recent_requests order by 1, 2, 3, 4, 5, 6"
    )
    differing = [(a, b) for a, b in zip(expected, found, strict=True) if a != b]
    # Claude's own counts: what was read from the cache stands beside the input.
    assert [(a[4:], b[4:]) for a, b in differing] == [
        ((1, 153_483, 0, 393, 0, 394), (153_484, 153_483, 0, 393, 0, 153_877))
    ]
    assert "370  imported" in output
    assert "usage_events 369: 394 in the file, 153,877 in the ledger" in output
    assert set(home.query("select origin, proxy from recent_requests")) == {
        ("keeper", "127.0.0.1:8317")
    }
    check(home)


def test_the_originals_rows_are_what_the_collector_would_have_stored(
    home: Home, lines: Path, tmp_path: Path
) -> None:
    import_file(home, ORIGINAL)
    other = Home(tmp_path / "other")
    with closing(sqlite3.connect(f"file:{ORIGINAL}?mode=ro", uri=True)) as conn:
        payloads = [raw.encode() for (raw,) in conn.execute("select raw_json from usage_events")]
        sums = conn.execute("select count(*), sum(failed) from usage_events").fetchall()
    write_lines(lines, payloads)
    import_file(other, lines)
    assert home.query(EVERYTHING) == other.query(EVERYTHING)
    sql = "select count(*), sum(failed) from usage_events"
    assert home.query(sql) == sums
    check(home)


def test_an_export_is_imported_with_its_clients_and_the_cache_of_claude(home: Home) -> None:
    output = import_file(home, EXPORT)
    assert "detail 3: 1,000 in the file, 6,000 in the ledger" in output
    found = home.query(
        "select timestamp, account, provider, model, client, endpoint, failed, latency_ms,"
        " input_tokens, cached_tokens, output_tokens, total_tokens, origin"
        " from recent_requests order by 1"
    )
    assert found == [
        (
            *("2026-02-02T15:10:11.123Z", "alice@example.com", "codex", "gpt-5.2-codex", "…lpha"),
            *(None, 0, 2100, 3000, 2000, 150, 3150, "export"),
        ),
        (
            *("2026-02-02T15:12:00.000Z", "alice@example.com", "codex", "gpt-5.2-codex", "…lpha"),
            *(None, 1, 50, 0, 0, 0, 0, "export"),
        ),
        (
            *("2026-02-03T03:00:00.000Z", "gina@example.com", "claude", "claude-sonnet-4-5"),
            *("(none)", "POST /v1/messages", 0, None, 5900, 5000, 100, 6000, "export"),
        ),
    ]
    check(home)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_second_import_adds_nothing(home: Home, name: str) -> None:
    import_file(home, SAMPLES[name])
    before = home.query(EVERYTHING)
    output = import_file(home, SAMPLES[name])
    assert home.query(EVERYTHING) == before
    first, second = counts(home)
    assert second == (first[0], 0, first[0], 0, 0)
    assert f"{first[0]}  already in the ledger" in output
    check(home)


@pytest.mark.parametrize("first", ["keeper", "original", "export", "events"])
def test_all_four_make_one_ledger_in_any_order(
    home: Home, lines: Path, tmp_path: Path, all_recorded: list[bytes], first: str
) -> None:
    export = tmp_path / "export.json"
    write_export(export, all_recorded[::3])
    files = {"keeper": KEEPER, "original": ORIGINAL, "export": export, "events": lines}
    rest = [name for name in files if name != first]
    reference: list[tuple[object, ...]] = []
    # Every order, on smaller histories, is what test_import_order tries.
    for number, order in enumerate((rest, rest[::-1])):
        ledger = Home(tmp_path / str(number))
        for name in (first, *order):
            import_file(ledger, files[name])
        found = ledger.query(EVERYTHING)
        assert len(found) == 370
        assert found == (reference := reference or found)
        assert {row[0] for row in ledger.query("select origin from recent_requests")} <= {
            "events",
            "original",
        }
        check(ledger)


def test_live_rows_are_not_counted_again_and_an_import_fills_what_they_lack(
    home: Home, proxy: FakeProxy, all_recorded: list[bytes], lines: Path
) -> None:
    home.use(proxy)
    proxy.push(all_recorded[::2])
    home.run("ingest", "--once")
    assert home.count() == 185
    import_file(home, KEEPER)
    assert counts(home) == [(370, 185, 185, 0, 0)]
    # The rest comes from the queue after all: the proxy's own records replace keeper's.
    proxy.push(all_recorded[1::2])
    home.run("ingest", "--once")
    assert home.count() == 370
    assert home.query("select distinct origin from recent_requests") == [("live",)]
    assert home.query("select sum(stored), sum(duplicate) from ingest_ledger") == [(185, 185)]
    import_file(home, lines)
    assert counts(home)[1] == (370, 0, 370, 0, 0)
    check(home)


def test_attempts_of_one_millisecond_are_as_many_as_the_fuller_record_has(
    home: Home, tmp_path: Path
) -> None:
    (event,) = (json.loads(raw) for raw in recorded("recorded-v7.2.140")[:1])
    event |= {"failed": True, "latency_ms": 3, "request_id": "00000000"}
    raws = [
        json.dumps({**event, "timestamp": f"2026-11-24T00:03:13.8650{n}Z"}).encode()
        for n in range(5)
    ]
    file = tmp_path / "two.jsonl"
    write_lines(file, raws[:2])
    import_file(home, file)
    write_keeper(tmp_path / "keeper.db", raws[2:])
    import_file(home, tmp_path / "keeper.db")
    assert counts(home)[1] == (3, 1, 2, 0, 0)
    import_file(home, tmp_path / "keeper.db")
    assert home.count() == 3
    check(home)


def test_payloads_in_keepers_inbox_are_imported_too(home: Home, tmp_path: Path) -> None:
    raws = recorded("recorded-v7.1.10")
    write_keeper(tmp_path / "keeper.db", raws[:-2], waiting=raws[-3:])
    import_file(home, tmp_path / "keeper.db")
    assert counts(home) == [(len(raws) + 1, len(raws), 1, 0, 0)]
    check(home)


def write_many_to_keeper(file: Path, count: int) -> None:
    """Write a file that takes a while to come in."""
    raws = recorded("recorded-v7.2.140")
    events = (json.loads(raws[number % len(raws)]) for number in range(count))
    moments = (
        f"2026-10-{1 + n % 28:02}T{n % 24:02}:{n // 60 % 60:02}:{n % 60:02}.{n % 1000:03}Z"
        for n in range(count)
    )
    write_keeper(
        file,
        (
            json.dumps({**event, "timestamp": moment, "latency_ms": number}).encode()
            for number, (event, moment) in enumerate(zip(events, moments, strict=True))
        ),
    )


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_import_continues(home: Home, tmp_path: Path, signal_number: int) -> None:
    write_many_to_keeper(tmp_path / "keeper.db", 30_000)
    home.run("ledger", "init")
    process = home.start("ledger", "import", str(tmp_path / "keeper.db"))
    eventually(lambda: home.count() > 0)
    os.kill(process.pid, signal_number)
    output, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    if signal_number == signal.SIGINT:
        assert "Stopped. Imported events stay" in output
        assert "Traceback" not in output
    there = home.count()
    assert 0 < there < 30_000
    check(home)
    import_file(home, tmp_path / "keeper.db")
    assert home.count() == 30_000
    assert counts(home)[-1] == (30_000, 30_000 - there, there, 0, 0)
    first, second = home.query("select finished_at from imports order by id")
    assert first == (None,)
    assert second != (None,)
    check(home)


def test_the_collector_goes_on_beside_an_import(
    home: Home, proxy: FakeProxy, tmp_path: Path
) -> None:
    home.use(proxy)
    write_many_to_keeper(tmp_path / "keeper.db", 30_000)
    home.start("ingest")
    eventually(lambda: home.count("proxies"))
    eventually(lambda: home.query("select 1 from proxies where last_pop_at is not null"))
    process = home.start("ledger", "import", str(tmp_path / "keeper.db"))
    eventually(lambda: home.count() > 0)
    raws = recorded("recorded-v7.1.10")
    proxy.push(raws)
    live = "select count(*) from usage_events where import_id is null"
    eventually(lambda: home.query(live) == [(len(raws),)])
    assert process.wait(60) == 0
    assert home.count() == 30_000 + len(raws)
    assert home.query("select cause from gaps") == []
    check(home)


def test_no_key_of_a_client_survives(home: Home, lines: Path) -> None:
    for file in (KEEPER, ORIGINAL, EXPORT, lines):
        import_file(home, file)
    planted = {json.loads(raw)["api_key"] for raw in lines.read_bytes().splitlines()} - {""}
    assert planted
    for file in home.data.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert [key for key in planted if key.encode() in content] == [], file


def test_events_older_than_the_retention_are_rejected(home: Home) -> None:
    home.run("ledger", "init")
    with closing(sqlite3.connect(home.data / "ledger.db")) as conn:
        week = instant("2026-11-19T00:00:00Z")
        conn.execute("update rollup_state set raw_complete_from = ?", (week,))
        conn.commit()
    output = import_file(home, KEEPER)
    received, stored, _, _, rejected = counts(home)[0]
    assert (
        stored == home.query("select count(*) from usage_events where occurred_at >= ?", week)[0][0]
    )
    assert rejected > 0
    assert received == stored + rejected
    assert f"{rejected}  timestamp: older than the events that keep_events_days keeps" in output


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(b"", "file is empty.", id="empty"),
        pytest.param(b"hello\n", "file has no format that can be imported", id="text"),
        pytest.param(b'{"a": 1}\n', "file has no format", id="other-json"),
        pytest.param(
            b'{"version": 1, "usage": {"apis": {"k"',
            "file is not a complete usage export",
            id="cut",
        ),
        pytest.param(
            b'{"version": 2, "usage": {"apis": {}}}',
            "file is an export of version 2; versions up to 1 are supported.",
            id="newer-export",
        ),
        pytest.param(b"\x1f\x8bnot gzip", "file cannot be read", id="bad-gzip"),
        pytest.param(b"SQLite format 3\0" + b"x" * 200, "file cannot be read", id="no-database"),
    ],
)
def test_an_unknown_file_is_one_sentence(
    home: Home, tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "file").write_bytes(content)
    output = import_file(home, tmp_path / "file", status=1)
    assert sentence in output
    assert "Traceback" not in output
    assert home.count() == 0


def test_a_missing_file_and_a_ledger_are_one_sentence(home: Home, tmp_path: Path) -> None:
    assert "There is no file" in import_file(home, tmp_path / "nothing.db", status=1)
    output = import_file(home, home.data / "ledger.db", status=1)
    assert "is a ledger of cliproxy-ledger itself" in output


def test_a_record_that_is_no_event_is_named_by_its_place(home: Home, tmp_path: Path) -> None:
    good = recorded("recorded-v7.1.10")[:2]
    bad = json.dumps({**json.loads(good[0]), "timestamp": "yesterday"}).encode()
    write_lines(tmp_path / "file", [good[0], b"{", bad, good[1], bad])
    output = import_file(home, tmp_path / "file")
    assert counts(home) == [(5, 2, 0, 0, 3)]
    assert "2  timestamp: not a time (line 3, line 5)" in output
    assert "1  not JSON (line 2)" in output
    check(home)


def test_events_before_the_damage_of_a_file_are_imported(home: Home, tmp_path: Path) -> None:
    write_many_to_keeper(tmp_path / "keeper.db", 20_000)
    size = (tmp_path / "keeper.db").stat().st_size
    with (tmp_path / "keeper.db").open("r+b") as file:
        file.seek(size // 4096 // 2 * 4096)
        file.write(b"\xff" * 4096 * 8)
    output = import_file(home, tmp_path / "keeper.db", status=1)
    assert "Stopped: keeper.db is damaged or busy" in output
    assert "Traceback" not in output
    assert 0 <= home.count() < 20_000
    check(home)


def test_packed_lines_and_an_array_are_read_as_well(
    home: Home, tmp_path: Path, lines: Path
) -> None:
    (tmp_path / "events.gz").write_bytes(gzip.compress(lines.read_bytes()))
    import_file(home, tmp_path / "events.gz")
    raws = lines.read_bytes().splitlines()
    (tmp_path / "events.json").write_bytes(b"[\n" + b",\n".join(raws) + b"\n]\n")
    import_file(home, tmp_path / "events.json")
    assert counts(home) == [(370, 370, 0, 0, 0), (370, 0, 370, 0, 0)]


def test_a_file_in_a_folder_that_cannot_be_written_is_read(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "read only # folder"
    folder.mkdir()
    file = folder / "keeper.db"
    file.write_bytes(KEEPER.read_bytes())
    with closing(sqlite3.connect(file)) as conn:
        conn.execute("pragma journal_mode = wal")
    folder.chmod(0o500)
    try:
        import_file(home, file)
    finally:
        folder.chmod(0o700)
    assert home.count() == 370


def test_rows_in_the_log_alone_are_imported_or_the_user_is_told(home: Home) -> None:
    with TemporaryDirectory() as name:
        file = Path(name) / "keeper.db"
        shutil.copy(KEEPER, file)
        with closing(sqlite3.connect(file)) as conn:
            conn.execute("pragma journal_mode = wal")
            ((rows,),) = conn.execute("select count(*) from usage_events")
            conn.execute("delete from usage_events where id % 37 = 0")
            conn.commit()
            there = conn.execute("select count(*) from usage_events").fetchone()[0]
            copy = Path(name) / "copy"
            copy.mkdir()
            for part in (file, file.with_name("keeper.db-wal")):
                shutil.copy(part, copy)
        with unwritable(copy), pytest.raises(Unreadable, match="copy both into a folder of yours"):
            open_database(copy / "keeper.db")
        import_file(home, copy / "keeper.db")
    assert home.count() == there < rows


@pytest.mark.parametrize("is_array", [False, True])
def test_a_byte_order_mark_costs_nothing(
    home: Home, tmp_path: Path, lines: Path, is_array: bool
) -> None:
    raws = lines.read_bytes()
    text = b"[" + b",".join(raws.splitlines()) + b"]" if is_array else raws
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbf" + text)
    import_file(home, tmp_path / "marked")
    assert counts(home) == [(370, 370, 0, 0, 0)]


def test_what_keeper_records_in_place_of_a_key_is_no_client(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "keeper.db"
    write_keeper(file, recorded("recorded-v7.2.140"))
    noted = ["", "unknown", "codex", "own-provider", "POST /v1/chat/completions"]
    with closing(sqlite3.connect(file)) as conn, conn:
        conn.execute("delete from usage_events where id > 6")
        for number, text in enumerate(noted, 1):
            conn.execute("update usage_events set api_group_key = ? where id = ?", (text, number))
        conn.execute("update usage_events set provider = 'own-provider' where id = 4")
    import_file(home, file)
    assert home.query("select count(*), count(client_id) from usage_events") == [(6, 1)]
    assert home.count("known_clients") == 1


def test_events_of_another_proxy_are_kept_apart(home: Home) -> None:
    import_file(home, KEEPER, "--proxy", "the old one")
    assert home.query("select distinct proxy from recent_requests") == [("the old one",)]
    sql = "select configured from proxies where name = 'the old one'"
    assert home.query(sql) == [(0,)]
    codes = {code for code, _ in home.problems()}
    assert codes <= {"collector_never_started", "model_unpriced"}


def test_with_several_proxies_one_has_to_be_named(home: Home) -> None:
    pool = [
        {"name": name, "address": f"127.0.0.1:{port}", "management_key": "test-management-key"}
        for name, port in (("home", 8317), ("work", 8318))
    ]
    home.env["LEDGER_PROXIES"] = json.dumps(pool)
    del home.env["CLIPROXY_MANAGEMENT_KEY"]
    output = import_file(home, EXPORT, status=1)
    assert "name the one of these events with --proxy 'home' or 'work'." in output
    assert home.count() == 0
    import_file(home, EXPORT, "--proxy", "work")
    assert home.query("select distinct proxy from recent_requests") == [("work",)]


def test_new_credentials_of_an_address_share_its_account(home: Home, tmp_path: Path) -> None:
    write_lines(tmp_path / "new.jsonl", recorded("recorded-v7.2.140"))
    import_file(home, tmp_path / "new.jsonl")
    accounts = home.query("select count(*) from known_accounts")
    old = [json.loads(raw) | {"auth_index": "f" * 16} for raw in recorded("recorded-v7.2.140")]
    old = [event for event in old if event["source"] == "dave.limited@example.com"]
    old = [event | {"timestamp": event["timestamp"].replace("2026-11", "2026-10")} for event in old]
    write_lines(tmp_path / "old.jsonl", [json.dumps(event).encode() for event in old])
    import_file(home, tmp_path / "old.jsonl")
    assert counts(home)[1][1] == len(old) > 0
    assert home.query("select count(*) from known_accounts") == accounts
