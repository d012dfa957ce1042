"""A ledger of the old schema is converted once, exactly, and is then like a new one."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ledger import rollups
from ledger.backup import restore
from ledger.data_folder import prepare
from ledger.database import Damaged, SchemaMismatch
from ledger.integrity import check_all, require_intact
from tests.support.brute import dump
from tests.support.old_ledger import OLD, frozen_ledger, select

ZONE = "Europe/Berlin"
RENAMED = {"grains": "resolutions"}
GONE = {"ladders"}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A ledger of made-up traffic as the old program left it."""
    return frozen_ledger(tmp_path / "ledger.db")


def tables(conn: sqlite3.Connection) -> dict[str, str]:
    """Return every table and index with its definition, without comments and spaces."""
    rows = conn.execute(
        "select name, sql from sqlite_schema where type in ('table', 'index') and sql <> ''"
    )
    return {
        name: re.sub(r"\s+|\"", "", re.sub(r"--.*", "", sql))
        for name, sql in rows
        if not name.startswith("sqlite_")
    }


def test_a_converted_ledger_has_the_tables_of_a_new_one(tmp_path, old):
    (tmp_path / "new").mkdir()
    with (
        closing(prepare(tmp_path / "new", timezone=ZONE)) as new,
        closing(prepare(tmp_path, timezone=ZONE)) as converted,
    ):
        assert tables(converted) == tables(new)
        for seeded in ("resolutions", "latency_buckets"):
            rows = f"select * from {seeded}"
            assert converted.execute(rows).fetchall() == new.execute(rows).fetchall()


def test_a_conversion_keeps_every_row(tmp_path, old):
    with closing(sqlite3.connect(old)) as conn, conn:
        conn.execute(
            "update quota_accounts set exhausted_at = 1, exhausted_until = 2 "
            "where account_id = (select min(account_id) from quota_accounts)"
        )
    names = select(old, "select name from sqlite_schema where type = 'table'")
    tables = {name for (name,) in names} - GONE - {"settings"}
    before = {name: select(old, f"select * from {name}") for name in tables}
    prepare(tmp_path, timezone=ZONE).close()
    for name, rows in before.items():
        after = select(old, f"select * from {RENAMED.get(name, name)}")
        if name == "quota_accounts":
            refused = [(row[0], *row[-2:]) for row in rows if row[-1] is not None]
            sql = "select account_id, ends_at, refused_at from quota_refusals"
            assert set(select(old, sql)) == set(refused)
            rows = [row[:-2] for row in rows]
        # New columns are the last ones.
        width = len(rows[0]) if rows else 0
        assert set(rows) <= {row[:width] for row in after}, name
        # Totals are kept by the hour now, and there are more rules.
        assert len(rows) == len(after) or name in ("total_rollup", "alert_rules")
    copy = tmp_path / f"ledger-before-{OLD + 1:04d}.db"
    assert {name: select(copy, f"select * from {name}") for name in tables} == before


def test_a_converted_ledger_adds_up_and_is_what_a_rebuild_makes_of_it(tmp_path, old):
    with closing(prepare(tmp_path, timezone=ZONE)) as conn:
        assert [question for question, problem in check_all(conn) if problem] == []
        names = (*rollups.tables(), "last_failures")
        converted = {name: dump(conn, name) for name in names}
        assert all(converted.values())
        (recent_from,) = conn.execute("select recent_from from rollup_state").fetchone()
        rollups.reset(conn, recent_from + rollups.RECENT_MS)
        rollups.catch_up(conn)
        assert {name: dump(conn, name) for name in names} == converted


def test_old_sums_do_not_tell_what_was_cancelled(tmp_path, old):
    with closing(prepare(tmp_path, timezone=ZONE)) as conn:
        (kept_from,) = conn.execute("select raw_complete_from from rollup_state").fetchone()
        sql = """
          select bucket_at >= ?, failed > 0, cancelled is null, count(*)
          from total_rollup group by 1, 2, 3
        """
        kinds = {row[:3] for row in conn.execute(sql, (kept_from,))}
        assert kinds == {(0, 0, 0), (0, 1, 1), (1, 0, 0), (1, 1, 0)}
        sums = "select sum(cancelled) from total_rollup where resolution = 4 and bucket_at >= ?"
        (cancelled,) = conn.execute(sums, (kept_from,)).fetchone()
        assert (
            cancelled == conn.execute("select sum(cancelled) from usage_events").fetchone()[0] > 0
        )


def test_a_backup_of_the_old_schema_can_be_restored(tmp_path, old):
    require_intact(old)
    data = tmp_path / "data"
    assert restore(old, data) is None
    events = select(old, "select * from usage_events")
    prepare(data, timezone=ZONE).close()
    restored = select(data / "ledger.db", "select * from usage_events")
    # New columns are the last ones.
    assert [row[: len(events[0])] for row in restored] == events


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        pytest.param(OLD - 1, "this program converts only version 9", id="too-old"),
        pytest.param(99, "it was written by a newer cliproxy-ledger", id="newer"),
    ],
)
def test_a_ledger_that_cannot_be_read_is_left_alone(tmp_path, old, version, sentence):
    with closing(sqlite3.connect(old)) as conn:
        conn.execute(f"pragma user_version = {version}")
    with pytest.raises(SchemaMismatch, match=sentence):
        prepare(tmp_path, timezone=ZONE)
    assert select(old, "pragma user_version") == [(version,)]
    assert list(tmp_path.glob("ledger-before-*")) == []
    with pytest.raises(Damaged, match=sentence):
        require_intact(old)
