"""Backups are intact, private, rotated and do not block ingest; a restore puts one in place."""

import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from ledger import backup as copies
from ledger import transaction
from ledger.backup import BACKUP, Damaged, backups, rotate
from ledger.data_folder import prepare
from ledger.locks import LockHeld, exclusive, hold
from tests.support.home import eventually, recorded


def progress(done: int, whole: int) -> None:
    """Ignore progress."""


@pytest.fixture
def filled(home, proxy):
    """A home with the recorded events."""
    home.use(proxy)
    proxy.push(recorded("recorded-v7.2.140"))
    home.run("ingest", "--once")
    return home


def events(file) -> int:
    """Count the events of a ledger file."""
    with closing(sqlite3.connect(file)) as conn:
        return conn.execute("select count(*) from usage_events").fetchone()[0]


def test_a_backup_holds_everything_and_is_private(filled):
    assert "is intact" in filled.run("ledger", "backup")
    [file] = backups(filled.data / "backups")
    assert events(file) == filled.count() > 0
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in file.parent.iterdir()}
    assert modes == {file.name: 0o600, file.with_suffix(".salt").name: 0o600}
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.with_suffix(".salt").read_bytes() == (filled.data / "salt").read_bytes()


def test_a_backup_under_constant_writing_ends_and_is_of_one_moment(tmp_path):
    with closing(prepare(tmp_path, timezone="UTC")) as conn:
        conn.execute("create table ballast (n integer, x blob)")
        with transaction(conn):
            rows = ((n, bytes(2000)) for n in range(20_000))
            conn.executemany("insert into ballast values (?, ?)", rows)
        conn.execute("create table pairs (a integer, b integer)")
        stop, written, refused = threading.Event(), [0], []

        def write() -> None:
            ledger = tmp_path / "ledger.db"
            # Nobody is kept from writing for a second.
            with closing(sqlite3.connect(ledger, isolation_level=None, timeout=1)) as other:
                while not stop.is_set():
                    try:
                        other.execute("begin immediate")
                        other.execute("insert into pairs values (?, ?)", (written[0],) * 2)
                        other.execute("update ballast set n = n + 1 where rowid = 1")
                        other.execute("commit")
                    except sqlite3.OperationalError as error:
                        refused.append(error)
                        return
                    written[0] += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            eventually(lambda: written[0] > 50)
            file = copies.backup(tmp_path, tmp_path / "backups", keep=1, progress=progress)
            during = written[0]
        finally:
            stop.set()
            writer.join()
    with closing(sqlite3.connect(file)) as copied:
        [(pairs, moment)] = copied.execute(
            "select (select count(*) from pairs), (select n from ballast where rowid = 1)"
        ).fetchall()
    assert pairs == moment
    assert 50 < pairs < during
    assert refused == []


def test_only_the_newest_are_kept_and_nothing_else_is_deleted(tmp_path):
    names = [f"ledger-2026112{n}T000000Z" for n in range(1, 6)]
    for name in names:
        (tmp_path / f"{name}.db").touch()
        (tmp_path / f"{name}.salt").touch()
    (tmp_path / "ledger-precious.db").touch()
    rotate(tmp_path, 2)
    left = sorted(entry.name for entry in tmp_path.iterdir())
    assert left == sorted(
        [f"{name}.{kind}" for name in names[3:] for kind in ("db", "salt")] + ["ledger-precious.db"]
    )
    assert all(BACKUP.fullmatch(entry.name) for entry in backups(tmp_path))


def test_a_restore_brings_the_backup_back_and_keeps_the_old_ledger(filled, proxy):
    filled.run("ledger", "backup")
    [file] = backups(filled.data / "backups")
    before, salt = filled.count(), (filled.data / "salt").read_bytes()
    proxy.push(recorded("recorded-v7.1.10"))
    filled.run("ingest", "--once")
    after = filled.count()
    (filled.data / "salt").write_bytes(bytes(32))
    assert "The old ledger is at" in filled.run("ledger", "restore", str(file))
    assert filled.count() == before < after
    assert (filled.data / "salt").read_bytes() == salt
    [aside] = filled.data.glob("before-restore-*")
    assert events(aside / "ledger.db") == after
    assert (filled.data / "ledger.db").stat().st_mode & 0o777 == 0o600
    filled.run("ledger", "check")
    # What came between is on record as a gap once the collector runs again.
    filled.run("ingest", "--once")
    assert filled.query("select count(*) from gaps where cause = 'collector stopped'") >= [(1,)]


@pytest.mark.parametrize("worker", ["ingest", "quota", "web"])
def test_a_restore_is_refused_while_a_worker_runs(filled, worker):
    filled.run("ledger", "backup")
    [file] = backups(filled.data / "backups")
    held = hold(filled.data, worker, shared=worker == "web")
    before = (filled.data / "ledger.db").read_bytes()
    output = filled.run("ledger", "restore", str(file), status=1)
    assert f"{worker} (process" in output
    assert (filled.data / "ledger.db").read_bytes() == before
    import os

    os.close(held)


def test_the_dashboard_holds_its_lock(filled):
    from tests.support.sites import client_of

    with (
        closing(client_of(filled)),
        pytest.raises(LockHeld, match=f"web \\(process {filled.started[-1].pid}\\)"),
        exclusive(filled.data),
    ):
        pass


def come_from_the_future(file: Path) -> None:
    """Mark a ledger as written by a later program."""
    with closing(sqlite3.connect(file)) as conn:
        conn.execute("pragma user_version = 9999")


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda file: file.write_bytes(b"no ledger at all"), id="no-database"),
        pytest.param(lambda file: file.write_bytes(file.read_bytes()[:20_000]), id="cut-off"),
        pytest.param(lambda file: file.unlink(), id="missing"),
        pytest.param(come_from_the_future, id="from-the-future"),
    ],
)
def test_a_damaged_backup_is_refused(filled, spoil):
    filled.run("ledger", "backup")
    [file] = backups(filled.data / "backups")
    before = filled.count()
    spoil(file)
    output = filled.run("ledger", "restore", str(file), status=1)
    assert len(output.splitlines()) == 1, output
    assert filled.count() == before


def test_a_backup_that_does_not_prove_sound_is_not_kept(filled, monkeypatch):
    def damaged(file) -> None:
        raise Damaged("it is damaged")

    monkeypatch.setattr(copies, "require_intact", damaged)
    with pytest.raises(Damaged):
        copies.backup(filled.data, filled.data / "backups", keep=1, progress=progress)
    assert backups(filled.data / "backups") == []


def test_a_ledger_can_be_restored_on_another_machine(filled, tmp_path):
    filled.run("ledger", "backup")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(filled.data / "backups", elsewhere)
    [file] = backups(elsewhere)
    before, salt = filled.count(), (filled.data / "salt").read_bytes()
    filled.env["LEDGER_DATA_DIR"] = str(tmp_path / "new")
    filled.data = tmp_path / "new"
    filled.run("ledger", "restore", str(file))
    assert (filled.count(), (filled.data / "salt").read_bytes()) == (before, salt)


def test_the_dashboard_notices_another_ledger_in_the_place_of_its_own(filled):
    from tests.support.sites import client_of

    other = filled.data / "other.db"
    with closing(sqlite3.connect(filled.data / "ledger.db")) as conn:
        conn.execute("vacuum into ?", (str(other),))
    with closing(sqlite3.connect(other, isolation_level=None)) as conn:
        conn.execute("update proxies set version = 'from the other file'")
    with closing(client_of(filled)) as client:
        for name in ("ledger.db-wal", "ledger.db-shm"):
            (filled.data / name).unlink(missing_ok=True)
        other.rename(filled.data / "ledger.db")

        def answer() -> str:
            try:
                return client.get("/ledger/state.json").text
            except httpx.HTTPError:
                return ""

        eventually(lambda: "from the other file" in answer())
